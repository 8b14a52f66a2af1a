"""Functional: an image and a vector, or a category, meet in one net, and a Sequential has one input.

Perez, Strub, de Vries, Dumoulin and Courville 2018, FiLM: Visual reasoning with a general conditioning layer, AAAI,
arXiv:1709.07871: the second input scales and shifts each channel of the image's features. The plain way to join two
inputs, concatenation, stands beside it.

Deviations: the paper modulates feature maps in each residual block; here it is done once, to the features that end the
tower. Where those are the average over a last feature map, this equals modulating that map. The scale starts at 1 plus
a small product, as in the paper (appendix), through a bias of 1. Other initialisers are Keras' own.
"""

import keras

from zoo.models.arguments import check_choice, check_fractions, check_whole_number
from zoo.models.towers import build_tower
from zoo.registry import register_model


def film(x, condition):
    """`gamma(condition) * x + beta(condition)` for each of the features `(batch, width)`."""
    width = x.shape[-1]
    gamma = keras.layers.Dense(width, bias_initializer="ones", name="film_gamma")(condition)
    beta = keras.layers.Dense(width, name="film_beta")(condition)
    x = keras.layers.Multiply(name="film_scale")([x, gamma])
    return keras.layers.Add(name="film_shift")([x, beta])


@register_model(
    paper="Perez, Strub, de Vries, Dumoulin and Courville 2018, FiLM: Visual reasoning with a general conditioning "
    "layer, arXiv:1709.07871",
    input_shape=(32, 32, 1),
    num_classes=170,
    parameters=591_050,
    macs=5_585_152,
)
def multi_input(
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    tower: str = "simple_cnn",
    tower_args: dict | None = None,
    vector_size: int = 16,
    categories: int = 0,
    condition_units: int = 64,
    join: str = "concatenate",
    hidden_units: int = 128,
    dropout: float = 0.0,
) -> keras.Model:
    """Classifier of an `image` with a `vector` or a `category`.

    Args:
        input_shape: of the image; what the tower takes.
        num_classes: logits; 0 gives the joined features after the hidden layer.
        tower: any classifier of one input, for the image.
        tower_args: its hyperparameters.
        vector_size: the second input is `vector`, `(batch, vector_size)`, through a dense layer.
        categories: above 0 the second input is `category` in place of `vector`: whole numbers `(batch,)` from 0 to
            categories - 1, int32, through an embedding.
        condition_units: what the vector or the category becomes.
        join: `concatenate`, or `film`.
        hidden_units: of the dense layer after the join.
        dropout: fraction dropped before the logits.

    Raises:
        RequestError: `dropout` is no fraction, the tower no classifier of one input, or another value is not allowed.
    """
    check_choice("join", join, ("concatenate", "film"))
    check_whole_number("categories", categories, least=0)
    check_whole_number("vector_size", vector_size, least=1)
    check_whole_number("condition_units", condition_units, least=1)
    check_whole_number("hidden_units", hidden_units, least=1)
    check_fractions("multi_input", dropout=dropout)
    net = build_tower("tower", tower, input_shape, tower_args)
    image = keras.Input(input_shape, name="image")
    x = keras.Model(net.inputs[0], net.outputs[0], name="tower")(image)
    if categories:
        second = keras.Input((), dtype="int32", name="category")
        condition = keras.layers.Embedding(categories, condition_units, name="category_embedding")(second)
    else:
        second = keras.Input((vector_size,), name="vector")
        condition = keras.layers.Dense(condition_units, activation="relu", name="vector_hidden")(second)
    x = film(x, condition) if join == "film" else keras.layers.Concatenate(name="join")([x, condition])
    x = keras.layers.Dense(hidden_units, activation="relu", name="hidden")(x)
    if num_classes:
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model({"image": image, second.name: second}, x, name="multi_input")
