"""Brightness, contrast and colour of a batch of images.

Images are uint8 (n, height, width, channels) with 1 or 3 channels; factors are float32 (n,), 1 changes nothing and
0 takes the quality away (black, one grey, grey, smooth), as in Pillow's `ImageEnhance`. Results are rounded.
"""

import numpy as np
import tensorflow as tf

from zoo.data.randomness import random_uniform

# ITU-R BT.601 luma, as Pillow's and TensorFlow's conversions to grey.
LUMA = (0.299, 0.587, 0.114)
# Pillow's `ImageFilter.SMOOTH`.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def color_jitter(images: tf.Tensor, keys: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, then contrast, then saturation, each by a factor uniform in `1 - strength .. 1 + strength`.

    The three of the jitter that Krizhevsky's successors use for ImageNet (Howard 2013, arXiv:1312.5402, section 2.2),
    in one order; of a grey image the saturation stays as it is. It is rounded once, at the end.

    Args:
        images: see above.
        keys: uint64 (n,).
        strength: above 0 and up to 1.
    """
    brightness, contrast, saturation = (1 + strength * (2 * random_uniform(keys, draw) - 1) for draw in range(3))
    pixels = _clipped(_flat(images) * brightness[:, None])
    middle = tf.reduce_mean(_luma_means(pixels, images.shape), 1, keepdims=True)
    pixels = _clipped(middle + contrast[:, None] * (pixels - middle))
    return _to_uint8(_saturated(pixels, saturation, images.shape[-1]), images)


def brightness_table(factors: tf.Tensor) -> tf.Tensor:
    """For `apply_table`: blends with black; uint8 (n, 256)."""
    return _rounded(factors[:, None] * tf.range(256, dtype=tf.float32))


def contrast_table(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """For `apply_table`: blends with the mean grey of the image, rounded as Pillow does it; uint8 (n, 256)."""
    middle = tf.floor(_luma_means(_flat(images), images.shape) + 0.5)
    return _rounded(middle + factors[:, None] * (tf.range(256, dtype=tf.float32) - middle))


def autocontrast_table(images: tf.Tensor) -> tf.Tensor:
    """For `apply_table`: stretches the levels of each channel to 0..255; uint8 (n, channels, 256).

    It rounds down, as Pillow's `ImageOps.autocontrast`.
    """
    low, high = (tf.cast(reduce(images, [1, 2]), tf.int32)[:, :, None] for reduce in (tf.reduce_min, tf.reduce_max))
    levels = tf.range(256)
    stretched = (levels - low) * 255 // tf.maximum(high - low, 1)
    return tf.cast(tf.clip_by_value(tf.where(high > low, stretched, levels), 0, 255), tf.uint8)


def equalize_table(images: tf.Tensor) -> tf.Tensor:
    """For `apply_table`: makes each channel's histogram flat; uint8 (n, channels, 256).

    Whole-number arithmetic, as Pillow's `ImageOps.equalize`.
    """
    channels = images.shape[-1]
    count = tf.shape(images)[0] * channels
    bins = tf.cast(tf.transpose(images, [0, 3, 1, 2]), tf.int32)
    bins = tf.reshape(bins, [count, images.shape[1] * images.shape[2]]) + 256 * tf.range(count)[:, None]
    counts = tf.math.bincount(tf.reshape(bins, [-1]), minlength=256 * count, maxlength=256 * count)
    counts = tf.reshape(counts, [count, 256])
    brightest = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), 1)
    step = (tf.reduce_sum(counts, 1) - tf.gather(counts, brightest, batch_dims=1))[:, None] // 255
    below = tf.cumsum(counts, axis=1, exclusive=True) + step // 2
    levels = tf.where(step > 0, below // tf.maximum(step, 1), tf.range(256))
    return tf.cast(tf.reshape(tf.minimum(levels, 255), [-1, channels, 256]), tf.uint8)


def apply_table(images: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces each level by what the table says, uint8 (256,), (n, 256) or (n, channels, 256)."""
    channels = images.shape[-1]
    levels = tf.cast(_flat(images, tf.uint8), tf.int32)
    if table.shape.rank > 1:
        levels += 256 * (table.shape[1] if table.shape.rank == 3 else 1) * tf.range(tf.shape(images)[0])[:, None]
    if table.shape.rank == 3:
        levels += tf.tile(256 * tf.range(channels), [images.shape[1] * images.shape[2]])
    return tf.reshape(tf.gather(tf.reshape(table, [-1]), levels), tf.shape(images))


def saturate(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with the grey image; of a grey image nothing changes."""
    return _to_uint8(_saturated(_flat(images), factors, images.shape[-1]), images)


def sharpen(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blends with the image smoothed by a 3x3 filter, Pillow's; the outermost pixels stay as they are."""
    height, width, channels = images.shape[1:]
    pixels = tf.cast(images, tf.float32)
    kernel = tf.constant(np.repeat(_SMOOTH[:, :, None, None], channels, 2))
    smooth = tf.nn.depthwise_conv2d(pixels, kernel, strides=[1, 1, 1, 1], padding="SAME")
    inside = np.zeros((height, width, channels), np.float32)
    inside[1:-1, 1:-1] = 1
    difference = (_flat(pixels) - _flat(smooth)) * inside.reshape(1, -1)
    return _to_uint8(_flat(pixels) + (factors[:, None] - 1) * difference, images)


def _flat(images: tf.Tensor, dtype=tf.float32) -> tf.Tensor:
    """(n, height * width * channels): numbers per image are then broadcast many times faster."""
    return tf.cast(tf.reshape(images, [-1, int(np.prod(images.shape[1:]))]), dtype)


def _luma_means(pixels: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """The mean grey of each image, float32 (n, 1), of flat pixels."""
    means = tf.reduce_mean(tf.reshape(pixels, [-1, shape[1] * shape[2], shape[3]]), 1)
    return means if shape[3] == 1 else tf.reduce_sum(means * tf.constant(LUMA), 1, keepdims=True)


def _saturated(pixels: tf.Tensor, factors: tf.Tensor, channels: int) -> tf.Tensor:
    if channels == 1:
        return pixels
    factors = factors[:, None, None]
    to_grey = tf.tile(tf.constant(LUMA)[:, None], [1, 3])
    matrix = factors * tf.eye(3) + (1 - factors) * to_grey
    return tf.reshape(tf.reshape(pixels, [-1, pixels.shape[1] // 3, 3]) @ matrix, tf.shape(pixels))


def _clipped(pixels: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(pixels, 0.0, 255.0)


def _rounded(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(_clipped(pixels) + 0.5, tf.uint8)


def _to_uint8(pixels: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    return tf.reshape(_rounded(pixels), tf.shape(images))
