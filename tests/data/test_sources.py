import numpy as np
import pytest
import tensorflow as tf

from zoo.data.digits import Digits
from zoo.data.sources import InMemorySource, load_source


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
