"""Which labels cannot be learned, and that the pipeline says so of what was not looked at before."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.sources import InMemorySource
from zoo.data.sources.checked import CheckedSource, found_in, values_looked_at, wrong_values
from zoo.data.transform import Sizing, sized


def source(**columns):
    count = len(next(iter(columns.values())))
    return InMemorySource({"image": np.zeros((count, 4, 4, 1), np.uint8), **columns}, name="made")


@pytest.mark.parametrize(
    ("values", "num_classes", "wrong"),
    [
        (np.array([-1, 0, 2, 3], np.int64), 3, [True, False, False, True]),
        (np.array([0, 255], np.uint8), 3, [False, True]),
        (np.array([0.0, np.nan, -np.inf, -1e30], np.float32), 0, [False, True, True, False]),
        (np.array([[0, np.nan], [1, 2]], np.float32), 0, [[False, True], [False, False]]),
    ],
)
def test_what_is_wrong(values, num_classes, wrong):
    np.testing.assert_array_equal(wrong_values(values, num_classes), wrong)
    made = CheckedSource(source(label=values), "test[:9]", {"label": num_classes})
    for index, bad in enumerate(np.reshape(wrong, (len(values), -1)).any(1)):
        data = tf.data.Dataset.from_tensors(np.array([index, index])).map(made.fetch)
        if not bad:
            (batch,) = data.as_numpy_iterator()
            np.testing.assert_array_equal(batch["label"], values[[index, index]])
            continue
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            list(data)
        value = values[index][wrong_values(values[index], num_classes)].flat[0]
        assert found_in(caught.value.message) == f"label is {value} in an example of test[:9]"


def test_other_errors_are_not_taken_for_labels():
    assert found_in("assertion failed: [images differ in size]") is None
    assert found_in("Invalid PNG data, size 7") is None


def test_odd_names_do_not_break_the_message():
    made = CheckedSource(source(**{"a{}b": np.array([-1])}), "test", {"a{}b": 3})
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(tf.data.Dataset.from_tensors(np.array([0])).map(made.fetch))
    assert found_in(caught.value.message) == "a{ }b is -1 in an example of test"


def test_where_labels_are_in_files_some_are_looked_at_evenly_and_no_image_is_decoded():
    made = InMemorySource({"image": tf.constant(["no image"] * 10_000), "label": np.arange(10_000)}, name="made")
    np.testing.assert_array_equal(values_looked_at(made, "label"), np.arange(10_000))
    made.columns_at_hand = False
    looked_at = values_looked_at(sized(made, Sizing(4), 0), "label")
    assert len(looked_at) == 4096
    assert looked_at[0] == 0
    assert looked_at[-1] == 9999
    assert {*np.diff(looked_at)} == {2, 3}
