"""Every net is the same whatever Keras' own settings are, in `keras.json` or in a program."""

import json

import numpy as np
import pytest
from weightless import INFOS, ONE_OF_EACH, slow_unless

import zoo
from zoo.analysis.nets import graph


def described(name):
    """All that Keras would save of a net, and the shapes and types of its weights."""
    with graph.without_weights(), graph.fresh_names():
        model = zoo.build_model(name)
        weights = [(weight.path, weight.shape, weight.dtype) for weight in model.weights]
        return json.dumps(model.get_config(), sort_keys=True, default=str), weights


@pytest.mark.parametrize("name", slow_unless(sorted(INFOS), ONE_OF_EACH))
def test_settings_of_keras_change_no_net(name, set_keras_otherwise):
    expected = described(name)
    set_keras_otherwise()
    found = described(name)
    assert found[1] == expected[1]
    assert found[0] == expected[0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("siamese", {"input_shape": (8, 8, 1), "head": "distance", "distance": "l2"}),
        ("googlenet", {"input_shape": (32, 32, 3), "num_classes": 3}),
    ],
    ids=["operations without layers", "a layer of the zoo"],
)
def test_outputs_and_saved_files_are_the_same_under_other_settings(name, arguments, set_keras_otherwise, tmp_path):
    """Also what computes when the net is called."""
    model = zoo.build_model(name, **arguments)
    generator = np.random.default_rng(0)
    examples = {x.name: generator.normal(size=(2, *x.shape[1:])).astype(np.float32) for x in model.inputs}
    examples = examples if len(examples) > 1 else examples["image"]
    expected = np.array(model(examples))
    model.save(tmp_path / "model.keras")
    set_keras_otherwise()
    loaded = zoo.load_model(tmp_path / "model.keras")
    for net in (model, loaded):
        outputs = net(examples)
        assert outputs.dtype == "float32"
        np.testing.assert_array_equal(outputs, expected)
