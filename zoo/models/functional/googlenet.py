"""Functional: an Inception module sends its input down four branches and joins what comes out; a Sequential has one.

Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842, table 1 and section 5, with the table's true
5x5 branches. (Torchvision's are 3x3, and it differs in the fourth pooling and that of the auxiliary heads,
`torchvision_pools`, and in dropout.)

Reference for what the paper leaves open: `bvlc_googlenet` of Caffe. From it are the places and numbers of the local
response normalisation (Caffe divides its alpha of 1e-4 by the window of 5), the symmetric padding, and the
initialisation: Caffe's "xavier", uniform with variance 1 / fan-in, and biases of 0.2.

Deviations: max pooling pads as TensorFlow's "same", which is Caffe's rounding up at 224x224, at odd sizes not; the
logits start by Glorot's rule, which for 1000 classes is the same to 1 %. The batch norm of `batch_norm=True` is
newer than the paper; it has momentum 0.9 and epsilon 1e-3, as in torchvision's googlenet.
"""

import functools
from collections.abc import Callable

import keras

from zoo.layers import BatchNormalization, LocalResponseNormalization
from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.blocks import symmetric_conv
from zoo.models.ends import classifier, stage_features
from zoo.models.names import googlenet as names
from zoo.models.published import Published
from zoo.registry import register_model

PAPER = "Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842"


def conv_relu(x, filters: int, size: int, *, strides: int = 1, batch_norm: bool = False, name: str):
    """A convolution with symmetric padding, batch normalisation where asked, ReLU."""
    x = symmetric_conv(
        x,
        filters,
        size,
        strides=strides,
        use_bias=not batch_norm,
        kernel_initializer="lecun_uniform",
        bias_initializer=keras.initializers.Constant(0.2),
        name=name,
    )
    if batch_norm:
        x = BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def max_pool(x, size: int = 3, *, strides: int = 2, name: str):
    """The largest of 3x3, or of another square."""
    return keras.layers.MaxPooling2D(size, strides=strides, padding="same", name=name)(x)


def response_norm(x, *, name: str):
    """Local response normalisation over 5 channels, with Caffe's alpha of 1e-4 divided by these 5."""
    return LocalResponseNormalization(depth_radius=2, bias=1.0, alpha=1e-4 / 5, beta=0.75, name=name)(x)


def inception(
    x, one: int, three: tuple[int, int], five: tuple[int, int], pool: int, *, conv: Callable = conv_relu, name: str
):
    """The module of figure 2(b), called with a row of table 1.

    Args:
        x: `(batch, height, width, channels)`.
        one: filters of the 1x1 branch.
        three: filters of the 1x1 reduction and of the 3x3 after it.
        five: filters of the 1x1 reduction and of the 5x5 after it.
        pool: filters of the 1x1 projection after the max pooling.
        conv: `conv_relu`, with what the net binds.
        name: of the module in the table.

    Returns:
        `(batch, height, width, one + three[1] + five[1] + pool)`.
    """
    name = f"inception_{name}"
    branch1 = conv(x, one, 1, name=f"{name}_1x1")
    branch3 = conv(x, three[0], 1, name=f"{name}_3x3_reduce")
    branch3 = conv(branch3, three[1], 3, name=f"{name}_3x3")
    branch5 = conv(x, five[0], 1, name=f"{name}_5x5_reduce")
    branch5 = conv(branch5, five[1], 5, name=f"{name}_5x5")
    branch_pool = max_pool(x, strides=1, name=f"{name}_pool")
    branch_pool = conv(branch_pool, pool, 1, name=f"{name}_pool_proj")
    return keras.layers.Concatenate(name=f"{name}_concat")([branch1, branch3, branch5, branch_pool])


def auxiliary_head(x, num_classes: int, *, conv: Callable, adaptive_pool: bool, name: str):
    """Logits from the middle of the net (section 5)."""
    pool = keras.layers.AdaptiveAveragePooling2D if adaptive_pool else keras.layers.AveragePooling2D
    sizes = {"output_size": 4} if adaptive_pool else {"pool_size": 5, "strides": 3}
    x = pool(**sizes, name=f"{name}_pool")(x)  # 4 x 4
    x = conv(x, 128, 1, name=f"{name}_1x1")
    x = keras.layers.Flatten(name=f"{name}_flatten")(x)  # 2048
    start = {"kernel_initializer": "lecun_uniform", "bias_initializer": keras.initializers.Constant(0.2)}
    x = keras.layers.Dense(1024, **start, name=f"{name}_dense")(x)
    x = keras.layers.ReLU(name=f"{name}_dense_relu")(x)
    x = keras.layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return keras.layers.Dense(num_classes, kernel_initializer="lecun_uniform", dtype="float32", name=name)(x)


def stem(x, *, conv: Callable, local_norm: bool, small: bool):
    """The two convolutional stages before the modules. Returns their outputs before the pooling, and what is pooled."""
    if small:
        x = first = conv(x, 64, 3, name="stem1")
    else:
        first = conv(x, 64, 7, strides=2, name="stem1")  # 112 x 112 x 64
        x = max_pool(first, name="stem1_pool")  # 56 x 56 x 64
    if local_norm:
        x = response_norm(x, name="stem1_norm")
    x = conv(x, 64, 1, name="stem2_reduce")
    x = conv(x, 192, 3, name="stem2")  # 56 x 56 x 192
    if local_norm:
        x = response_norm(x, name="stem2_norm")
    return first, x, x if small else max_pool(x, name="stem2_pool")  # 28 x 28 x 192


@register_model(
    paper=PAPER,
    input_shape=(224, 224, 3),
    num_classes=1000,
    parameters=6_998_552,
    macs=1_582_671_872,
    loss_weights={"aux1": 0.3, "aux2": 0.3},
)
def googlenet(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    batch_norm: bool = False,
    aux_heads: bool = False,
    small_stem: bool = False,
    torchvision_pools: bool = False,
    dropout: float = 0.4,
    features: bool = False,
) -> keras.Model:
    """GoogLeNet, Inception-v1: published ImageNet top-5 error 10.07 % with one model and one crop (table 3).

    The paper trains with SGD, momentum 0.9, the rate lowered by 4 % every 8 epochs, and evaluates averaged weights.

    Args:
        input_shape: `(height, width, channels)`, at least 32x32, with the auxiliary heads 65x65; with the small stem
            4x4 and 9x9.
        num_classes: logits; 0 gives the 1024 pooled features, without auxiliary heads.
        batch_norm: normalise after every convolution, in place of its bias and of the local response normalisation.
        aux_heads: outputs become `logits`, `aux1` and `aux2`; the latter weigh 0.3 in the loss (section 5).
        small_stem: begin with a 3x3 convolution of stride 1 and leave out the first two poolings, for images of 32 to
            64 pixels.
        torchvision_pools: the last max pooling is 2x2, and the auxiliary heads average each of 4 x 4 parts of the map,
            in place of 5x5 with a stride of 3. Torchvision's weights were trained so.
        dropout: fraction of the pooled features dropped; the auxiliary heads have the paper's 0.7 of their own.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    name = "googlenet"
    aux_heads = aux_heads and num_classes > 0 and not features
    plain, with_heads = (4, 9) if small_stem else (32, 65)
    check_image_shape(name, input_shape, smallest=with_heads if aux_heads else plain, open_size=not aux_heads)
    check_fractions(name, dropout=dropout)
    conv = functools.partial(conv_relu, batch_norm=batch_norm)
    module = functools.partial(inception, conv=conv)
    image = keras.Input(input_shape, name="image")
    stem1, stem2, x = stem(image, conv=conv, local_norm=not batch_norm, small=small_stem)  # 28 x 28 x 192
    x = module(x, 64, (96, 128), (16, 32), 32, name="3a")  # 28 x 28 x 256
    x = stage3 = module(x, 128, (128, 192), (32, 96), 64, name="3b")  # 28 x 28 x 480
    x = max_pool(x, name="stage3_pool")  # 14 x 14 x 480
    x = stage4a = module(x, 192, (96, 208), (16, 48), 64, name="4a")  # 14 x 14 x 512
    x = module(x, 160, (112, 224), (24, 64), 64, name="4b")  # 14 x 14 x 512
    x = module(x, 128, (128, 256), (24, 64), 64, name="4c")  # 14 x 14 x 512
    x = stage4d = module(x, 112, (144, 288), (32, 64), 64, name="4d")  # 14 x 14 x 528
    x = stage4 = module(x, 256, (160, 320), (32, 128), 128, name="4e")  # 14 x 14 x 832
    x = max_pool(x, 2 if torchvision_pools else 3, name="stage4_pool")  # 7 x 7 x 832
    x = module(x, 256, (160, 320), (32, 128), 128, name="5a")  # 7 x 7 x 832
    x = module(x, 384, (192, 384), (48, 128), 128, name="5b")  # 7 x 7 x 1024
    if features:
        strides = (1, 1, 1, 2, 4) if small_stem else (2, 4, 8, 16, 32)
        return stage_features(image, dict(zip(strides, (stem1, stem2, stage3, stage4, x), strict=True)), name)
    logits = classifier(x, num_classes, dropout=dropout)
    if not aux_heads:
        return keras.Model(image, logits, name=name)
    head = functools.partial(auxiliary_head, num_classes=num_classes, conv=conv, adaptive_pool=torchvision_pools)
    aux1, aux2 = head(stage4a, name="aux1"), head(stage4d, name="aux2")
    return keras.Model(image, {"logits": logits, "aux1": aux1, "aux2": aux2}, name=name)


# Torchvision's 3x3 in place of the 5x5 is a 5x5 whose rim is zeros.
PUBLISHED = {
    "torchvision": Published(
        names.TORCHVISION,
        arguments={"batch_norm": True, "torchvision_pools": True},
        ignored=r"aux\d\..*",
        widened=r"inception_.._5x5_conv",
    )
}
