"""Functional: every block adds its input to its output, and a Sequential has no place for that second path.

Chollet 2016, Xception: Deep learning with depthwise separable convolutions, arXiv:1610.02357, figure 5.

Reference: `keras.applications.Xception`, the author's code: no biases, Glorot's initialisation, batch norm with
momentum 0.99 and epsilon 1e-3, and TensorFlow's padding, "valid" in the two first convolutions and "same" after. One
deviation: the dropout of 0.5 before the logits is the paper's (section 4.3), `keras.applications` leaves it out.

The paper's recipe for ImageNet: SGD with momentum 0.9, learning rate 0.045 times 0.94 every 2 epochs, weight decay
1e-5, averaged weights.
"""

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import classifier, stage_features
from zoo.registry import register_model

PAPER = "Chollet 2016, Xception: Deep learning with depthwise separable convolutions, arXiv:1610.02357"


def norm(x, *, name: str):
    """Batch normalisation with Keras' numbers."""
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def relu(x, *, name: str):
    """The larger of x and 0."""
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def conv_bn(x, filters: int, size: int, *, strides: int = 1, padding: str, name: str):
    """A convolution, then batch normalisation."""
    x = keras.layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv")(x)
    return norm(x, name=name)


def separable_bn(x, filters: int, *, name: str):
    """A 3x3 convolution of each channel by itself, a 1x1 convolution across them, then batch normalisation."""
    x = keras.layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_separable")(x)
    return norm(x, name=name)


def halving_block(x, first: int, second: int, *, begins_with_relu: bool = True, name: str):
    """Two separable convolutions and a pooling of stride 2, beside a 1x1 convolution of stride 2."""
    shortcut = conv_bn(x, second, 1, strides=2, padding="same", name=f"{name}_shortcut")
    if begins_with_relu:
        x = relu(x, name=f"{name}_1")
    x = separable_bn(x, first, name=f"{name}_1")
    x = relu(x, name=f"{name}_2")
    x = separable_bn(x, second, name=f"{name}_2")
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return keras.layers.Add(name=f"{name}_add")([x, shortcut])


def middle_block(x, filters: int, *, name: str):
    """`x + F(x)`, with F three times ReLU, separable convolution and batch normalisation."""
    shortcut = x
    for layer in (1, 2, 3):
        x = relu(x, name=f"{name}_{layer}")
        x = separable_bn(x, filters, name=f"{name}_{layer}")
    return keras.layers.Add(name=f"{name}_add")([x, shortcut])


@register_model(paper=PAPER, input_shape=(299, 299, 3), num_classes=1000, parameters=22_855_952, macs=8_357_403_496)
def xception(
    input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.5, features: bool = False
) -> keras.Model:
    """Xception: published ImageNet top-1 accuracy 79.0 %, top-5 94.5 %, one crop (table 1).

    Args:
        input_shape: `(height, width, channels)`, at least 32x32.
        num_classes: logits; 0 gives the 2048 pooled features.
        dropout: fraction of the pooled features dropped.
        features: give the last feature map of each stride in place of the logits; strides 4 to 16 are sums which
            ReLU has still to follow.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape("xception", input_shape, smallest=32)
    check_fractions("xception", dropout=dropout)
    image = keras.Input(input_shape, name="image")
    # Entry flow.
    x = conv_bn(image, 32, 3, strides=2, padding="valid", name="stem1")
    x = relu(x, name="stem1")  # 149 x 149 x 32
    x = conv_bn(x, 64, 3, padding="valid", name="stem2")
    x = stride2 = relu(x, name="stem2")  # 147 x 147 x 64
    x = stride4 = halving_block(x, 128, 128, begins_with_relu=False, name="block2")  # 74 x 74 x 128
    x = stride8 = halving_block(x, 256, 256, name="block3")  # 37 x 37 x 256
    x = halving_block(x, 728, 728, name="block4")  # 19 x 19 x 728
    # Middle flow.
    for block in range(5, 13):
        x = middle_block(x, 728, name=f"block{block}")  # 19 x 19 x 728
    stride16 = x
    # Exit flow.
    x = halving_block(x, 728, 1024, name="block13")  # 10 x 10 x 1024
    x = relu(separable_bn(x, 1536, name="block14_1"), name="block14_1")  # 10 x 10 x 1536
    x = relu(separable_bn(x, 2048, name="block14_2"), name="block14_2")  # 10 x 10 x 2048
    if features:
        return stage_features(image, {2: stride2, 4: stride4, 8: stride8, 16: stride16, 32: x}, "xception")
    return keras.Model(image, classifier(x, num_classes, dropout=dropout), name="xception")
