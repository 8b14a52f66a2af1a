"""Pairs the layers of a net with the arrays of a file, converts them, checks both ways, and only then sets them."""

import collections
import dataclasses
import fnmatch
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from zoo import registry
from zoo.errors import RequestError, some_of
from zoo.models.published import Published, numbered, own_names, translate
from zoo.pretrained.conversion import TORCH_NAMES, Conversion
from zoo.pretrained.layers import classifiers, first_kernel, layers_by_name

if TYPE_CHECKING:
    import keras

# The table of the zoo's own names, which every net has.
OWN = "zoo"
# What PyTorch's batch norm counts, and no output depends on.
_COUNTER = "num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Every variable of a net with the array that it is to become.

    Attributes:
        values: the variable, and a function of no arguments that gives what it becomes, in its own shape. It converts
            when it is called and keeps nothing, so that no second copy of the file is held.
        layers: layer of the net -> layer of the file.
        left_new: the layers of the net that keep their values: the classifier, or none.
    """

    values: tuple[tuple["keras.Variable", Callable[[], np.ndarray]], ...]
    layers: Mapping[str, str]
    left_new: tuple[str, ...]

    def assign(self) -> None:
        """Sets the variables, one after the other."""
        for variable, value in self.values:
            variable.assign(value())


def published_names(model_name: str) -> dict[str, Published]:
    """The tables that a net's family has for it, by publisher; `zoo` is that of the zoo's own files.

    Raises:
        RequestError: there is no such model.
    """
    info = registry.model_info(model_name)
    info.builder  # noqa: B018 - to ask for it imports the family's file
    tables = {OWN: own_names(), **getattr(sys.modules.get(info.module), "PUBLISHED", {})}
    return {publisher: table for publisher, table in tables.items() if _is_for(table, model_name)}


def classes_of(model_name: str, published: Published, arrays: Mapping[str, np.ndarray]) -> int | None:
    """How many classes the classifier of a file has; None where the file has no classifier.

    Args:
        model_name: the net.
        published: the names of the file.
        arrays: of the file, by name.
    """
    stored = _Stored(published, arrays)
    classifier = translate(published.ends[-1], published.rules) if _is_for(published, model_name) else None
    key = stored.keys.get(stored.full_name(classifier, "kernel")) if classifier else None
    return None if key is None else int(arrays[key].shape[0 if published.style == "torch" else -1])


def check_grey(model: "keras.Model") -> None:
    """Sees that a net whose first kernel is to be summed over its input channels takes grey images.

    Raises:
        RequestError: it takes images of more channels, whose kernel nothing is summed of.
    """
    layers = layers_by_name(model)
    first = first_kernel(layers)
    channels = [weight.shape[2] for weight in layers[first].weights if len(weight.shape) == 4] if first else []
    if channels and channels[0] != 1:
        raise RequestError(
            f"the input channels are to be summed, for grey images; {model.name} takes {channels[0]} channels here, "
            "leave 'sum' out"
        )


def pair(
    model: "keras.Model",
    published: Published,
    arrays: Mapping[str, np.ndarray],
    *,
    keep_head: bool = True,
    sum_channels: bool = False,
) -> Pairing:
    """Pairs a net with a file, both ways, and sets nothing.

    The net may have been built in any precision, under a strategy, or without values for its weights.

    Args:
        model: as `zoo.build_model` gives it.
        published: the names of the file.
        arrays: by name, as `zoo.pretrained.files` reads them. Here their shapes and types are looked at; their numbers
            when they are asked for.
        keep_head: whether the classifier is taken from the file. Where it is not, or the net has none, the file's is
            left over.
        sum_channels: sum the first kernel over its input channels, for grey images.

    Raises:
        RequestError: an array is missing, is left over, or has another shape; the message names it and both shapes.
    """
    if not _is_for(published, model.name):
        raise RequestError(f"these weights are of {some_of(published.models, 6)}, which {model.name} is not")
    layers, heads = layers_by_name(model), classifiers(model)
    stored = _Stored(published, arrays)
    names = _names_in_file(list(layers), published, stored.layers)
    left_new = () if keep_head else heads
    values, problems = [], _Problems(model.name)
    for name, variable, convert in _conversions(layers, published, sum_channels):
        if name in left_new:
            continue
        wanted = stored.full_name(names[name] or name, variable.name)
        if names[name] is None or wanted not in stored.keys:
            problems.missing.append(f"{wanted} for {name}")
            continue
        value = _Value(arrays, stored.keys[wanted], convert)
        values.append((variable, value))
        problems.check(name, value, is_head=name in heads)
    may_be_left = {names[name] for name in left_new}
    if not heads:
        may_be_left |= {translate(name, published.rules) for name in published.ends if name not in layers}
    taken = {value.key for _, value in values}
    problems.left_over += [key for key in stored.besides(may_be_left) if key not in taken]
    problems.refuse(nothing_fits=not values)
    return Pairing(tuple(values), {name: names[name] for name in layers if name not in left_new}, left_new)


@dataclasses.dataclass(frozen=True)
class _Value:
    """An array of a file, converted each time it is asked for."""

    arrays: Mapping[str, np.ndarray]
    key: str
    convert: Conversion

    def __call__(self) -> np.ndarray:
        return self.convert(self.arrays[self.key])


class _Stored:
    """The arrays of a file, under the names by which the rules call them.

    Attributes:
        keys: that name -> the array's own.
        layers: the names of the layers, in the order of the file.
    """

    def __init__(self, published: Published, arrays: Mapping[str, np.ndarray]):
        self._published = published
        self._separator = "." if published.style == "torch" else "/"
        self.keys: dict[str, str] = {}
        for key in arrays:
            layer, separator, part = key.rpartition(self._separator)
            if part == _COUNTER:
                continue
            name = f"{translate(layer, published.renamed) or layer}{separator}{part}"
            if name in self.keys:
                raise RequestError(f"the file has {self.keys[name]} and {key}, which are two names of one array")
            self.keys[name] = key
        self.layers = list(dict.fromkeys(map(self._layer_of, self.keys)))

    def full_name(self, layer: str, variable: str) -> str:
        """What the array for a variable of a layer is called; the layer as in the file."""
        part = TORCH_NAMES.get(variable, variable) if self._published.style == "torch" else variable
        return f"{layer}{self._separator}{self._published.parts.get(variable, part)}"

    def besides(self, layers: Collection[str | None]) -> list[str]:
        """The arrays of all layers but those that are given, and those that a net may lack."""
        return [
            key
            for name, key in self.keys.items()
            if self._layer_of(name) not in layers and not re.fullmatch(self._published.ignored, self._layer_of(name))
        ]

    def _layer_of(self, name: str) -> str:
        return name.rpartition(self._separator)[0]


@dataclasses.dataclass
class _Problems:
    """Why a file is another net's, with the names of arrays, and what would help."""

    model: str
    missing: list[str] = dataclasses.field(default_factory=list)
    shapes: list[str] = dataclasses.field(default_factory=list)
    left_over: list[str] = dataclasses.field(default_factory=list)
    advice: dict[str, None] = dataclasses.field(default_factory=dict)

    def check(self, layer: str, value: _Value, *, is_head: bool) -> None:
        """Notes what is wrong with the array that a layer is to take, if anything is."""
        array, convert = value.arrays[value.key], value.convert
        if not np.issubdtype(array.dtype, np.floating):
            self.shapes.append(f"{value.key} holds {array.dtype} and no floating-point numbers")
        elif not convert.fits(array.shape):
            self.shapes.append(f"{value.key} is {array.shape} where {layer} takes {convert.shape_in_file}")
            if is_head:
                self.advice[
                    "build it with the file's number of classes, or leave the file's classifier out (keep_head=False)"
                ] = None
            elif dataclasses.replace(convert, sum_channels=True).fits(array.shape):
                self.advice[
                    "sum the file's input channels for grey images: in_channels='sum', in a run --init_channels=sum"
                ] = None

    def refuse(self, *, nothing_fits: bool) -> None:
        """Raises a `RequestError` if there is any, with the first of each kind and how many more there are."""
        if nothing_fits and self.left_over:
            raise RequestError(f"the file has no array of {self.model}, but {some_of(self.left_over, 1)}")
        kinds = (
            ("the file lacks", self.missing),
            ("the file's", self.shapes),
            (f"{self.model} has no place for", self.left_over),
        )
        told = [f"{what} {some_of(names, 1)}" for what, names in kinds if names]
        if told:
            raise RequestError(
                f"the file does not fit {self.model} as it was built: {'; '.join([*told, *self.advice])}"
            )


def _is_for(published: Published, model_name: str) -> bool:
    return any(fnmatch.fnmatchcase(model_name, pattern) for pattern in published.models)


def _names_in_file(layers: list[str], published: Published, stored: list[str]) -> dict[str, str | None]:
    """Layer of the net -> layer of the file; None where the rules have none."""
    names = {layer: translate(layer, published.rules) for layer in layers}
    counted = collections.defaultdict(list)
    for layer, name in names.items():
        if name and "#" in name:
            counted[name].append(layer)
    for template, alike in counted.items():
        # Where the file has fewer, the template is left, and is missed; where it has more, they are left over.
        names |= dict(zip(alike, numbered(template, stored), strict=False))
    return names


def _conversions(
    layers: Mapping[str, "keras.layers.Layer"], published: Published, sum_channels: bool
) -> Iterator[tuple[str, "keras.Variable", Conversion]]:
    """For each variable the name of its layer, and how an array becomes the variable."""
    first = first_kernel(layers)
    for name, layer in layers.items():
        settings = {
            "widened": bool(re.fullmatch(published.widened, name)),
            "reverse": published.reversed_channels and name == first,
            "sum_channels": sum_channels and name == first,
        }
        for variable in layer.weights:
            yield name, variable, Conversion(layer, variable, published.style, **settings)
