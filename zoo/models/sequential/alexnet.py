"""Sequential: with one tower in place of the two halves on two GPUs, AlexNet is one path.

Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks,
NeurIPS 25; in the one-tower form of Krizhevsky 2014, One weird trick for parallelizing convolutional neural
networks, arXiv:1404.5997, as torchvision counts it: no groups, no local response normalisation.

Initialisation is that of 2012, section 5: weights from N(0, 0.01), biases 1 in the second, fourth and fifth
convolution and in the hidden dense layers, 0 elsewhere.

Deviations: filters are torchvision's and cuda-convnet2's, 64, 192, 384, 256 and 256, where a note in the paper of
2014 has 384 in the fourth layer; dropout comes before the hidden dense layers, as in torchvision. An image of another
size than 224 changes the first dense layer, where torchvision pools to 6 x 6.
"""

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import sequential_features
from zoo.models.published import Published, own_names
from zoo.registry import register_model


@register_model(
    paper="Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks, "
    "NeurIPS 25 (one tower: Krizhevsky 2014, arXiv:1404.5997)",
    input_shape=(224, 224, 3),
    num_classes=1000,
    parameters=61_100_840,
    macs=714_188_480,
)
def alexnet(
    input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.5, features: bool = False
) -> keras.Model:
    """AlexNet, one tower. Sizes in the comments are those of 224x224.

    Args:
        input_shape: `(height, width, channels)`, at least 63x63.
        num_classes: logits; 0 ends the net after the second hidden layer, 4096 features.
        dropout: fraction dropped before each hidden dense layer.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape("alexnet", input_shape, smallest=63, open_size=features)
    check_fractions("alexnet", dropout=dropout)

    def conv(filters: int, size: int, name: str, *, bias: float, strides: int = 1, padding: str = "same"):
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
            bias_initializer=keras.initializers.Constant(bias),
            name=name,
        )

    def dense(units: int, name: str, **arguments):
        return keras.layers.Dense(
            units, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01), name=name, **arguments
        )

    layers = [
        keras.Input(input_shape, name="image"),
        keras.layers.ZeroPadding2D(2, name="conv1_pad"),
        stride4 := conv(64, 11, "conv1", bias=0.0, strides=4, padding="valid"),  # 55 x 55 x 64
        keras.layers.MaxPooling2D(3, strides=2, name="pool1"),  # 27 x 27 x 64
        stride8 := conv(192, 5, "conv2", bias=1.0),  # 27 x 27 x 192
        keras.layers.MaxPooling2D(3, strides=2, name="pool2"),  # 13 x 13 x 192
        conv(384, 3, "conv3", bias=0.0),  # 13 x 13 x 384
        conv(256, 3, "conv4", bias=1.0),  # 13 x 13 x 256
        stride16 := conv(256, 3, "conv5", bias=1.0),  # 13 x 13 x 256
        stride32 := keras.layers.MaxPooling2D(3, strides=2, name="pool5"),  # 6 x 6 x 256
    ]
    if features:
        return sequential_features(layers, {4: stride4, 8: stride8, 16: stride16, 32: stride32}, "alexnet")
    layers.append(keras.layers.Flatten(name="flatten"))
    for name in ("fc6", "fc7"):
        layers.append(keras.layers.Dropout(dropout, name=f"{name}_dropout"))
        layers.append(dense(4096, name, activation="relu", bias_initializer="ones"))
    if num_classes:
        layers.append(dense(num_classes, "logits", dtype="float32"))
    return keras.Sequential(layers, name="alexnet")


_ENDS = ("fc6", "fc7", "logits")
PUBLISHED = {
    # Convolutions are numbered with the ReLUs and poolings between them, dense layers with ReLUs and dropout.
    "torchvision": Published(
        {r"conv.*": "features.#", r"fc6": "classifier.1", r"fc7": "classifier.4", r"logits": "classifier.6"}, ends=_ENDS
    ),
    "zoo": own_names(*_ENDS),
}
