"""Small nets whose branches, merges and skip connections can be counted on paper."""

import keras
import pytest
from keras import layers, ops

from zoo.analysis.nets.graph import calls
from zoo.analysis.nets.structure import branches, merges, shared_layers, skip_connections


def image(name="image"):
    return keras.Input((8, 8, 4), name=name)


def conv(x, filters=4):
    return layers.Conv2D(filters, 3, padding="same")(x)


def residual(x, shortcut):
    return layers.Add()([conv(conv(x)), shortcut(x)])


def residual_blocks():
    """The three shortcuts of the literature: as it is, convolved, pooled."""
    x = conv(inputs := image())
    for shortcut in (lambda x: x, conv, layers.AveragePooling2D(1)):
        x = residual(x, shortcut)
    return keras.Model(inputs, x)


def operator_residual():
    x = image()
    return keras.Model(x, x + conv(x))


def inception():
    x = image()
    pooled = conv(layers.MaxPooling2D(3, strides=1, padding="same")(x))
    towers = [conv(x), conv(conv(x)), pooled]
    reduced = layers.Concatenate()(towers)
    return keras.Model(x, ops.concatenate([conv(reduced), layers.AveragePooling2D(1)(reduced)], axis=-1))


def dense_block():
    """Each of three layers takes all the earlier ones."""
    inputs = x = image()
    for _ in range(3):
        x = layers.Concatenate()([x, conv(x)])
    return keras.Model(inputs, x)


def squeeze_and_excitation():
    inputs = image()
    x = conv(inputs)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Multiply()([x, gate]))


def gated_residual():
    inputs = image()
    x = conv(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, layers.Add()([inputs, layers.Multiply()([x, gate])]))


def sum_of_inputs():
    left, right = image("left"), image("right")
    return keras.Model([left, right], layers.Add()([conv(left), conv(right)]))


def residual_with_memory():
    """The branch also takes a second input; the first still goes past it."""
    x, memory = image(), image("memory")
    return keras.Model([x, memory], layers.Add()([x, layers.Multiply()([conv(x), memory])]))


def film():
    x, vector = image(), keras.Input((3,), name="vector")
    scale, shift = (layers.Reshape((1, 1, 4))(layers.Dense(4)(vector)) for _ in range(2))
    return keras.Model([x, vector], conv(x) * scale + shift)


def same_twice():
    x = image()
    return keras.Model(x, layers.Add()([x, x]))


def shuffle():
    """Half of the channels goes past: beside it stands what is computed from the other half."""
    x = image()
    left, right = ops.split(x, 2, axis=-1)
    return keras.Model(x, layers.Concatenate()([left, conv(right)]))


def other_merges():
    x = image()
    y = conv(x)
    merged = [merge()([x, y]) for merge in (layers.Average, layers.Maximum, layers.Minimum, layers.Subtract)]
    return keras.Model(x, [*merged, ops.subtract(x, y), layers.Dot(-1)([x, y])])


@pytest.mark.parametrize(
    ("make", "expected"),  # branches, (add, concatenate, multiply, other), skip connections
    [
        (residual_blocks, (3, (3, 0, 0, 0), 3)),
        (operator_residual, (1, (1, 0, 0, 0), 1)),
        (inception, (2, (0, 2, 0, 0), 0)),
        (dense_block, (3, (0, 3, 0, 0), 3)),
        (squeeze_and_excitation, (1, (0, 0, 1, 0), 0)),
        (gated_residual, (2, (1, 0, 1, 0), 1)),
        (sum_of_inputs, (0, (1, 0, 0, 0), 0)),
        (residual_with_memory, (1, (1, 0, 1, 0), 1)),
        (film, (1, (1, 0, 1, 0), 0)),
        (same_twice, (0, (1, 0, 0, 0), 0)),
        (shuffle, (0, (0, 1, 0, 0), 0)),
        (other_merges, (2, (0, 0, 0, 6), 0)),
    ],
)
def test_counted_on_paper(make, expected):
    found = calls(make())
    counted = merges(found)
    assert list(counted) == ["add", "concatenate", "multiply", "other"]
    assert (branches(found), tuple(counted.values()), skip_connections(found)) == expected


def test_a_skip_may_cross_the_border_of_a_nested_model():
    inner_input = image("inner_image")
    inner = keras.Model(inner_input, conv(inner_input))
    x = image()
    found = calls(keras.Model(x, layers.Concatenate()([x, inner(x)])))
    assert (branches(found), skip_connections(found)) == (1, 1)


def tower(block=None):
    x = inputs = keras.Input((4,))
    relu = layers.ReLU(name="relu")
    for name in ("one", "two"):
        x = relu(layers.Dense(4, name=name)(x))
    return keras.Model(inputs, block(x) if block else x, name="tower")


def siamese(tower):
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    return keras.Model([left, right], layers.Subtract(name="difference")([tower(left), tower(right)]))


def test_shared_layers():
    assert shared_layers(calls(keras.Sequential([keras.Input((4,)), layers.Dense(4)]))) == []
    assert shared_layers(calls(tower())) == [{"name": "relu", "calls": 2}]


def test_a_shared_tower_stands_for_what_is_inside_it():
    block = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="three")], name="block")
    # The tower calls its one relu twice, and is called twice.
    assert shared_layers(calls(siamese(tower(block)))) == [
        {"name": "tower", "calls": 2},
        {"name": "tower/relu", "calls": 4},
    ]


def test_a_layer_shared_by_a_tower_and_another_is_listed():
    layer = layers.Dense(4, name="dense")
    inner = keras.Sequential([keras.Input((4,)), layer], name="inner")
    x = keras.Input((4,))
    assert shared_layers(calls(keras.Model(x, layer(inner(x))))) == [{"name": "inner/dense", "calls": 2}]
