"""Sequential: LeNet-5 is one path of convolutions, subsampling and dense layers.

LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition,
Proc. IEEE 86:2278-2324, figure 2.

Deviations from the paper, those of every modern LeNet-5: C3 is connected to all maps of S2 (the paper leaves
out some), subsampling is a plain average without coefficients and squashing, tanh is unscaled, the output is a
dense layer in place of radial basis functions, and weights start by Glorot's rule, Keras' default, in place of
the paper's uniform distribution.
"""

import keras

from zoo.models.arguments import check_image_shape
from zoo.models.ends import sequential_features
from zoo.models.published import own_names
from zoo.registry import register_model


@register_model(
    paper="LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition, "
    "Proc. IEEE 86:2278-2324",
    input_shape=(32, 32, 1),
    num_classes=10,
    parameters=61_706,
    macs=416_520,
)
def lenet5(input_shape: tuple[int, ...], num_classes: int, *, features: bool = False) -> keras.Model:
    """LeNet-5. Sizes in the comments are those of the paper's 32x32 input.

    Args:
        input_shape: `(height, width, channels)`, at least 16x16.
        num_classes: logits; 0 ends the net after F6, 84 features.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size.
    """
    check_image_shape("lenet5", input_shape, smallest=16, open_size=features)
    layers = [
        keras.Input(input_shape, name="image"),
        keras.layers.Conv2D(6, 5, activation="tanh", name="c1"),  # 28 x 28 x 6
        keras.layers.AveragePooling2D(2, name="s2"),  # 14 x 14 x 6
        c3 := keras.layers.Conv2D(16, 5, activation="tanh", name="c3"),  # 10 x 10 x 16
        s4 := keras.layers.AveragePooling2D(2, name="s4"),  # 5 x 5 x 16
    ]
    if features:
        return sequential_features(layers, {2: c3, 4: s4}, "lenet5")
    layers += [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(120, activation="tanh", name="c5"),
        keras.layers.Dense(84, activation="tanh", name="f6"),
    ]
    if num_classes:
        layers.append(keras.layers.Dense(num_classes, dtype="float32", name="logits"))
    return keras.Sequential(layers, name="lenet5")


PUBLISHED = {"zoo": own_names("c5", "f6", "logits")}
