"""One preprocessing in four forms: as JSON, in the pipeline, of whole batches, and as operations of Keras."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.runs.preprocessing import Preprocessing
from zoo.training.data import open_data

RNG = np.random.default_rng(0)
OWN = Preprocessing(0, 0.0, "bilinear", (10.5, 127.0, 90.25), (50.0, 60.5, 70.0))


def test_json_there_and_back():
    wide = Preprocessing(224, 0.875, "bicubic", (1.5,), (2.5,))
    assert Preprocessing.from_json(json.loads(json.dumps(wide.to_json()))) == wide
    assert list(wide.to_json()) == ["image_size", "center_crop", "interpolation", "mean", "deviation"]
    with pytest.raises(KeyError, match="deviation"):
        Preprocessing.from_json({key: value for key, value in wide.to_json().items() if key != "deviation"})


def test_it_is_that_of_the_pipeline(data_dir):
    config = ExperimentConfig(dataset="digits", image_size=12, center_crop=0.9)
    data = open_data(config, data_dir=data_dir)
    own = Preprocessing.of(data.sizing, data.normalization)
    sized = data.evaluation.fetch(tf.range(7, dtype=tf.int64))["image"]
    expected = data.normalization(sized).numpy()
    stored = open_data(ExperimentConfig(dataset="digits"), data_dir=data_dir).evaluation
    whole = own(stored.fetch(tf.range(7, dtype=tf.int64))["image"])
    np.testing.assert_array_equal(whole, expected)
    again = Preprocessing.from_json(own.to_json())
    assert (again.sizing(), again.normalization(), again.statistics) == (
        data.sizing,
        data.normalization,
        (data.normalization.mean, data.normalization.deviation),
    )


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_levels_go_through_keras_to_the_same_bits(dtype):
    levels = RNG.integers(0, 256, (4, 9, 7, 3)).astype(np.uint8)
    image = keras.Input((9, 7, 3), dtype=dtype)
    model = keras.Model(image, OWN.as_keras(image))
    np.testing.assert_array_equal(model(levels.astype(dtype)), OWN(tf.constant(levels)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("center_crop", [0.0, 0.8, 1.0])
def test_sizes_go_through_keras_to_the_same_level_or_its_neighbour(interpolation, center_crop):
    own = Preprocessing(16, center_crop, interpolation, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    levels = RNG.integers(0, 256, (3, 41, 29, 3)).astype(np.uint8)
    image = keras.Input((41, 29, 3), dtype="uint8")
    found = keras.Model(image, own.as_keras(image))(levels).numpy()
    expected = own(tf.constant(levels)).numpy()
    assert found.shape == expected.shape == (3, 16, 16, 3)
    apart = np.abs(found - expected)
    assert apart.max() <= 1
    # A half is seldom met.
    assert (apart > 0).mean() < 0.01
