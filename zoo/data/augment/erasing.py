"""Rectangles of a batch of images painted over."""

import math
from collections.abc import Sequence

import tensorflow as tf

from zoo.data.randomness import random_integers, random_uniform, steady

# Zhong et al. 2017, arXiv:1708.04896, section 4: the area in shares of the image, and the ratio of the sides.
ERASED_AREA = (0.02, 0.4)
ERASED_ASPECT = 0.3
# The paper draws until a rectangle fits; torchvision gives up after ten draws, too.
ATTEMPTS = 10


def cutout(images: tf.Tensor, keys: tf.Tensor, fill: Sequence[float], size: int) -> tf.Tensor:
    """Paints a square over (DeVries and Taylor 2017, arXiv:1708.04552).

    Its centre lies anywhere in the image, so that a part of it may lie outside. The paper paints with zero after
    normalisation, which is the mean.

    Args:
        images: uint8 (n, height, width, channels).
        keys: uint64 (n,).
        fill: the colour, by channel or one for all.
        size: side of the square, pixels.
    """
    height, width = images.shape[1:3]
    top = random_integers(keys, 0, height) - size // 2
    left = random_integers(keys, 1, width) - size // 2
    colour = tf.constant([round(value) for value in fill], tf.uint8)
    return paste(images, colour, rectangle(images, top, left, top + size, left + size))


def random_erasing(images: tf.Tensor, keys: tf.Tensor, fill: Sequence[float], probability: float) -> tf.Tensor:
    """Paints a rectangle over (Zhong et al. 2017, arXiv:1708.04896), in a share of the images.

    Its area is uniform between 2 % and 40 % of the image, the ratio of its sides between 0.3 and 1 / 0.3,
    log-uniform, so that upright and lying rectangles are equally likely; it lies anywhere inside. Where ten draws
    do not fit, the image stays as it is.

    Args:
        images: uint8 (n, height, width, channels).
        keys: uint64 (n,).
        fill: the colour, by channel or one for all.
        probability: of an image to be erased.
    """
    height, width = images.shape[1:3]
    attempts = tf.range(ATTEMPTS, dtype=tf.int64)
    least, most = (share * height * width for share in ERASED_AREA)
    areas = least + (most - least) * random_uniform(keys[:, None], 2 * attempts)
    ratios = steady(tf.exp, math.log(ERASED_ASPECT) * (2 * random_uniform(keys[:, None], 2 * attempts + 1) - 1))
    tall, wide = (tf.cast(tf.round(tf.sqrt(side)), tf.int32) for side in (areas * ratios, areas / ratios))
    fits = (tall < height) & (wide < width)
    first = tf.argmax(fits, 1)
    erased = tf.reduce_any(fits, 1) & (random_uniform(keys, 2 * ATTEMPTS) < probability)
    tall, wide = (tf.where(erased, tf.gather(side, first, batch_dims=1), 0) for side in (tall, wide))
    top = random_integers(keys, 2 * ATTEMPTS + 1, height - tall + 1)
    left = random_integers(keys, 2 * ATTEMPTS + 2, width - wide + 1)
    colour = tf.constant([round(value) for value in fill], tf.uint8)
    return paste(images, colour, rectangle(images, top, left, top + tall, left + wide))


def rectangle(images: tf.Tensor, top: tf.Tensor, left: tf.Tensor, bottom: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Where a rectangle of each image lies, bool (n, height, width * channels); bounds int32 (n,), half-open."""
    height, width, channels = images.shape[1:]
    rows, columns = tf.range(height), tf.repeat(tf.range(width), channels)
    rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    columns = (columns >= left[:, None]) & (columns < right[:, None])
    return rows[:, :, None] & columns[:, None, :]


def paste(images: tf.Tensor, other: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The pixels of `other` where the mask of `rectangle` says so, and of the images elsewhere.

    Args:
        images: (n, height, width, channels).
        other: images of the same shape, or one colour, (1,) or (channels,), of the same dtype.
        mask: bool (n, height, width * channels).
    """
    height, width, channels = images.shape[1:]
    if other.shape.rank == 1:
        other = tf.tile(tf.broadcast_to(other, [channels]), [height * width])[None]
        other = tf.broadcast_to(other, [tf.shape(images)[0], height * width * channels])
    flat = tf.shape(mask)
    return tf.reshape(tf.where(mask, tf.reshape(other, flat), tf.reshape(images, flat)), tf.shape(images))
