"""From the indices of examples to what a task's batch holds: one image each, pairs, or triplets.

Images are uint8 (n, height, width, channels) as a person would look at them, mixed ones float32; they are normalised
where the model is.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from zoo.data import augment
from zoo.data.pairs import PairList, PartnerDraw
from zoo.data.randomness import derive
from zoo.data.sources import ExampleSource
from zoo.data.transform import ImageTransform

Batch = dict[str, tf.Tensor]
# Where images were mixed with their neighbours', a batch holds the neighbours' labels too, under this prefix, and the
# share of each example's own label.
MIXED = "mixed/"
OWN_SHARE = "own_share"
# Which of the keys that descend from an example's key serve what; augmentations use the key itself.
_PARTNER, _RIGHT, _THIRD = 1_000_001, 1_000_002, 1_000_003


class TrainBatches(Protocol):
    """Makes training batches.

    Attributes:
        num_examples: what an epoch visits.
        image_names: what a batch calls its images.
        example_size: how many numbers the images of an example are.
    """

    num_examples: int
    image_names: tuple[str, ...]
    example_size: int

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor, batch_keys: tf.Tensor) -> Batch:
        """A batch.

        Args:
            indices: int64 (n,), of the examples.
            keys: uint64 (n,), one for each example and epoch, see `randomness.example_keys`.
            offsets: int64 (n,), where each example stands in its global batch.
            batch_keys: uint64 (n,), one for each step, see `randomness.batch_keys`.

        Returns:
            Tensors of shape (n, ...).
        """

    def train_examples(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> np.ndarray:
        """The indices of all examples that such a batch is made of, partners included, int64 (m,)."""


class EvaluationBatches(Protocol):
    """Makes evaluation batches.

    Attributes:
        num_examples: how many there are.
        image_names, example_size: as in `TrainBatches`.
    """

    num_examples: int
    image_names: tuple[str, ...]
    example_size: int

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """A batch of what stands at `positions`, int64 (n,), from 0 to num_examples - 1."""

    def evaluation_examples(self, positions: tf.Tensor) -> dict[str, np.ndarray]:
        """By `image_names`, the indices of the examples whose images such a batch holds, int64 (n,)."""


class _Batches:
    """What all kinds of batches share.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
    """

    image_names: tuple[str, ...]

    def __init__(self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...]):
        self.num_examples = source.num_examples
        self.example_size = math.prod(image_shape) * len(self.image_names)
        self._source = source
        self._transform = transform

    def _fetch(self, indices: tf.Tensor, keys: tf.Tensor | None) -> Batch:
        """The examples with their images as the task sees them."""
        examples = self._source.fetch(indices)
        return {**examples, "image": self._transform(examples["image"], keys)}

    def _fetch_parts(self, indices: Sequence[tf.Tensor], keys: Sequence[tf.Tensor] | None) -> list[Batch]:
        """The same of several lists of examples, fetched in one go."""
        examples = self._fetch(tf.concat(indices, 0), None if keys is None else tf.concat(keys, 0))
        parts = {name: tf.split(value, len(indices)) for name, value in examples.items()}
        return [{name: values[number] for name, values in parts.items()} for number in range(len(indices))]


class Singles(_Batches):
    """One image with its labels; trains and evaluates.

    Where the augmentation mixes images, a training batch also holds the neighbour's labels and the share of each
    example's own one, see `MIXED`.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        names: the features that a batch holds beside `image`.
    """

    image_names = ("image",)

    def __init__(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], names: Sequence[str]
    ):
        super().__init__(source, transform, image_shape)
        self._names = tuple(names)
        self._mixing = augment.make_mixing(transform.augmentation)

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor, batch_keys: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        batch = self._named(indices, keys)
        if self._mixing is not None:
            batch["image"], batch[OWN_SHARE] = self._mixing(tf.cast(batch["image"], tf.float32), keys, batch_keys)
            # Even positions with the next one, odd ones with the one before.
            neighbours = tf.bitwise.bitwise_xor(tf.range(tf.size(indices)), 1)
            batch |= {MIXED + name: tf.gather(batch[name], neighbours) for name in self._names}
        return batch

    def train_examples(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> np.ndarray:
        """See `TrainBatches`."""
        return indices.numpy()

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """See `EvaluationBatches`."""
        return self._named(positions, None)

    def evaluation_examples(self, positions: tf.Tensor) -> dict[str, np.ndarray]:
        """See `EvaluationBatches`."""
        return {"image": np.asarray(positions)}

    def _named(self, indices: tf.Tensor, keys: tf.Tensor | None) -> Batch:
        examples = self._fetch(indices, keys)
        return {name: examples[name] for name in (*self._names, "image")}


class Pairs(_Batches):
    """`left` and `right` images and `same`, 1 or 0; for training.

    An epoch visits every example once as `left`; of each batch the examples at even places get a partner of their
    class, the others one of another class.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        draw: of partners.
    """

    image_names = ("left", "right")

    def __init__(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], draw: PartnerDraw
    ):
        super().__init__(source, transform, image_shape)
        self._draw = draw

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor, batch_keys: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        chosen, alike = self._chosen(indices, keys, offsets)
        left, right = self._fetch_parts(chosen, [keys, derive(keys, _RIGHT)])
        return {"left": left["image"], "right": right["image"], "same": tf.cast(alike, tf.int32)}

    def train_examples(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> np.ndarray:
        """See `TrainBatches`."""
        return np.concatenate(self._chosen(indices, keys, offsets)[0])

    def _chosen(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The indices of left and right, and whether they are of one class."""
        alike = offsets % 2 == 0
        return [indices, self._draw(indices, alike, derive(keys, _PARTNER), 0)], alike


class TripletBatches(_Batches):
    """`anchor`, `positive` and `negative` images with `anchor_label` and `negative_label`; for training.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        draw: of partners.
        label: the feature that says what is of one class.
    """

    image_names = ("anchor", "positive", "negative")

    def __init__(
        self,
        source: ExampleSource,
        transform: ImageTransform,
        image_shape: tuple[int, ...],
        draw: PartnerDraw,
        label: str,
    ):
        super().__init__(source, transform, image_shape)
        self._draw = draw
        self._label = label

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor, batch_keys: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        parts = self._fetch_parts(self._chosen(indices, keys), [keys, derive(keys, _RIGHT), derive(keys, _THIRD)])
        batch = {name: part["image"] for name, part in zip(self.image_names, parts, strict=True)}
        return batch | {"anchor_label": parts[0][self._label], "negative_label": parts[2][self._label]}

    def train_examples(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> np.ndarray:
        """See `TrainBatches`."""
        return np.concatenate(self._chosen(indices, keys))

    def _chosen(self, indices: tf.Tensor, keys: tf.Tensor) -> list[tf.Tensor]:
        """The indices of anchors, positives and negatives."""
        alike, numbers = tf.ones_like(indices, tf.bool), derive(keys, _PARTNER)
        return [indices, self._draw(indices, alike, numbers, 0), self._draw(indices, ~alike, numbers, 1)]


class FixedPairs(_Batches):
    """`left` and `right` images and `same` of a fixed list; for evaluation.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        lists: pairs, one list behind the other.
    """

    image_names = ("left", "right")

    def __init__(
        self,
        source: ExampleSource,
        transform: ImageTransform,
        image_shape: tuple[int, ...],
        lists: Sequence[PairList],
    ):
        super().__init__(source, transform, image_shape)
        self._left = tf.constant(np.concatenate([pairs.left for pairs in lists]), tf.int64)
        self._right = tf.constant(np.concatenate([pairs.right for pairs in lists]), tf.int64)
        self._same = tf.constant(np.concatenate([pairs.same for pairs in lists]), tf.int32)
        self.num_examples = len(self._same)

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """See `EvaluationBatches`."""
        left, right = self._fetch_parts(self._chosen(positions), None)
        return {"left": left["image"], "right": right["image"], "same": tf.gather(self._same, positions)}

    def evaluation_examples(self, positions: tf.Tensor) -> dict[str, np.ndarray]:
        """See `EvaluationBatches`."""
        return dict(zip(self.image_names, map(np.asarray, self._chosen(positions)), strict=True))

    def _chosen(self, positions: tf.Tensor) -> list[tf.Tensor]:
        """The indices of left and right."""
        return [tf.gather(self._left, positions), tf.gather(self._right, positions)]
