import keras
import pytest

import zoo
from zoo.analysis.graph import layer_rows, shapes_by_name, why_not_sequential


def dense(x, name):
    return keras.layers.Dense(4, name=name)(x)


def chain():
    x = keras.Input((4,), name="vector")
    return keras.Model(x, dense(dense(x, "one"), "two"))


def two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    return keras.Model([left, right], keras.layers.Add(name="add")([left, right]))


def two_outputs():
    x = keras.Input((4,), name="vector")
    return keras.Model(x, {"one": dense(x, "one"), "two": dense(x, "two")})


def skip():
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    return keras.Model(x, keras.layers.Add(name="add")([dense(y, "two"), y]))


def shared():
    x = keras.Input((4,), name="vector")
    layer = keras.layers.Dense(4, name="twice")
    return keras.Model(x, layer(layer(x)))


def operator_skip():
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    return keras.Model(x, y + keras.ops.relu(y))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (chain, None),
        (two_inputs, "it has 2 inputs: left, right"),
        (two_outputs, "it has 2 outputs: one, two"),
        (skip, "the output of one goes to two and add: the path branches there"),
        (shared, "twice is called more than once: its weights are shared"),
        (operator_skip, "the output of one goes to relu and add: the path branches there"),
    ],
)
def test_verdict_comes_from_the_graph(make, reason):
    keras.backend.clear_session()
    assert why_not_sequential(make()) == reason


def test_a_sequential_could_be_one():
    assert why_not_sequential(zoo.build_model("mlp")) is None


def test_rows_follow_the_computation():
    rows = layer_rows(skip())
    assert [row.name for row in rows] == ["vector", "one", "two", "add"]
    assert rows[3].inputs == ("two", "one")
    assert [row.parameters for row in rows] == [0, 20, 20, 0]
    assert rows[1].output_shape == "4"
    # A shared layer has a row for each call.
    assert [row.name for row in layer_rows(shared())] == ["vector", "twice", "twice"]


def test_shapes_by_name():
    assert shapes_by_name(two_inputs().inputs) == {"left": [4], "right": [4]}
