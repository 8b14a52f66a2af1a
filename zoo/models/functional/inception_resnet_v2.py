"""Functional: modules have branches, and each adds what they give to its input; a Sequential has one path.

Szegedy, Ioffe, Vanhoucke and Alemi 2016, Inception-v4, Inception-ResNet and the impact of residual connections on
learning, arXiv:1602.07261, as the authors' `slim` code has it: where the paper's figures differ from it, the stem is
that of Inception-v3 followed by `mixed_5b`, there are 1088 channels at 17x17 and 2080 at 8x8, residuals are scaled by
0.17, 0.10 and 0.20 (the paper: between 0.1 and 0.3), the last block has neither scale nor ReLU, and a 1x1 convolution
ends the net. Padding, initialisation, batch norm and dropout are as `inception_v3.py` says.

Deviations: slim and `keras.applications` leave out batch norm's scale, timm has it, and so does this net (`bn_scale`);
slim's auxiliary head is left out; slim starts this net's convolutions by Glorot's rule, not by He's. The recipe is that
of `inception_v4.py`.
"""

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import classifier, stage_features
from zoo.models.functional.inception_v3 import ConvBn, concat, max_pool, stem
from zoo.models.functional.inception_v4 import PAPER, inception_a, reduction_a
from zoo.models.published import Published
from zoo.registry import register_model


def residual_module(x, *branches: tuple, scale: float, relu: bool = True, conv: ConvBn, name: str):
    """`relu(x + scale * F(x))`: F joins branches of convolutions and brings them to x's channels by a 1x1 with bias."""
    paths = [conv.path(x, *steps, name=f"{name}_branch{path}") for path, steps in enumerate(branches, 1)]
    residual = concat(paths, name=name)
    residual = keras.layers.Conv2D(x.shape[-1], 1, kernel_initializer="he_normal", name=f"{name}_up_conv")(residual)
    if scale != 1:
        residual = keras.layers.Rescaling(scale, name=f"{name}_scale")(residual)
    x = keras.layers.Add(name=f"{name}_add")([x, residual])
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def reduction_c(x, *, conv: ConvBn, name: str):
    """Inception-ResNet-v2's way from 17x17 to 8x8: three convolutional branches and pooling."""
    branches = [
        conv.path(x, (256, 1), (384, 3, 2), name=f"{name}_1"),
        conv.path(x, (256, 1), (288, 3, 2), name=f"{name}_2"),
        conv.path(x, (256, 1), (288, 3), (320, 3, 2), name=f"{name}_3"),
        max_pool(x, name=f"{name}_pool"),
    ]
    return concat(branches, name=name)


@register_model(paper=PAPER, input_shape=(299, 299, 3), num_classes=1000, parameters=55_843_464, macs=13_155_794_016)
def inception_resnet_v2(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    bn_scale: bool = True,
    bn_momentum: float = 0.9997,
    dropout: float = 0.2,
    features: bool = False,
) -> keras.Model:
    """Inception-ResNet-v2: published ImageNet top-1 error 19.9 %, top-5 4.9 %, one crop (table 2).

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
    name = "inception_resnet_v2"
    check_image_shape(name, input_shape, smallest=75)
    check_fractions(name, bn_momentum=bn_momentum, dropout=dropout)
    conv = ConvBn(scale=bn_scale, momentum=bn_momentum)
    image = keras.Input(input_shape, name="image")
    stages = stem(image, conv=conv)
    x = inception_a(stages[8], 96, (48, 64), (64, 96, 96), 64, size=5, conv=conv, name="mixed_5b")  # 35 x 35 x 320
    branches = [(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]
    for block in range(1, 11):
        x = residual_module(x, *branches, scale=0.17, conv=conv, name=f"block35_{block}")  # 35 x 35 x 320
    stages[8] = x
    x = reduction_a(x, 256, 256, 384, 384, conv=conv, name="mixed_6a")  # 17 x 17 x 1088
    branches = [(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]
    for block in range(1, 21):
        x = residual_module(x, *branches, scale=0.10, conv=conv, name=f"block17_{block}")  # 17 x 17 x 1088
    stages[16] = x
    x = reduction_c(x, conv=conv, name="mixed_7a")  # 8 x 8 x 2080
    branches = [(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))]
    for block in range(1, 10):
        x = residual_module(x, *branches, scale=0.20, conv=conv, name=f"block8_{block}")  # 8 x 8 x 2080
    x = residual_module(x, *branches, scale=1, relu=False, conv=conv, name="block8_10")  # 8 x 8 x 2080
    x = stages[32] = conv(x, 1536, 1, name="mixed_7b")  # 8 x 8 x 1536
    if features:
        return stage_features(image, stages, name)
    return keras.Model(image, classifier(x, num_classes, dropout=dropout), name=name)


PUBLISHED = {
    # timm's blocks are steps of three Sequentials, but the last, which stands alone.
    "timm": Published(
        {
            r"stem1_(conv|bn)": "conv2d_1a.{0}",
            r"stem2_(conv|bn)": "conv2d_2a.{0}",
            r"stem3_(conv|bn)": "conv2d_2b.{0}",
            r"stem4_(conv|bn)": "conv2d_3b.{0}",
            r"stem5_(conv|bn)": "conv2d_4a.{0}",
            r"mixed_5b_1x1_1_(conv|bn)": "mixed_5b.branch0.{0}",
            r"mixed_5b_5x5_(\d)_(conv|bn)": "mixed_5b.branch1.{0:-1}.{1}",
            r"mixed_5b_3x3_double_(\d)_(conv|bn)": "mixed_5b.branch2.{0:-1}.{1}",
            r"mixed_5b_pool_(conv|bn)": "mixed_5b.branch3.1.{0}",
            r"block35_(\d+)_branch1_1_(conv|bn)": "repeat.{0:-1}.branch0.{1}",
            r"block35_(\d+)_branch([23])_(\d)_(conv|bn)": "repeat.{0:-1}.branch{1:-1}.{2:-1}.{3}",
            r"block35_(\d+)_up_conv": "repeat.{0:-1}.conv2d",
            r"mixed_6a_3x3_1_(conv|bn)": "mixed_6a.branch0.{0}",
            r"mixed_6a_3x3_double_(\d)_(conv|bn)": "mixed_6a.branch1.{0:-1}.{1}",
            r"block17_(\d+)_branch1_1_(conv|bn)": "repeat_1.{0:-1}.branch0.{1}",
            r"block17_(\d+)_branch2_(\d)_(conv|bn)": "repeat_1.{0:-1}.branch1.{1:-1}.{2}",
            r"block17_(\d+)_up_conv": "repeat_1.{0:-1}.conv2d",
            r"mixed_7a_(\d)_(\d)_(conv|bn)": "mixed_7a.branch{0:-1}.{1:-1}.{2}",
            r"block8_(\d)_branch1_1_(conv|bn)": "repeat_2.{0:-1}.branch0.{1}",
            r"block8_(\d)_branch2_(\d)_(conv|bn)": "repeat_2.{0:-1}.branch1.{1:-1}.{2}",
            r"block8_(\d)_up_conv": "repeat_2.{0:-1}.conv2d",
            r"block8_10_branch1_1_(conv|bn)": "block8.branch0.{0}",
            r"block8_10_branch2_(\d)_(conv|bn)": "block8.branch1.{0:-1}.{1}",
            r"block8_10_up_conv": "block8.conv2d",
            r"mixed_7b_(conv|bn)": "conv2d_7b.{0}",
            r"logits": "classif",
        }
    ),
    # Most layers are numbered, in the order in which they are made, which is that of the graph.
    "keras": Published(
        {
            r"(?:stem\d|mixed_..(?:_.*)?_\d|mixed_5b_pool|block.*_branch\d_\d)_conv": "conv2d_#",
            r"(?:stem\d|mixed_..(?:_.*)?_\d|mixed_5b_pool|block.*_branch\d_\d)_bn": "batch_normalization_#",
            r"block(\d+)_(\d+)_up_conv": "block{0}_{1}_conv",
            r"mixed_7b_conv": "conv_7b",
            r"mixed_7b_bn": "conv_7b_bn",
            r"logits": "predictions",
        },
        style="keras",
        arguments={"bn_scale": False},
    ),
}
