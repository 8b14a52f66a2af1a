"""Sequential: convolutions and nothing else but a last average, one path.

Springenberg, Dosovitskiy, Brox and Riedmiller 2014, Striving for Simplicity: The All Convolutional Net,
arXiv:1412.6806, net All-CNN-C of table 2: convolutions with stride 2 stand where others pool.

Dropout of 0.2 on the image and of 0.5 after each reduction is the paper's (section 3). Deviations: the paper
does not say how weights begin; here it is He et al. 2015 (arXiv:1502.01852), truncated at two standard
deviations. Nor does it say how convolutions are padded: here symmetrically, as Caffe does, but for the last
3x3, whose 6 x 6 output its table has. The ReLU after the last convolution is left out, since logits are not cut
at zero.
"""

import keras

from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import sequential_features
from zoo.models.published import own_names
from zoo.registry import register_model


@register_model(
    paper="Springenberg, Dosovitskiy, Brox and Riedmiller 2014, Striving for Simplicity: The All Convolutional Net, "
    "arXiv:1412.6806",
    input_shape=(32, 32, 3),
    num_classes=10,
    parameters=1_369_738,
    macs=270_798_336,
)
def all_cnn_c(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    input_dropout: float = 0.2,
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """All-CNN-C. Sizes in the comments are those of 32x32.

    Args:
        input_shape: `(height, width, channels)`, at least 9x9.
        num_classes: logits, the mean of each class's map; 0 gives the 192 pooled features before the
            classes' maps.
        input_dropout: fraction of the image dropped.
        dropout: fraction dropped after each convolution of stride 2.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or a dropout is no fraction.
    """
    check_image_shape("all_cnn_c", input_shape, smallest=9)
    check_fractions("all_cnn_c", input_dropout=input_dropout, dropout=dropout)

    def conv(filters: int, size: int, name: str, *, strides: int = 1, padding: str = "same", activation="relu"):
        return keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding=padding,
            activation=activation,
            kernel_initializer="he_normal",
            name=name,
        )

    layers = [
        keras.Input(input_shape, name="image"),
        keras.layers.Dropout(input_dropout, name="image_dropout"),
        conv(96, 3, "conv1"),  # 32 x 32 x 96
        conv(96, 3, "conv2"),  # 32 x 32 x 96
        keras.layers.ZeroPadding2D(1, name="conv3_pad"),
        conv(96, 3, "conv3", strides=2, padding="valid"),  # 16 x 16 x 96
        keras.layers.Dropout(dropout, name="conv3_dropout"),
        conv(192, 3, "conv4"),  # 16 x 16 x 192
        stride2 := conv(192, 3, "conv5"),  # 16 x 16 x 192
        keras.layers.ZeroPadding2D(1, name="conv6_pad"),
        conv(192, 3, "conv6", strides=2, padding="valid"),  # 8 x 8 x 192
        keras.layers.Dropout(dropout, name="conv6_dropout"),
        conv(192, 3, "conv7", padding="valid"),  # 6 x 6 x 192
        stride4 := conv(192, 1, "conv8"),  # 6 x 6 x 192
    ]
    if features:
        return sequential_features(layers, {2: stride2, 4: stride4}, "all_cnn_c")
    if num_classes:
        layers.append(conv(num_classes, 1, "conv9", activation=None))  # 6 x 6 x 10
        layers.append(keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits"))
    else:
        layers.append(keras.layers.GlobalAveragePooling2D(name="pool"))
    return keras.Sequential(layers, name="all_cnn_c")


PUBLISHED = {"zoo": own_names("conv9")}
