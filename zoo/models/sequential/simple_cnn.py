"""Sequential: convolutions, then a classifier, one path without a branch.

The small convolutional net of every introduction: the layers of LeNet-5 (LeCun et al. 1998), with
3x3 convolutions, batch normalisation, ReLU and max pooling in place of 5x5, tanh and averages. Weights start by
Glorot's rule; batch norm has momentum 0.9, since runs on small sets are short, and Keras' epsilon of 1e-3.
"""

from collections.abc import Sequence

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import (
    check_fractions,
    check_image_shape,
    check_value,
    check_whole_number,
    check_whole_numbers,
)
from zoo.models.ends import sequential_features
from zoo.models.published import own_names
from zoo.registry import register_model


@register_model(
    paper="LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition, "
    "Proc. IEEE 86:2278-2324 (the idea; 3x3, batch norm, ReLU and max pooling since)",
    input_shape=(28, 28, 1),
    num_classes=10,
    parameters=421_738,
    macs=4_241_152,
)
def simple_cnn(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    filters: Sequence[int] = (32, 64),
    hidden_units: int = 128,
    batch_norm: bool = True,
    dropout: float = 0.0,
    features: bool = False,
) -> keras.Model:
    """Small convolutional net.

    Args:
        input_shape: `(height, width, channels)`; each stage halves height and width.
        num_classes: logits; 0 ends the net after the hidden dense layer.
        filters: one 3x3 convolution and one 2x2 max pooling for each entry.
        hidden_units: units of the dense layer before the logits.
        batch_norm: normalise after each convolution.
        dropout: fraction dropped before the logits.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, `dropout` is no fraction, or another value is not allowed.
    """
    check_whole_numbers("filters", filters, least=1)
    check_value(len(filters) > 0, "filters", filters, "it must have at least one entry")
    check_whole_number("hidden_units", hidden_units, least=1)
    check_fractions("simple_cnn", dropout=dropout)
    check_image_shape("simple_cnn", input_shape, smallest=2 ** len(filters), open_size=features)
    layers = [keras.Input(input_shape, name="image")]
    stages = {}
    for i, channels in enumerate(filters, 1):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", use_bias=not batch_norm, name=f"conv{i}"))
        if batch_norm:
            layers.append(BatchNormalization(momentum=0.9, name=f"conv{i}_bn"))
        layers.append(keras.layers.ReLU(name=f"conv{i}_relu"))
        stages[2 ** (i - 1)] = layers[-1]
        layers.append(keras.layers.MaxPooling2D(2, name=f"pool{i}"))
    stages[2 ** len(filters)] = layers[-1]
    if features:
        return sequential_features(layers, stages, "simple_cnn")
    layers.append(keras.layers.Flatten(name="flatten"))
    layers.append(keras.layers.Dense(hidden_units, activation="relu", name="hidden"))
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="dropout"))
    if num_classes:
        layers.append(keras.layers.Dense(num_classes, dtype="float32", name="logits"))
    return keras.Sequential(layers, name="simple_cnn")


PUBLISHED = {"zoo": own_names("hidden", "logits")}
