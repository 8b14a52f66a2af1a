"""Two examples made into one: mixup and cutmix.

Each example is mixed with its neighbour: the one at position 2 k with the one at 2 k + 1, and the other way round. So
any even share of a batch gives the same on its own. How much is drawn for each example, by its own key.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from scipy import special

from zoo.data.augment.erasing import paste, rectangle
from zoo.data.randomness import random_integers, random_uniform

# Between so many quantiles a Beta distribution is interpolated.
_QUANTILES = 4096


def mixup(images: tf.Tensor, keys: tf.Tensor, alpha: float) -> tuple[tf.Tensor, tf.Tensor]:
    """`w * image + (1 - w) * neighbour` with w from Beta(alpha, alpha) (Zhang et al. 2017, arXiv:1710.09412).

    The authors' code draws one w for a batch; here every example has its own.

    Args:
        images: float32 (n, height, width, channels), n even.
        keys: uint64 (n,).
        alpha: above 0; small ones mix little.

    Returns:
        The images, and w, float32 (n,): what the example's own label weighs; the neighbour's weighs 1 - w.
    """
    share = random_beta(keys, 0, alpha)
    flat = tf.reshape(images, [-1, int(np.prod(images.shape[1:]))])
    other = tf.reshape(_neighbours(images), tf.shape(flat))
    mixed = other + share[:, None] * (flat - other)
    return tf.reshape(mixed, tf.shape(images)), share


def cutmix(images: tf.Tensor, keys: tf.Tensor, alpha: float) -> tuple[tf.Tensor, tf.Tensor]:
    """A rectangle of the neighbour is pasted in at the same place (Yun et al. 2019, arXiv:1905.04899).

    With w from Beta(alpha, alpha) the rectangle has the image's proportions and the share 1 - w of its area; its
    centre lies anywhere, and what falls outside the image is cut off. Every image is cut; the authors do it to
    half of the batches of CIFAR and to all of ImageNet.

    Args:
        images: float32 (n, height, width, channels), n even.
        keys: uint64 (n,).
        alpha: above 0; the authors' is 1.

    Returns:
        The images, and the share of the area that is the example's own, exactly, float32 (n,): what its label weighs.
    """
    height, width = images.shape[1:3]
    side = tf.sqrt(1 - random_beta(keys, 0, alpha))
    # The authors' rounding: the sides down, then half of them each way.
    tall, wide = (tf.cast(side * length, tf.int32) // 2 for length in (height, width))
    middle, centre = random_integers(keys, 1, height), random_integers(keys, 2, width)
    top, bottom = tf.maximum(middle - tall, 0), tf.minimum(middle + tall, height)
    left, right = tf.maximum(centre - wide, 0), tf.minimum(centre + wide, width)
    area = tf.cast((bottom - top) * (right - left), tf.float32)
    mixed = paste(images, _neighbours(images), rectangle(images, top, left, bottom, right))
    # Not divided: a graph would be optimised to this, and differ in the last bit from the same outside of one.
    return mixed, 1 - area * (1 / (height * width))


def by_turns(
    mixings: Sequence[Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]],
    images: tf.Tensor,
    keys: tf.Tensor,
    batch_keys: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Each batch is mixed in one of several ways, each of them as likely.

    Args:
        mixings: `(images, keys) -> (images, share)`, as those above do.
        images: float32 (n, height, width, channels), of any number of batches, of each an even number.
        keys: uint64 (n,).
        batch_keys: uint64 (n,), the same for all examples of a batch.

    Returns:
        The images, and what the example's own label weighs, float32 (n,).
    """
    turns = random_integers(batch_keys, 0, len(mixings))
    rows = tf.dynamic_partition(tf.range(tf.size(keys)), turns, len(mixings))
    parts = [mix(tf.gather(images, row), tf.gather(keys, row)) for mix, row in zip(mixings, rows, strict=True)]
    mixed, shares = (tf.dynamic_stitch(rows, list(values)) for values in zip(*parts, strict=True))
    return tf.ensure_shape(mixed, images.shape), shares


def random_beta(keys: tf.Tensor, draw: int, alpha: float) -> tf.Tensor:
    """Numbers of the distribution Beta(alpha, alpha), float32 (n,), by its quantile function; see `random_uniform`."""
    table = tf.constant(_quantiles(alpha))
    place = random_uniform(keys, draw) * _QUANTILES
    below = tf.cast(place, tf.int32)
    low, high = tf.gather(table, below), tf.gather(table, below + 1)
    return low + (place - tf.floor(place)) * (high - low)


@functools.cache
def _quantiles(alpha: float) -> np.ndarray:
    return special.betaincinv(alpha, alpha, np.linspace(0, 1, _QUANTILES + 1)).astype(np.float32)


def _neighbours(images: tf.Tensor) -> tf.Tensor:
    return tf.gather(images, tf.bitwise.bitwise_xor(tf.range(tf.shape(images)[0]), 1))
