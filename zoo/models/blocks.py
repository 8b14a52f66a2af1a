"""Building blocks that several families share, each where TensorFlow's own padding is not the papers'."""

from collections.abc import Callable
from typing import Any

import keras

from zoo.layers import GroupedConv2D


def symmetric_conv(x, filters: int, size: int, *, strides: int = 1, groups: int = 1, name: str, **arguments):
    """A convolution that pads `size // 2` on every side, as Caffe and Torch do.

    TensorFlow's "same" does that too where the stride is 1; with a stride of 2 and an even size it pads one side only.

    Args:
        x: `(batch, height, width, channels)`.
        filters: channels of the output.
        size: of the square kernel; odd.
        strides: in both directions.
        groups: into which the channels are split.
        name: the layers' names begin with it.
        **arguments: of `keras.layers.Conv2D`, such as the kernel's initializer.

    Returns:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    """
    if size > 1 and strides > 1:
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    arguments |= {"strides": strides, "padding": "valid" if strides > 1 else "same", "name": f"{name}_conv"}
    if groups > 1:
        return GroupedConv2D(filters, size, groups=groups, **arguments)(x)
    return keras.layers.Conv2D(filters, size, **arguments)(x)


def padded_pool(x, *, name: str):
    """The largest of 3x3 around every second pixel, zeros around the image."""
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return keras.layers.MaxPooling2D(3, strides=2, name=name)(x)


def unpadded_pool(x, *, name: str):
    """The same where the image ends with its last pixel: PyTorch's `MaxPool2d(3, 2, padding=1)`.

    PyTorch pads with minus infinity. TensorFlow's "same" leaves out what lies outside too, but with a stride of 2 and
    an even size its windows begin a pixel later. So the stride is taken in a step of its own.
    """
    x = keras.layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_largest")(x)
    return keras.layers.MaxPooling2D(1, strides=2, name=name)(x)


def overhanging_pool(x, *, name: str):
    """The largest of 3x3 from every second pixel on, where the last windows hang over: Caffe's, rounded up.

    No number may be negative: there are zeros beyond the end.
    """
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return keras.layers.MaxPooling2D(3, strides=2, name=name)(x)


def imagenet_stem(image, conv: Callable, *, small: bool, pool: Callable = padded_pool) -> dict[int, Any]:
    """What residual and dense nets begin with: a 7x7 convolution and a pooling, or for small images one 3x3.

    Args:
        image: `(batch, height, width, channels)`.
        conv: the family's own `(x, filters, size, *, strides, name)`, with what follows the convolution.
        small: whether images have 32 to 64 pixels, which neither is to halve.
        pool: of the three above. After a ReLU zero is the least there is, so a padded rim is never the largest.

    Returns:
        stride -> the feature map of that stride, `(batch, height / stride, width / stride, 64)`: 1, or 2 and 4.
    """
    if small:
        return {1: conv(image, 64, 3, strides=1, name="stem")}
    x = conv(image, 64, 7, strides=2, name="stem")
    return {2: x, 4: pool(x, name="stem_pool")}
