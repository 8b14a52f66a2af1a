"""Functional: one tower is called once for each input, and a Sequential has neither several inputs nor shared layers.

Koch, Zemel and Salakhutdinov 2015, Siamese neural networks for one-shot image recognition, ICML deep learning workshop,
figure 4, for Omniglot. Initialisation is the paper's (section 3.2). Deviation: the sigmoid after the logit belongs to
the loss here.
"""

import keras

from zoo.models.arguments import check_image_shape
from zoo.models.functional.siamese import comparison
from zoo.registry import register_model


def initializers(deviation: float) -> dict[str, keras.Initializer]:
    """Weights N(0, deviation), biases N(0.5, 0.01)."""
    return {
        "kernel_initializer": keras.initializers.RandomNormal(0.0, deviation),
        "bias_initializer": keras.initializers.RandomNormal(0.5, 0.01),
    }


@register_model(
    paper="Koch, Zemel and Salakhutdinov 2015, Siamese neural networks for one-shot image recognition, ICML deep "
    "learning workshop",
    input_shape=(105, 105, 1),
    num_classes=None,
    parameters=38_951_745,
    macs=1_817_251_840,
    task="verification",
)
def siamese_koch(input_shape: tuple[int, ...], num_classes: int | None) -> keras.Model:
    """The pair of figure 4, for Omniglot: output `logits` `(batch, 1)`, of the weighted L1 distance.

    Args:
        input_shape: `(height, width, channels)`, at least 65x65. Sizes in the comments are those of 105x105.
        num_classes: None; 0 gives |l - r| of the embeddings, `(batch, 4096)`.

    Raises:
        RequestError: the shape is no image's of that size.
    """
    check_image_shape("siamese_koch", input_shape, smallest=65, open_size=False)
    # One path, so the twin is a Sequential; the pair is not.
    twin = keras.Sequential([keras.Input(input_shape, name="image")], name="tower")
    for i, (filters, size) in enumerate(((64, 10), (128, 7), (128, 4), (256, 4)), 1):  # 96, 42, 18, 6
        twin.add(keras.layers.Conv2D(filters, size, activation="relu", **initializers(0.01), name=f"conv{i}"))
        if i < 4:
            twin.add(keras.layers.MaxPooling2D(2, name=f"pool{i}"))  # 48, 21, 9
    twin.add(keras.layers.Flatten(name="flatten"))  # 9216
    twin.add(keras.layers.Dense(4096, activation="sigmoid", **initializers(0.2), name="embedding"))
    left, right = keras.Input(input_shape, name="left"), keras.Input(input_shape, name="right")
    x = comparison(twin(left), twin(right), "l1")
    if num_classes is None:
        x = keras.layers.Dense(1, **initializers(0.2), dtype="float32", name="logits")(x)
    return keras.Model({"left": left, "right": right}, x, name="siamese_koch")
