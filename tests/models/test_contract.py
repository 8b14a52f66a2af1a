"""What every registered model owes its user, held against all of them."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.analysis.graph import count_parameters, why_not_sequential

NAMES = zoo.list_models()
# One of each family, where the others are the same code with other numbers.
ONE_OF_EACH = ["mlp", "simple_cnn", "lenet5", "resnet20"]

# Trainable parameters and, with the statistics of batch norm, all of them; He et al. 2015 and LeCun et al. 1998
# counted by hand from the papers' tables.
PUBLISHED = {
    "lenet5": (61_706, 61_706),
    "resnet20": (269_722, 271_098),
    "resnet56": (853_018, 857_082),
    "resnet110": (1_727_962, 1_736_058),
}


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    keras.utils.set_random_seed(0)
    return zoo.build_model(request.param)


def images_for(model, count=2, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *model.input_shape[1:])).astype("float32")


def test_trainable_parameters_are_those_stated(model):
    assert count_parameters(model.trainable_variables) == zoo.model_info(model.name).parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_papers(name):
    model = zoo.build_model(name)
    counted = count_parameters(model.trainable_variables), count_parameters(model.weights)
    assert counted == PUBLISHED[name]


def test_style_is_the_graph_s(model):
    info = zoo.model_info(model.name)
    assert isinstance(model, keras.Sequential) == (info.style == "sequential")
    assert (why_not_sequential(model) is None) == (info.style == "sequential")


def test_docstrings_say_which_api_and_why():
    for name in NAMES:
        info = zoo.model_info(name)
        module = sys.modules[info.builder.__module__]
        assert module.__doc__.startswith(f"{info.style.capitalize()}: ")
        assert info.builder.__doc__


def test_is_plain_and_uncompiled_with_named_ends(model):
    assert isinstance(model, keras.Model)
    assert not model.compiled
    assert model.inputs[0].name == "image"
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear


def test_outputs_are_finite_and_of_the_stated_shape(model):
    logits = model(images_for(model))
    assert logits.shape == (2, zoo.model_info(model.name).num_classes)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


def test_every_trainable_variable_gets_a_gradient(model):
    with tf.GradientTape() as tape:
        outputs = model(images_for(model, count=4), training=True)
        loss = tf.reduce_sum(outputs * np.random.default_rng(1).standard_normal(outputs.shape))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


def test_saved_model_gives_the_same_outputs(model, tmp_path):
    model.save(tmp_path / "model.keras")
    images = images_for(model)
    np.testing.assert_array_equal(zoo.load_model(str(tmp_path / "model.keras"))(images), model(images))


def test_zero_classes_give_the_features_before_the_classifier(model):
    features = zoo.build_model(model.name, num_classes=0)
    features.set_weights(model.get_weights()[: len(features.weights)])
    x = features(images_for(model))
    kernel, bias = model.get_weights()[-2:]
    np.testing.assert_allclose(x @ kernel + bias, model(images_for(model)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_logits_are_float32_under_mixed_precision(name, policy, restore_dtype_policy):
    keras.config.set_dtype_policy(policy)
    model = zoo.build_model(name)
    logits = model(images_for(model))
    assert model.layers[1].compute_dtype == policy.removeprefix("mixed_")
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_same_seed_same_weights(name):
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        weights.append(zoo.build_model(name).get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_compile_and_fit_work(name):
    keras.utils.set_random_seed(0)
    model = zoo.build_model(name, input_shape=(16, 16, 1), num_classes=3)
    images, labels = images_for(model, count=32), np.arange(32) % 3
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    losses = model.fit(images, labels, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(images, verbose=0).shape == (32, 3)
