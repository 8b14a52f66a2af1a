import re

import keras
import numpy as np
import pytest
from keras import layers

import zoo
from zoo.analysis.nets.graph import (
    calls,
    graph_of,
    layer_rows,
    shapes_by_name,
    style_of,
    why_not_sequential,
    without_weights,
)


def dense(x, name):
    return layers.Dense(4, name=name)(x)


def chain():
    x = keras.Input((4,), name="vector")
    return keras.Model(x, dense(dense(x, "one"), "two"))


def two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    return keras.Model([left, right], layers.Add(name="add")([left, right]))


def two_outputs():
    x = keras.Input((4,), name="vector")
    return keras.Model(x, {"logits": dense(x, "one"), "aux1": dense(x, "two")})


def skip(name=None):
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    return keras.Model(x, layers.Add(name="add")([dense(y, "two"), y]), name=name)


def shared():
    x = keras.Input((4,), name="vector")
    layer = layers.Dense(4, name="twice")
    return keras.Model(x, layer(layer(x)))


def shared_activation():
    x = keras.Input((4,), name="vector")
    relu = layers.ReLU(name="relu")
    return keras.Model(x, relu(dense(relu(x), "one")))


def operator_skip():
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    return keras.Model(x, y + keras.ops.relu(y))


def square():
    x = keras.Input((4,), name="vector")
    return keras.Model(x, layers.Multiply(name="square")([x, x]))


def split():
    x = keras.Input((4,), name="vector")
    halves = keras.ops.split(x, 2, axis=1)
    return keras.Model(x, layers.Concatenate(name="join")(halves[::-1]))


def unused_end():
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    both = keras.Model(x, [y, dense(y, "two")], name="both")
    outer = keras.Input((4,), name="outer")
    return keras.Model(outer, both(outer)[0])


def nested_sequential():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="one")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2, name="two")])


def nested_skip():
    return keras.Sequential([keras.Input((4,)), skip("block"), layers.Dense(2, name="three")])


def shared_tower():
    tower = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="hidden")], name="tower")
    x = keras.Input((4,), name="vector")
    return keras.Model(x, tower(tower(x)))


def called(step, name="vector"):
    x = keras.Input((4,), name=name)
    return keras.Model(x, step(x))


def defaults_repeated():
    norm, drop, memory = layers.BatchNormalization(), layers.Dropout(0.5), layers.LSTM(4)
    x = keras.Input((7, 4), name="vector")
    return keras.Model(x, drop(inputs=memory(norm(x, training=None, mask=None), training=False), training=None))


def built_late(training):
    net = keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), keras.layers.ReLU()])
    net(np.zeros((2, 4)), training=training)
    return net


def frozen_part():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="one")], name="inner")
    return called(lambda x: dense(inner(x, training=False), "two"))


def part_called_with_a_list():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="one")], name="inner")
    return called(lambda x: inner([x]))


def list_of_one():
    x = keras.Input((4,), name="vector")
    return keras.Model([x], [dense(x, "one")])


def dictionary(inputs=False):
    x = keras.Input((4,), name="vector")
    y = dense(x, "one")
    return keras.Model({"vector": x}, y) if inputs else keras.Model(x, {"logits": y})


ONE_TENSOR = "a Sequential passes its layers one tensor and nothing else"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (chain, None),
        (nested_sequential, None),
        (defaults_repeated, None),
        (lambda: built_late(True), None),
        (lambda: built_late(False), None),
        (part_called_with_a_list, None),
        (list_of_one, None),
        (dictionary, "it gives a dictionary"),
        (lambda: dictionary(inputs=True), "it takes a dictionary"),
        (
            lambda: called(lambda x: layers.Dropout(0.5, name="drop")(x, training=True)),
            f"drop is called with training=True: {ONE_TENSOR}",
        ),
        (
            lambda: called(lambda x: layers.BatchNormalization(name="norm")(dense(x, "one"), training=False)),
            f"norm is called with training=False: {ONE_TENSOR}",
        ),
        (
            lambda: called(lambda x: layers.ReversibleEmbedding(9, 4, name="back")(x, reverse=True)),
            f"back is called with reverse=True: {ONE_TENSOR}",
        ),
        (
            lambda: called(lambda x: layers.Concatenate(name="join")([x])),
            f"join is called with a list: {ONE_TENSOR}",
        ),
        (frozen_part, f"inner is called with training=False: {ONE_TENSOR}"),
        (lambda: called(keras.ops.relu), "relu is an operation and no layer"),
        (lambda: called(lambda x: keras.ops.pad(x, [(0, 0), (1, 1)])), "pad is an operation and no layer"),
        (lambda: called(lambda x: dense(x, "one") + 1), "add is an operation and no layer"),
        (two_inputs, "it has 2 inputs: left, right"),
        (two_outputs, "it has 2 outputs: logits, aux1"),
        (skip, "the output of one goes to two and add: the path branches there"),
        (shared, "twice is called more than once: its weights are shared"),
        (shared_activation, "relu is called more than once"),
        (operator_skip, "the output of one goes to relu and add: the path branches there"),
        (square, "square takes 2 tensors: paths join there"),
        (split, "split puts out 2 tensors: the path branches there"),
        (unused_end, "the output of both/one goes to both/two and the model's output: the path branches there"),
        (nested_skip, "the output of block/one goes to block/two and block/add: the path branches there"),
        (shared_tower, "tower is called more than once: its weights are shared"),
    ],
)
def test_verdict_comes_from_the_graph(make, reason):
    found = why_not_sequential(make())
    # Keras numbers the operations of a process, which cannot be named.
    assert (found and re.sub(r"\b(add|pad|relu|split)_\d+\b", r"\1", found)) == reason


def test_a_call_with_arguments_outlives_saving(tmp_path):
    called(lambda x: layers.Dropout(0.5, name="drop")(x, training=True)).save(tmp_path / "model.keras")
    found = why_not_sequential(zoo.load_model(str(tmp_path / "model.keras")))
    assert found == f"drop is called with training=True: {ONE_TENSOR}"
    defaults_repeated().save(tmp_path / "model.keras")
    assert why_not_sequential(zoo.load_model(str(tmp_path / "model.keras"))) is None


def test_rows_follow_the_computation():
    rows = layer_rows(calls(skip()))
    assert [row.name for row in rows] == ["vector", "one", "two", "add"]
    assert rows[3].inputs == ("two", "one")
    assert [row.parameters for row in rows] == [0, 20, 20, 0]
    assert rows[1].output_shapes == ((4,),)


def test_a_further_call_is_one_row_without_parameters():
    rows = layer_rows(calls(shared()))
    assert [row.name for row in rows] == ["vector", "twice", "twice (call 2)"]
    assert [row.parameters for row in rows] == [0, 20, None]
    rows = layer_rows(calls(shared_tower()))
    assert [row.name for row in rows] == ["vector", "tower/hidden", "tower (call 2)"]
    assert [row.kind for row in rows] == ["InputLayer", "Dense", "Sequential"]
    assert [row.parameters for row in rows] == [0, 20, None]
    assert rows[2].inputs == ("tower/hidden",)


def test_nested_models_are_expanded_for_every_call():
    found = calls(shared_tower())
    assert [call.name for call in found] == ["vector", "tower/hidden", "tower/hidden"]
    assert [call.number for call in found] == [1, 1, 2]
    vector, first, second = found
    assert first.operation is second.operation
    assert first.outputs[0] is not second.outputs[0]
    assert first.inputs == vector.outputs
    assert second.inputs == first.outputs
    assert [tensor.is_output for call in found for tensor in call.outputs] == [False, False, True]


def test_inside_a_nested_model_sizes_are_those_of_the_call():
    image = keras.Input((None, None, 3))
    any_size = keras.Model(image, layers.Conv2D(2, 3, name="conv")(image), name="any_size")
    small, large = keras.Input((8, 8, 3), name="small"), keras.Input((16, 16, 3), name="large")
    model = keras.Model([small, large], [any_size(small), any_size(large)])
    shapes = {call.inputs[0].source.name: call.outputs[0].shape for call in calls(model) if call.inputs}
    assert shapes == {"small": (6, 6, 2), "large": (14, 14, 2)}


def test_inputs_of_a_nested_model_are_matched_by_name():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    inner = keras.Model([right, left], layers.Subtract(name="subtract")([dense(left, "one"), right]), name="inner")
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    found = calls(keras.Model([a, b], inner({"left": a, "right": b})))
    taken = {call.name: [tensor.source.name for tensor in call.inputs] for call in found}
    assert taken["inner/one"] == ["a"]
    assert taken["inner/subtract"] == ["inner/one", "b"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(inputs)


class OwnForwardPass(keras.Sequential):
    def call(self, inputs):
        return inputs + super().call(inputs)


def test_a_forward_pass_in_python_has_no_graph():
    for model in (Subclassed(), OwnForwardPass([keras.Input((4,)), layers.Dense(4)])):
        assert graph_of(model) is None
        assert style_of(model) == "subclassed"
        with pytest.raises(ValueError, match="no graph to read: its forward pass is Python code"):
            calls(model)
    with pytest.raises(ValueError, match="no input shape yet"):
        why_not_sequential(keras.Sequential([layers.Dense(4)]))


def test_a_subclassed_model_inside_a_graph_is_one_step():
    x = keras.Input((4,), name="vector")
    assert [call.name for call in calls(keras.Model(x, Subclassed()(x)))] == ["vector", "subclassed"]


def test_style_is_that_of_the_object():
    assert style_of(nested_sequential()) == "sequential"
    assert style_of(chain()) == "functional"


def test_shapes_by_name():
    assert shapes_by_name(two_inputs().input) == {"left": [4], "right": [4]}
    assert list(shapes_by_name(two_outputs().output)) == ["logits", "aux1"]
    x = keras.Input((4,), name="vector")
    layer = layers.Dense(3, name="dense")
    assert shapes_by_name([layer(x), layer(x)]) == {"dense": [3], "dense_2": [3]}
    assert shapes_by_name({"heads": {"a": layer(x)}}) == {"heads/a": [3]}


def test_names_of_outputs_outlive_saving(tmp_path):
    two_outputs().save(tmp_path / "model.keras")
    model = zoo.load_model(str(tmp_path / "model.keras"))
    assert list(shapes_by_name(graph_of(model).output)) == ["logits", "aux1"]


def test_without_weights_leaves_nothing_behind():
    with without_weights():
        model = chain()
        assert [weight.shape for weight in model.weights] == [(4, 4), (4,)] * 2
    made = []
    with keras.StatelessScope():  # when it ends, Keras makes the variables that wait for their values
        layers.Dense(3, kernel_initializer=lambda *args, **_: made.append(1) or np.zeros(args[0])).build((1, 2))
    assert made == [1]
    assert all(weight._value is None for weight in model.weights)
