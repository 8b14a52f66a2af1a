"""From the indices of examples to what a task's batch holds: one image each, pairs, or triplets."""

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


class TrainBatches(Protocol):
    """Makes training batches.

    Attributes:
        num_examples: what an epoch visits.
        images: how many images an example is made of.
        image_shape: of one image as the model takes it.
    """

    num_examples: int
    images: int
    image_shape: tuple[int, ...]

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> Batch:
        """A batch.

        Args:
            indices: int64 (n,), of the examples.
            keys: uint64 (n,), one for each example and epoch, see `randomness.example_keys`.
            offsets: int64 (n,), where each example stands in its global batch.

        Returns:
            Tensors of shape (n, ...).
        """


class EvaluationBatches(Protocol):
    """Makes evaluation batches.

    Attributes:
        num_examples: how many there are.
        images, image_shape: as in `TrainBatches`.
    """

    num_examples: int
    images: int
    image_shape: tuple[int, ...]

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """A batch of what stands at `positions`, int64 (n,), from 0 to num_examples - 1."""


class Singles:
    """One image with its labels; trains and evaluates.

    Where the augmentation mixes images, a training batch also holds the neighbour's labels and the share of each
    example's own one, see `zoo.tasks.base`.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        names: the features that a batch holds beside `image`.
    """

    images = 1

    def __init__(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], names: Sequence[str]
    ):
        self.num_examples = source.num_examples
        self.image_shape = image_shape
        self._source = source
        self._transform = transform
        self._names = tuple(names)
        self._mixing = augment.make_mixing(transform.augmentation)

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        batch = self._fetch(indices, keys)
        if self._mixing is not None:
            batch["image"], batch["own_share"] = self._mixing(batch["image"], keys)
            # Even positions with the next one, odd ones with the one before.
            neighbours = tf.bitwise.bitwise_xor(tf.range(tf.size(indices)), 1)
            batch |= {f"mixed/{name}": tf.gather(batch[name], neighbours) for name in self._names}
        return batch

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """See `EvaluationBatches`."""
        return self._fetch(positions, None)

    def _fetch(self, indices: tf.Tensor, keys: tf.Tensor | None) -> Batch:
        fetched = self._source.fetch(indices)
        batch = {name: fetched[name] for name in self._names}
        batch["image"] = self._transform(fetched["image"], keys)
        return batch


class Pairs:
    """`left` and `right` images and `same`, 1 or 0; for training.

    An epoch visits every example once as `left`; of each batch the examples at even places get a partner of their
    class, the others one of another class.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        draw: of partners.
    """

    images = 2

    def __init__(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], draw: PartnerDraw
    ):
        self.num_examples = source.num_examples
        self.image_shape = image_shape
        self._source = source
        self._transform = transform
        self._draw = draw

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        alike = offsets % 2 == 0
        partners = self._draw(indices, alike, derive(keys, _PARTNER), 0)
        left, right = _two(self._source, self._transform, indices, partners, keys)
        return {"left": left, "right": right, "same": tf.cast(alike, tf.int32)}


class TripletBatches:
    """`anchor`, `positive` and `negative` images with `anchor_label` and `negative_label`; for training.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        draw: of partners.
        label: the feature that says what is of one class.
    """

    images = 3

    def __init__(
        self,
        source: ExampleSource,
        transform: ImageTransform,
        image_shape: tuple[int, ...],
        draw: PartnerDraw,
        label: str,
    ):
        self.num_examples = source.num_examples
        self.image_shape = image_shape
        self._source = source
        self._transform = transform
        self._draw = draw
        self._label = label

    def train(self, indices: tf.Tensor, keys: tf.Tensor, offsets: tf.Tensor) -> Batch:
        """See `TrainBatches`."""
        alike = tf.ones_like(indices, tf.bool)
        numbers = derive(keys, _PARTNER)
        parts = {
            "anchor": (indices, keys),
            "positive": (self._draw(indices, alike, numbers, 0), derive(keys, _RIGHT)),
            "negative": (self._draw(indices, ~alike, numbers, 1), derive(keys, _THIRD)),
        }
        batch = {}
        for name, (chosen, chosen_keys) in parts.items():
            fetched = self._source.fetch(chosen)
            batch[name] = self._transform(fetched["image"], chosen_keys)
            if name != "positive":
                batch[f"{name}_label"] = fetched[self._label]
        return batch


class FixedPairs:
    """`left` and `right` images and `same` of a fixed list; for evaluation.

    Args:
        source: the split.
        transform: of its images.
        image_shape: of one image as the model takes it.
        lists: pairs, one list behind the other.
    """

    images = 2

    def __init__(
        self,
        source: ExampleSource,
        transform: ImageTransform,
        image_shape: tuple[int, ...],
        lists: Sequence[PairList],
    ):
        self.image_shape = image_shape
        self._source = source
        self._transform = transform
        self._left = tf.constant(np.concatenate([pairs.left for pairs in lists]), tf.int64)
        self._right = tf.constant(np.concatenate([pairs.right for pairs in lists]), tf.int64)
        self._same = tf.constant(np.concatenate([pairs.same for pairs in lists]), tf.int32)
        self.num_examples = len(self._same)

    def evaluate(self, positions: tf.Tensor) -> Batch:
        """See `EvaluationBatches`."""
        indices = tf.gather(self._left, positions), tf.gather(self._right, positions)
        left, right = _two(self._source, self._transform, *indices, None)
        return {"left": left, "right": right, "same": tf.gather(self._same, positions)}


def _two(source, transform, left, right, keys):
    """The images of both sides, each augmented by a key of its own."""
    both = tf.concat([left, right], 0)
    both_keys = None if keys is None else tf.concat([keys, derive(keys, _RIGHT)], 0)
    return tf.split(transform(source.fetch(both)["image"], both_keys), 2)


# Which of the keys that descend from an example's key serve what; augmentations use the key itself.
_PARTNER, _RIGHT, _THIRD = 1_000_001, 1_000_002, 1_000_003
