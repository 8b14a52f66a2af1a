"""Holds a net of the zoo against the same net of another author, such as `keras.applications`.

Both graphs are walked from the output, depth first, each layer's inputs in the order of its arguments. So layers
match by their place in the graph, whatever their names are and in whatever order they were made.
"""

import keras
import numpy as np

from zoo.pretrained.layers import layers_by_name


def layers_with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have weights, each once, every one after those that it takes its inputs from."""
    return list(layers_by_name(model).values())


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Random weights under which every one counts: He-normal kernels, scales and variances near 1, the rest near 0."""
    rng = np.random.default_rng(seed)
    for layer in layers_with_weights(model):
        for variable in layer.weights:
            if len(variable.shape) > 1:
                depthwise = "depthwise" in variable.path
                fan_in = np.prod(variable.shape[:2] if depthwise else variable.shape[:-1])
                value = rng.standard_normal(variable.shape) * (1 if depthwise else 2**0.5) / fan_in**0.5
            elif variable.name in ("gamma", "moving_variance"):
                value = rng.uniform(0.8, 1.2, variable.shape)
            else:
                value = 0.1 * rng.standard_normal(variable.shape)
            variable.assign(value)


def copy_weights(theirs: keras.Model, ours: keras.Model) -> None:
    """Gives every layer of `ours` the weights of the layer in its place in `theirs`.

    Fails where the nets have another number of layers with weights, or a layer's weights have other shapes.
    """
    pairs = list(zip(layers_with_weights(theirs), layers_with_weights(ours), strict=False))
    for their, our in pairs:
        shapes = [[tuple(variable.shape) for variable in layer.weights] for layer in (their, our)]
        assert shapes[0] == shapes[1], f"{their.name} has {shapes[0]}, {our.name} has {shapes[1]}"
        our.set_weights(their.get_weights())
    assert len(layers_with_weights(theirs)) == len(layers_with_weights(ours)) == len(pairs)


def assert_same_forward(
    ours: keras.Model, theirs: keras.Model, input_shape: tuple[int, ...], *, tolerance: float = 1e-4, seed: int = 0
) -> float:
    """Gives both nets the same random weights and images, and holds their outputs against each other.

    Args:
        ours: one input, one output.
        theirs: the reference, likewise, without a softmax; its weights are overwritten.
        input_shape: of one example.
        tolerance: the largest difference allowed, as a fraction of the largest output.
        seed: of weights and images.

    Returns:
        The largest difference, as that fraction.
    """
    randomise(theirs, seed)
    copy_weights(theirs, ours)
    images = np.random.default_rng(seed + 1).standard_normal((2, *input_shape)).astype("float32")
    expected, outputs = (keras.ops.convert_to_numpy(model(images, training=False)) for model in (theirs, ours))
    assert outputs.shape == expected.shape
    largest = np.abs(expected).max()
    # The images must matter: outputs that hang on the biases alone would agree whatever comes before.
    assert np.abs(expected[0] - expected[1]).max() > 100 * tolerance * largest
    difference = np.abs(outputs - expected).max() / largest
    assert difference <= tolerance, f"outputs differ by {difference:.1e} of the largest"
    return float(difference)
