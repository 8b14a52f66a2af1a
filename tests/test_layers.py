"""The fused batch normalisation is Keras' own layer in everything but speed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.layers import BatchNormalization

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, (6, 5, 4, 7)).astype("float32")


def pair(**kwargs):
    """The zoo's layer and Keras', with the same random weights."""
    ours, theirs = BatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    ours.build(IMAGES.shape)
    theirs.build(IMAGES.shape)
    weights = [RNG.uniform(0.5, 1.5, w.shape) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def fused_calls(monkeypatch):
    calls = []
    fused = tf.raw_ops.FusedBatchNormV3
    monkeypatch.setattr(tf.raw_ops, "FusedBatchNormV3", lambda **kwargs: calls.append(1) or fused(**kwargs))
    return calls


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"epsilon": 1e-5, "momentum": 0.9},
        {"scale": False},
        {"center": False},
        {"scale": False, "center": False},
    ],
    ids=str,
)
def test_outputs_gradients_and_statistics_are_keras_own(kwargs, training, monkeypatch):
    calls = fused_calls(monkeypatch)
    ours, theirs = pair(**kwargs)
    results = []
    for layer in (ours, theirs):
        x = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * np.cos(IMAGES))
        results.append([y, *tape.gradient(loss, [x, *layer.trainable_variables]), *layer.get_weights()])
    assert len(calls) == 1
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def test_moving_variance_is_the_biased_one_in_float64():
    layer = BatchNormalization(momentum=0.75)
    layer(IMAGES, training=True)
    images = IMAGES.astype("float64")
    np.testing.assert_allclose(layer.moving_mean, 0.25 * images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * images.var((0, 1, 2)), rtol=1e-5)


def test_epsilon_is_not_rounded_up():
    """TensorFlow's own wrapper makes 1.001e-5 of 1e-5; where the variance is 0 that would show."""
    constant = np.full((2, 2, 2, 1), 3.0, "float32")
    layer = BatchNormalization(epsilon=1e-5)
    layer.build(constant.shape)
    layer.moving_variance.assign([0.0])
    np.testing.assert_allclose(layer(constant, training=False)[0, 0, 0, 0], 3 / np.sqrt(1e-5), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_statistics_in_float32(policy, monkeypatch):
    calls = fused_calls(monkeypatch)
    ours, theirs = pair(dtype=policy)
    half = tf.cast(IMAGES, ours.compute_dtype)
    outputs = [layer(half, training=True) for layer in (ours, theirs)]
    assert calls
    assert outputs[0].dtype == outputs[1].dtype == ours.compute_dtype
    assert {variable.dtype for variable in ours.variables} == {"float32"}
    tolerance = 0.02 if policy == "mixed_bfloat16" else 0.003
    np.testing.assert_allclose(*(tf.cast(y, "float32") for y in outputs), rtol=tolerance, atol=tolerance)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [
        ({}, (6, 7)),
        ({}, (6, 5, 7)),
        ({}, (2, 3, 4, 5, 7)),
        ({"axis": 1}, (6, 5, 4, 7)),
        ({"dtype": "float64"}, (6, 5, 4, 7)),
        ({"epsilon": 1e-7}, (6, 5, 4, 7)),
        ({"renorm": True}, (6, 5, 4, 7)),
    ],
    ids=str,
)
def test_falls_back_to_keras_where_fusion_does_not_apply(kwargs, shape, monkeypatch):
    calls = fused_calls(monkeypatch)
    x = RNG.standard_normal(shape)
    layers = BatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    outputs = [layer(x, training=True) for layer in layers]
    assert not calls
    np.testing.assert_array_equal(*outputs)


def test_falls_back_with_a_mask_and_when_synchronised(monkeypatch):
    calls = fused_calls(monkeypatch)
    mask = RNG.integers(0, 2, IMAGES.shape[:3]).astype(bool)
    ours, theirs = pair()
    np.testing.assert_array_equal(ours(IMAGES, training=True, mask=mask), theirs(IMAGES, training=True, mask=mask))
    ours, theirs = pair(synchronized=True)
    np.testing.assert_array_equal(ours(IMAGES, training=True), theirs(IMAGES, training=True))
    assert not calls


def test_falls_back_on_other_backends(monkeypatch):
    calls = fused_calls(monkeypatch)
    layer = BatchNormalization()
    layer.build(IMAGES.shape)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    layer(IMAGES, training=True)
    assert not calls


def test_frozen_layer_uses_its_moving_statistics():
    ours, theirs = pair()
    ours.trainable = theirs.trainable = False
    np.testing.assert_allclose(ours(IMAGES, training=True), theirs(IMAGES, training=True), rtol=1e-5, atol=1e-5)


def test_saved_model_keeps_the_layer(tmp_path):
    model = keras.Sequential([keras.Input((5, 4, 7)), BatchNormalization(momentum=0.5, epsilon=2e-5)])
    model.layers[0].set_weights([RNG.uniform(0.5, 1.5, 7) for _ in range(4)])
    model.save(tmp_path / "model.keras")
    loaded = zoo.load_model(str(tmp_path / "model.keras"))
    assert type(loaded.layers[0]) is BatchNormalization
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
