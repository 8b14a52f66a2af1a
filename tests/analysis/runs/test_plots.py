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
    shown = plots.training_examples(made, data, 11, plots.model_inputs(made, data))
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
    data = open_data(made, data_dir=data_dir)
    shown = plots.training_examples(made, data, 4, plots.model_inputs(made, data))
    assert {"anchor", "positive", "negative"} <= shown.keys()


@pytest.mark.parametrize("model", ["simple_cnn", "siamese", "triplet"])
def test_the_grid_is_a_picture(data_dir, tmp_path, model):
    made = config(model=model)
    shown = plots.data_grid(made, open_data(made, data_dir=data_dir), 100, tmp_path / "data.png")
    assert shown == 64
    picture = pictures.imread(tmp_path / "data.png")
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 0.05


def grid_of(made, data_dir, monkeypatch, tmp_path):
    """What is drawn of a config: images, captions, and options."""
    drawn = []
    monkeypatch.setattr(plots, "grid", lambda images, captions, path, **options: drawn.append((images, options)))
    data = open_data(made, data_dir=data_dir)
    plots.data_grid(made, data, 6, tmp_path / "data.png")
    (found,) = drawn
    return data, *found


@pytest.mark.parametrize(
    "fields", [{"augment": "flip,mixup:0.4"}, {"augment": "random_resized_crop:0.3", "image_size": 6}]
)
def test_the_original_stands_beside_the_augmented(fields, data_dir, monkeypatch, tmp_path):
    made = config(**fields)
    data, images, options = grid_of(made, data_dir, monkeypatch, tmp_path)
    assert f"Each example left as it is, right as augmented: {made.augment}" in options["header"]
    augmented = plots.training_examples(made, data, 6, plots.model_inputs(made, data))
    plain = config(**{**fields, "augment": ""})
    original = plots.training_examples(plain, open_data(plain, data_dir=data_dir), 6, plots.model_inputs(plain, data))
    width = original["image"].shape[2]
    np.testing.assert_array_equal(images[:, :, :width], original["image"])
    np.testing.assert_allclose(images[:, :, -width:], augmented["image"], atol=0.01)
    assert (images[:, :, width:-width] == 255).all()


def test_what_is_not_augmented_is_drawn_once(data_dir, monkeypatch, tmp_path):
    _, images, options = grid_of(config(), data_dir, monkeypatch, tmp_path)
    assert images.shape == (6, 9, 7, 3)
    assert not any("augmented" in line for line in options["header"])


def test_originals_of_pairs_stand_above_them(data_dir, monkeypatch, tmp_path):
    _, images, options = grid_of(config(model="siamese", augment="flip"), data_dir, monkeypatch, tmp_path)
    assert images.shape == (6, 9, 2 * 7 + 1 + 2 * 7, 3)
    _, images, options = grid_of(config(model="triplet", augment="flip"), data_dir, monkeypatch, tmp_path)
    assert images.shape == (6, 9 + 1 + 9, 3 * 7, 3)
    assert options["height"] == 2 * plots.IMAGE_INCHES
    assert "Each example above as it is, below as augmented: flip" in options["header"]


def test_the_classes_of_the_split_are_counted(data_dir):
    made = config()
    data = open_data(made, data_dir=data_dir)
    counts = np.bincount(data.train.column("label"), minlength=4)
    names = data.class_names()["label"]
    assert plots.split_facts(made, data) == [
        f"train of {made.dataset}: 64 examples",
        "label: " + ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True)),
    ]
    many = config(dataset="synthetic:9x7x3,classes=40,examples=64")
    data = open_data(many, data_dir=data_dir)
    counts = np.bincount(data.train.column("label"))
    held = counts[counts > 0]
    listed = f"label: {len(held)} of 40 classes with {held.min()} to {held.max()} examples each"
    assert plots.split_facts(many, data)[1] == listed


def test_no_row_of_a_grid_is_empty(tmp_path):
    images = np.zeros((6, 8, 8, 1))
    for number, captions in enumerate(
        (["a"] * 6, ["a class whose name is long, and longer than its image is wide"] * 6)
    ):
        plots.grid(images, captions, tmp_path / f"{number}.png", header=["some facts"])
        picture = pictures.imread(tmp_path / f"{number}.png")[..., :3].mean(2)
        blank = (picture > 0.99).all(1)
        # The longest run of rows in which nothing is drawn.
        runs = np.diff(np.flatnonzero(np.concatenate([[True], ~blank, [True]])))
        assert runs.max() < 0.2 * 150
