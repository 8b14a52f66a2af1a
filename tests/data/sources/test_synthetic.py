"""Synthetic examples: against SplitMix64 in Python's own integers, and against chance."""

import time

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.sources import load_source
from zoo.data.sources.synthetic import parse_options

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def derive(key, number):
    return mix((key + (number + 1) * GAMMA) & MASK)


def reference_image(seed, index, shape):
    key = derive(derive(derive(seed, 0), 0), index)
    size = int(np.prod(shape))
    words = np.array([derive(key, number) for number in range(1, 1 + -(-size // 8))], "<u8")
    return words.view(np.uint8)[:size].reshape(shape)


def fetch(source, indices):
    (batch,) = tf.data.Dataset.from_tensors(np.array(indices, np.int64)).map(source.fetch).as_numpy_iterator()
    return batch


def test_pixels_are_hashes_of_split_and_index():
    for seed, split in enumerate(("train", "test")):
        source = load_source("synthetic:5x3x3,classes=7,examples=100", split)
        batch = fetch(source, [4, 0, 4])
        expected = [reference_image(seed, index, (5, 3, 3)) for index in (4, 0, 4)]
        np.testing.assert_array_equal(batch["image"], expected)
        assert batch["image"].dtype == np.uint8
        assert batch["label"].dtype == np.int64


def test_defaults_are_those_of_cifar10():
    train, test = load_source("synthetic", "train"), load_source("synthetic", "test")
    assert (train.num_examples, test.num_examples) == (50_000, 5_000)
    assert train.features["image"].shape == (32, 32, 3)
    assert len(train.features["label"].class_names) == 10
    assert train.default_label == "label"
    assert train.fingerprint != test.fingerprint


def test_labels_are_spread_evenly_and_fetched_as_listed():
    source = load_source("synthetic:2x2x1,classes=4,examples=20000", "train")
    labels = source.column("label")
    counts = np.bincount(labels, minlength=4)
    assert len(counts) == 4
    # Five standard deviations of a binomial count.
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(20_000 * 0.25 * 0.75)
    np.testing.assert_array_equal(fetch(source, [19_999, 3])["label"], labels[[19_999, 3]])


def test_slices_are_parts_of_the_split():
    whole = load_source("synthetic:4x4x1,examples=10", "train")
    part = load_source("synthetic:4x4x1,examples=10", "train[40%:]")
    assert part.num_examples == 6
    np.testing.assert_array_equal(part.column("image"), whole.column("image")[4:])
    np.testing.assert_array_equal(part.column("label"), whole.column("label")[4:])
    assert part.fingerprint != whole.fingerprint


def test_a_billion_examples_cost_nothing():
    start = time.process_time()
    source = load_source("synthetic:8x8x3,examples=1000000000", "train")
    image = fetch(source, [10**9 - 1])["image"]
    assert time.process_time() - start < 2
    np.testing.assert_array_equal(image[0], reference_image(0, 10**9 - 1, (8, 8, 3)))


def test_the_test_split_has_at_least_one_example():
    assert load_source("synthetic:2x2x1,examples=3", "test").num_examples == 1


def test_options_stand_in_any_order():
    assert parse_options("synthetic:examples=5,2x4x1") == parse_options("synthetic:2x4x1,examples=5")


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("synthetic:", "train", "'' is not understood; write synthetic"),
        ("synthetic:32x32", "train", "'32x32' is not understood"),
        ("synthetic:clases=3", "train", "'clases=3' is not understood"),
        ("synthetic:classes=-3", "train", "'classes=-3' is not understood"),
        ("synthetic:classes=0", "train", "classes must be above 0"),
        ("synthetic:8x0x3", "train", "shape must be above 0"),
        ("synthetic:classes=2,classes=3", "train", "classes may stand once"),
        ("synthetic:classes=9999999", "train", "classes must be at most"),
        ("synthetic", "tran", "unknown split of synthetic 'tran'; did you mean train"),
        ("synthetic", "train[5:5]", "is empty; widen the slice"),
        ("synthetic", "train[x]", r"a slice is written as train\[:90%\]"),
        ("synthetic", "train+test", "gives one slice at a time"),
    ],
)
def test_wrong_options_and_slices(name, split, message):
    with pytest.raises(ValueError, match=message):
        load_source(name, split)


def test_an_unknown_feature_is_named():
    with pytest.raises(ValueError, match="unknown feature of synthetic 'lable'; did you mean label"):
        load_source("synthetic", "train").column("lable")
