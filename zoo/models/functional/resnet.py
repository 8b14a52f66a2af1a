"""Functional: every block adds its input to its output, and a Sequential has no place for that second path.

He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.1. What
grew from it on the same net is in `seresnet.py` and `resnext.py`.

The plain names are "v1.5", the net that torchvision, timm and MLPerf mean by ResNet-50: a bottleneck halves
the image in its 3x3 convolution. The paper does so in the first 1x1, which skips three pixels of four: that
net is `resnet50_v1`. Padding is symmetric; convolutions start by He et al. 2015 (arXiv:1502.01852), truncated at
two standard deviations, and logits by Glorot's rule; batch norm has epsilon 1e-5, as in the authors' Caffe models.

Deviations from those models: the stem's pooling is padded symmetrically, as in torchvision and Keras, where Caffe
lets its last windows hang over (`caffe_layout`); statistics are moving averages of momentum 0.9, Torch's default, where
the authors computed them once after training.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_image_shape
from zoo.models.blocks import imagenet_stem, overhanging_pool, padded_pool, symmetric_conv
from zoo.models.ends import classifier, stage_features
from zoo.models.names import resnet as names
from zoo.models.published import Published
from zoo.registry import register_variant

PAPER = "He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
# Table 1: blocks of the four stages.
STAGE_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGE_FILTERS = (64, 128, 256, 512)


@dataclasses.dataclass(frozen=True)
class Design:
    """What tells one net of the family from another.

    Attributes:
        depth: layers with weights on the main path. Below 50 a block is two 3x3 convolutions; from 50 on it
            is a bottleneck, 1x1, 3x3 and 1x1, whose output has four times the stage's filters.
        stride_in_3x3: where a bottleneck halves the image: in its 3x3 (v1.5) or in its first 1x1 (v1).
        groups: of the 3x3 convolution of a bottleneck.
        group_width: filters of one group in the first stage.
        gate: what F ends with, `(x, name) -> x`; None: nothing.
    """

    depth: int
    stride_in_3x3: bool = True
    groups: int = 1
    group_width: int = 64
    gate: Callable | None = None


def conv_bn(
    x, filters: int, size: int, *, bias: bool = False, gamma: str = "ones", relu: bool = False, name: str, **arguments
):
    """A convolution with symmetric padding, then batch normalisation whose scale starts as `gamma`, then maybe ReLU."""
    arguments |= {"use_bias": bias, "kernel_initializer": "he_normal"}
    x = symmetric_conv(x, filters, size, name=name, **arguments)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def residual_block(x, filters: int, strides: int, *, design: Design, conv: Callable, last: Callable, name: str):
    """`relu(shortcut(x) + F(x))`, with F two 3x3 convolutions or a bottleneck.

    Args:
        x: `(batch, height, width, channels)`.
        filters: of the stage, from which the design makes those of each convolution.
        strides: by which height and width are divided.
        design: of the net.
        conv: `conv_bn`, with what the net binds.
        last: the same for the convolution that F ends with.
        name: the layers' names begin with it.

    Returns:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`, of a bottleneck `4 * filters`.
    """
    bottleneck = design.depth >= 50
    outputs = 4 * filters if bottleneck else filters
    shortcut = x
    if strides > 1 or x.shape[-1] != outputs:
        shortcut = conv(x, outputs, 1, strides=strides, name=f"{name}_shortcut")
    if bottleneck:
        width = filters * design.group_width // 64 * design.groups
        first, second = (1, strides) if design.stride_in_3x3 else (strides, 1)
        x = conv(x, width, 1, strides=first, relu=True, name=f"{name}_1")
        x = conv(x, width, 3, strides=second, groups=design.groups, relu=True, name=f"{name}_2")
        x = last(x, outputs, 1, name=f"{name}_3")
    else:
        x = conv(x, filters, 3, strides=strides, relu=True, name=f"{name}_1")
        x = last(x, filters, 3, name=f"{name}_2")
    if design.gate:
        x = design.gate(x, name=f"{name}_se")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def image_resnet(
    name: str,
    design: Design,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    small_stem: bool = False,
    zero_gamma: bool = False,
    conv_bias: bool = False,
    caffe_layout: bool = False,
    features: bool = False,
) -> keras.Model:
    """The residual net of a design. Sizes in the comments are those of ResNet-50 at 224x224.

    Args:
        name: of the model.
        design: depth and kind of the blocks.
        input_shape: `(height, width, channels)`, at least 32x32, with the small stem 8x8.
        num_classes: logits; 0 gives the pooled features: 512, from depth 50 on 2048.
        small_stem: begin with one 3x3 convolution and no pooling, for images of 32 to 64 pixels.
        zero_gamma: start every block as the identity: the last batch norm's scale is 0 (Goyal et al. 2017,
            arXiv:1706.02677, section 5.1).
        conv_bias: give convolutions a bias, which batch norm cancels, as `keras.applications` has it.
        caffe_layout: halve the image in the first 1x1 of a bottleneck, and let the windows of the stem's pooling hang
            over at the end, as the authors' Caffe models do, and with them timm's `legacy_seresnet50`.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size.
    """
    check_image_shape(name, input_shape, smallest=8 if small_stem else 32)
    conv = functools.partial(conv_bn, bias=conv_bias)
    last = functools.partial(conv, gamma="zeros" if zero_gamma else "ones")
    if caffe_layout:
        design = dataclasses.replace(design, stride_in_3x3=False)
    block = functools.partial(residual_block, design=design, conv=conv, last=last)
    pool = overhanging_pool if caffe_layout else padded_pool
    image = keras.Input(input_shape, name="image")
    # 112 x 112 x 64, 56 x 56 x 64
    stages = imagenet_stem(image, functools.partial(conv, relu=True), small=small_stem, pool=pool)
    stride = max(stages)
    x = stages[stride]
    for stage, (blocks, filters) in enumerate(zip(STAGE_BLOCKS[design.depth], STAGE_FILTERS, strict=True), 1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            stride *= strides
            x = block(x, filters, strides, name=f"stage{stage}_block{number}")
        stages[stride] = x  # 56 x 56 x 256, 28 x 28 x 512, 14 x 14 x 1024, 7 x 7 x 2048
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes), name=name)


imagenet_variant = functools.partial(
    register_variant, image_resnet, paper=PAPER, input_shape=(224, 224, 3), num_classes=1000
)


@imagenet_variant(Design(18), parameters=11_689_512, macs=1_814_073_344)
def resnet18():
    """ResNet-18: published ImageNet top-1 69.76 % (torchvision)."""


@imagenet_variant(Design(34), parameters=21_797_672, macs=3_663_761_408)
def resnet34():
    """ResNet-34."""


@imagenet_variant(Design(50), parameters=25_557_032, macs=4_089_184_256)
def resnet50():
    """ResNet-50: published ImageNet top-1 76.1 % (torchvision, TF Model Garden)."""


@imagenet_variant(Design(101), parameters=44_549_160, macs=7_801_405_440)
def resnet101():
    """ResNet-101: published ImageNet top-1 77.37 % (torchvision)."""


@imagenet_variant(Design(152), parameters=60_192_808, macs=11_513_626_624)
def resnet152():
    """ResNet-152."""


@imagenet_variant(Design(50, stride_in_3x3=False), parameters=25_557_032, macs=3_857_973_248)
def resnet50_v1():
    """ResNet-50 as in the paper, the stride in the first 1x1 of a block."""


@imagenet_variant(Design(101, stride_in_3x3=False), parameters=44_549_160, macs=7_570_194_432)
def resnet101_v1():
    """ResNet-101 as in the paper, the stride in the first 1x1 of a block."""


@imagenet_variant(Design(152, stride_in_3x3=False), parameters=60_192_808, macs=11_282_415_616)
def resnet152_v1():
    """ResNet-152 as in the paper, the stride in the first 1x1 of a block."""


_TORCH = Published(names.TORCH, models=("resnet??", "resnet???"))
PUBLISHED = {
    "torchvision": _TORCH,
    "timm": _TORCH,
    # Trained on images whose channels are blue, green and red.
    "keras": Published(
        names.KERAS,
        style="keras",
        arguments={"conv_bias": True},
        models=("resnet*_v1",),
        reversed_channels=True,
        renamed=names.KERAS_BEFORE,
    ),
}
