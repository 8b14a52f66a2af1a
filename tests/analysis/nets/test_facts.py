"""Facts of Keras' own nets against published counts, and facts as text."""

import keras
import pytest
from keras import layers

from zoo.analysis.nets.facts import fact_lines, facts
from zoo.analysis.nets.graph import without_weights


@pytest.mark.parametrize(
    ("name", "deep", "multiplied", "millions_put_out", "merged"),  # merged: additions, concatenations, skips
    # Depths are those of the names. MACs and activations are what timm counts, the latter rounded; in ResNet-50 the
    # stride stands in the first 1x1 of a stage, which so does a quarter of the work, three times 102,760,448.
    [
        ("VGG16", 16, 15_470_264_320, 13.6, (0, 0, 0)),
        ("ResNet50", 50, 4_089_184_256 - 3 * 3 * 102_760_448 // 4, 10.6, (16, 0, 16)),
        ("DenseNet121", 121, 2_834_161_664, 6.9, (0, 58, 58)),
        ("InceptionV3", 48, 5_713_216_096, 9.0, (0, 15, 0)),
        ("Xception", 37, 8_357_403_496, 35.8, (12, 0, 12)),
    ],
)
def test_keras_own_nets(name, deep, multiplied, millions_put_out, merged):
    with without_weights():
        found = facts(getattr(keras.applications, name)(weights=None))
    assert (found["depth"], found["macs"]) == (deep, multiplied)
    assert round(found["activations"] / 1e6, 1) == millions_put_out
    adds, concatenations, skips = merged
    assert found["merges"] == {"add": adds, "concatenate": concatenations, "multiply": 0, "other": 0}
    assert found["skip_connections"] == skips
    assert found["uncounted_layers"] == []
    assert found["could_be_sequential"] is (name == "VGG16")


def test_costs_are_the_least_where_a_layer_is_not_counted():
    found = facts(keras.Sequential([keras.Input((7, 300)), layers.LSTM(5, name="memory"), layers.Dense(2000)]))
    assert (found["depth"], found["macs"], found["activations"]) == (2, 10_000, 2_000)
    lines = fact_lines(found)
    assert "depth                  at least 2 (layers with weights on the longest path)" in lines
    assert "MACs                   at least 10,000 (10.00 k)" in lines
    assert "activations            at least 2,000" in lines
    assert "not counted there      memory" in lines


def test_costs_are_exact_where_all_are_counted():
    assert "at least" not in " ".join(fact_lines(facts(keras.Sequential([keras.Input((7,)), layers.Dense(2)]))))


def test_an_unknown_cost_has_no_least():
    x = keras.Input((None, None, 3))
    found = facts(keras.Model(x, keras.ops.matmul(layers.Conv2D(4, 3)(x), keras.ops.ones((4, 2)))))
    assert "MACs                   unknown, since a size is left open" in fact_lines(found)
