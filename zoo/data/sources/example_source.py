"""What every dataset is to the pipeline: random access to the examples of one split."""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from zoo.errors import unknown

# TensorFlow takes over an array without a copy where it begins at a multiple of this many bytes.
_ALIGNMENT = 64
# This many encoded images are turned into Python's bytes at once when they are hashed.
_HASHED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named part of every example.

    Attributes:
        shape: of one example, without the batch; None where examples differ.
        dtype: NumPy's name for the element type.
        class_names: of a label, in the order of its numbers; empty for anything else.
        encoded: an image whose examples come as encoded files (JPEG, PNG): `fetch` gives their bytes, a string
            tensor (n,), to be decoded to `shape`, uint8.
    """

    shape: tuple[int | None, ...]
    dtype: str
    class_names: tuple[str, ...] = ()
    encoded: bool = False


@dataclasses.dataclass(frozen=True)
class Description:
    """What is known of a dataset's examples before they are there; see `ExampleSource`."""

    name: str
    features: dict[str, Feature]
    default_label: str | None


class ExampleSource(Protocol):
    """Random access to the examples of one split.

    Attributes:
        name: what was asked for, `digits`.
        version: of the dataset; empty where there is none.
        fingerprint: SHA-256 of the content, the same wherever the examples are the same; behind `encoded:` where
            images are held as encoded files. Of examples that are not held in memory: `files:` and the SHA-256 of
            their files' names and sizes.
        num_examples: how many there are.
        features: what an example holds, by name; the image is called `image` whatever the dataset calls it.
        default_label: the class label that a classifier learns unless told otherwise; None if there is none.
        columns_at_hand: whether a label of all examples costs nothing; otherwise `column` goes through all their files.
    """

    name: str
    version: str
    fingerprint: str
    num_examples: int
    features: dict[str, Feature]
    default_label: str | None
    columns_at_hand: bool

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,), as tensors of shape (n, ...); works in a graph."""

    def column(self, name: str) -> np.ndarray:
        """One feature (a label) of all examples in order, of shape (num_examples, ...)."""


class InMemorySource:
    """A split that sits in memory and is gathered by index; see `ExampleSource`.

    Args:
        arrays: by feature. A tensor is kept as it is, an array is copied. An `image` of strings, (n,), is of
            encoded files.
        name: see `ExampleSource`.
        version: see `ExampleSource`.
        class_names: by label.
        default_label: see `ExampleSource`; default: `label` if there is one.
        image_shape: of the decoded image, where images are encoded.
        fingerprint: of the examples as they were stored; default: computed from the arrays.
        names: see `example_names`.
    """

    columns_at_hand = True

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray | tf.Tensor],
        *,
        name: str,
        version: str = "",
        class_names: dict[str, tuple[str, ...]] | None = None,
        default_label: str | None = None,
        image_shape: tuple[int | None, ...] = (None, None, 3),
        fingerprint: str = "",
        names: Sequence[str] | np.ndarray | None = None,
    ):
        class_names = class_names or {}
        self.name = name
        self.names = names
        self.version = version
        self._tensors = {key: _as_tensor(array) for key, array in arrays.items()}
        self.num_examples = int(next(iter(self._tensors.values())).shape[0])
        self.features = {
            key: Feature(tuple(image_shape), "uint8", encoded=True)
            if tensor.dtype == tf.string
            else Feature(tuple(tensor.shape[1:]), tensor.dtype.name, tuple(class_names.get(key, ())))
            for key, tensor in self._tensors.items()
        }
        self.default_label = default_label or ("label" if "label" in self.features else None)
        # Views of the tensors' own memory, read-only; encoded images are not among them.
        self.arrays = {
            key: np.asarray(memoryview(tensor)) for key, tensor in self._tensors.items() if tensor.dtype != tf.string
        }
        self.fingerprint = fingerprint or self._fingerprint()

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,)."""
        return {key: tf.gather(tensor, indices) for key, tensor in self._tensors.items()}

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`; encoded images come as an array of `bytes`.

        Raises:
            RequestError: there is no such feature.
        """
        check_feature(name, self)
        return self.arrays[name] if name in self.arrays else self._tensors[name].numpy()

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for key in sorted(self._tensors):
            if key in self.arrays:
                array = self.arrays[key]
                # The bytes are little-endian everywhere, so that the same examples have the same fingerprint.
                array = array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))
                digest.update(f"{key}:{array.dtype.str}:{array.shape};".encode())
                digest.update(np.ascontiguousarray(array).data)
                continue
            digest.update(f"{key}:encoded:({self.num_examples},);".encode())
            for start in range(0, self.num_examples, _HASHED_AT_ONCE):
                for image in self._tensors[key][start : start + _HASHED_AT_ONCE].numpy():
                    digest.update(len(image).to_bytes(8, "little"))
                    digest.update(image)
        # Decoded and encoded, the same examples have other fingerprints.
        return digest.hexdigest() if len(self.arrays) == len(self._tensors) else f"encoded:{digest.hexdigest()}"


def fetch_examples(source: ExampleSource, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """Some examples of a split as arrays (n, ...), outside of any graph.

    They are gathered by the CPU: otherwise TensorFlow copies the whole split to a GPU first, to take a few rows of it.
    """
    with tf.device("CPU:0"):
        examples = source.fetch(tf.constant(np.asarray(indices), tf.int64))
        return {name: value.numpy() for name, value in examples.items()}


def fingerprint_kind(fingerprint: str) -> str:
    """What a fingerprint is of, see `ExampleSource`: those of two kinds differ where the examples are the same."""
    return fingerprint.rpartition(":")[0]


def as_stored(source: ExampleSource) -> ExampleSource:
    """The source whose images are as they are stored, of one that sizes them when they are fetched."""
    return getattr(source, "stored", source)


def example_names(source: ExampleSource) -> np.ndarray | None:
    """What the examples of a split are called, str (num_examples,); None where only their index tells them apart.

    An image of a folder is called by its file's path relative to the folder, without characters that cannot be printed.
    """
    names = getattr(as_stored(source), "names", None)
    return None if names is None else np.array(names, np.str_)


def first_damaged(source: ExampleSource, indices: np.ndarray) -> str | None:
    """The file of the first of some examples that cannot be decoded; None where all can, or are no files."""
    stored = as_stored(source)
    return stored.first_corrupt(indices) if hasattr(stored, "first_corrupt") else None


def check_feature(name: str, source: ExampleSource) -> None:
    """Raises a `RequestError` with the features there are, unless the source has one of this name."""
    if name not in source.features:
        raise unknown(f"feature of {source.name}", name, source.features)


def most_frequent(values: np.ndarray) -> tuple[Any, int]:
    """The value that occurs most often, and how often; of several the largest."""
    different, counts = np.unique(values, return_counts=True)
    place = len(counts) - 1 - int(np.argmax(counts[::-1]))
    return different[place], int(counts[place])


def empty_array(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array without content that `adopt` can take over."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    buffer = np.empty(size + _ALIGNMENT, np.uint8)
    offset = -buffer.ctypes.data % _ALIGNMENT
    return buffer[offset : offset + size].view(dtype).reshape(shape)


def adopt(array: np.ndarray) -> tf.Tensor:
    """The tensor of an array of `empty_array`, in the same memory: `tf.constant` would copy a whole dataset."""
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _as_tensor(array: np.ndarray | tf.Tensor) -> tf.Tensor:
    if isinstance(array, tf.Tensor):
        return array
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return tf.constant(array)
    copy = empty_array(array.shape, array.dtype.newbyteorder("=").name)
    copy[...] = array
    return adopt(copy)
