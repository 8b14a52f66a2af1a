import numpy as np
import pytest

from zoo.data.digits import Digits
from zoo.data.sources import load_source


def test_is_scikit_learns_file_in_order(data_dir):
    from sklearn.datasets import load_digits

    digits = load_digits()
    train, test = load_source("digits", "train", data_dir), load_source("digits", "test", data_dir)
    assert (train.num_examples, test.num_examples) == (1437, 360)
    images = np.concatenate([train.arrays["image"], test.arrays["image"]])
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(np.round(images[..., 0] * (16 / 255)), digits.images)
    labels = np.concatenate([train.arrays["label"], test.arrays["label"]])
    np.testing.assert_array_equal(labels, digits.target)


def test_is_a_tfds_builder(data_dir):
    load_source("digits", "train", data_dir)
    builder = Digits(data_dir=data_dir)
    assert builder.info.full_name == "digits/1.0.0"
    assert builder.info.supervised_keys == ("image", "label")
    assert builder.info.features["label"].names == [str(digit) for digit in range(10)]


@pytest.mark.parametrize(("split", "expected"), [("train", 1437), ("train[:90%]", 1293), ("train[90%:]", 144)])
def test_slices(data_dir, split, expected):
    assert load_source("digits", split, data_dir).num_examples == expected


def test_slices_meet_without_overlap(data_dir):
    whole = load_source("digits", "train", data_dir).arrays["image"]
    parts = [load_source("digits", split, data_dir).arrays["image"] for split in ("train[:90%]", "train[90%:]")]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
