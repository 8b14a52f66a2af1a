"""Sources in memory and by index, against what TFDS itself reads."""

import io
import re
import shutil
import socket
import urllib.error

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from tfds_made import MadeBuilder, draw

from zoo.data.digits import Digits
from zoo.data.sources import Feature, InMemorySource, load_source
from zoo.data.sources.tfds_source import ArrayRecordSource
from zoo.errors import RequestError


class Snapshots(MadeBuilder):
    """Photographs of varying size with all sorts of features, some of which cannot be batched."""

    VERSION = tfds.core.Version("1.2.3")
    SUPERVISED = ("picture", "label")

    def features(self):
        return {
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["cat", "dog", "owl"]),
            "kind": tfds.features.ClassLabel(names=["indoors", "outdoors"]),
            "box": tfds.features.BBoxFeature(),
            "levels": tfds.features.Tensor(shape=(3,), dtype=np.uint8),
            "sharp": tfds.features.Scalar(np.bool_),
            "title": tfds.features.Text(),
            "tags": tfds.features.Sequence(np.int64),
        }

    def _generate_examples(self, split):
        rng = np.random.default_rng(len(split))
        for number in range(40 if split == "train" else 8):
            height, width = rng.integers(20, 40, 2)
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file, "JPEG")
            file.seek(0)
            yield (
                number,
                {
                    "picture": file,
                    "label": number % 3,
                    "kind": number % 2,
                    "box": tfds.features.BBox(0.0, 0.25, 0.5, 1.0),
                    "levels": np.array([number, 255, 0], np.uint8),
                    "sharp": number % 5 == 0,
                    "title": f"number {number}",
                    "tags": list(range(number % 4)),
                },
            )


def tiles():
    return np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)


class Tiles(MadeBuilder):
    """Images of one size."""

    def features(self):
        return {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "number": tfds.features.Scalar(np.int64),
            "left": tfds.features.ClassLabel(num_classes=2),
            "right": tfds.features.ClassLabel(num_classes=2),
        }

    def _generate_examples(self, split):
        for number, image in enumerate(tiles()):
            yield number, {"image": image, "number": number, "left": 0, "right": 1}


class Words(MadeBuilder):
    """A dataset without images."""

    def features(self):
        return {"words": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)}

    def _generate_examples(self, split):
        yield 0, {"words": "hello", "label": 0}


def source(**arrays):
    return InMemorySource(arrays, name="made")


def test_fetch_works_in_a_graph():
    made = source(image=np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1), label=np.arange(6))
    dataset = tf.data.Dataset.from_tensors(np.array([4, 0, 4])).map(made.fetch)
    (batch,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(batch["image"], made.arrays["image"][[4, 0, 4]])
    np.testing.assert_array_equal(batch["label"], [4, 0, 4])


def test_features_describe_an_example():
    made = InMemorySource(
        {"image": np.zeros((5, 8, 8, 3), np.uint8), "label": np.zeros(5, np.int64)},
        name="made",
        class_names={"label": ("cat", "dog")},
    )
    assert made.num_examples == 5
    assert made.features["image"].shape == (8, 8, 3)
    assert made.features["image"].dtype == "uint8"
    assert made.features["label"].class_names == ("cat", "dog")


def test_fingerprint_is_of_the_content():
    images, labels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1), np.array([0, 1])
    same = source(image=images, label=labels).fingerprint
    assert source(label=labels, image=images.copy()).fingerprint == same
    others = [
        source(image=images, label=labels[::-1]),
        source(image=images.reshape(2, 4, 1, 1), label=labels),
        source(image=images.astype(np.int8), label=labels),
        source(picture=images, label=labels),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digit", "train", "unknown dataset 'digit'; did you mean digits"),
        ("digits", "tran", "unknown split of digits 'tran'; did you mean train"),
        ("digits", "tran[:5]", "unknown split of digits 'tran'; did you mean train"),
        ("digits", "train[5:5]", r"split 'train\[5:5\]' of digits is empty"),
        ("digits", "train[90%:10%]", r"split 'train\[90%:10%\]' of digits is empty"),
        ("digits", "train[:0%]", r"split 'train\[:0%\]' of digits is empty"),
        ("digits", "train[x]", r"split is 'train\[x\]'; a slice is written as train\[:90%\]"),
        ("digits", "train[:150%]", r"split is 'train\[:150%\]'; a slice is written as train\[:90%\]"),
    ],
)
def test_wrong_names_and_slices(data_dir, name, split, message):
    with pytest.raises(ValueError, match=message):
        load_source(name, split, data_dir)


def test_a_damaged_dataset_is_named(tmp_path):
    load_source("digits", "train", str(tmp_path))
    for file in tmp_path.glob("digits/1.0.0/*.tfrecord*"):
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"digits in .* is damaged; remove that folder to prepare it anew"):
        load_source("digits", "train", str(tmp_path))


def test_another_process_that_was_faster_does_no_harm(tmp_path, monkeypatch):
    prepare = Digits.download_and_prepare

    def prepare_too_late(self):
        prepare(Digits(data_dir=str(tmp_path)))
        raise OSError("the folder is there already")

    monkeypatch.setattr(Digits, "download_and_prepare", prepare_too_late)
    assert load_source("digits", "train", str(tmp_path)).num_examples == 1437


def test_a_data_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="digits cannot be prepared in"):
        load_source("digits", "train", str(tmp_path / "file" / "data"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folders in which one dataset is prepared as array_record and as tfrecord."""
    folders = {}
    for file_format in ("array_record", "tfrecord"):
        folders[file_format] = str(tmp_path_factory.mktemp(file_format))
        builder = Snapshots(data_dir=folders[file_format])
        tfds.disable_progress_bar()
        builder.download_and_prepare(file_format=file_format)
        tfds.enable_progress_bar()
    return folders


@pytest.fixture(scope="module")
def expected(prepared):
    """What TFDS itself reads, example by example, with images as their bytes."""
    builder = Snapshots(data_dir=prepared["tfrecord"])
    return list(tfds.as_numpy(builder.as_dataset(split="train", decoders={"picture": tfds.decode.SkipDecoding()})))


def fetch(made, indices):
    (batch,) = tf.data.Dataset.from_tensors(np.array(indices, np.int64)).map(made.fetch).as_numpy_iterator()
    return batch


SNAPSHOTS = f"{__name__}:Snapshots"
RANDOM_ACCESS = {"memory_bytes": 0}


@pytest.mark.parametrize("kind", ["in memory, tfrecord", "in memory, array_record", "by index"])
def test_examples_are_those_of_tfds(prepared, expected, kind):
    folder = prepared["tfrecord" if "tfrecord" in kind else "array_record"]
    made = load_source(SNAPSHOTS, "train", folder, **(RANDOM_ACCESS if kind == "by index" else {}))
    assert isinstance(made, ArrayRecordSource if kind == "by index" else InMemorySource)
    assert made.num_examples == len(expected) == 40
    assert made.version == "1.2.3"
    indices = [39, 0, 7, 7]
    batch = fetch(made, indices)
    assert set(batch) == set(made.features) == {"image", "label", "kind", "box", "levels", "sharp"}
    for position, index in enumerate(indices):
        assert batch["image"][position] == expected[index]["picture"]
        for name in ("label", "kind", "box", "levels", "sharp"):
            np.testing.assert_array_equal(batch[name][position], expected[index][name])
            assert batch[name].dtype == np.asarray(expected[index][name]).dtype == made.features[name].dtype
    for name in ("label", "levels"):
        np.testing.assert_array_equal(made.column(name), [example[name] for example in expected])


def test_features_of_a_tfds_set(prepared):
    made = load_source(SNAPSHOTS, "train", prepared["array_record"], **RANDOM_ACCESS)
    assert made.features["image"] == Feature((None, None, 3), "uint8", encoded=True)
    assert made.features["kind"].class_names == ("indoors", "outdoors")
    assert made.features["box"] == Feature((4,), "float32")
    assert made.default_label == "label"


def test_slices_by_index(prepared, expected):
    made = load_source(SNAPSHOTS, "train[50%:60%]+train[:1]", prepared["array_record"], **RANDOM_ACCESS)
    assert [bytes(image) for image in fetch(made, range(5))["image"]] == [
        expected[index]["picture"] for index in (20, 21, 22, 23, 0)
    ]
    whole = load_source(SNAPSHOTS, "train", prepared["array_record"], **RANDOM_ACCESS)
    assert whole.fingerprint.startswith("files:")
    assert whole.fingerprint != made.fingerprint


def test_fingerprint_in_memory_is_of_the_content_alone(prepared):
    one, other = (load_source(SNAPSHOTS, "train", prepared[key]) for key in ("tfrecord", "array_record"))
    assert one.fingerprint == other.fingerprint != load_source(SNAPSHOTS, "test", prepared["tfrecord"]).fingerprint


def test_images_of_one_size_are_decoded_if_that_fits(tmp_path):
    name = f"{__name__}:Tiles"
    decoded = load_source(name, "train", str(tmp_path), memory_bytes=10**6)
    assert decoded.arrays["image"].shape == (30, 8, 8, 1)
    np.testing.assert_array_equal(decoded.arrays["image"], tiles()[decoded.arrays["number"]])
    assert decoded.default_label is None
    # 30 * 8 * 8 bytes do not fit, the files of 90 bytes each do; nor does anything fit at last.
    stored = sum(file.stat().st_size for file in tmp_path.glob("tiles/1.0.0/*train*"))
    by_index = load_source(name, "train", str(tmp_path), memory_bytes=min(stored, 30 * 64) - 1)
    assert by_index.features["image"] == Feature((8, 8, 1), "uint8", encoded=True)
    for position, encoded in enumerate(fetch(by_index, range(30))["image"]):
        np.testing.assert_array_equal(tf.io.decode_png(encoded), decoded.arrays["image"][position])


def test_a_large_tfrecord_set_says_how_to_prepare_it(prepared):
    command = f"tfds build snapshots --imports={__name__} --data_dir={prepared['tfrecord']} --file_format=array_record"
    with pytest.raises(ValueError, match=r"train of .* cannot be read by index") as caught:
        load_source(SNAPSHOTS, "train", prepared["tfrecord"], **RANDOM_ACCESS)
    assert f"`{command} --overwrite`" in str(caught.value)


def test_a_missing_array_record_file_is_named(tmp_path, prepared):
    shutil.copytree(prepared["array_record"], tmp_path, dirs_exist_ok=True)
    for file in tmp_path.glob("snapshots/1.2.3/*train*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"Snapshots in .* is damaged"):
        load_source(SNAPSHOTS, "train", str(tmp_path))


def test_an_unprepared_set_without_a_network_gives_one_line(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", no_network)
    with pytest.raises(ValueError, match=r"cifar10:3\.0\.2 is not prepared in") as caught:
        load_source("cifar10:3.0.2", "train", str(tmp_path))
    assert "no network" in str(caught.value)
    assert f"`tfds build cifar10:3.0.2 --data_dir={tmp_path} --file_format=array_record`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_fetched_by_hand_says_where_to_put_it(tmp_path):
    with pytest.raises(ValueError, match=r"imagenet2012 is not prepared in .* must be fetched by hand") as caught:
        load_source("imagenet2012", "train", str(tmp_path))
    assert f"put them into {tmp_path}/downloads/manual" in str(caught.value)
    assert "ILSVRC2012_img_train.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_builder_that_fails_leaves_nothing_that_breaks_the_next_try(tmp_path, monkeypatch):
    def broken(self, split):
        yield from ()
        raise ConnectionError("the server hung up")

    with monkeypatch.context() as patch:
        patch.setattr(Tiles, "_generate_examples", broken)
        with pytest.raises(ValueError, match=r"is not prepared in .* \(the server hung up\)"):
            load_source(f"{__name__}:Tiles", "train", str(tmp_path))
    assert load_source(f"{__name__}:Tiles", "train", str(tmp_path)).num_examples == 30


@pytest.mark.parametrize("split", ["val.1", "x y", "val+1"])
def test_a_split_that_tfds_cannot_read_back_is_named(tmp_path, monkeypatch, split):
    examples = [{"image": tile} for tile in tiles()]
    name = draw(monkeypatch, {"image": tfds.features.Image(shape=(8, 8, 1))}, {"train": examples, split: examples})
    assert load_source(name, "train", str(tmp_path)).num_examples == 30
    for asked in (split, f"{split}[:50%]"):
        with pytest.raises(
            RequestError, match=rf"split {re.escape(repr(split))} of .* cannot be read by TFDS"
        ) as caught:
            load_source(name, asked, str(tmp_path))
        assert len(str(caught.value)) < 160


def test_a_builder_that_raises_is_quoted(tmp_path, monkeypatch):
    def broken(self, split):
        yield from ()
        raise KeyError("column")

    monkeypatch.setattr(Tiles, "_generate_examples", broken)
    with pytest.raises(RequestError, match=r"Tiles cannot be prepared in .*: KeyError: .*column") as caught:
        load_source(f"{__name__}:Tiles", "train", str(tmp_path))
    assert "network" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_that_follows_from_one_of_the_network_is_one(tmp_path, monkeypatch):
    def unreached(self, split):
        yield from ()
        try:
            raise urllib.error.URLError("no route")
        except urllib.error.URLError as error:
            raise RuntimeError("nothing came") from error

    monkeypatch.setattr(Tiles, "_generate_examples", unreached)
    with pytest.raises(RequestError, match=r"nothing came.*on a machine with a network run `tfds build"):
        load_source(f"{__name__}:Tiles", "train", str(tmp_path))


def test_a_builder_whose_description_raises_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setattr(Tiles, "features", lambda self: {}["image"])
    with pytest.raises(RequestError, match=r"Tiles'; it cannot be opened: KeyError: .*image"):
        load_source(f"{__name__}:Tiles", "train", str(tmp_path))


def test_a_module_that_raises_is_quoted(tmp_path, monkeypatch):
    (tmp_path / "raising_builders.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RequestError, match="Builder cannot be imported: ZeroDivisionError: division by zero"):
        load_source("raising_builders:Builder", "train", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1", "unknown dataset '1'; there is any name of TensorFlow Datasets"),
        ("é", "unknown dataset 'é'; there is any name of TensorFlow Datasets"),
        ("cifar11", "unknown dataset 'cifar11'; did you mean cifar10"),
        ("", "unknown dataset ''; there is any name"),
        ("folder:", "dataset is 'folder:'; write folder:PATH"),
        ("glyph", "unknown dataset 'glyph'; did you mean glyphs"),
        ("zzzzzz", "unknown dataset 'zzzzzz'; there is any name of TensorFlow Datasets, digits, folder:PATH"),
        ("cifar10/", "unknown dataset 'cifar10/'; did you mean cifar10"),
        ("cifar10/large", "cifar10 has no configs"),
        ("imagenet_resized/31x31", "unknown config of imagenet_resized '31x31'; did you mean 32x32"),
        ("mnist:9.9.9", "it cannot be opened: Dataset mnist cannot be loaded at version 9.9.9, only: 3.0.1"),
        ("digits:9.9.9", "it cannot be opened: Dataset digits cannot be loaded at version 9.9.9, only: 1.0.0"),
        ("no_such_package:Builder", "Builder cannot be imported: ModuleNotFoundError: No module named"),
        ("pathlib:Path", "Path is no TFDS builder"),
        (f"{__name__}:Words", r"has no feature that is an image; it has words \(Text\), label \(ClassLabel\)"),
    ],
)
def test_wrong_names(tmp_path, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_source(name, "train", str(tmp_path))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_its_prefix_is_recognised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="that is a folder: write folder:photos"):
        load_source("photos", "train")


def test_arrays_are_the_tensors_memory_and_not_the_callers():
    images = np.zeros((4, 2, 2, 1), np.uint8)
    made = source(image=images)
    images[:] = 1
    assert made.arrays["image"].max() == 0
    assert not made.arrays["image"].flags.writeable
    assert np.shares_memory(made.arrays["image"], np.asarray(memoryview(made._tensors["image"])))


def test_an_unknown_feature_is_named():
    with pytest.raises(ValueError, match="unknown feature of made 'labels'; did you mean label"):
        source(image=np.zeros((1, 2, 2, 1)), label=np.zeros(1)).column("labels")
