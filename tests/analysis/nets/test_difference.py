"""Two nets side by side: counts, and which connections one has that the other lacks."""

import keras
import pytest
from keras import layers

import zoo
from zoo.analysis.nets import difference, graph
from zoo.analysis.nets.facts import facts


def compared(one, other):
    """The rows by their names, and the sentence."""
    with graph.without_weights():
        models = tuple(zoo.build_model(net) if isinstance(net, str) else net for net in (one, other))
        known = tuple(facts(model) for model in models)
        rows = difference.rows(models, known)
        return {name: values for name, *values in rows}, difference.sentence(*known)


def test_a_residual_net_beside_a_sequential_one():
    rows, sentence = compared("resnet20", "all_cnn_c")
    assert rows[""] == ["resnet20", "all_cnn_c"]
    assert rows["depth"] == ["20", "9"]
    assert rows["merges (add)"] == ["9", "0"]
    assert rows["Conv2D layers"] == ["19", "9"]
    assert rows["Add layers"] == ["9", "0"]
    assert rows["could be Sequential"] == ["no", "yes"]
    assert sentence == (
        "all_cnn_c lacks what resnet20 has: 9 tensors that go several ways, 9 merges (add), 9 skip connections."
    )


def test_both_may_lack_something():
    _, sentence = compared("siamese", "multi_output")
    assert sentence == (
        "multi_output lacks what siamese has: 2 inputs, 1 merge (other), 1 shared layer. "
        "siamese lacks what multi_output has: 2 outputs, 1 tensor that goes several ways."
    )


def test_nets_of_one_path_have_the_same_connections():
    assert compared("mlp", "lenet5")[1] == "mlp and lenet5 have connections of the same kinds."


class Hidden(keras.Model):
    def call(self, inputs):
        return inputs


def test_without_a_graph_nothing_is_compared():
    rows, sentence = compared("mlp", Hidden(name="hidden"))
    assert sentence == "hidden: no graph to read, so connections cannot be compared."
    assert (rows["depth"], rows["Dense layers"], rows["merges (add)"]) == (["4", "-"], ["4", "-"], ["0", "-"])


@pytest.mark.parametrize("name", ["mlp", "siamese"])
def test_a_net_beside_itself_differs_in_nothing(name):
    rows, sentence = compared(name, name)
    assert all(one == other for one, other in rows.values())
    assert sentence == f"{name} and {name} have connections of the same kinds."


def test_a_merge_of_another_kind_is_one_that_is_lacking():
    def net(merge):
        inputs = keras.Input((4,), name="vector")
        return keras.Model(inputs, merge([layers.Dense(4)(inputs), layers.Dense(4)(inputs)]), name=type(merge).__name__)

    assert compared(net(layers.Add()), net(layers.Multiply()))[1] == (
        "Multiply lacks what Add has: 1 merge (add), 1 skip connection. "
        "Add lacks what Multiply has: 1 merge (multiply)."
    )
