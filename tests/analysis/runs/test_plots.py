"""Pictures of training data: what is shown is what the model gets."""

import numpy as np
import pytest
from matplotlib import image as pictures

from zoo import registry
from zoo.analysis.runs import plots
from zoo.config import ExperimentConfig
from zoo.data import pipeline
from zoo.training.data import open_data


def config(**fields):
    return ExperimentConfig(
        **{"dataset": "synthetic:9x7x3,classes=4,examples=64", "ways": 0, "batch_size": 8, **fields}
    )


@pytest.mark.parametrize("fields", [{}, {"augment": "flip,mixup:0.4"}, {"model": "siamese"}], ids=str)
def test_the_examples_are_the_first_of_a_run(data_dir, fields):
    made = config(**fields)
    data = open_data(made, data_dir=data_dir)
    shown = plots.training_examples(made, data, 11)
    plan = pipeline.BlockPlan.of(2, 2, 1)
    blocks = pipeline.training_blocks(data.train_batches(), batch_size=8, seed=0, plan=plan).as_numpy_iterator()
    parts = list(blocks)
    for name, values in shown.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name][0] for part in parts])[:11])


def test_a_triplet_net_of_another_package_gets_triplets(data_dir, monkeypatch):
    triplet = registry.model_info("triplet")
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))

    @registry.register_model(
        paper="Mine 2026", input_shape=(9, 7, 3), num_classes=None, parameters=1, task=triplet.task
    )
    def mine(input_shape, num_classes):
        return triplet.builder(input_shape, num_classes, tower="mlp")

    made = config(model="mine")
    shown = plots.training_examples(made, open_data(made, data_dir=data_dir), 4)
    assert {"anchor", "positive", "negative"} <= shown.keys()


@pytest.mark.parametrize("model", ["simple_cnn", "siamese", "triplet"])
def test_the_grid_is_a_picture(data_dir, tmp_path, model):
    made = config(model=model)
    shown = plots.data_grid(made, open_data(made, data_dir=data_dir), 100, tmp_path / "data.png")
    assert shown == 64
    picture = pictures.imread(tmp_path / "data.png")
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 0.05
