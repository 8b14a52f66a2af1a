"""Files of Keras: `.h5` of Keras 1 and 2, `.weights.h5` and `.keras` of Keras 3. Arrays are called `layer/variable`.

Keras 2 wrote down the names of layers and of their variables. Keras 3 numbers the variables of a layer; what they are
follows from the layer's class, and where a class has options, from the settings of the layer, which stand in the
`config.json` of a `.keras` file. So a bare `.weights.h5` is refused where they could be one or the other, as three
variables of a batch normalization could. A layer that is not in `_VARIABLES` keeps its numbers, `layer/0`. The first
versions of Keras 3 left out the names of layers, too: of those a `.weights.h5` gives the class and a number,
`conv2d_3`.

Only names and numbers are taken: no layer is made of what a file says, and its code, if it has any, is not looked at.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from zoo.pretrained.h5_files import Node, root_of
from zoo.pretrained.mapped import Arrays, DamagedError, parse_json, quoted

_MOST_GROUPS = 20_000
_MOST_DEPTH = 32

# The classes of layers, as their groups are called -> their variables in the order of Keras 3; those with a question
# mark are there or not, and the setting that says so.
_VARIABLES = {
    r"(depthwise_|grouped_)?conv[123]d(_transpose)?|dense|einsum_dense": ("kernel", "bias?use_bias"),
    r"separable_conv[12]d": ("depthwise_kernel", "pointwise_kernel", "bias?use_bias"),
    r"batch_normalization": ("gamma?scale", "beta?center", "moving_mean", "moving_variance"),
    r"(layer|group)_normalization": ("gamma?scale", "beta?center"),
    r"rms_normalization": ("scale",),
    r"normalization": ("mean", "variance", "count"),
    r"embedding": ("embeddings",),
    r"p_re_lu": ("alpha",),
}
# Keras 1 -> Keras 3. What it called a deviation was the variance, see its `BatchNormalization`.
_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
# Where a model keeps its layers; the second is that of TensorFlow 2.13.
_LISTS = ("layers", "_layer_checkpoint_dependencies")
_PARTS = re.compile(r"(\d+)")
# What training leaves beside the layers.
_TRAINING = {"optimizer", "optimizer_weights"}
# The state of random numbers, as of a dropout, which Keras does not count among a layer's weights.
_RANDOM = re.compile(r"seed_generator(_\d+)?")


def is_keras_zip(contents: Mapping[str, memoryview]) -> bool:
    """Whether the members of a zip are those of a `.keras` file."""
    return "config.json" in contents and "model.weights.h5" in contents


def read_keras_zip(contents: Mapping[str, memoryview]) -> Arrays:
    """The arrays of a `.keras` file.

    Args:
        contents: the members of the zip by name.

    Raises:
        DamagedError: it is damaged, or its names cannot be told.
    """
    return read_h5(contents["model.weights.h5"], parse_json(contents["config.json"]))


def read_h5(data: memoryview, config: Mapping[str, Any] | None = None) -> Arrays:
    """The arrays of an HDF5 file of Keras.

    Args:
        data: the file.
        config: of the model, as Keras 3 serializes it, if it is known.

    Raises:
        DamagedError: it is damaged, points out of itself, holds something else, or its names cannot be told.
    """
    root = root_of(data)
    weights = root.find("model_weights") if "model_weights" in root else root
    if weights.has_texts("layer_names"):
        return _arrays(_keras_2(weights))
    if "layers" in root or "vars" in root or "_layer_checkpoint_dependencies" in root:
        return _arrays(_keras_3(root, config))
    raise DamagedError("it is an HDF5 file of something else than Keras' weights")


def _arrays(pairs: Iterable[tuple[str, np.ndarray]]) -> Arrays:
    found: dict[str, np.ndarray] = {}
    for name, value in pairs:
        if name in found:
            raise DamagedError(f"it has {quoted(name)} twice")
        found[name] = value
    return Arrays(found)


def _keras_2(root: Node) -> Iterator[tuple[str, np.ndarray]]:
    layers = root.texts("layer_names")
    # The variables that a model has itself, beside those of its layers.
    if "top_level_model_weights" in root:
        layers.append("top_level_model_weights")
    if len({*layers}) < len(layers):
        raise DamagedError("it has a layer twice")
    for layer in layers:
        group = root.find(layer)
        paths = group.texts("weight_names")
        for path, name in zip(paths, _keras_2_names(layer, paths), strict=True):
            yield name, group.find(path).array()


def _keras_2_names(layer: str, paths: list[str]) -> list[str]:
    """Names of a layer's arrays: `conv1/kernel` of `conv1/kernel:0`, `net/conv1_1/kernel:0` or `conv1_W_1:0`."""
    plain = [re.sub(r":\d+$", "", path) for path in paths]
    # What stands behind the layer's own name, if it is there.
    rests = [f"/{path}".partition(f"/{layer}/")[2] or path for path in plain]
    rooms = [rest.split("/")[:-1] for rest in rests]
    alike = all(room == rooms[0] for room in rooms)
    levels = [] if alike else zip(*rooms, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda level: len({*level}) == 1, levels))
    names = []
    for path, rest in zip(plain, rests, strict=True):
        room, _, variable = rest.rpartition("/")
        if rest == path and not room:
            # Keras 1 has the layer's name in that of the variable, and at its end a number that says nothing.
            variable = re.sub(r"_\d+$", "", variable.removeprefix(f"{layer}_"))
            names.append(f"{layer}/{_KERAS_1.get(variable, variable)}")
        elif rest == path and alike:
            names.append(f"{layer}/{variable}")
        else:
            # A net in a net: its layers stand between, behind what all have in common.
            names.append("/".join((layer, *rest.split("/")[shared:])))
    # Keras 2 had a name of its own for the kernel of a depthwise convolution; in a separable one it still has it.
    if f"{layer}/pointwise_kernel" not in names:
        names = [re.sub(r"/depthwise_kernel$", "/kernel", name) for name in names]
    return names


def _keras_3(root: Node, config: Mapping[str, Any] | None) -> Iterator[tuple[str, np.ndarray]]:
    for count, (group, path, kind, layer) in enumerate(_layers(root, (), "", config)):
        if count > _MOST_GROUPS:
            raise DamagedError("it has more layers than any net")
        if "vars" in group:
            kept = group.find("vars")
            keys = _keys(kept)
            names = keys
            if keys == [str(number) for number in range(len(keys))]:
                names = _variable_names("/".join(path), kind, layer, len(keys))
            for key, name in zip(keys, names, strict=True):
                yield "/".join((*path, name)), kept.find(key).array()


def _layers(
    group: Node, path: tuple[str, ...], kind: str, layer: Mapping[str, Any] | None
) -> Iterator[tuple[Node, tuple[str, ...], str, Mapping[str, Any] | None]]:
    """A layer's group, names from the model's layer down to it, class, and what the config says; then those inside."""
    if len(path) > _MOST_DEPTH:
        raise DamagedError("its layers are nested too deep")
    yield group, path, kind, layer
    described = _described(layer)
    for attribute in _keys(group):
        if attribute == "vars" or (not path and attribute in _TRAINING):
            continue
        child = group.find(attribute)
        # An attribute of a layer is a layer, or a list of some.
        found = {attribute: child} if "vars" in child else {key: child.find(key) for key in _keys(child)}
        for key, inner in found.items():
            if _RANDOM.fullmatch(key):
                continue
            about = described.get(key) if attribute in _LISTS else None
            kind = _snake_case(about["class_name"]) if about else re.sub(r"_\d+$", "", key)
            yield from _layers(inner, (*path, _layer_name(inner, key, about)), kind, about)


def _layer_name(group: Node, key: str, about: Mapping[str, Any] | None) -> str:
    if "vars" in group and (kept := group.find("vars")).has_texts("name"):
        return kept.texts("name")[0]
    return about["config"].get("name", key) if about else key


def _described(model: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The layers that a model's config lists, by the names of their groups: the class, and a number if there are more.

    As `keras.src.saving.saving_lib` names them. An operation that is no layer has no group.
    """
    settings = model.get("config") if model else None
    layers = settings.get("layers") if isinstance(settings, dict) else None
    found: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int] = {}
    for number, layer in enumerate(layers if isinstance(layers, list) else ()):
        if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
            raise DamagedError("its config.json describes no layers")
        name, module = layer.get("class_name"), layer.get("module") or ""
        if not all(isinstance(text, str) for text in (name, module, layer["config"].get("name", ""))):
            raise DamagedError("its config.json describes no layers")
        # A sequential model does not count its input among its layers.
        unlisted = number == 0 and name == "InputLayer" and model.get("class_name") == "Sequential"
        if not unlisted and not module.startswith(("keras.src.ops", "keras.ops")):
            key = _snake_case(name)
            counts[key] = counts.get(key, -1) + 1
            found[f"{key}_{counts[key]}" if counts[key] else key] = layer
    return found


def _variable_names(name: str, kind: str, layer: Mapping[str, Any] | None, count: int) -> list[str]:
    """What the numbered variables of a layer are."""
    known = next((names for pattern, names in _VARIABLES.items() if re.fullmatch(pattern, kind)), None)
    if known is None or count == 0:
        return [str(number) for number in range(count)]
    # Each with the settings under which it is there.
    parts = [variable.partition("?") for variable in known]
    optional = [flag for _, _, flag in parts if flag]
    settings = layer["config"] if layer else {}
    fitting = set()
    for values in itertools.product((True, False), repeat=len(optional)):
        states = dict(zip(optional, values, strict=True))
        if all(bool(settings.get(flag, state)) == state for flag, state in states.items()):
            fitting.add(tuple(variable for variable, _, flag in parts if not flag or states[flag]))
    fitting = sorted(names for names in fitting if len(names) == count)
    if len(fitting) > 1:
        choices = " or ".join(", ".join(names) for names in fitting)
        raise DamagedError(
            f"the {count} variables of {quoted(name)} could be {choices}; save the model as a "
            ".keras file, which has its settings"
        )
    if not fitting:
        raise DamagedError(f"{quoted(name)} has {count} variables, and should have {', '.join(v for v, _, _ in parts)}")
    return list(fitting[0])


def _keys(group: Node) -> list[str]:
    """The names in a group, with `conv2d_10` after `conv2d_9`."""
    return sorted(group, key=lambda name: [int(part) if part.isdecimal() else part for part in _PARTS.split(name)])


def _snake_case(name: str) -> str:
    """As `keras.src.utils.naming.to_snake_case`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
