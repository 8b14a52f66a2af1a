"""Functional: every block adds its input to its output, and a Sequential has no place for that second path.

Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146: pre-activation nets for small images
with fewer layers and several times the filters; "WRN-28-10" has 28 layers and is 10 times as wide.

As in the authors' Torch models padding is symmetric, convolutions start by He et al. 2015 (arXiv:1502.01852) with
the variance 2 / fan-out, and batch norm has momentum 0.9 and epsilon 1e-5. Deviation: logits start by Glorot's rule.
"""

import functools

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import classifier, stage_features
from zoo.models.functional.resnet_v2 import bn_relu, conv
from zoo.registry import register_variant

PAPER = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146"
STAGE_FILTERS = (16, 32, 64)


def wide_block(x, filters: int, strides: int, dropout: float, *, name: str):
    """`shortcut(x) + F(x)`, with F two 3x3 convolutions, each after batch norm and ReLU, dropout between them."""
    shortcut = x
    x = bn_relu(x, name=f"{name}_1")
    if x.shape[-1] != filters:
        shortcut = conv(x, filters, 1, strides=strides, name=f"{name}_shortcut")
    x = conv(x, filters, 3, strides=strides, name=f"{name}_1")
    x = bn_relu(x, name=f"{name}_2")
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)
    x = conv(x, filters, 3, name=f"{name}_2")
    return keras.layers.Add(name=f"{name}_add")([shortcut, x])


def wide_resnet(
    name: str,
    depth: int,
    width: int,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    dropout: float = 0.0,
    features: bool = False,
) -> keras.Model:
    """WRN-`depth`-`width`. Sizes in the comments are those of WRN-28-10 at 32x32.

    Args:
        name: of the model.
        depth: 6n + 4 for n blocks in each of the three stages, as the authors count: 6n + 2 layers with weights on
            the longest path, and the shortcuts.
        width: factor on the stages' filters, which are 16, 32, 64 for 1.
        input_shape: `(height, width, channels)`, at least 4x4.
        num_classes: logits; 0 gives the 64 * width pooled features.
        dropout: fraction dropped between the convolutions of a block; the paper has none, or 0.3 on CIFAR
            and 0.4 on SVHN.
        features: give the last feature map of each stride in place of the logits; the first is a sum which
            batch norm and ReLU have still to follow.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape(name, input_shape, smallest=4)
    check_fractions(name, dropout=dropout)
    image = keras.Input(input_shape, name="image")
    x = conv(image, 16, 3, name="stem")  # 32 x 32 x 16
    stages = {}
    for stage, filters in enumerate(STAGE_FILTERS, 1):  # 32 x 32 x 160, 16 x 16 x 320, 8 x 8 x 640
        for block in range(1, (depth - 4) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = wide_block(x, width * filters, strides, dropout, name=f"stage{stage}_block{block}")
        stages[2 ** (stage - 1)] = x
    x = stages[4] = bn_relu(x, name="final")
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes), name=name)


# A variant's depth and width.
cifar_variant = functools.partial(register_variant, wide_resnet, paper=PAPER, input_shape=(32, 32, 3), num_classes=10)


@cifar_variant(16, 4, parameters=2_748_890, macs=392_612_352)
def wrn_16_4():
    """WRN-16-4."""


@cifar_variant(28, 10, parameters=36_479_194, macs=5_243_328_768)
def wrn_28_10():
    """WRN-28-10: published CIFAR-10 test accuracy 96.00 % (the authors' README, median of five)."""


@cifar_variant(40, 4, parameters=8_949_210, macs=1_298_582_016)
def wrn_40_4():
    """WRN-40-4."""
