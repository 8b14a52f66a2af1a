"""Functional: every layer sees the outputs of all layers before it, and a Sequential passes on the last one only.

Huang, Liu, van der Maaten and Weinberger 2016, Densely Connected Convolutional Networks, arXiv:1608.06993.

As in the authors' Torch models padding is symmetric, convolutions start by He et al. 2015 (arXiv:1502.01852) with
the variance 2 / fan-out, and batch norm has momentum 0.9 and epsilon 1e-5. Deviation: logits start by Glorot's rule.
"""

import functools
from collections.abc import Callable

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.blocks import imagenet_stem
from zoo.models.ends import classifier, stage_features
from zoo.models.functional.resnet_v2 import bn_relu, conv
from zoo.models.published import Published
from zoo.registry import register_model, register_variant

PAPER = "Huang, Liu, van der Maaten and Weinberger 2016, Densely Connected Convolutional Networks, arXiv:1608.06993"
# Table 1: layers of the four dense blocks.
BLOCK_LAYERS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


def conv_dropout(x, filters: int, size: int, *, dropout: float, name: str):
    """A convolution without bias, and dropout of what it puts out."""
    x = conv(x, filters, size, name=name)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x


def dense_layer(x, growth: int, *, inner_conv: Callable, name: str):
    """The input, and beside it `growth` new channels: a 1x1 bottleneck of 4 * growth, then 3x3.

    `inner_conv` is `conv_dropout`, with what the net binds; `(batch, height, width, channels)` becomes `(batch, height,
    width, channels + growth)`.
    """
    new = inner_conv(bn_relu(x, name=f"{name}_1"), 4 * growth, 1, name=f"{name}_1")
    new = inner_conv(bn_relu(new, name=f"{name}_2"), growth, 3, name=f"{name}_2")
    return keras.layers.Concatenate(name=f"{name}_concat")([x, new])


def transition(x, *, inner_conv: Callable, name: str):
    """Half the channels, then half the height and width."""
    x = inner_conv(x, x.shape[-1] // 2, 1, name=name)
    return keras.layers.AveragePooling2D(2, name=f"{name}_pool")(x)


def dense_blocks(stages: dict, blocks: tuple[int, ...], growth: int, dropout: float):
    """Dense blocks with transitions between them.

    Args:
        stages: stride -> feature map `(batch, height / stride, width / stride, channels)`. The blocks begin with the
            largest stride, and each puts in what it ends with.
        blocks: the number of layers of each.
        growth: channels that a layer adds.
        dropout: fraction dropped after each convolution.

    Returns:
        What the last one ends with.
    """
    stride = max(stages)
    x = stages[stride]
    inner_conv = functools.partial(conv_dropout, dropout=dropout)
    for block, layers in enumerate(blocks, 1):
        for layer in range(1, layers + 1):
            x = dense_layer(x, growth, inner_conv=inner_conv, name=f"block{block}_layer{layer}")
        x = stages[stride] = bn_relu(x, name=f"block{block}_end")
        if block < len(blocks):
            x = transition(x, inner_conv=inner_conv, name=f"transition{block}")
            stride *= 2
    return x


def stem_conv(x, filters: int, size: int, *, strides: int, name: str):
    """The first convolution of a net for ImageNet, with batch norm and ReLU."""
    return bn_relu(conv(x, filters, size, strides=strides, name=name), name=name)


def densenet(
    name: str,
    depth: int,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    small_stem: bool = False,
    dropout: float = 0.0,
    features: bool = False,
) -> keras.Model:
    """DenseNet-BC for ImageNet, growth 32. Sizes in the comments are those of DenseNet-121 at 224x224.

    Args:
        name: of the model.
        depth: layers with weights: 121, 169, 201.
        input_shape: `(height, width, channels)`, at least 32x32, with the small stem 8x8.
        num_classes: logits; 0 gives the pooled features: 1024, 1664, 1920.
        small_stem: begin with one 3x3 convolution and no pooling, for images of 32 to 64 pixels.
        dropout: fraction dropped after each convolution but the first; the paper has none on ImageNet.
        features: give what each dense block ends with, and the stem, by stride, in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape(name, input_shape, smallest=8 if small_stem else 32)
    check_fractions(name, dropout=dropout)
    image = keras.Input(input_shape, name="image")
    stages = imagenet_stem(image, stem_conv, small=small_stem)  # 112 x 112 x 64, 56 x 56 x 64
    # 56 x 56 x 256, 28 x 28 x 512, 14 x 14 x 1024, 7 x 7 x 1024
    x = dense_blocks(stages, BLOCK_LAYERS[depth], 32, dropout)
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes), name=name)


imagenet_variant = functools.partial(
    register_variant, densenet, paper=PAPER, input_shape=(224, 224, 3), num_classes=1000
)


@imagenet_variant(121, parameters=7_978_856, macs=2_834_161_664)
def densenet121():
    """DenseNet-121."""


@imagenet_variant(169, parameters=14_149_480, macs=3_359_843_328)
def densenet169():
    """DenseNet-169."""


@imagenet_variant(201, parameters=20_013_928, macs=4_291_365_888)
def densenet201():
    """DenseNet-201."""


@register_model(paper=PAPER, input_shape=(32, 32, 3), num_classes=10, parameters=769_162, macs=287_929_692)
def densenet_bc_100_12(
    input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.0, features: bool = False
) -> keras.Model:
    """DenseNet-BC (L = 100, k = 12) for small images: published CIFAR-10 test error 4.51 % (table 2).

    Args:
        input_shape: `(height, width, channels)`, at least 4x4.
        num_classes: logits; 0 gives the 342 pooled features.
        dropout: fraction dropped after each convolution but the first; the paper has 0.2 where the training
            images are not augmented.
        features: give what each dense block ends with, by stride, in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape("densenet_bc_100_12", input_shape, smallest=4)
    check_fractions("densenet_bc_100_12", dropout=dropout)
    image = keras.Input(input_shape, name="image")
    stages = {1: conv(image, 24, 3, name="stem")}  # 32 x 32 x 24
    # 32 x 32 x 216, 16 x 16 x 300, 8 x 8 x 342
    x = dense_blocks(stages, (16, 16, 16), 12, dropout)
    if features:
        return stage_features(image, stages, "densenet_bc_100_12")
    return keras.Model(image, classifier(x, num_classes), name="densenet_bc_100_12")


_TORCH = Published(
    {
        r"stem_conv": "features.conv0",
        r"stem_bn": "features.norm0",
        r"block(\d)_layer(\d+)_(\d)_conv": "features.denseblock{0}.denselayer{1}.conv{2}",
        r"block(\d)_layer(\d+)_(\d)_bn": "features.denseblock{0}.denselayer{1}.norm{2}",
        r"transition(\d)_conv": "features.transition{0}.conv",
        r"block([123])_end_bn": "features.transition{0}.norm",
        r"block4_end_bn": "features.norm5",
        r"logits": "classifier",
    },
    models=("densenet???",),
    # Torchvision's files are older than its names.
    renamed={r"(.*denselayer\d+)\.(norm|conv)\.(\d)": "{0}.{1}{2}"},
)
PUBLISHED = {
    "torchvision": _TORCH,
    "timm": _TORCH,
    # Blocks are counted with the stem, and the first norm of a layer is its 0.
    "keras": Published(
        {
            r"stem_(conv|bn)": "conv1_{0}",
            r"block(\d)_layer(\d+)_(\d)_conv": "conv{0:+1}_block{1}_{2}_conv",
            r"block(\d)_layer(\d+)_(\d)_bn": "conv{0:+1}_block{1}_{2:-1}_bn",
            r"transition(\d)_conv": "pool{0:+1}_conv",
            r"block([123])_end_bn": "pool{0:+1}_bn",
            r"block4_end_bn": "bn",
            r"logits": "predictions",
        },
        style="keras",
        models=("densenet???",),
        renamed={r"conv1/(conv|bn)": "conv1_{0}", r"fc1000": "predictions"},
    ),
}
