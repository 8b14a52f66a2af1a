"""What a config makes of its data, and that where the data are held does not show."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from zoo.config import ExperimentConfig
from zoo.data.sources import InMemorySource
from zoo.data.sources.folder import FolderSource
from zoo.errors import RunError
from zoo.training import data
from zoo.training.data import open_data
from zoo.training.evaluation import evaluate
from zoo.training.experiment import make_experiment
from zoo.training.loop import train_and_evaluate

first_corrupt = FolderSource.first_corrupt
RNG = np.random.default_rng(0)


@pytest.fixture
def made(monkeypatch):
    """A dataset of three labels in place of whatever is asked for; the last class stands in `held_out` alone."""

    def load_source(name, split, data_dir=None, **options):
        count, least = (6, 3) if split == "held_out" else (24, 0)
        fine = np.arange(count) % 3 + least if least else np.arange(count) % 3
        arrays = {
            "image": RNG.integers(0, 256, (count, 8, 8, 1)).astype(np.uint8),
            "fine": fine,
            "coarse": fine // 2,
            "angle": RNG.standard_normal((count, 2)).astype(np.float32),
            "weight": fine,
        }
        names = {"fine": tuple("abcdef"), "coarse": ("x", "y", "z"), "weight": tuple("abcdef")}
        return InMemorySource(arrays, name=name, class_names=names, default_label="fine")

    monkeypatch.setattr(data, "load_source", load_source)


def config(**fields):
    # Compiles faster than with XLA; that XLA changes nothing is the engine's test.
    return ExperimentConfig(**{"model": "mlp", "dataset": "made", "batch_size": 8, "jit": "off", **fields})


def test_the_default_is_the_datasets_own_label_and_all_of_its_classes(made):
    opened = open_data(config())
    assert [(label.name, label.num_classes) for label in opened.task.labels] == [("fine", 6)]
    assert opened.task.builder_arguments(()) == {"num_classes": 6}
    assert opened.class_names() == {"fine": tuple("abcdef")}


def test_heads_are_the_labels_with_their_weights(made):
    opened = open_data(config(model="multi_output", labels="fine:1,coarse:0.5,angle:2"))
    assert [(label.name, label.num_classes, label.weight) for label in opened.task.labels] == [
        ("fine", 6, 1.0),
        ("coarse", 3, 0.5),
        ("angle", 0, 2.0),
    ]
    assert opened.task.builder_arguments(()) == {"heads": {"fine": 6, "coarse": 3, "angle": "regression:2"}}


@pytest.mark.parametrize(
    ("feature", "arguments"),
    [("coarse", {"num_classes": 6, "categories": 3}), ("angle", {"num_classes": 6, "vector_size": 2})],
)
def test_the_condition_sizes_the_second_input(made, feature, arguments):
    assert (
        open_data(config(model="multi_input", condition=feature)).task.builder_arguments(("categories", "vector_size"))
        == arguments
    )


def test_fewer_classes_than_the_dataset_names(made):
    opened = open_data(config(model_args={"num_classes": 3}))
    assert opened.class_names() == {"fine": ("a", "b", "c")}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_args": {"num_classes": 3}, "eval_split": "held_out"}, "held_out of made shows class 5 of fine, 'f'"),
        ({"model_args": {"num_classes": 2}}, "train of made shows class 2 of fine, 'c'; the model learns 2"),
        ({"model_args": {"num_classes": 7}}, "model_args gives fine 7 classes; made has 6"),
        ({"model_args": {"num_classes": True}}, "model_args gives fine True classes; made has 6"),
        ({"labels": "weight"}, "labels is 'weight', a name that batches use themselves"),
        ({"labels": "fine,coarse"}, "classification learns one label"),
        ({"labels": "angle"}, "labels is 'angle', which is no class label; made has image, fine, coarse"),
        ({"condition": "image"}, "condition is 'image', neither class label nor numbers"),
        ({"center_crop": 0.5}, "center_crop is 0.5, which needs image_size"),
        ({"model": "siamese", "ways": 7}, "test of made has no 7 classes of one group"),
        ({"model": "siamese", "ways": 2, "episode_view": "colour"}, "unknown feature in episode_view 'colour'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_one_line(made, fields, message):
    with pytest.raises(ValueError, match=message):
        open_data(config(**fields))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """JPEGs of varying size in two classes."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(36):
        height, width = RNG.integers(30, 60, 2)
        place = root / ("test" if number % 3 == 2 else "train") / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)).save(place / f"{number}.jpg")
    return root


@pytest.mark.parametrize("augment", ["", "random_resized_crop,flip,affine:10:0.1:0.1:1"])
def test_where_a_split_is_held_does_not_show(photos, tmp_path, augment):
    run = config(dataset=f"folder:{photos}", image_size=12, augment=augment, epochs=2, center_crop=0.8, batch_size=7)
    held, read = (
        train_and_evaluate(run, str(tmp_path / str(memory_gib)), memory_gib=memory_gib) for memory_gib in (1, 0)
    )
    assert held["state_sha256"] == read["state_sha256"]
    assert held["metrics"] == read["metrics"]
    again = evaluate(dataclasses.replace(run, batch_size=5), str(tmp_path / "1"), memory_gib=0)
    assert again["metrics"]["test/accuracy"] == held["metrics"]["test/accuracy"]


def test_a_run_goes_on_where_its_data_are_held_elsewhere(photos, tmp_path, recwarn):
    run = config(dataset=f"folder:{photos}", image_size=12, epochs=2)
    expected = train_and_evaluate(run, str(tmp_path / "run"), memory_gib=1)
    for name in ("result.json", "model.keras"):
        (tmp_path / "run" / name).unlink()
    assert train_and_evaluate(run, str(tmp_path / "run"), memory_gib=0)["state_sha256"] == expected["state_sha256"]


def test_an_image_that_breaks_while_a_run_reads_it_is_named(photos, tmp_path):
    for file in photos.rglob("*.jpg"):
        place = tmp_path / file.relative_to(photos)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    broken = next((tmp_path / "train" / "a").iterdir())
    broken.write_bytes(broken.read_bytes()[:400])
    run = config(dataset=f"folder:{tmp_path}", image_size=12, normalize="unit")
    with pytest.raises(Exception, match=rf"{broken.name} cannot be decoded.*--skip_corrupt_images"):
        train_and_evaluate(run, str(tmp_path / "run"), memory_gib=0)


@pytest.mark.parametrize(
    ("model", "images", "split"),
    [
        ("mlp", 1, "train"),
        ("siamese", 2, "test"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("mlp", 1, "test"), ("siamese", 2, "train"), ("triplet", 3, "train"), ("triplet", 3, "test"))
        ),
    ],
)
def test_only_the_examples_of_the_block_that_failed_are_looked_through(
    photos, tmp_path, monkeypatch, model, images, split
):
    """A folder may have a million images, and to decode them all again takes hours."""
    shutil.copytree(photos, tmp_path / "photos")
    broken = sorted((tmp_path / "photos" / split / "b").iterdir())[-1]
    options = {"image_size": 12, "normalize": "unit", "ways": 0, "batch_size": 2, "log_every_steps": 1}
    made = make_experiment(config(dataset=f"folder:{tmp_path / 'photos'}", model=model, **options), memory_gib=0)
    looked_through = []
    monkeypatch.setattr(
        FolderSource,
        "first_corrupt",
        lambda self, indices: looked_through.append(len(indices)) or first_corrupt(self, indices),
    )
    broken.write_bytes(broken.read_bytes()[:400])
    with pytest.raises(RunError, match=f"{broken.name} cannot be decoded"):
        for _ in made.training_blocks(made.block_plan(), 0) if split == "train" else made.evaluation_blocks():
            pass
    examples = 2 if split == "train" else made.data.evaluation.num_examples
    # A model of triplets is evaluated on pairs.
    assert looked_through == [examples * (images if split == "train" else min(images, 2))]
