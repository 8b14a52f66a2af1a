"""Functional: every block adds its input to its output, and that second path is the identity from end to end.

He, Zhang, Ren and Sun 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027: batch norm and
ReLU come before each convolution ("pre-activation"), and nothing comes after the addition.

Deviations from the authors' Torch models, those of `keras.applications`: the stride of a bottleneck sits in its
3x3 convolution, the stem has neither batch norm nor ReLU, since the first block begins with both, and its
pooling is padded with zeros (`zero_padded_pool`; timm, otherwise the same, leaves out what lies outside). As in the
authors' models padding is symmetric, convolutions start by He et al. 2015 (arXiv:1502.01852) with the variance
2 / fan-out, and batch norm has momentum 0.9 and epsilon 1e-5. Logits start by Glorot's rule.
"""

import functools
from collections.abc import Callable

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_image_shape
from zoo.models.blocks import imagenet_stem, padded_pool, symmetric_conv, unpadded_pool
from zoo.models.ends import classifier, stage_features
from zoo.models.functional.resnet import STAGE_BLOCKS, STAGE_FILTERS
from zoo.models.names import resnet as names
from zoo.models.published import Published
from zoo.registry import register_variant

PAPER = "He, Zhang, Ren and Sun 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027"


def conv(x, filters: int, size: int, *, strides: int = 1, use_bias: bool = False, name: str):
    """A convolution with symmetric padding and the authors' initialisation."""
    # An object for each layer: one that is shared would give all of them the same numbers.
    start = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    return symmetric_conv(x, filters, size, strides=strides, use_bias=use_bias, kernel_initializer=start, name=name)


def bn_relu(x, *, name: str):
    """Batch normalisation, then ReLU."""
    x = BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def preactivation_block(x, filters: int, strides: int, *, project: bool, outer_conv: Callable, name: str):
    """`shortcut(x) + F(x)`, with F a bottleneck whose every convolution follows batch norm and ReLU.

    Args:
        x: `(batch, height, width, channels)`.
        filters: of the 3x3 convolution.
        strides: by which height and width are divided.
        project: whether the shortcut is a 1x1 convolution, which changes the channels.
        outer_conv: `conv` for the convolutions that no batch norm follows, with what the net binds.
        name: the layers' names begin with it.

    Returns:
        `(batch, ceil(height / strides), ceil(width / strides), 4 * filters)`.
    """
    shortcut = x
    x = bn_relu(x, name=f"{name}_preact")
    if project:
        shortcut = outer_conv(x, 4 * filters, 1, strides=strides, name=f"{name}_shortcut")
    elif strides > 1:
        shortcut = keras.layers.MaxPooling2D(1, strides=strides, name=f"{name}_shortcut_subsample")(shortcut)
    x = bn_relu(conv(x, filters, 1, name=f"{name}_1"), name=f"{name}_1")
    x = bn_relu(conv(x, filters, 3, strides=strides, name=f"{name}_2"), name=f"{name}_2")
    x = outer_conv(x, 4 * filters, 1, name=f"{name}_3")
    return keras.layers.Add(name=f"{name}_add")([shortcut, x])


def preactivation_resnet(
    name: str,
    depth: int,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    small_stem: bool = False,
    stride_at_end: bool = False,
    conv_bias: bool = False,
    zero_padded_pool: bool = True,
    features: bool = False,
) -> keras.Model:
    """The pre-activation net of a depth. Sizes in the comments are those of ResNet-50 at 224x224.

    Args:
        name: of the model.
        depth: layers with weights on the main path: 50, 101, 152.
        input_shape: `(height, width, channels)`, at least 32x32, with the small stem 8x8.
        num_classes: logits; 0 gives the 2048 pooled features.
        small_stem: begin with one 3x3 convolution and no pooling, for images of 32 to 64 pixels.
        stride_at_end: halve the image in the last block of the first three stages, as `keras.applications`
            does, in place of the first block of the last three.
        conv_bias: give a bias to the convolutions that no batch norm follows, as `keras.applications` does.
        zero_padded_pool: pad the stem's pooling with zeros, which are larger than some of what no ReLU precedes. timm
            takes the pixels of the image alone.
        features: give the last feature map of each stride in place of the logits; all but the last are sums
            which batch norm and ReLU have still to follow.

    Raises:
        RequestError: the shape is no image's of that size.
    """
    check_image_shape(name, input_shape, smallest=8 if small_stem else 32)
    outer_conv = functools.partial(conv, use_bias=conv_bias)
    image = keras.Input(input_shape, name="image")
    pool = padded_pool if zero_padded_pool else unpadded_pool
    stages = imagenet_stem(image, outer_conv, small=small_stem, pool=pool)  # 112 x 112 x 64, 56 x 56 x 64
    stride = max(stages)
    x = stages[stride]
    for stage, (blocks, filters) in enumerate(zip(STAGE_BLOCKS[depth], STAGE_FILTERS, strict=True), 1):
        halves_in = (blocks if stage < 4 else 0) if stride_at_end else (1 if stage > 1 else 0)
        for block in range(1, blocks + 1):
            strides = 2 if block == halves_in else 1
            stride *= strides
            path = f"stage{stage}_block{block}"
            x = preactivation_block(x, filters, strides, project=block == 1, outer_conv=outer_conv, name=path)
            stages[stride] = x  # 56 x 56 x 256, 28 x 28 x 512, 14 x 14 x 1024, 7 x 7 x 2048
    x = stages[stride] = bn_relu(x, name="final")
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes), name=name)


imagenet_variant = functools.partial(
    register_variant, preactivation_resnet, paper=PAPER, input_shape=(224, 224, 3), num_classes=1000
)


@imagenet_variant(50, parameters=25_549_352, macs=4_089_184_256)
def resnet50_v2():
    """Pre-activation ResNet-50."""


@imagenet_variant(101, parameters=44_541_480, macs=7_801_405_440)
def resnet101_v2():
    """Pre-activation ResNet-101."""


@imagenet_variant(152, parameters=60_185_128, macs=11_513_626_624)
def resnet152_v2():
    """Pre-activation ResNet-152."""


PUBLISHED = {
    "timm": Published(
        {
            r"stem_conv": "stem.conv",
            r"stage(\d)_block(\d+)_(\d)_conv": "stages.{0:-1}.blocks.{1:-1}.conv{2}",
            r"stage(\d)_block(\d+)_shortcut_conv": "stages.{0:-1}.blocks.{1:-1}.downsample.conv",
            # A block's first norm precedes its first convolution.
            r"stage(\d)_block(\d+)_preact_bn": "stages.{0:-1}.blocks.{1:-1}.norm1",
            r"stage(\d)_block(\d+)_(\d)_bn": "stages.{0:-1}.blocks.{1:-1}.norm{2:+1}",
            r"final_bn": "norm",
            r"logits": "head.fc",
        },
        arguments={"zero_padded_pool": False},
    ),
    "keras": Published(
        {
            **names.KERAS,
            r"stage(\d)_block(\d+)_preact_bn": "conv{0:+1}_block{1}_preact_bn",
            r"final_bn": "post_bn",
        },
        style="keras",
        arguments={"conv_bias": True, "stride_at_end": True},
        renamed=names.KERAS_BEFORE,
    ),
}
