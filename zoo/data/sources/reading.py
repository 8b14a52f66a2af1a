"""What the kinds of sources share: slices of splits, and filling memory."""

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf
import tqdm

from zoo.data import images
from zoo.data.sources.example_source import ExampleSource, Feature, adopt, empty_array, fetch_examples, first_damaged
from zoo.errors import RequestError, unknown

# Examples that are read, parsed and decoded at once while a split is read as a whole.
READ_AT_ONCE = 256
# A progress bar appears after this many seconds.
_BAR_DELAY = 2.0


def split_error(name: str, split: str, known: Iterable[str]) -> RequestError:
    """The error for a split that could not be read as a split or a slice of one.

    Args:
        name: of the dataset.
        split: what was asked for.
        known: the splits there are.
    """
    base = split.partition("[")[0]
    if base not in known:
        return unknown(f"split of {name}", base, known)
    return RequestError(f"split is {split!r}; a slice is written as {base}[:90%] or {base}[100:200]")


def split_names(split: str) -> list[str]:
    """The splits that a slice or a sum of slices speaks of: `train[:90%]+test` gives `["train", "test"]`."""
    return [part.partition("[")[0].strip() for part in split.split("+")]


def split_ranges(name: str, split: str, sizes: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """What a split or slice stands for, in TFDS' notation and with its rounding.

    Args:
        name: of the dataset, for errors.
        split: `train`, `train[:90%]`, `train[100:200]`, or several joined by `+`.
        sizes: number of examples by split.

    Returns:
        Split, first example and the one after the last, for each part that is not empty.

    Raises:
        RequestError: there is no such split, it is no slice, or nothing is in it.
    """
    import tensorflow_datasets as tfds

    infos = {key: tfds.core.SplitInfo(name=key, shard_lengths=[size], num_bytes=0) for key, size in sizes.items()}
    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
    except (ValueError, KeyError) as error:
        raise split_error(name, split, sizes) from error
    ranges = []
    for part in parts:
        start = 0 if part.from_ is None else part.from_
        stop = sizes[part.splitname] if part.to is None else part.to
        if stop > start:
            ranges.append((part.splitname, start, stop))
    if not ranges:
        raise empty_split(name, split)
    return ranges


def empty_split(name: str, split: str) -> RequestError:
    """The error for a slice without examples."""
    advice = "widen the slice" if re.search(r"\[", split) else "choose another split"
    return RequestError(f"split {split!r} of {name} is empty; {advice}")


def progress_bar(total: int, description: str, unit: str = " images") -> tqdm.tqdm:
    """A bar on standard error, on a terminal only, that appears when the work takes long."""
    return tqdm.tqdm(
        total=total,
        desc=description,
        unit=unit,
        delay=_BAR_DELAY,
        leave=False,
        disable=not sys.stderr.isatty(),
        file=sys.stderr,
    )


def read_decoded(
    batches: tf.data.Dataset, features: dict[str, Feature], num_examples: int, name: str
) -> dict[str, tf.Tensor]:
    """Reads batches of fixed-size examples into tensors of the whole split, without ever holding them twice.

    Not for JPEG: a crop of it is decoded otherwise than the whole, and what is held in memory must not show in pixels.

    Args:
        batches: dictionaries of tensors (n, ...); a string tensor `image` is decoded.
        features: by name; each shape is known.
        num_examples: in all batches together; fewer raise `tf.errors.DataLossError`.
        name: of the dataset, for the progress bar.
    """
    shape = features["image"].shape

    @tf.autograph.experimental.do_not_convert
    def decoded(batch):
        return {**batch, "image": _decoder(shape)(batch["image"])} if batch["image"].dtype == tf.string else batch

    arrays = {key: empty_array((num_examples, *feature.shape), feature.dtype) for key, feature in features.items()}
    batches = batches.map(decoded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)
    position = 0
    with progress_bar(num_examples, f"reading {name}") as bar:
        for batch in batches.as_numpy_iterator():
            count = len(batch["image"])
            for key, array in arrays.items():
                array[position : position + count] = batch[key]
            position += count
            bar.update(count)
    if position != num_examples:
        raise tf.errors.DataLossError(None, None, f"{position} examples instead of {num_examples}")
    return {key: adopt(array) for key, array in arrays.items()}


@functools.cache
def _decoder(shape: tuple[int, int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """`images.decode` as one graph for all splits of a dataset: to make it takes a fifth of a second."""
    return tf.function(
        lambda contents: images.decode(contents, shape),
        input_signature=[tf.TensorSpec((None,), tf.string)],
        autograph=False,
    )


def read_encoded(batches: tf.data.Dataset, num_examples: int, name: str) -> dict[str, tf.Tensor]:
    """Reads batches of which the images stay encoded into tensors of the whole split; as `read_decoded`."""
    with progress_bar(num_examples, f"reading {name}") as bar:

        @tf.autograph.experimental.do_not_convert
        def counted(batch):
            count = tf.shape(batch["image"])[0]
            with tf.control_dependencies([tf.numpy_function(lambda n: bar.update(int(n)), [count], [])]):
                return {key: tf.identity(value) for key, value in batch.items()}

        # One batch of everything: its strings are moved, where joining batches would copy them.
        whole = batches.map(counted).unbatch().batch(num_examples)
        tensors = next(iter(whole))
    if len(tensors["image"]) != num_examples:
        raise tf.errors.DataLossError(None, None, f"{len(tensors['image'])} examples instead of {num_examples}")
    return tensors


def fetch_images(source: ExampleSource, indices: np.ndarray) -> np.ndarray:
    """The images of a few examples, (n, ...) uint8.

    Raises:
        RequestError: one of them cannot be read or decoded.
    """
    try:
        return fetch_examples(source, indices)["image"]
    except tf.errors.OpError as error:
        damaged = first_damaged(source, indices) or f"an image of {source.name}"
        raise RequestError(f"{damaged} cannot be decoded") from error


def fetched_by_numpy(read, indices: tf.Tensor) -> tf.Tensor:
    """Calls `read(list of int) -> list of bytes` in a graph; gives a string tensor of the shape of `indices`, (n,)."""

    @tf.autograph.experimental.do_not_convert
    def call(positions: np.ndarray) -> np.ndarray:
        return np.array(read(positions.tolist()), dtype=object)

    records = tf.numpy_function(call, [indices], tf.string, stateful=False)
    return tf.ensure_shape(records, indices.shape)
