"""What only the values of a TFDS dataset tell: the classes of plain labels, and the range of float images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from zoo.data.sources.example_source import most_frequent
from zoo.data.sources.reading import progress_bar
from zoo.data.sources.tfds_schema import FLOAT_RANGES, Schema
from zoo.errors import RequestError


class Records(NamedTuple):
    """The serialized examples of a split or slice: its name, batches of strings (n,), and how many there are."""

    split: str
    batches: tf.data.Dataset
    num_examples: int


def read_column(name: str, records: Records, schema: Schema, label: str) -> np.ndarray:
    """One feature of all examples in order, (n, ...); strings as an array of `bytes`.

    Args:
        name: of the dataset, for the progress bar.
        records: of the split.
        schema: of the dataset.
        label: which feature.
    """
    parse = schema.only(label).parse
    parts = []
    with progress_bar(records.num_examples, f"reading {label} of {name}", " examples") as bar:
        for batch in records.batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator():
            parts.append(batch[label])
            bar.update(len(batch[label]))
    return np.concatenate(parts)


def with_classes(name: str, schema: Schema, label: str, train: Records, own: Records) -> Schema:
    """The schema in which a label of whole numbers or strings is one of classes.

    The classes are the values that the training split holds, numbers by value and strings by code point.

    Args:
        name: of the dataset.
        schema: of the dataset.
        label: one of `schema.plain`.
        train: of the training split.
        own: of the split that is opened.

    Raises:
        RequestError: the split holds a value that the training split does not.
    """
    column = read_column(name, train, schema, label)
    # UTF-8 sorts as the code points do.
    values = np.unique(column)
    if own.split != train.split:
        column = read_column(name, own, schema, label)
    unknown = column[~np.isin(column, values)]
    if len(unknown):
        value, count = most_frequent(unknown)
        raise RequestError(
            f"{label} is {_text(value)!r} in {count} of {len(column)} examples of {own.split}, a class that "
            f"{train.split} does not hold; choose another split"
        )
    return schema.with_classes(label, tuple(map(_text, values)), np.searchsorted(values, column).astype(np.int64))


def with_scale(name: str, schema: Schema, splits: Sequence[Records]) -> Schema:
    """The schema that knows what float images are multiplied by, see `FLOAT_RANGES`.

    Args:
        name: of the dataset.
        schema: of the dataset.
        splits: all of them: a dark one must not be taken for one of another range.

    Raises:
        RequestError: their values lie in none of the ranges.
    """
    least, most = np.inf, -np.inf
    with progress_bar(sum(records.num_examples for records in splits), f"looking for the range of {name}") as bar:
        for records in splits:
            numbers = records.batches.map(schema.parse_numbers, num_parallel_calls=tf.data.AUTOTUNE)
            for batch in numbers.as_numpy_iterator():
                # What is no number makes these no numbers either, and lies in no range.
                least, most = np.minimum(least, batch.min()), np.maximum(most, batch.max())
                bar.update(len(batch))
    for bottom, top, scale in FLOAT_RANGES:
        if least >= bottom and most <= top:
            return schema.with_scale(scale)
    raise RequestError(
        f"the float32 images of {name} go from {least:.4g} to {most:.4g}; the builder must store 0 to 1, or 0 to 255"
    )


def not_in_memory(name: str, split: str, decoded_bytes: float, memory_bytes: int) -> RequestError:
    """The error for float images that do not fit into memory: their range is known once all have been read."""
    return RequestError(
        f"{split} of {name} has float32 images, which are read into memory, {decoded_bytes / 2**30:.2g} GiB of "
        f"{memory_bytes / 2**30:.2g}; raise memory_gib or store them as uint8"
    )


def _text(value: np.generic | bytes) -> str:
    """How a class is called."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
