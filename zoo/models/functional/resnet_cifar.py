"""Functional: every block adds its input to its output, and a Sequential has no place for that second path.

He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2:
the residual nets for small images, three stages of n blocks of two 3x3 convolutions, 6n + 2 layers deep.

Deviation from the paper: none is known. What it leaves open is as in the authors' nets for ImageNet: symmetric
padding, and epsilon 1e-5 in batch norm, whose momentum of 0.9 is Torch's default. All layers start by He et al. 2015
(arXiv:1502.01852), truncated at two standard deviations as Keras has it.
"""

import functools

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_choice, check_image_shape
from zoo.models.blocks import symmetric_conv
from zoo.models.ends import classifier, stage_features
from zoo.registry import register_variant

PAPER = "He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
STAGE_FILTERS = (16, 32, 64)


def conv_bn(x, *, filters: int, size: int, strides: int = 1, name: str):
    """A convolution without bias, padded symmetrically, then batch normalisation."""
    x = symmetric_conv(x, filters, size, strides=strides, use_bias=False, kernel_initializer="he_normal", name=name)
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def shortcut_path(x, *, filters: int, strides: int, option: str, name: str):
    """What a block's input becomes where its size changes (paper, section 3.3)."""
    if option == "B":
        return conv_bn(x, filters=filters, size=1, strides=strides, name=f"{name}_shortcut")
    # Option A has no parameters: every second pixel, and zeros for the channels that are new.
    x = keras.layers.MaxPooling2D(1, strides=strides, name=f"{name}_shortcut_subsample")(x)
    new = filters - x.shape[-1]
    return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, new]])


def residual_block(x, *, filters: int, strides: int, option: str, name: str):
    """`relu(x + F(x))`, with F two 3x3 convolutions.

    Args:
        x: `(batch, height, width, channels)`.
        filters: of both convolutions.
        strides: by which height and width are divided.
        option: of the shortcut where the size changes, `A` or `B`.
        name: the layers' names begin with it.

    Returns:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    """
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = shortcut_path(x, filters=filters, strides=strides, option=option, name=name)
    x = conv_bn(x, filters=filters, size=3, strides=strides, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv_bn(x, filters=filters, size=3, name=f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def cifar_resnet(
    name: str,
    depth: int,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    shortcut: str = "A",
    features: bool = False,
) -> keras.Model:
    """The residual net of `depth` = 6n + 2 layers. Sizes in the comments are those of a 32x32 input.

    Args:
        name: of the model.
        depth: layers with weights: 20, 32, 44, 56, 110.
        input_shape: `(height, width, channels)`, at least 4x4.
        num_classes: logits; 0 gives the 64 pooled features.
        shortcut: where the size changes, `A` (subsampled and zero-padded, no parameters, the paper's
            choice for small images) or `B` (1x1 convolution).
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or there is no such shortcut.
    """
    check_image_shape(name, input_shape, smallest=4)
    check_choice("shortcut", shortcut, ("A", "B"))
    image = keras.Input(input_shape, name="image")
    x = conv_bn(image, filters=STAGE_FILTERS[0], size=3, name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)  # 32 x 32 x 16
    stages = {}
    for stage, filters in enumerate(STAGE_FILTERS, 1):  # 32 x 32 x 16, 16 x 16 x 32, 8 x 8 x 64
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = residual_block(x, filters=filters, strides=strides, option=shortcut, name=f"stage{stage}_block{block}")
        stages[2 ** (stage - 1)] = x
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes, initializer="he_normal"), name=name)


cifar_variant = functools.partial(register_variant, cifar_resnet, paper=PAPER, input_shape=(32, 32, 3), num_classes=10)


@cifar_variant(20, parameters=269_722, macs=40_551_040)
def resnet20():
    """ResNet-20: published CIFAR-10 test error 8.75 % (table 6)."""


@cifar_variant(32, parameters=464_154, macs=68_862_592)
def resnet32():
    """ResNet-32: published CIFAR-10 test error 7.51 % (table 6)."""


@cifar_variant(44, parameters=658_586, macs=97_174_144)
def resnet44():
    """ResNet-44: published CIFAR-10 test error 7.17 % (table 6)."""


@cifar_variant(56, parameters=853_018, macs=125_485_696)
def resnet56():
    """ResNet-56: published CIFAR-10 test error 6.97 % (table 6)."""


@cifar_variant(110, parameters=1_727_962, macs=252_887_680)
def resnet110():
    """ResNet-110: published CIFAR-10 test error 6.43 %, best of five (table 6)."""
