"""The `synthetic` dataset: random pixels and labels by index, for benchmarks and smoke tests. Nothing is stored."""

import dataclasses
import hashlib
import re

import numpy as np
import tensorflow as tf

from zoo.data import randomness
from zoo.data.sources.example_source import Feature, check_feature
from zoo.data.sources.reading import split_ranges
from zoo.errors import RequestError

VERSION = "1.0.0"
USAGE = "synthetic[:HEIGHTxWIDTHxCHANNELS,classes=N,examples=N], every part may be left out"
# Draw 0 of an example's key is its label, those from 1 on are its pixels.
_LABEL, _PIXELS = 0, 1
_BYTES_PER_HASH = 8
# Labels of so many examples are made in less than a second.
_MOST_AT_HAND = 2**22
# Labels of this many examples are made at once when all are asked for.
_LABELS_AT_ONCE = 2**20


@dataclasses.dataclass(frozen=True)
class _Options:
    """As CIFAR-10 unless the name says otherwise; the test split has a tenth as many examples."""

    shape: tuple[int, int, int] = (32, 32, 3)
    classes: int = 10
    examples: int = 50_000

    def sizes(self) -> dict[str, int]:
        return {"train": self.examples, "test": max(1, self.examples // 10)}


class SyntheticSource:
    """Uniform random pixels and labels, a function of split and index alone; see `ExampleSource`."""

    def __init__(self, name: str, options: _Options, split: str, start: int, stop: int):
        self.name = name
        self.version = VERSION
        self.num_examples = stop - start
        self.features = {
            "image": Feature(options.shape, "uint8"),
            "label": Feature((), "int64", tuple(str(number) for number in range(options.classes))),
        }
        self.default_label = "label"
        self.columns_at_hand = self.num_examples <= _MOST_AT_HAND
        content = f"synthetic {VERSION} {options.shape} {options.classes} {split} {start}:{stop}"
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()
        self._options = options
        self._seed = list(options.sizes()).index(split)
        self._start = start

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 (n,): `image` uint8 (n, height, width, channels), `label` int64 (n,)."""
        keys = self._keys(indices)
        size = int(np.prod(self._options.shape))
        hashes = tf.range(-(-size // _BYTES_PER_HASH), dtype=tf.int64) + _PIXELS
        pixels = tf.bitcast(randomness.derive(keys[:, None], hashes), tf.uint8)
        pixels = tf.reshape(pixels, [-1, hashes.shape[0] * _BYTES_PER_HASH])[:, :size]
        return {"image": tf.reshape(pixels, [-1, *self._options.shape]), "label": self._labels(keys)}

    def column(self, name: str) -> np.ndarray:
        """See `ExampleSource`.

        Raises:
            RequestError: there is no such feature.
        """
        check_feature(name, self)
        if name == "image":
            return self.fetch(tf.range(self.num_examples, dtype=tf.int64))["image"].numpy()
        labels = np.empty(self.num_examples, np.int64)
        for start in range(0, self.num_examples, _LABELS_AT_ONCE):
            stop = min(start + _LABELS_AT_ONCE, self.num_examples)
            labels[start:stop] = self._labels(self._keys(tf.range(start, stop, dtype=tf.int64)))
        return labels

    def _keys(self, indices: tf.Tensor) -> tf.Tensor:
        return randomness.example_keys(self._seed, tf.zeros_like(indices), indices + self._start)

    def _labels(self, keys: tf.Tensor) -> tf.Tensor:
        return tf.cast(randomness.random_integers(keys, _LABEL, self._options.classes), tf.int64)


def load(name: str, split: str) -> SyntheticSource:
    """Opens a split of random examples.

    Args:
        name: `synthetic`, or with options as `synthetic:224x224x3,classes=1000,examples=1281167`. Default: as CIFAR-10,
            32x32x3, 10 classes, 50,000 examples.
        split: `train`, `test` (other examples, a tenth as many, at least one) or a slice.

    Raises:
        RequestError: an option is wrong, or there is no such split.
    """
    options = parse_options(name)
    ranges = split_ranges(name, split, options.sizes())
    if len(ranges) > 1:
        raise RequestError(f"split is {split!r}; {name} gives one slice at a time, as train[:90%]")
    return SyntheticSource(name, options, *ranges[0])


def parse_options(name: str) -> _Options:
    """Reads `synthetic:28x28x1,classes=5,examples=100`.

    Raises:
        RequestError: an option is unknown, stands twice or is not above 0.
    """
    values: dict[str, object] = {}
    for part in name.partition(":")[2].split(",") if ":" in name else ():
        size = re.fullmatch(r"(\d{1,5})x(\d{1,5})x(\d{1,3})", part.strip())
        number = re.fullmatch(r"(classes|examples)=(\d{1,18})", part.strip())
        if not size and not number:
            raise RequestError(f"dataset is {name!r}; {part.strip()!r} is not understood; write {USAGE}")
        key = "shape" if size else number[1]
        value = tuple(int(n) for n in size.groups()) if size else int(number[2])
        if key in values:
            raise RequestError(f"dataset is {name!r}; {key} may stand once")
        if 0 in (value if size else (value,)):
            raise RequestError(f"dataset is {name!r}; {key} must be above 0")
        values[key] = value
    if values.get("classes", 1) > 2**20:
        raise RequestError(f"dataset is {name!r}; classes must be at most {2**20}")
    return _Options(**values)
