"""Functional: every block adds its input to its output, and a Sequential has no place for that second path.

Chollet 2016, Xception: Deep learning with depthwise separable convolutions, arXiv:1610.02357, figure 5.

Reference: `keras.applications.Xception`, the author's code: no biases, Glorot's initialisation, batch norm with
momentum 0.99 and epsilon 1e-3, and TensorFlow's padding, "valid" in the two first convolutions and "same" after. One
deviation: the dropout of 0.5 before the logits is the paper's (section 4.3), `keras.applications` leaves it out.

The paper's recipe for ImageNet: SGD with momentum 0.9, learning rate 0.045 times 0.94 every 2 epochs, weight decay
1e-5, averaged weights.
"""

import dataclasses
from collections.abc import Callable

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_fractions, check_image_shape, check_value
from zoo.models.blocks import unpadded_pool
from zoo.models.ends import classifier, stage_features
from zoo.models.published import Published
from zoo.registry import register_model

PAPER = "Chollet 2016, Xception: Deep learning with depthwise separable convolutions, arXiv:1610.02357"


@dataclasses.dataclass(frozen=True)
class Blocks:
    """What the net is made of.

    Attributes:
        epsilon: of batch norm.
        pool: of stride 2, `(x, name) -> x`.
    """

    epsilon: float
    pool: Callable

    def norm(self, x, *, name: str):
        """Batch normalisation with Keras' momentum."""
        return BatchNormalization(momentum=0.99, epsilon=self.epsilon, name=f"{name}_bn")(x)

    def conv(self, x, filters: int, size: int, *, strides: int = 1, padding: str, name: str):
        """A convolution, then batch normalisation."""
        x = keras.layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv")(x)
        return self.norm(x, name=name)

    def separable(self, x, filters: int, *, name: str):
        """A 3x3 convolution of each channel by itself, a 1x1 convolution across them, then batch normalisation."""
        x = keras.layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_separable")(x)
        return self.norm(x, name=name)

    def halving(self, x, first: int, second: int, *, begins_with_relu: bool = True, name: str):
        """Two separable convolutions and a pooling of stride 2, beside a 1x1 convolution of stride 2."""
        shortcut = self.conv(x, second, 1, strides=2, padding="same", name=f"{name}_shortcut")
        if begins_with_relu:
            x = relu(x, name=f"{name}_1")
        x = self.separable(x, first, name=f"{name}_1")
        x = relu(x, name=f"{name}_2")
        x = self.separable(x, second, name=f"{name}_2")
        x = self.pool(x, name=f"{name}_pool")
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def middle(self, x, filters: int, *, name: str):
        """`x + F(x)`, with F three times ReLU, separable convolution and batch normalisation."""
        shortcut = x
        for layer in (1, 2, 3):
            x = relu(x, name=f"{name}_{layer}")
            x = self.separable(x, filters, name=f"{name}_{layer}")
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])


def relu(x, *, name: str):
    """The larger of x and 0."""
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def same_pool(x, *, name: str):
    """The largest of 3x3 with TensorFlow's padding."""
    return keras.layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)


@register_model(paper=PAPER, input_shape=(299, 299, 3), num_classes=1000, parameters=22_855_952, macs=8_357_403_496)
def xception(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    bn_epsilon: float = 1e-3,
    symmetric_pool: bool = False,
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """Xception: published ImageNet top-1 accuracy 79.0 %, top-5 94.5 %, one crop (table 1).

    Args:
        input_shape: `(height, width, channels)`, at least 32x32.
        num_classes: logits; 0 gives the 2048 pooled features.
        bn_epsilon: what batch norm adds to the variance; in timm's `legacy_xception` 1e-5.
        symmetric_pool: lay the windows of the poolings around every second pixel from the first on, as timm's net
            does. TensorFlow's padding begins with the second where the size is even.
        dropout: fraction of the pooled features dropped.
        features: give the last feature map of each stride in place of the logits; strides 4 to 16 are sums which
            ReLU has still to follow.

    Raises:
        RequestError: the shape is no image's of that size, `dropout` is no fraction, or `bn_epsilon` not positive.
    """
    check_image_shape("xception", input_shape, smallest=32)
    check_fractions("xception", dropout=dropout, bn_epsilon=bn_epsilon)
    check_value(bn_epsilon > 0, "bn_epsilon of xception", bn_epsilon, "it must be positive")
    block = Blocks(bn_epsilon, unpadded_pool if symmetric_pool else same_pool)
    image = keras.Input(input_shape, name="image")
    # Entry flow.
    x = block.conv(image, 32, 3, strides=2, padding="valid", name="stem1")
    x = relu(x, name="stem1")  # 149 x 149 x 32
    x = block.conv(x, 64, 3, padding="valid", name="stem2")
    x = stride2 = relu(x, name="stem2")  # 147 x 147 x 64
    x = stride4 = block.halving(x, 128, 128, begins_with_relu=False, name="block2")  # 74 x 74 x 128
    x = stride8 = block.halving(x, 256, 256, name="block3")  # 37 x 37 x 256
    x = block.halving(x, 728, 728, name="block4")  # 19 x 19 x 728
    # Middle flow.
    for number in range(5, 13):
        x = block.middle(x, 728, name=f"block{number}")  # 19 x 19 x 728
    stride16 = x
    # Exit flow.
    x = block.halving(x, 728, 1024, name="block13")  # 10 x 10 x 1024
    x = relu(block.separable(x, 1536, name="block14_1"), name="block14_1")  # 10 x 10 x 1536
    x = relu(block.separable(x, 2048, name="block14_2"), name="block14_2")  # 10 x 10 x 2048
    if features:
        return stage_features(image, {2: stride2, 4: stride4, 8: stride8, 16: stride16, 32: x}, "xception")
    return keras.Model(image, classifier(x, num_classes, dropout=dropout), name="xception")


PUBLISHED = {
    # The shortcuts are numbered, with the other convolutions that have no name: there are none.
    "keras": Published(
        {
            r"stem(\d)_conv": "block1_conv{0}",
            r"stem(\d)_bn": "block1_conv{0}_bn",
            r"block(\d+)_shortcut_conv": "conv2d_#",
            r"block(\d+)_shortcut_bn": "batch_normalization_#",
            r"block(\d+)_(\d)_separable": "block{0}_sepconv{1}",
            r"block(\d+)_(\d)_bn": "block{0}_sepconv{1}_bn",
            r"logits": "predictions",
        },
        style="keras",
    ),
    # Blocks are counted without the stem. Within one ReLU, convolution and norm are the steps of a Sequential, the ReLU
    # that its first block does not have left out.
    "timm_legacy": Published(
        {
            r"stem(\d)_(conv|bn)": "{1}{0}",
            r"block(\d+)_shortcut_conv": "block{0:-1}.skip",
            r"block(\d+)_shortcut_bn": "block{0:-1}.skipbn",
            r"block2_1_separable": "block1.rep.0",
            r"block2_1_bn": "block1.rep.1",
            r"block2_2_separable": "block1.rep.3",
            r"block2_2_bn": "block1.rep.4",
            r"block([3-9]|1[0-3])_1_separable": "block{0:-1}.rep.1",
            r"block([3-9]|1[0-3])_1_bn": "block{0:-1}.rep.2",
            r"block([3-9]|1[0-3])_2_separable": "block{0:-1}.rep.4",
            r"block([3-9]|1[0-3])_2_bn": "block{0:-1}.rep.5",
            r"block([3-9]|1[0-3])_3_separable": "block{0:-1}.rep.7",
            r"block([3-9]|1[0-3])_3_bn": "block{0:-1}.rep.8",
            r"block14_(\d)_separable": "conv{0:+2}",
            r"block14_(\d)_bn": "bn{0:+2}",
            r"logits": "fc",
        },
        arguments={"bn_epsilon": 1e-5, "symmetric_pool": True},
        parts={"depthwise_kernel": "conv1.weight", "pointwise_kernel": "pointwise.weight"},
    ),
}
