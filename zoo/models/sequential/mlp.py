"""Sequential: a multilayer perceptron is one path, each layer feeding the next and nothing else.

Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors,
Nature 323:533-536. Today's form: ReLU, and batch normalisation or dropout where asked. Weights start by Glorot's
rule; batch norm has momentum 0.9, since runs on small sets are short, and Keras' epsilon of 1e-3.
"""

from collections.abc import Sequence

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_choice, check_fractions, check_value, check_whole_numbers
from zoo.registry import register_model

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "elu", "silu")


@register_model(
    paper="Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors, "
    "Nature 323:533-536",
    input_shape=(28, 28, 1),
    num_classes=10,
    parameters=242_762,
    macs=242_304,
)
def mlp(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    hidden_sizes: Sequence[int] = (256, 128, 64),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> keras.Sequential:
    """Multilayer perceptron on vectors `(features,)` or on flattened images `(height, width, channels)`.

    Args:
        input_shape: shape of one example.
        num_classes: logits; 0 ends the net after the last hidden layer.
        hidden_sizes: units of each hidden layer; an empty list is logistic regression.
        activation: of the hidden layers, one of `ACTIVATIONS`.
        batch_norm: normalise before each activation (Ioffe and Szegedy 2015, arXiv:1502.03167).
        dropout: fraction dropped after each activation (Srivastava et al. 2014, JMLR 15:1929-1958).

    Raises:
        RequestError: `dropout` is no fraction, or another value is not allowed.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_whole_numbers("hidden_sizes", hidden_sizes, least=1)
    check_fractions("mlp", dropout=dropout)
    check_value(None not in input_shape, "input_shape of mlp", input_shape, "its weights depend on all sizes")
    # A net of no layers at all is none that Keras could build.
    something = bool(hidden_sizes) or num_classes > 0 or len(input_shape) > 1
    check_value(something, "hidden_sizes", hidden_sizes, "with num_classes=0 a vector needs at least one hidden layer")
    name = "vector" if len(input_shape) == 1 else "image"
    layers = [keras.Input(input_shape, name=name)]
    if len(input_shape) > 1:
        layers.append(keras.layers.Flatten(name="flatten"))
    for i, units in enumerate(hidden_sizes, 1):
        # A bias before batch normalisation would be cancelled by it.
        layers.append(keras.layers.Dense(units, use_bias=not batch_norm, name=f"hidden{i}"))
        if batch_norm:
            layers.append(BatchNormalization(momentum=0.9, name=f"hidden{i}_bn"))
        layers.append(keras.layers.Activation(activation, name=f"hidden{i}_{activation}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"hidden{i}_dropout"))
    if num_classes:
        layers.append(keras.layers.Dense(num_classes, dtype="float32", name="logits"))
    return keras.Sequential(layers, name="mlp")
