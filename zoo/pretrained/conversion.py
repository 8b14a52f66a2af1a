"""The arrays of a file as the variables of a layer: their axes, and what may become of the first kernel.

PyTorch has the output channels first, `(out, in, height, width)`, Keras last, `(height, width, in, out)`, and so for
dense layers. Where a dense layer follows an image that was flattened, PyTorch has flattened the channels first.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

# What PyTorch calls the variables of Keras' layers.
TORCH_NAMES = {
    "kernel": "weight",
    "pointwise_kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How an array of a file becomes a variable of a layer.

    Attributes:
        layer: whose variable it is.
        variable: which one; its shape alone counts, so it need have no value.
        style: of the file, `torch` or `keras`.
        widened: whether a smaller square kernel gets a rim of zeros.
        reverse: whether the input channels come in the reverse order.
        sum_channels: whether the input channels are summed where the layer takes a single one.
    """

    layer: "keras.layers.Layer"
    variable: "keras.Variable"
    style: str
    widened: bool = False
    reverse: bool = False
    sum_channels: bool = False

    @property
    def shape_in_file(self) -> tuple[int, ...]:
        """The shape that the array should have."""
        shape = tuple(self.variable.shape)
        if self.style != "torch" or len(shape) not in (2, 4):
            return shape
        if len(shape) == 2:
            return shape[::-1]
        height, width, inputs, outputs = shape
        return (inputs * outputs, 1, height, width) if self._is_depthwise else (outputs, inputs, height, width)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of a shape can become the variable."""
        # All its numbers are one and the same zero, so it takes no memory.
        converted = self._converted(np.broadcast_to(np.float32(0), shape))
        return converted is not None and converted.shape == tuple(self.variable.shape)

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """The variable's value, of an array whose shape fits; a view of it wherever that is possible."""
        return self._converted(np.asarray(array))

    @property
    def _is_depthwise(self) -> bool:
        import keras

        is_depthwise_layer = isinstance(self.layer, keras.layers.DepthwiseConv2D) and self.variable.name == "kernel"
        return is_depthwise_layer or self.variable.name == "depthwise_kernel"

    def _converted(self, array: np.ndarray) -> np.ndarray | None:
        """The array in the order of Keras' axes, with the channels and the rim that are asked for.

        None where it cannot be brought there; the shape may still be another one than the variable's.
        """
        shape = tuple(self.variable.shape)
        if self.style == "torch" and len(shape) in (2, 4):
            array = self._from_torch(array, shape)
        if array is None or len(shape) != 4 or array.ndim != 4:
            return array
        if self.sum_channels and shape[2] == 1:
            array = array.sum(axis=2, keepdims=True)
        elif self.reverse:
            array = array[:, :, ::-1]
        rows, columns = (wanted - found for wanted, found in zip(shape[:2], array.shape[:2], strict=True))
        if self.widened and rows == columns > 0 and rows % 2 == 0:
            array = np.pad(array, [(rows // 2, rows // 2)] * 2 + [(0, 0)] * 2)
        return array

    def _from_torch(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
        """A kernel of PyTorch in the order of Keras' axes; None where that cannot be."""
        if self._is_depthwise:
            height, width, channels, multiplier = shape
            if array.shape != self.shape_in_file:
                return None
            return array.reshape(channels, multiplier, height, width).transpose(2, 3, 0, 1)
        image = _flattened_image(self.layer) if len(shape) == 2 else None
        if array.ndim == 2 and image and array.shape[1] == np.prod(image):
            height, width, channels = image
            array = array.reshape(-1, channels, height, width)
        elif array.ndim == 2:
            # On one pixel a dense layer and a convolution are the same, and each is published as the other.
            array = array[:, :, None, None]
        if array.ndim != 4:
            return None
        array = array.transpose(2, 3, 1, 0)
        if len(shape) == 4:
            return array
        return array.reshape(-1, array.shape[-1]) if array.shape[:3] == (image or (1, 1, shape[0])) else None


def _flattened_image(layer: "keras.layers.Layer") -> tuple[int, int, int] | None:
    """The `(height, width, channels)` that the input of a dense layer was flattened from; None where it was not."""
    import keras

    node = layer._inbound_nodes[0]
    while len(node.input_tensors) == 1:
        (tensor,) = node.input_tensors
        before = tensor._keras_history
        node = before.operation._inbound_nodes[before.node_index]
        if isinstance(before.operation, keras.layers.Flatten):
            shape = tuple(node.input_tensors[0].shape[1:])
            return shape if len(shape) == 3 else None
        # Dropout and the like leave every number in its place.
        if getattr(before.operation, "weights", None) or not node.input_tensors:
            return None
        if node.input_tensors[0].shape != tensor.shape:
            return None
    return None
