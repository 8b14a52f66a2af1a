"""Builds nets that begin with weights of others, and gives weights to nets that are there."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from zoo import frameworks, registry
from zoo.build_arguments import plain
from zoo.errors import RequestError, unknown

if TYPE_CHECKING:
    import keras

    from zoo.pretrained.loading import Pairing
    from zoo.pretrained.sources import Source

# What `in_channels` may be.
CHANNELS = ("", "sum")


def build_model(
    name: str,
    input_shape: Iterable[int | None] | None = None,
    num_classes: int | None = None,
    *,
    weights: str | Mapping[str, Any] | None = None,
    in_channels: str = "",
    **hyperparameters: Any,
) -> "keras.Model":
    """Builds a registered model, and gives it weights where they are named.

    It is the same model whatever `keras.json` or `keras.config` say of the image format and the float type: images have
    their channels last. A dtype policy, such as `keras.config.set_dtype_policy("mixed_bfloat16")`, is kept.

    Args:
        name: the model's name, one of `list_models()`.
        input_shape: shape of one example without the batch, a tuple, a list or a `tf.TensorShape`; default: the
            model's own, with weights that of what they were trained on. Nets that end in global pooling, and those that
            give `features`, take None for the height and the width: such a model takes images of every size, from the
            net's least one on.
        num_classes: number of classes; 0 gives the last features before the classifier; default: the model's own, or
            as many as the weights have. Where it is another number than they have, the classifier is a new one, and a
            line on standard error says so.
        weights: one of `list_weights()`, a file, a folder of a hub or of a run, or a mapping of names to arrays, such
            as a state dict; None: random weights. They dictate what the net is built with.
        in_channels: `sum` adds up the first kernel's input channels, which lets weights for colour take grey images.
        **hyperparameters: what this builder takes beyond that, see `model_info(name).hyperparameters`. Numbers and
            arrays of NumPy are as good as Python's numbers and lists.

    Returns:
        An uncompiled `keras.Model`. Logits, distances and what the heads of several outputs give are float32 under
        every precision; features are in the precision that they are computed in.

    Raises:
        RequestError: a name or a hyperparameter is unknown, a value is one that the model cannot take, or the weights
            are not there, not of this net, or for another one than was asked for. It is a `ValueError`.
    """
    if weights is None:
        if in_channels:
            raise RequestError(f"in_channels is {in_channels!r}, which needs weights")
        return registry.build_model(name, input_shape, num_classes, **hyperparameters)
    registry.model_info(name)
    source = _opened(weights, name)
    arguments = source.builder_arguments(name, plain(hyperparameters))
    here, classes, keep_head = source.classes(name), num_classes, True
    if registry.model_info(name).num_classes is not None:
        # Weights without a classifier are those of features.
        classes = (here or 0) if num_classes is None else num_classes
        keep_head = here is not None and classes == here
    if input_shape is None:
        input_shape = source.example_shape(name)
    with frameworks.without_weights():
        model = registry.build_model(name, input_shape, classes, **arguments)
    pairing = _paired(source, model, name, keep_head=keep_head, in_channels=in_channels)
    frameworks.make_variables(model, pairing.values)
    if pairing.left_new:
        theirs = "no classifier" if here is None else f"a classifier for {here} classes"
        print(f"{source.name} has {theirs}; that of {name} is new", file=sys.stderr)
    return model


def load_weights(
    model: "keras.Model", weights: str | Mapping[str, Any], *, keep_head: bool = True, in_channels: str = ""
) -> "keras.Model":
    """Gives weights to a model that is there.

    Args:
        model: as `build_model` gives it, or one of `load_model` that has such a model's name; what the latter was built
            with is not known here, so only names and shapes are checked.
        weights: as `build_model` takes them.
        keep_head: whether the classifier takes its weights too; False leaves it as it is.
        in_channels: as in `build_model`.

    Returns:
        The model.

    Raises:
        RequestError: the weights are not there, or not of this net: an array is missing, is left over or has another
            shape, or the net was built in another way than they need. Then the model is as it was.
    """
    built = registry.built_with(model)
    name, given = built or (model.name, {})
    info = registry.model_info(name)
    source = _opened(weights, name)
    if built:
        for key, value in source.builder_arguments(name, {}).items() if source.binding else ():
            if given.get(key, info.hyperparameters[key]) != value:
                raise RequestError(
                    f"{source.name} has weights of a net with {key}={value!r}; build {name} with weights= for its own "
                    "arguments, or with this one"
                )
    _paired(source, model, name, keep_head=keep_head, in_channels=in_channels).assign()
    return model


def _opened(weights: str | Mapping[str, Any], name: str) -> "Source":
    frameworks.import_keras()
    from zoo.pretrained import sources

    if isinstance(weights, Mapping):
        return sources.of_mapping("weights", weights)
    return sources.open_source(str(weights), name)


def _paired(source: "Source", model: "keras.Model", name: str, *, keep_head: bool, in_channels: str) -> "Pairing":
    if in_channels not in CHANNELS:
        raise unknown("in_channels", in_channels, CHANNELS)
    return source.pairing(model, name, keep_head=keep_head, sum_channels=in_channels == "sum")
