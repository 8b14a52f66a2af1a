"""Auxiliary heads from the registry to the loss, as the driver puts them together."""

import keras
import numpy as np
import pytest
import reference

import zoo
from zoo import registry
from zoo.config import ExperimentConfig
from zoo.training.experiment import make_experiment


@pytest.fixture
def two_headed(monkeypatch):
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


@pytest.mark.usefixtures("two_headed")
def test_the_driver_weights_them_in_training_and_leaves_them_out_of_evaluation(data_dir):
    config = ExperimentConfig(model="two_headed", batch_size=8, eval_split="test[:8]", jit="off", label_smoothing=0.1)
    experiment = make_experiment(config, data_dir=data_dir)

    (block,) = experiment.evaluation_blocks()
    logits, labels = experiment.model(experiment.data.normalization(block["image"][0])), block["label"][0].numpy()
    answers = experiment.engine.evaluate_block(block)
    np.testing.assert_allclose(answers["loss"], reference.cross_entropy(logits["logits"], labels, 0.1), rtol=1e-5)
    np.testing.assert_array_equal(answers["predicted"], np.argmax(logits["logits"], 1))

    block = next(iter(experiment.training_blocks(experiment.block_plan(), 0)))
    logits, labels = experiment.model(experiment.data.normalization(block["image"][0])), block["label"][0].numpy()
    expected = sum(
        weight * reference.cross_entropy(logits[name], labels, 0.1).mean()
        for name, weight in (("logits", 1), ("aux1", 0.3))
    )
    means = experiment.engine.train_block(block)
    assert means["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(means["loss"]).all()
