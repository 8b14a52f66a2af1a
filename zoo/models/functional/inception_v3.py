"""Functional: an Inception module sends its input down several branches and joins what comes out; a Sequential has one.

Szegedy et al. 2015, Rethinking the Inception architecture for computer vision, arXiv:1512.00567, sections 3 to 7. The
modules are named as in the reference, the authors' `slim` code: `mixed_5b` to `mixed_7c`.

From slim are the stem (the paper's table 1 draws it otherwise), the padding ("valid" in the stem and wherever the
stride is 2; pooling that averages leaves padded pixels out), dropout 0.2, He et al.'s initialisation (variance
2 / fan-in, truncated), and batch norm with epsilon 1e-3 and momentum 0.9997. Such a momentum needs tens of thousands
of steps: give `bn_momentum=0.99` or less to a short run, or its evaluation is meaningless.

Deviations: slim and `keras.applications` leave out batch norm's scale, torchvision and timm have it, and so does this
net (`bn_scale`); the logits start by Glorot's rule. Torchvision and timm count padded pixels as zeros where they
average, slim, Keras and this net do not (`count_padding`).

The paper's recipe: label smoothing 0.1 (section 7); RMSProp with decay 0.9 and epsilon 1.0, learning rate 0.045 times
0.94 every 2 epochs, gradients clipped at 2.0, batches of 32 on each of 50 replicas, 100 epochs, and averaged weights
(section 8). `keras.applications` has momentum 0.99.
"""

import dataclasses

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import classifier, stage_features
from zoo.models.names import inception_v3 as names
from zoo.models.published import Published
from zoo.registry import register_model

PAPER = "Szegedy et al. 2015, Rethinking the Inception architecture for computer vision, arXiv:1512.00567"


@dataclasses.dataclass(frozen=True)
class ConvBn:
    """A convolution without bias, batch normalisation, ReLU: all that has weights in the modules of the three nets.

    Attributes:
        scale: whether batch norm has one.
        momentum: of the moving statistics of batch norm.
        count_padding: whether a mean counts padded pixels, as zeros.
    """

    scale: bool = True
    momentum: float = 0.9997
    count_padding: bool = False

    def __call__(self, x, filters: int, size, *, strides: int = 1, padding="same", start="he_normal", name: str):
        """A single one; `start` is the kernel's initializer. A stride means no padding."""
        x = keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="valid" if strides > 1 else padding,
            use_bias=False,
            kernel_initializer=start,
            name=f"{name}_conv",
        )(x)
        x = BatchNormalization(epsilon=1e-3, scale=self.scale, momentum=self.momentum, name=f"{name}_bn")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def path(self, x, *convolutions: tuple, name: str):
        """One after the other, each `(filters, size)` or `(filters, size, strides)`."""
        for layer, (filters, size, *strides) in enumerate(convolutions, 1):
            x = self(x, filters, size, strides=strides[0] if strides else 1, name=f"{name}_{layer}")
        return x

    def pool(self, x, filters: int, *, name: str):
        """The mean of 3x3, then a 1x1 convolution."""
        if self.count_padding:
            x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        padding = "valid" if self.count_padding else "same"
        x = keras.layers.AveragePooling2D(3, strides=1, padding=padding, name=f"{name}_average")(x)
        return self(x, filters, 1, name=name)

    def fork(self, x, filters: int, *, name: str):
        """A 3x3 convolution becomes 1x3 beside 3x1, on the same input."""
        row = self(x, filters, (1, 3), name=f"{name}_row")
        column = self(x, filters, (3, 1), name=f"{name}_column")
        return concat([row, column], name=name)


def max_pool(x, *, name: str):
    """The largest of 3x3, stride 2, nothing padded."""
    return keras.layers.MaxPooling2D(3, strides=2, name=name)(x)


def concat(branches: list, *, name: str):
    """The channels of all branches, one after the other."""
    return keras.layers.Concatenate(name=f"{name}_concat")(branches)


def stem(x, *, conv: ConvBn) -> dict:
    """What comes before the modules. Returns the last feature maps of stride 2, 4 and 8."""
    x = conv(x, 32, 3, strides=2, name="stem1")  # 149 x 149 x 32
    x = conv(x, 32, 3, padding="valid", name="stem2")  # 147 x 147 x 32
    x = stride2 = conv(x, 64, 3, name="stem3")  # 147 x 147 x 64
    x = max_pool(x, name="stem3_pool")  # 73 x 73 x 64
    x = conv(x, 80, 1, name="stem4")  # 73 x 73 x 80
    x = stride4 = conv(x, 192, 3, padding="valid", name="stem5")  # 71 x 71 x 192
    return {2: stride2, 4: stride4, 8: max_pool(x, name="stem5_pool")}  # 35 x 35 x 192


def inception_a(x, one: int, five: tuple, double_three: tuple, pool: int, *, conv: ConvBn, name: str):
    """Figure 5, with the 5x5 of the reference: 1x1, 5x5, two 3x3, pooling, each with the filters that are given."""
    (reduce5, five), (reduce3, first3, second3) = five, double_three
    branches = [
        conv.path(x, (one, 1), name=f"{name}_1x1"),
        conv.path(x, (reduce5, 1), (five, 5), name=f"{name}_5x5"),
        conv.path(x, (reduce3, 1), (first3, 3), (second3, 3), name=f"{name}_3x3"),
        conv.pool(x, pool, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def reduction_a(x, three: int, double_three: tuple, *, conv: ConvBn, name: str):
    """Figure 10: halves the image by a 3x3, by two 3x3, and by pooling, all of stride 2."""
    reduce, first, second = double_three
    branches = [
        conv.path(x, (three, 3, 2), name=f"{name}_3x3"),
        conv.path(x, (reduce, 1), (first, 3), (second, 3, 2), name=f"{name}_3x3_double"),
        max_pool(x, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def inception_b(x, width: int, filters: int, *, conv: ConvBn, name: str):
    """Figure 6 with n = 7: a 7x7 becomes 1x7 and 7x1. Branches are `width` wide inside and give `filters` each."""
    row, column = (1, 7), (7, 1)
    double = [(width, 1), (width, column), (width, row), (width, column), (filters, row)]
    branches = [
        conv.path(x, (filters, 1), name=f"{name}_1x1"),
        conv.path(x, (width, 1), (width, row), (filters, column), name=f"{name}_7x7"),
        conv.path(x, *double, name=f"{name}_7x7_double"),
        conv.pool(x, filters, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def reduction_b(x, width: int, three: int, *, conv: ConvBn, name: str):
    """Halves the image by a 3x3, by a 7x7 and a 3x3, and by pooling."""
    seven = [(width, 1), (width, (1, 7)), (width, (7, 1)), (width, 3, 2)]
    branches = [
        conv.path(x, (width, 1), (three, 3, 2), name=f"{name}_3x3"),
        conv.path(x, *seven, name=f"{name}_7x7"),
        max_pool(x, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def inception_c(x, one: int, three: int, double_three: tuple, pool: int, *, conv: ConvBn, name: str):
    """Figure 7, with the filters that are given: 1x1, 3x3 and two 3x3 that end in a fork, pooling."""
    reduce, first = double_three
    path3, double = f"{name}_3x3", f"{name}_3x3_double"
    branches = [
        conv.path(x, (one, 1), name=f"{name}_1x1"),
        conv.fork(conv.path(x, (three, 1), name=path3), three, name=path3),
        conv.fork(conv.path(x, (reduce, 1), (first, 3), name=double), three, name=double),
        conv.pool(x, pool, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def auxiliary_head(x, num_classes: int, *, conv: ConvBn, name: str):
    """Logits from the last 17x17 map (section 4). On small images the 5x5 kernel shrinks to the map, as in slim."""
    start = keras.initializers.TruncatedNormal
    x = keras.layers.AveragePooling2D(5, strides=3, name=f"{name}_average")(x)  # 5 x 5 x 768
    x = conv(x, 128, 1, name=f"{name}_1")  # 5 x 5 x 128
    size = tuple(min(5, side) for side in x.shape[1:3])
    x = conv(x, 768, size, padding="valid", start=start(stddev=0.01), name=f"{name}_2")  # 1 x 1 x 768
    x = keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)
    return keras.layers.Dense(num_classes, kernel_initializer=start(stddev=0.001), dtype="float32", name=name)(x)


@register_model(
    paper=PAPER,
    input_shape=(299, 299, 3),
    num_classes=1000,
    parameters=23_834_568,
    macs=5_713_216_096,
    loss_weights={"aux1": 0.4},
)
def inception_v3(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    aux_heads: bool = False,
    bn_scale: bool = True,
    bn_momentum: float = 0.9997,
    count_padding: bool = False,
    dropout: float = 0.2,
    features: bool = False,
) -> keras.Model:
    """Inception-v3: published ImageNet top-1 error 21.2 %, top-5 5.6 %, one crop (table 3).

    Args:
        input_shape: `(height, width, channels)`, at least 75x75, with the auxiliary head 107x107.
        num_classes: logits; 0 gives the 2048 pooled features, without auxiliary head.
        aux_heads: outputs become `logits` and `aux1`, which weighs 0.4 in the loss (slim's train_image_classifier.py).
        bn_scale: whether batch norm has a scale. `keras.applications` has none: a ReLU follows.
        bn_momentum: of the moving statistics; lower it for short runs.
        count_padding: whether the means of 3x3 count padded pixels, as zeros. Torchvision's and timm's weights were
            trained so (PyTorch's `count_include_pad`).
        dropout: fraction of the pooled features dropped.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` or `bn_momentum` is no fraction.
    """
    name = "inception_v3"
    aux_heads = aux_heads and num_classes > 0 and not features
    check_image_shape(name, input_shape, smallest=107 if aux_heads else 75, open_size=not aux_heads)
    check_fractions(name, bn_momentum=bn_momentum, dropout=dropout)
    conv = ConvBn(scale=bn_scale, momentum=bn_momentum, count_padding=count_padding)
    image = keras.Input(input_shape, name="image")
    stages = stem(image, conv=conv)
    x = inception_a(stages[8], 64, (48, 64), (64, 96, 96), 32, conv=conv, name="mixed_5b")  # 35 x 35 x 256
    x = inception_a(x, 64, (48, 64), (64, 96, 96), 64, conv=conv, name="mixed_5c")  # 35 x 35 x 288
    x = stages[8] = inception_a(x, 64, (48, 64), (64, 96, 96), 64, conv=conv, name="mixed_5d")  # 35 x 35 x 288
    x = reduction_a(x, 384, (64, 96, 96), conv=conv, name="mixed_6a")  # 17 x 17 x 768
    for module, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        x = inception_b(x, width, 192, conv=conv, name=f"mixed_6{module}")  # 17 x 17 x 768
    stages[16] = x
    x = reduction_b(x, 192, 320, conv=conv, name="mixed_7a")  # 8 x 8 x 1280
    x = inception_c(x, 320, 384, (448, 384), 192, conv=conv, name="mixed_7b")  # 8 x 8 x 2048
    x = stages[32] = inception_c(x, 320, 384, (448, 384), 192, conv=conv, name="mixed_7c")  # 8 x 8 x 2048
    if features:
        return stage_features(image, stages, name)
    logits = classifier(x, num_classes, dropout=dropout)
    if not aux_heads:
        return keras.Model(image, logits, name=name)
    aux1 = auxiliary_head(stages[16], num_classes, conv=conv, name="aux1")
    return keras.Model(image, {"logits": logits, "aux1": aux1}, name=name)


_TORCH = Published(names.TORCH, arguments={"count_padding": True}, ignored=r"AuxLogits\..*")
PUBLISHED = {
    "torchvision": _TORCH,
    "timm": _TORCH,
    "keras": Published(names.KERAS, style="keras", arguments={"bn_scale": False}),
}
