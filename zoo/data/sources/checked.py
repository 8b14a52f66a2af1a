"""Labels that no task can learn: numbers outside of their classes, as -1 where TFDS has none, and what is not finite.

Where a source has its labels at hand all of them are looked at before a run begins. Where they are in files that are
read by index, that would take as long as an epoch: then up to `MOST_LOOKED_AT` examples, spread evenly over the split,
are looked at beforehand, and the others in the pipeline when a batch is made of them.
"""

import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from zoo.data.sources.example_source import ExampleSource, as_stored, fetch_examples
from zoo.data.sources.reading import READ_AT_ONCE

MOST_LOOKED_AT = 4096
# What the pipeline raises begins and ends so.
_FOUND = re.compile(r"assertion failed: \[(.*) \(not learned\)\]")


def wrong_values(values: np.ndarray, num_classes: int) -> np.ndarray:
    """Which of a label's values cannot be learned.

    Args:
        values: (n, ...).
        num_classes: they must be from 0 to one less; 0: they are numbers, and must be finite.

    Returns:
        bool, of the same shape.
    """
    return (values < 0) | (values >= num_classes) if num_classes else ~np.isfinite(values)


def values_looked_at(source: ExampleSource, label: str) -> np.ndarray:
    """What is looked at before a run begins: a label of all examples, or of some of them, (n, ...)."""
    if source.columns_at_hand:
        return source.column(label)
    # Images that are sized when they are fetched would be decoded.
    stored, count = as_stored(source), source.num_examples
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_LOOKED_AT)).astype(np.int64))
    parts = np.split(places, range(READ_AT_ONCE, len(places), READ_AT_ONCE))
    return np.concatenate([fetch_examples(stored, part)[label] for part in parts])


class CheckedSource:
    """A source whose labels are looked at in the pipeline, on the way into a batch; see `ExampleSource`.

    Args:
        source: the examples.
        split: what a person calls them.
        num_classes: by label, see `wrong_values`.
    """

    def __init__(self, source: ExampleSource, split: str, num_classes: Mapping[str, int]):
        self.name, self.version, self.fingerprint = source.name, source.version, source.fingerprint
        self.num_examples, self.features = source.num_examples, source.features
        self.default_label, self.columns_at_hand = source.default_label, source.columns_at_hand
        self._source = source
        self._split = split
        self._num_classes = dict(num_classes)

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,).

        A wrong label raises `tf.errors.InvalidArgumentError` where the result is used; `found_in` reads its message.
        """
        batch = self._source.fetch(indices)
        checks = [self._check(name, batch[name], count) for name, count in self._num_classes.items()]
        with tf.control_dependencies([check for check in checks if check is not None]):
            return batch | {name: tf.identity(batch[name]) for name in self._num_classes}

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`."""
        return self._source.column(name)

    def _check(self, name: str, values: tf.Tensor, num_classes: int) -> tf.Operation | None:
        values = tf.reshape(values, [-1])
        if num_classes:
            # Of an unsigned type too, such as uint8.
            values = tf.cast(values, tf.int64)
            wrong = (values < 0) | (values >= num_classes)
        else:
            wrong = ~tf.math.is_finite(values)
        value = values[tf.argmax(tf.cast(wrong, tf.int32))]
        text = tf.strings.format(
            f"{_escaped(name)} is {{}} in an example of {_escaped(self._split)} (not learned)", value
        )
        return tf.debugging.Assert(~tf.reduce_any(wrong), [text])


def found_in(message: str) -> str | None:
    """What a `CheckedSource` found, if this message of TensorFlow's is of it: `label is -1 in an example of test`."""
    found = _FOUND.search(message)
    return found and found[1]


def _escaped(text: str) -> str:
    """A text in which nothing stands for what `tf.strings.format` puts in."""
    return text.replace("{}", "{ }")
