"""Functional: one tower is called once for each input, and a Sequential has neither several inputs nor shared layers.

Bromley, Guyon, LeCun, Saeckinger and Shah 1993, Signature verification using a "Siamese" time delay neural network,
NIPS 6: two inputs pass through the same weights, and the cosine of what comes out says how alike they are. Chopra,
Hadsell and LeCun 2005 (CVPR, Learning a similarity metric discriminatively) take the L1 distance; Hadsell, Chopra and
LeCun 2006 (CVPR, Dimensionality reduction by learning an invariant mapping) the L2 distance and the contrastive loss.
`triplet` is the embedding of Schroff, Kalenichenko and Philbin 2015, FaceNet, arXiv:1503.03832.

Deviations: the towers are any classifier of the zoo in place of the papers' own nets, and dense layers start as Keras
does. Every comparison is in float32.
"""

import keras

from zoo.models.arguments import check_choice, check_whole_number
from zoo.models.towers import build_tower
from zoo.registry import register_model

DISTANCES = ("l1", "l2", "cosine")
# Under the root of the L2 distance: equal embeddings are 1e-6 apart, and the gradient there is 0 instead of NaN.
DISTANCE_EPSILON = 1e-12
# Under the root of the length: a zero embedding, such as a blank image's, stays zero, and its gradient is at most 1e4
# where `keras.layers.UnitNormalization` gives 1e12.
MEAN_SQUARE_EPSILON = 1e-8


def unit_length(x):
    """Vectors `(batch, size)` divided by their L2 norm, in float32.

    Very short ones stay shorter: with components of about 1e-3 the length becomes 0.995, with 1e-4 0.71.
    """
    # The L2 norm is the root of the mean square times that of the size.
    x = keras.ops.cast(x, "float32")
    return keras.ops.rms_normalization(x, scale=x.shape[-1] ** -0.5, epsilon=MEAN_SQUARE_EPSILON)


def embedding_tower(
    input_shape: tuple[int, ...], tower: str, tower_args: dict | None, embedding_size: int, *, normalize: bool
) -> keras.Model:
    """A classifier up to its features, then what makes them an embedding: all that the inputs share."""
    net = build_tower("tower", tower, input_shape, tower_args)
    x = net.outputs[0]
    if embedding_size:
        x = keras.layers.Dense(embedding_size, name="embedding")(x)
    if normalize:
        x = unit_length(x)
    return keras.Model(net.inputs[0], x, name="tower")


def comparison(left, right, distance: str):
    """How two embeddings `(batch, size)` differ in each component, float32; those of `cosine` have length 1."""
    if distance == "cosine":
        return keras.layers.Multiply(dtype="float32", name="product")([left, right])
    difference = keras.layers.Subtract(dtype="float32", name="difference")([left, right])
    return keras.ops.abs(difference) if distance == "l1" else keras.ops.square(difference)


def total_distance(x, distance: str):
    """One number `(batch, 1)` from a comparison `(batch, size)`."""
    x = keras.ops.sum(x, axis=-1, keepdims=True)
    if distance == "l2":
        x = keras.ops.sqrt(x + DISTANCE_EPSILON)
    if distance == "cosine":
        x = 1.0 - x
    return keras.layers.Identity(dtype="float32", name="distance")(x)


@register_model(
    paper="Bromley, Guyon, LeCun, Saeckinger and Shah 1993, Signature verification using a Siamese time delay neural "
    "network, NIPS 6",
    input_shape=(32, 32, 1),
    num_classes=None,
    parameters=543_457,
    macs=11_075_712,
    task="verification",
)
def siamese(
    input_shape: tuple[int, ...],
    num_classes: int | None,
    *,
    tower: str = "simple_cnn",
    tower_args: dict | None = None,
    embedding_size: int = 0,
    distance: str = "l1",
    head: str = "logit",
) -> keras.Model:
    """Are `left` and `right` of one kind?

    Args:
        input_shape: of each of the two inputs; what the tower takes.
        num_classes: None; 0 gives the comparison of the embeddings, `(batch, size)`.
        tower: any classifier of one input.
        tower_args: its hyperparameters.
        embedding_size: units of a dense layer that ends the tower; 0: its features are the embedding.
        distance: `l1`, `l2` or `cosine`.
        head: `logit`: a dense layer weighs the components of the comparison (|l - r|, (l - r)^2, or the product
            of both brought to length 1), output `logits` `(batch, 1)`. `distance`: sum of |l - r|, Euclidean
            distance, or 1 - cosine, without weights, output `distance` `(batch, 1)`, for the contrastive loss.

    Raises:
        RequestError: the tower is no classifier of one input, or another value is not allowed.
    """
    check_choice("distance", distance, DISTANCES)
    check_choice("head", head, ("logit", "distance"))
    check_whole_number("embedding_size", embedding_size, least=0)
    twin = embedding_tower(input_shape, tower, tower_args, embedding_size, normalize=distance == "cosine")
    left, right = keras.Input(input_shape, name="left"), keras.Input(input_shape, name="right")
    x = comparison(twin(left), twin(right), distance)
    if num_classes is None and head == "logit":
        x = keras.layers.Dense(1, dtype="float32", name="logits")(x)
    elif num_classes is None:
        x = total_distance(x, distance)
    return keras.Model({"left": left, "right": right}, x, name="siamese")


@register_model(
    paper="Schroff, Kalenichenko and Philbin 2015, FaceNet: A unified embedding for face recognition and clustering, "
    "arXiv:1503.03832",
    input_shape=(32, 32, 1),
    num_classes=None,
    parameters=559_840,
    macs=16_662_528,
    task="verification",
)
def triplet(
    input_shape: tuple[int, ...],
    num_classes: int | None,
    *,
    tower: str = "simple_cnn",
    tower_args: dict | None = None,
    embedding_size: int = 128,
) -> keras.Model:
    """Embeddings of `anchor`, `positive` (of the anchor's kind) and `negative` (of another kind).

    Args:
        input_shape: of each of the three inputs; what the tower takes.
        num_classes: None or 0: there is no classifier, the outputs are the same.
        tower: any classifier of one input.
        tower_args: its hyperparameters.
        embedding_size: components of an embedding; the paper has 128.

    Returns:
        A model whose outputs are a dictionary with the keys of the inputs: `(batch, embedding_size)`, float32, of
        length 1. `model.get_layer("tower")` embeds one image.

    Raises:
        RequestError: the tower is no classifier of one input, or another value is not allowed.
    """
    check_whole_number("embedding_size", embedding_size, least=1)
    shared = embedding_tower(input_shape, tower, tower_args, embedding_size, normalize=True)
    inputs = {name: keras.Input(input_shape, name=name) for name in ("anchor", "positive", "negative")}
    return keras.Model(inputs, {name: shared(x) for name, x in inputs.items()}, name="triplet")
