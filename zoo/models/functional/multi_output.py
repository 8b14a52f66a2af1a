"""Functional: one trunk feeds several heads, and a Sequential has one output.

Caruana 1997, Multitask learning, Machine Learning 28:41-75: tasks that share their hidden layers teach each other.
The paper's nets share one hidden layer; here the trunk is any classifier of the zoo. Heads are dense layers,
initialised as Keras does.
"""

import re

import keras

from zoo.models.arguments import check_fractions, check_value
from zoo.models.towers import build_tower
from zoo.registry import register_model

HEADS = {"character": 170, "typeface": 12}
ALLOWED = (
    "a head is a name (letters, digits and underscores, a letter first, no layer of the trunk) with its number of "
    "classes, at least 2, or with 'regression' or 'regression:N' for N numbers"
)
DROPOUT = "heads_dropout"


def head_sizes(heads: dict[str, int | str], taken: set[str]) -> dict[str, int]:
    """How many numbers each head gives.

    Args:
        heads: as `multi_output` takes them.
        taken: names that no head may have.

    Raises:
        RequestError: there are no heads, or one of them is malformed.
    """
    is_dictionary = isinstance(heads, dict) and len(heads) > 0
    check_value(is_dictionary, "heads", heads, f"it must be a dictionary of at least one head: {ALLOWED}")
    sizes = {}
    for name, kind in heads.items():
        is_name = isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
        check_value(is_name, "heads", heads, f"{name!r} is no name: {ALLOWED}")
        check_value(name not in taken, "heads", heads, f"{name!r} is a layer of the trunk: {ALLOWED}")
        regression = re.fullmatch(r"regression(?::([1-9][0-9]*))?", kind) if isinstance(kind, str) else None
        is_kind = regression or (type(kind) is int and kind >= 2)
        check_value(is_kind, "heads", heads, f"{kind!r} of {name!r} is no kind of head: {ALLOWED}")
        sizes[name] = int(regression[1] or 1) if regression else kind
    return sizes


@register_model(
    paper="Caruana 1997, Multitask learning, Machine Learning 28:41-75",
    input_shape=(32, 32, 1),
    num_classes=None,
    parameters=566_806,
    macs=5_561_088,
    task="multi_output",
)
def multi_output(
    input_shape: tuple[int, ...],
    num_classes: int | None,
    *,
    trunk: str = "simple_cnn",
    trunk_args: dict | None = None,
    heads: dict[str, int | str] | None = None,
    dropout: float = 0.0,
) -> keras.Model:
    """One input, an output for each head.

    Args:
        input_shape: what the trunk takes.
        num_classes: None; 0 gives the trunk's features.
        trunk: any classifier of one input.
        trunk_args: its hyperparameters.
        heads: name -> number of classes, at least 2, or `regression` for one number, `regression:N` for N; default:
            `HEADS`.
        dropout: fraction of the features dropped before the heads.

    Returns:
        A model whose outputs are a dictionary by the heads' names, float32: logits `(batch, classes)`, numbers
        `(batch, N)`. As with auxiliary heads, an output's name is what weighs its loss; all weigh 1 by default.

    Raises:
        RequestError: `dropout` is no fraction, the trunk is no classifier of one input, or a head is malformed.
    """
    check_fractions("multi_output", dropout=dropout)
    net = build_tower("trunk", trunk, input_shape, trunk_args)
    # Growing a net: a new model on its input and output. The trunk's layers are layers of this model.
    features = keras.Model(net.inputs[0], net.outputs[0], name="multi_output")
    taken = {DROPOUT, *(operation.name for operation in features.operations)}
    sizes = head_sizes(HEADS if heads is None else heads, taken)
    if num_classes == 0:
        return features
    x = features.output
    if dropout:
        x = keras.layers.Dropout(dropout, name=DROPOUT)(x)
    outputs = {name: keras.layers.Dense(size, dtype="float32", name=name)(x) for name, size in sizes.items()}
    return keras.Model(features.input, outputs, name="multi_output")
