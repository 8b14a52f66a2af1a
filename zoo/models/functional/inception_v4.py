"""Functional: an Inception module sends its input down several branches and joins what comes out; a Sequential has one.

Szegedy, Ioffe, Vanhoucke and Alemi 2016, Inception-v4, Inception-ResNet and the impact of residual connections on
learning, arXiv:1602.07261, figures 3 to 9. Modules are named as in the reference, the authors' `slim` code:
`mixed_3a` to `mixed_7d`; padding, initialisation, batch norm and dropout are as `inception_v3.py` says.

Deviations: slim leaves out batch norm's scale, timm has it, and so does this net (`bn_scale`); slim's auxiliary head
is left out.

The paper's recipe: RMSProp with decay 0.9 and epsilon 1.0, learning rate 0.045 times 0.94 every 2 epochs, and averaged
weights (section 4).
"""

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import classifier, stage_features
from zoo.models.functional.inception_v3 import ConvBn, concat, max_pool
from zoo.models.published import Published
from zoo.registry import register_model

PAPER = (
    "Szegedy, Ioffe, Vanhoucke and Alemi 2016, Inception-v4, Inception-ResNet and the impact of residual connections "
    "on learning, arXiv:1602.07261"
)


def stem(x, *, conv: ConvBn) -> dict:
    """Figure 3. Returns the last feature maps of stride 2, 4 and 8."""
    x = conv(x, 32, 3, strides=2, name="stem1")  # 149 x 149 x 32
    x = conv(x, 32, 3, padding="valid", name="stem2")  # 147 x 147 x 32
    x = stride2 = conv(x, 64, 3, name="stem3")  # 147 x 147 x 64
    branches = [max_pool(x, name="mixed_3a_pool"), conv.path(x, (96, 3, 2), name="mixed_3a_3x3")]
    x = concat(branches, name="mixed_3a")  # 73 x 73 x 160
    three = conv.path(x, (64, 1), name="mixed_4a_3x3")
    seven = conv.path(x, (64, 1), (64, (1, 7)), (64, (7, 1)), name="mixed_4a_7x7")
    branches = [
        conv(three, 96, 3, padding="valid", name="mixed_4a_3x3_2"),
        conv(seven, 96, 3, padding="valid", name="mixed_4a_7x7_4"),
    ]
    x = stride4 = concat(branches, name="mixed_4a")  # 71 x 71 x 192
    branches = [conv.path(x, (192, 3, 2), name="mixed_5a_3x3"), max_pool(x, name="mixed_5a_pool")]
    return {2: stride2, 4: stride4, 8: concat(branches, name="mixed_5a")}  # 35 x 35 x 384


def inception_a(x, one: int, three: tuple, double_three: tuple, pool: int, *, conv: ConvBn, name: str, size: int = 3):
    """Figure 4: 1x1, 3x3, two 3x3 and pooling, each with the filters that are given; `size` is the second branch's."""
    (reduce, single), (reduce_double, first, second) = three, double_three
    branches = [
        conv.path(x, (one, 1), name=f"{name}_1x1"),
        conv.path(x, (reduce, 1), (single, size), name=f"{name}_{size}x{size}"),
        conv.path(x, (reduce_double, 1), (first, 3), (second, 3), name=f"{name}_3x3_double"),
        conv.pool(x, pool, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def reduction_a(x, k: int, l: int, m: int, n: int, *, conv: ConvBn, name: str):  # noqa: E741 - the paper's letters
    """Figure 7, with the numbers of table 1: 3x3 of n filters, 1x1 of k, 3x3 of l, 3x3 of m."""
    branches = [
        conv.path(x, (n, 3, 2), name=f"{name}_3x3"),
        conv.path(x, (k, 1), (l, 3), (m, 3, 2), name=f"{name}_3x3_double"),
        max_pool(x, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def inception_b(x, *, conv: ConvBn, name: str):
    """Figure 5: a 7x7 becomes 1x7 and 7x1."""
    row, column = (1, 7), (7, 1)
    double = [(192, 1), (192, column), (224, row), (224, column), (256, row)]
    branches = [
        conv.path(x, (384, 1), name=f"{name}_1x1"),
        conv.path(x, (192, 1), (224, row), (256, column), name=f"{name}_7x7"),
        conv.path(x, *double, name=f"{name}_7x7_double"),
        conv.pool(x, 128, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def reduction_b(x, *, conv: ConvBn, name: str):
    """Figure 8: halves the image by a 3x3, by a 7x7 and a 3x3, and by pooling."""
    branches = [
        conv.path(x, (192, 1), (192, 3, 2), name=f"{name}_3x3"),
        conv.path(x, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2), name=f"{name}_7x7"),
        max_pool(x, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


def inception_c(x, *, conv: ConvBn, name: str):
    """Figure 6: 1x1, 3x3 and two 3x3 that end in a fork, pooling."""
    steps = [(384, 1), (448, (3, 1)), (512, (1, 3))]
    path3, double = f"{name}_3x3", f"{name}_3x3_double"
    branches = [
        conv.path(x, (256, 1), name=f"{name}_1x1"),
        conv.fork(conv.path(x, (384, 1), name=path3), 256, name=path3),
        conv.fork(conv.path(x, *steps, name=double), 256, name=double),
        conv.pool(x, 256, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


@register_model(paper=PAPER, input_shape=(299, 299, 3), num_classes=1000, parameters=42_679_816, macs=12_253_974_624)
def inception_v4(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    bn_scale: bool = True,
    bn_momentum: float = 0.9997,
    dropout: float = 0.2,
    features: bool = False,
) -> keras.Model:
    """Inception-v4: published ImageNet top-1 error 20.0 %, top-5 5.0 %, one crop (table 2).

    Args:
        input_shape: `(height, width, channels)`, at least 75x75.
        num_classes: logits; 0 gives the 1536 pooled features.
        bn_scale: whether batch norm has a scale. slim has none: a ReLU follows.
        bn_momentum: of the moving statistics; lower it for short runs.
        dropout: fraction of the pooled features dropped.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` or `bn_momentum` is no fraction.
    """
    check_image_shape("inception_v4", input_shape, smallest=75)
    check_fractions("inception_v4", bn_momentum=bn_momentum, dropout=dropout)
    conv = ConvBn(scale=bn_scale, momentum=bn_momentum)
    image = keras.Input(input_shape, name="image")
    stages = stem(image, conv=conv)
    x = stages[8]
    for module in "bcde":
        x = inception_a(x, 96, (64, 96), (64, 96, 96), 96, conv=conv, name=f"mixed_5{module}")  # 35 x 35 x 384
    stages[8] = x
    x = reduction_a(x, 192, 224, 256, 384, conv=conv, name="mixed_6a")  # 17 x 17 x 1024
    for module in "bcdefgh":
        x = inception_b(x, conv=conv, name=f"mixed_6{module}")  # 17 x 17 x 1024
    stages[16] = x
    x = reduction_b(x, conv=conv, name="mixed_7a")  # 8 x 8 x 1536
    for module in "bcd":
        x = inception_c(x, conv=conv, name=f"mixed_7{module}")  # 8 x 8 x 1536
    stages[32] = x
    if features:
        return stage_features(image, stages, "inception_v4")
    return keras.Model(image, classifier(x, num_classes, dropout=dropout), name="inception_v4")


# Modules are steps 3 to 21 of a Sequential; here, as in slim, they are letters in each part of the net, from a = 0 on.
PUBLISHED = {
    "timm": Published(
        {
            r"stem(\d)_(conv|bn)": "features.{0:-1}.{1}",
            r"mixed_3a_3x3_1_(conv|bn)": "features.3.conv.{0}",
            r"mixed_4a_3x3_(\d)_(conv|bn)": "features.4.branch0.{0:-1}.{1}",
            r"mixed_4a_7x7_(\d)_(conv|bn)": "features.4.branch1.{0:-1}.{1}",
            r"mixed_5a_3x3_1_(conv|bn)": "features.5.conv.{0}",
            r"mixed_5([b-e])_1x1_1_(conv|bn)": "features.{0:+5}.branch0.{1}",
            r"mixed_5([b-e])_3x3_(\d)_(conv|bn)": "features.{0:+5}.branch1.{1:-1}.{2}",
            r"mixed_5([b-e])_3x3_double_(\d)_(conv|bn)": "features.{0:+5}.branch2.{1:-1}.{2}",
            r"mixed_5([b-e])_pool_(conv|bn)": "features.{0:+5}.branch3.1.{1}",
            r"mixed_6a_3x3_1_(conv|bn)": "features.10.branch0.{0}",
            r"mixed_6a_3x3_double_(\d)_(conv|bn)": "features.10.branch1.{0:-1}.{1}",
            r"mixed_6([b-h])_1x1_1_(conv|bn)": "features.{0:+10}.branch0.{1}",
            r"mixed_6([b-h])_7x7_(\d)_(conv|bn)": "features.{0:+10}.branch1.{1:-1}.{2}",
            r"mixed_6([b-h])_7x7_double_(\d)_(conv|bn)": "features.{0:+10}.branch2.{1:-1}.{2}",
            r"mixed_6([b-h])_pool_(conv|bn)": "features.{0:+10}.branch3.1.{1}",
            r"mixed_7a_3x3_(\d)_(conv|bn)": "features.18.branch0.{0:-1}.{1}",
            r"mixed_7a_7x7_(\d)_(conv|bn)": "features.18.branch1.{0:-1}.{1}",
            r"mixed_7([b-d])_1x1_1_(conv|bn)": "features.{0:+18}.branch0.{1}",
            r"mixed_7([b-d])_3x3_1_(conv|bn)": "features.{0:+18}.branch1_0.{1}",
            r"mixed_7([b-d])_3x3_row_(conv|bn)": "features.{0:+18}.branch1_1a.{1}",
            r"mixed_7([b-d])_3x3_column_(conv|bn)": "features.{0:+18}.branch1_1b.{1}",
            r"mixed_7([b-d])_3x3_double_(\d)_(conv|bn)": "features.{0:+18}.branch2_{1:-1}.{2}",
            r"mixed_7([b-d])_3x3_double_row_(conv|bn)": "features.{0:+18}.branch2_3a.{1}",
            r"mixed_7([b-d])_3x3_double_column_(conv|bn)": "features.{0:+18}.branch2_3b.{1}",
            r"mixed_7([b-d])_pool_(conv|bn)": "features.{0:+18}.branch3.1.{1}",
            r"logits": "last_linear",
        }
    )
}
