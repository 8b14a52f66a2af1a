"""From a dataset's name to an `ExampleSource`: random access to the examples of one split."""

import contextlib
import dataclasses
import hashlib
import importlib
import io
from typing import Protocol

import numpy as np
import tensorflow as tf

from zoo.errors import RequestError, unknown

# Name -> module:class of the TFDS builders that come with the zoo.
EMBEDDED = {"digits": "zoo.data.digits:Digits"}


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named part of every example.

    Attributes:
        shape: of one example, without the batch.
        dtype: NumPy's name for the element type.
        class_names: of a label, in the order of its numbers; empty for anything else.
    """

    shape: tuple[int, ...]
    dtype: str
    class_names: tuple[str, ...] = ()


class ExampleSource(Protocol):
    """Random access to the examples of one split.

    Attributes:
        name: what was asked for, `digits`.
        version: of the dataset.
        fingerprint: SHA-256 of the content, the same wherever the examples are the same.
        num_examples: how many there are.
        features: what an example holds, by name.
    """

    name: str
    version: str
    fingerprint: str
    num_examples: int
    features: dict[str, Feature]

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,), as tensors of shape (n, ...); works in a graph."""


class InMemorySource:
    """A split that sits decoded in memory and is gathered by index; see `ExampleSource`."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        *,
        name: str,
        version: str = "",
        class_names: dict[str, tuple[str, ...]] | None = None,
    ):
        class_names = class_names or {}
        self.name = name
        self.version = version
        self.num_examples = len(next(iter(arrays.values())))
        self.features = {
            key: Feature(array.shape[1:], array.dtype.name, tuple(class_names.get(key, ())))
            for key, array in arrays.items()
        }
        self.fingerprint = _fingerprint(arrays)
        self.arrays = arrays
        self._tensors = {key: tf.constant(array) for key, array in arrays.items()}

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,)."""
        return {key: tf.gather(tensor, indices) for key, tensor in self._tensors.items()}


def load_source(name: str, split: str, data_dir: str | None = None) -> ExampleSource:
    """Prepares a dataset where that was not done yet, and opens one of its splits.

    Args:
        name: one of `EMBEDDED`.
        split: a split or a slice of one, as in TFDS: `train`, `train[:90%]`, `train[90%:]`.
        data_dir: where datasets are prepared; default: TFDS' own, `~/tensorflow_datasets`.

    Raises:
        ValueError: there is no such dataset or split, or the slice is empty.
    """
    import tensorflow_datasets as tfds

    if name not in EMBEDDED:
        raise unknown("dataset", name, EMBEDDED)
    module, _, cls = EMBEDDED[name].partition(":")
    builder = _prepared(getattr(importlib.import_module(module), cls), data_dir)
    try:
        num_examples = builder.info.splits[split].num_examples
    except (ValueError, KeyError) as error:
        base = split.partition("[")[0]
        if base not in builder.info.splits:
            raise unknown(f"split of {name}", base, builder.info.splits) from error
        raise RequestError(f"split is {split!r}; a slice is written as {base}[:90%] or {base}[100:200]") from error
    if num_examples <= 0:
        raise RequestError(f"split {split!r} of {name} is empty; widen the slice")
    try:
        examples = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, shuffle_files=False))
    except (tf.errors.OpError, OSError) as error:
        raise RequestError(
            f"{name} in {builder.data_path} is damaged; remove that folder to prepare it anew"
        ) from error
    names = {
        key: tuple(feature.names)
        for key, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    }
    return InMemorySource(examples, name=name, version=str(builder.version), class_names=names)


def _prepared(cls, data_dir: str | None):
    """The builder of an embedded dataset, which is prepared if need be, quietly: it takes less than a second."""
    import tensorflow_datasets as tfds

    builder = cls(data_dir=data_dir)
    if builder.data_path.exists():
        return builder
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except (tf.errors.OpError, OSError) as error:
        # Another process may have been faster; a new builder sees what it has made.
        builder = cls(data_dir=data_dir)
        if not builder.data_path.exists():
            raise RequestError(f"{builder.name} cannot be prepared in {builder.data_dir}: {error}") from error
    finally:
        tfds.enable_progress_bar()
    return builder


def _fingerprint(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key}:{array.dtype.str}:{array.shape};".encode())
        digest.update(array.data)
    return digest.hexdigest()
