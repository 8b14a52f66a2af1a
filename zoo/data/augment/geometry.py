"""Where pixels lie: flips, shifts and affine maps of whole batches, with the same pixels for an example in any batch.

An operation with few variants (a flip: two; a shift by up to p pixels: 2 p + 1) sorts the examples by variant,
does each variant to its examples at once and puts them back: every step moves whole rows. Gathering pixel by pixel
takes 4 times as long.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from zoo.data.randomness import derive, random_integers, random_uniform, steady


def by_group(
    images: tf.Tensor, groups: tf.Tensor, functions: Sequence[Callable[..., tf.Tensor]], *arguments: tf.Tensor
) -> tf.Tensor:
    """Does something else to each group of examples.

    Args:
        images: (n, ...).
        groups: int32 (n,), the number of the function that each example goes through.
        functions: take a part of the images, and of `arguments`; none or all examples may come to one.
        arguments: (n, ...), handed over with the images.

    Returns:
        What the functions return, in the order of the images, (n, ...).
    """
    parts = [tf.dynamic_partition(part, groups, len(functions)) for part in (images, *arguments)]
    places = tf.dynamic_partition(tf.range(tf.shape(images)[0]), groups, len(functions))
    return tf.dynamic_stitch(places, [function(*part) for function, *part in zip(functions, *parts, strict=True)])


def flip(images: tf.Tensor, keys: tf.Tensor, draw: int) -> tf.Tensor:
    """Mirrors every second image left to right; (n, height, width, channels) of any dtype, keys uint64 (n,)."""
    mirrored = random_integers(keys, draw, 2)

    def mirror(part):
        # Of three dimensions with three channels this is a copy, of four it is ten times as slow.
        rows = tf.reshape(part, [-1, *images.shape[2:]])
        return tf.reshape(tf.reverse(rows, [1]), [-1, *images.shape[1:]])

    return tf.reshape(by_group(images, mirrored, [tf.identity, mirror]), tf.shape(images))


def pad_crop(images: tf.Tensor, keys: tf.Tensor, draw: int, padding: int) -> tf.Tensor:
    """Shifts each image by up to `padding` pixels each way.

    It equals padding every side and cropping at random (He et al. 2015, arXiv:1512.03385, section 4.2, who
    pad with the mean; here the padding is black).

    Args:
        images: (n, height, width, channels) of any dtype.
        keys: uint64 (n,).
        draw: the first of two numbers drawn from each key.
        padding: at least 1.
    """
    height, width, channels = images.shape[1:]
    top = random_integers(keys, draw, 2 * padding + 1)
    left = random_integers(keys, draw + 1, 2 * padding + 1)
    rows = tf.pad(images, [[0, 0], [padding, padding], [0, 0], [0, 0]])
    rows = tf.reshape(rows, [-1, height + 2 * padding, width * channels])
    rows = tf.gather(rows, top[:, None] + tf.range(height), batch_dims=1)
    rows = tf.pad(rows, [[0, 0], [0, 0], [padding * channels, padding * channels]])
    cuts = [
        lambda part, start=start * channels: part[:, :, start : start + width * channels]
        for start in range(2 * padding + 1)
    ]
    return tf.reshape(by_group(rows, left, cuts), tf.shape(images))


def affine(
    images: tf.Tensor,
    keys: tf.Tensor,
    fill: Sequence[float],
    degrees: float,
    scale: float,
    shear: float,
    shift: float,
) -> tf.Tensor:
    """Rotates, scales, shears and shifts around the centre (Koch et al. 2015, Siamese neural networks for one-shot
    image recognition, section 3.4, with 10, 0.2, 0.3 and 2 for Omniglot).

    Seven numbers are drawn for an image, uniformly: the angle, the shear, the scale and the shift in x and in y; each
    takes part with probability 1/2. An image is scaled, then sheared, rotated and shifted.

    Args:
        images: uint8 (n, height, width, channels).
        keys: uint64 (n,).
        fill: what lies outside, by channel or one for all.
        degrees: the largest angle either way.
        scale: how much the scale differs from 1 at most, below 1.
        shear: the largest shear, as tangent of the angle.
        shift: the largest shift, pixels.
    """
    draws = tf.range(7, dtype=tf.int64)
    signed = 2 * random_uniform(keys[:, None], draws) - 1
    signed *= tf.cast(random_integers(derive(keys[:, None], 7 + draws), 0, 2), tf.float32)
    largest = tf.constant([math.radians(degrees), shear, shear, scale, scale, shift, shift], tf.float32)
    angle, shear_x, shear_y, scale_x, scale_y, right, down = tf.unstack(signed * largest, axis=1)
    # From output to input every step is undone: first the shift, then the rotation, and so on.
    cosine, sine = steady(tf.cos, angle), steady(tf.sin, angle)
    determinant = 1 - shear_x * shear_y
    unsheared = [
        [cosine + shear_x * sine, sine - shear_x * cosine],
        [-sine - shear_y * cosine, cosine - shear_y * sine],
    ]
    factors = [1 / (determinant * (1 + scale_x)), 1 / (determinant * (1 + scale_y))]
    matrix = tf.stack([tf.stack([a * f, b * f], 1) for (a, b), f in zip(unsheared, factors, strict=True)], 1)
    moved = tf.linalg.matvec(matrix, tf.stack([right, down], 1))
    return warp(images, matrix, -moved, fill)


def warp(images: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor, fill: Sequence[float]) -> tf.Tensor:
    """Affine maps of a batch in one call, with bilinear interpolation.

    Args:
        images: uint8 (n, height, width, channels).
        matrix: float32 (n, 2, 2). With p = (x, y) measured from the centre of the image, the output at p is the input
            at `matrix @ p + shift`.
        shift: float32 (n, 2), pixels.
        fill: what lies outside, by channel or one for all.

    Returns:
        uint8, rounded.
    """
    height, width, channels = images.shape[1:]
    centre = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    offset = centre + shift - tf.linalg.matvec(matrix, centre)
    rows = tf.concat([matrix, offset[:, :, None]], 2)
    # The operation knows one fill value for all channels: zero, if the fill is subtracted.
    background = tf.tile(tf.broadcast_to(tf.constant(fill, tf.float32), [channels]), [width])
    pixels = tf.cast(tf.reshape(images, [-1, height, width * channels]), tf.float32) - background
    pixels = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.reshape(pixels, [-1, height, width, channels]),
        transforms=tf.pad(tf.reshape(rows, [-1, 6]), [[0, 0], [0, 2]]),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    pixels = tf.reshape(pixels, [-1, height, width * channels]) + (background + 0.5)
    return tf.reshape(tf.cast(pixels, tf.uint8), tf.shape(images))
