"""Sequential: small networks slide over the image as 1x1 convolutions, and still it is one path.

Lin, Chen and Yan 2013, Network In Network, arXiv:1312.4400, in the authors' Caffe definition for CIFAR-10.

Initialisation is Caffe's there: weights from N(0, 0.05), biases 0. Poolings of 3x3 with stride 2 round up,
which at even sizes is Keras' "same". Deviation: the ReLU that Caffe's definition has before the last pooling
is left out, since logits are not cut at zero.
"""

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import sequential_features
from zoo.models.published import own_names
from zoo.registry import register_model


@register_model(
    paper="Lin, Chen and Yan 2013, Network In Network, arXiv:1312.4400",
    input_shape=(32, 32, 3),
    num_classes=10,
    parameters=966_986,
    macs=222_486_528,
)
def nin(input_shape: tuple[int, ...], num_classes: int, *, dropout: float = 0.5, features: bool = False) -> keras.Model:
    """Network in network. Sizes in the comments are those of 32x32.

    Args:
        input_shape: `(height, width, channels)`, at least 4x4.
        num_classes: logits, the mean of each class's map; 0 gives the 192 pooled features before the
            classes' maps.
        dropout: fraction dropped after each of the first two poolings.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape("nin", input_shape, smallest=4)
    check_fractions("nin", dropout=dropout)

    def conv(filters: int, size: int, name: str, activation: str | None = "relu"):
        return keras.layers.Conv2D(
            filters,
            size,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.05),
            name=name,
        )

    layers = [
        keras.Input(input_shape, name="image"),
        conv(192, 5, "conv1"),  # 32 x 32 x 192
        conv(160, 1, "cccp1"),  # 32 x 32 x 160
        conv(96, 1, "cccp2"),  # 32 x 32 x 96
        keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool1"),  # 16 x 16 x 96
        keras.layers.Dropout(dropout, name="pool1_dropout"),
        conv(192, 5, "conv2"),  # 16 x 16 x 192
        conv(192, 1, "cccp3"),  # 16 x 16 x 192
        stride2 := conv(192, 1, "cccp4"),  # 16 x 16 x 192
        keras.layers.AveragePooling2D(3, strides=2, padding="same", name="pool2"),  # 8 x 8 x 192
        keras.layers.Dropout(dropout, name="pool2_dropout"),
        conv(192, 3, "conv3"),  # 8 x 8 x 192
        stride4 := conv(192, 1, "cccp5"),  # 8 x 8 x 192
    ]
    if features:
        return sequential_features(layers, {2: stride2, 4: stride4}, "nin")
    if num_classes:
        layers.append(conv(num_classes, 1, "cccp6", activation=None))  # 8 x 8 x 10
        layers.append(keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits"))
    else:
        layers.append(keras.layers.GlobalAveragePooling2D(name="pool"))
    return keras.Sequential(layers, name="nin")


PUBLISHED = {"zoo": own_names("cccp6")}
