"""The images of a run: a page prepares nothing, opens only the evaluation split, and reads only what it shows."""

import dataclasses
import re
import shlex

import made
import numpy as np
import pytest
from matplotlib import image as pictures

from zoo.analysis.runs import images, label_sections, report
from zoo.cli.commands import run_zoo
from zoo.config import ExperimentConfig
from zoo.data.digits import Digits
from zoo.data.sources import load_source, tfds_source
from zoo.errors import RequestError
from zoo.runs import records

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture
def digits_run(tmp_path, data_dir):
    """The folder of a run of digits in which one answer in ten is wrong."""
    source = load_source("digits", "test", data_dir)
    label = source.column("label").astype("int32")
    predicted = np.where(np.arange(len(label)) % 10 == 0, (label + 1) % 10, label)
    answers = {"label": label, "predicted": predicted, "confidence": np.linspace(0.1, 1, len(label), dtype="float32")}
    config = ExperimentConfig(dataset="digits")
    return made.workdir(
        tmp_path / "run", config, answers, {"test/accuracy": 0.9}, class_names={"label": DIGITS}, source=source
    )


def page_of(run, tmp_path, data_dir):
    return made.Page(report.write_run(records.read(run), tmp_path / "page", data_dir=str(data_dir)))


def test_what_is_not_prepared_is_not_prepared_for_a_page(digits_run, tmp_path, monkeypatch):
    empty = tmp_path / "data sets"
    empty.mkdir()
    page = page_of(digits_run, tmp_path, empty)
    assert list(empty.iterdir()) == []
    assert page.images == {}
    assert len(page.tables["worst mistakes"]) == 1 + label_sections.MISTAKES
    said = re.search(
        r"The images cannot be shown: digits is not prepared in (.*?); (python -m zoo .*?) prepares it\.",
        page.text["p"],
    )
    assert said[1] == str(empty)
    # The command does what the page says.
    monkeypatch.chdir(tmp_path)
    run_zoo(shlex.split(said[2])[3:])
    assert len(page_of(digits_run, tmp_path, empty).images) == label_sections.MISTAKES


def test_the_training_split_is_never_read(digits_run, tmp_path, data_dir, monkeypatch, splits_read_anew):
    opened, read = [], tfds_source._read

    def reading(name, builder, split, *rest):
        opened.append(split)
        return read(name, builder, split, *rest)

    monkeypatch.setattr(tfds_source, "_read", reading)
    page = page_of(digits_run, tmp_path, data_dir)
    assert opened == ["test"]
    source = load_source("digits", "test", data_dir)
    worst = [350, 340, 330]
    for number in worst:
        np.testing.assert_array_equal(
            page.images[f"example {number}"], np.repeat(source.fetch(np.array([number]))["image"][0], 3, 2)
        )


@pytest.fixture(scope="module")
def by_index(tmp_path_factory):
    """A folder in which digits are prepared so that they can be read by index."""
    folder = tmp_path_factory.mktemp("by_index")
    Digits(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    return str(folder)


def test_only_what_is_shown_is_read(digits_run, by_index, monkeypatch):
    run = records.read(digits_run)
    monkeypatch.setattr(tfds_source, "_read", None)
    found = images.open_images(run, data_dir=by_index)
    asked, fetch = [], found.source.stored.fetch

    def fetching(indices):
        asked.extend(indices.numpy().tolist())
        return fetch(indices)

    found.source.stored.fetch = fetching
    shown = found.at([7, 300])["image"]
    assert asked == [7, 300]
    monkeypatch.undo()
    whole = load_source("digits", "test", by_index)
    np.testing.assert_array_equal(shown, whole.fetch(np.array([7, 300]))["image"])


def test_a_page_stands_without_an_image_that_is_damaged(digits_run, tmp_path, data_dir, monkeypatch):
    def damaged(source, indices):
        raise RequestError("a/0.png cannot be decoded")

    monkeypatch.setattr(images, "fetch_images", damaged)
    page = page_of(digits_run, tmp_path, data_dir)
    assert "The images cannot be shown: a/0.png cannot be decoded." in page.text["p"]
    assert len(page.tables["worst mistakes"]) == 1 + label_sections.MISTAKES
    assert page.images == {}


def test_images_have_the_size_that_the_model_took(digits_run, data_dir):
    run = records.read(digits_run)
    run = dataclasses.replace(run, config=dataclasses.replace(run.config, image_size=16))
    assert images.open_images(run, data_dir=data_dir).at([0])["image"].shape == (1, 16, 16, 1)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({}, True),
        ({"eval_sha256": "own", "eval_examples": 1}, True),
        ({"eval_sha256": "other", "eval_examples": 360, "version": "1.0.0"}, False),
        # The run read it by index, and here it is read whole.
        ({"eval_sha256": "files:other", "eval_examples": 360, "version": "1.0.0"}, True),
        ({"eval_sha256": "files:other", "eval_examples": 359, "version": "1.0.0"}, False),
        ({"eval_sha256": "files:other", "eval_examples": 360, "version": "2.0.0"}, False),
    ],
    ids=str,
)
def test_other_examples_are_told_by_what_is_known_of_both(data_dir, recorded, expected):
    source = load_source("digits", "test", data_dir)
    if recorded.get("eval_sha256") == "own":
        recorded = recorded | {"eval_sha256": source.fingerprint}
    assert images.same_examples(source, recorded) is expected


def test_a_damaged_image_is_one_line(tmp_path):
    for name in ("a", "b"):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "0.png").write_bytes(b"no image")
    config = ExperimentConfig(dataset=f"folder:{tmp_path}", image_size=8)
    found = images.open_images(records.Run("run", config, {}, {}, []))
    with pytest.raises(RequestError, match=r"^/.*/test/[ab]/0.png cannot be decoded$"):
        found.at([1])


def test_images_of_a_folder_are_read_without_a_warning(tmp_path, caplog):
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            pictures.imsave(tmp_path / split / name / "0.png", np.zeros((8, 8, 3), "uint8"))
    config = ExperimentConfig(dataset=f"folder:{tmp_path}", image_size=8)
    found = images.open_images(records.Run("run", config, {}, {}, []))
    assert found.at([0, 1])["image"].shape == (2, 8, 8, 3)
    assert caplog.records == []
