import keras
import numpy as np
import pytest

import zoo
from zoo import registry
from zoo.config import ExperimentConfig
from zoo.tasks import Classification
from zoo.training.experiment import make_experiment

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 5, (7, 4)).astype("float32")
LABELS = np.array([0, 3, 1, 1, 2, 0, 3])


def cross_entropy(logits, labels, smoothing=0.0):
    """In float64."""
    logits = np.asarray(logits, "float64")
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.eye(logits.shape[1])[labels] * (1 - smoothing) + smoothing / logits.shape[1]
    return -(target * log_p).sum(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_is_cross_entropy_in_float64(smoothing):
    losses = Classification(smoothing).losses(LOGITS, {"label": LABELS})
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, cross_entropy(LOGITS, LABELS, smoothing), rtol=1e-5, atol=1e-6)


def test_large_logits_do_not_overflow():
    losses = Classification(0.1).losses(np.array([[1e4, -1e4]], "float32"), {"label": np.array([1])})
    np.testing.assert_allclose(losses, [0.9 * 2e4 + 0.1 * 1e4], rtol=1e-5)


def test_accuracy_is_that_of_the_largest_logit():
    hits = Classification().metrics(LOGITS, {"label": LABELS})["accuracy"]
    np.testing.assert_array_equal(hits, (LOGITS.argmax(1) == LABELS).astype("float32"))
    assert set(Classification.metric_names) == {"accuracy"}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_auxiliary_heads_add_their_weighted_losses_and_nothing_else(smoothing):
    outputs = {"aux1": LOGITS[::-1], "aux2": LOGITS * 0.5, "logits": LOGITS}
    task = Classification(smoothing, {"aux1": 0.3, "absent": 7.0})
    one, two, main = (cross_entropy(logits, LABELS, smoothing) for logits in outputs.values())
    losses = task.losses(outputs, {"label": LABELS})
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, 0.3 * one + two + main, rtol=1e-5, atol=1e-6)
    hits = task.metrics(outputs, {"label": LABELS})["accuracy"]
    np.testing.assert_array_equal(hits, (LOGITS.argmax(1) == LABELS).astype("float32"))


def test_the_driver_takes_the_loss_weights_of_the_model(monkeypatch, data_dir):
    zoo.list_models()
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    @zoo.register_model(
        paper="Nobody 2000", input_shape=(8, 8, 1), num_classes=10, parameters=0, loss_weights={"aux1": 0.3}
    )
    def two_headed(input_shape, num_classes):
        image = keras.Input(input_shape, name="image")
        x = keras.layers.Flatten()(image)
        heads = {name: keras.layers.Dense(num_classes, name=name)(x) for name in ("logits", "aux1")}
        return keras.Model(image, heads)

    config = ExperimentConfig(model="two_headed", batch_size=8, eval_split="test[:8]", jit="off")
    experiment = make_experiment(config, data_dir=data_dir)
    block = next(iter(experiment.evaluation_blocks()))
    logits, labels = experiment.model(block["image"][0]), block["label"][0]
    expected = sum(
        weight * cross_entropy(logits[name], labels).sum() for name, weight in (("logits", 1), ("aux1", 0.3))
    )
    sums = experiment.engine.evaluate_block(block)
    np.testing.assert_allclose(sums["loss"], expected, rtol=1e-5)
    assert sums["accuracy"] == np.sum(np.argmax(logits["logits"], 1) == labels)
    boundaries = experiment.block_boundaries()
    means = experiment.engine.train_block(next(iter(experiment.training_blocks(boundaries, 0))))
    assert np.isfinite(means["loss"]).all()
