"""What a model costs: its depth, its multiply-accumulates (MACs) and its activations for one example.

All of it is counted on the calls that `zoo.analysis.nets.graph.calls` gives: a shared layer costs anew in each call.
"""

import math
import re
from collections.abc import Iterable

from keras import layers

from zoo.analysis.nets.graph import Call, Tensor, keras_names

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
DENSE = (layers.Dense, layers.EinsumDense)
COUNTED = (*CONVOLUTIONS, *TRANSPOSED, *SEPARABLE, *DENSE)
# Layers and operations of Keras, by the names of their classes, that multiply matrices without a kernel of their own.
PRODUCTS = {
    *("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv", "Correlate"),
    *("Matmul", "Dot", "Vdot", "Inner", "Tensordot", "Einsum"),
    *("Attention", "AdditiveAttention", "DotProductAttention"),
}
# Their weights scale and shift each number by itself, however many axes they have.
ELEMENTWISE = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
    layers.PReLU,
    layers.RMSNormalization,
)


def depth(calls: list[Call]) -> int:
    """The longest path from an input to an output, in layers with weights as the literature counts them.

    Those are the layers with a kernel or a table: convolutions (a separable one is one layer), dense layers,
    embeddings. Normalisation does not count. A layer with a kernel whose inside shows no graph, such as an LSTM
    or a subclassed model, is one, however deep it is inside: the depth is then the least it can be.
    """
    deep: dict[Call, int] = {}
    for call in calls:
        deep[call] = max((deep[tensor.source] for tensor in call.inputs), default=0) + has_kernel(call)
    return max(deep.values(), default=0)


def macs(calls: list[Call]) -> int | None:
    """Multiply-accumulates of the convolutions and dense layers for one example; biases are not counted.

    Those of `uncounted_layers` are left out.

    Returns:
        None where the graph leaves a size open that it depends on.
    """
    return _total(_macs(call) for call in calls if isinstance(call.operation, COUNTED))


def activations(calls: list[Call]) -> int | None:
    """How many numbers the convolutions and dense layers put out for one example.

    A separable convolution is two of them. None where the graph leaves a size open that it depends on.
    """
    return _total(_activations(call) for call in calls if isinstance(call.operation, COUNTED))


def uncounted_layers(calls: list[Call]) -> list[str]:
    """Names of the layers and operations that multiply matrices and whose MACs `macs` does not know how to count.

    Those are the layers that have a kernel, and those of Keras that multiply without one, such as attention and
    `keras.ops.matmul`. What a user's own layer without a kernel multiplies cannot be seen. An embedding is none of
    them: it looks up and multiplies nothing. A ReversibleEmbedding is one: it also turns back.
    """
    return list(dict.fromkeys(call.name for call in calls if _is_uncounted(call)))


def _is_uncounted(call: Call) -> bool:
    if isinstance(call.operation, COUNTED) or type(call.operation) is layers.Embedding:
        return False
    return has_kernel(call) or not PRODUCTS.isdisjoint(keras_names(call.operation))


def has_kernel(call: Call) -> bool:
    """Whether the operation has a kernel or a table: weights with two axes or more."""
    if isinstance(call.operation, ELEMENTWISE):
        return False
    return any(len(variable.shape) >= 2 for variable in getattr(call.operation, "weights", []))


def _total(counts: Iterable[int | None]) -> int | None:
    counts = list(counts)
    return None if None in counts else sum(counts)


def _macs(call: Call) -> int | None:
    layer, taken, given = call.operation, call.inputs[0], call.outputs[0]
    if isinstance(layer, layers.EinsumDense):
        return _einsum_macs(layer.equation, taken.shape, layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return _times(given.shape[:-1], layer.kernel.shape)
    if isinstance(layer, SEPARABLE):
        depthwise = _times(_positions(layer, given), layer.depthwise_kernel.shape)
        pointwise = _times(_positions(layer, given), layer.pointwise_kernel.shape)
        return None if depthwise is None else depthwise + pointwise
    # A transposed convolution spreads each number that it takes, the others gather for each that they give. The
    # kernel of a grouped one holds only the channels of a group.
    return _times(_positions(layer, taken if isinstance(layer, TRANSPOSED) else given), layer.kernel.shape)


def _activations(call: Call) -> int | None:
    layer, given = call.operation, call.outputs[0]
    if not isinstance(layer, SEPARABLE):
        return _times(given.shape)
    # Height, width, channels, multiplier: the depthwise half puts out channels x multiplier.
    between = _times(_positions(layer, given), layer.depthwise_kernel.shape[-2:])
    return None if between is None else between + _times(given.shape)


def _positions(layer: layers.Layer, tensor: Tensor) -> tuple[int | None, ...]:
    """The sizes of an image without its channels."""
    return tensor.shape[1:] if layer.data_format == "channels_first" else tensor.shape[:-1]


def _times(*shapes: Iterable[int | None]) -> int | None:
    """All sizes multiplied, None where one of them is left open."""
    sizes = [size for shape in shapes for size in shape]
    return None if None in sizes else math.prod(sizes)


def _einsum_macs(equation: str, shape: tuple[int | None, ...], kernel: tuple[int, ...]) -> int | None:
    """One for each combination of the axes that the equation names, such as `abc,cd->abd`."""
    taken, weights, _ = re.split(",|->", equation.replace(" ", ""))
    first, dots, last = taken.partition("...")
    shape = (1, *shape)  # the batch counts as one example
    sizes = dict(zip(weights, kernel, strict=True))
    sizes |= dict(zip(first, shape, strict=False))
    sizes |= dict(zip(reversed(last), reversed(shape), strict=False))
    between = shape[len(first) : len(shape) - len(last)] if dots else ()
    return _times(sizes.values(), between)
