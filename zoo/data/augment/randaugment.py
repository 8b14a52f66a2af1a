"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719): a few operations drawn from a list, all of one magnitude.

The list is the paper's (figure 2), and the ranges are AutoAugment's (Cubuk et al. 2018, arXiv:1805.09501, table 6),
reached at magnitude 10, with the effect growing linearly from none at 0:

| operation | at magnitude M |
|---|---|
| identity, autocontrast, equalize | have none |
| rotate | 3 M degrees either way |
| shear_x, shear_y | by 0.03 M either way |
| translate_x, translate_y | by 150 / 331 M / 10 of the side, either way (150 pixels of the paper's 331) |
| brightness, contrast, color, sharpness | factor 1 + 0.09 M or 1 - 0.09 M |
| posterize | keeps 8 - 0.4 M bits, rounded to the nearest number |
| solarize | inverts levels from 256 - 25.6 M on, rounded to the nearest number |

Where the sign is free, each is as likely as the other. Two deviations from the authors' code: there the factors are
0.1 + 0.18 M, which does nothing at 5 and most at 0 and 10; and moved pixels take the nearest value, here they are
interpolated.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from zoo.config.augmentations import RANDAUGMENT_MAGNITUDE
from zoo.data.augment import tones
from zoo.data.augment.geometry import by_group, warp
from zoo.data.randomness import random_integers, steady

# The geometric ones are one group: a matrix for each image, and one call for all.
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OTHERS = (
    "identity",
    "autocontrast",
    "equalize",
    "posterize",
    "solarize",
    "brightness",
    "contrast",
    "color",
    "sharpness",
)
OPERATIONS = (*GEOMETRIC, *OTHERS)


def randaugment(images: tf.Tensor, keys: tf.Tensor, fill: Sequence[float], layers: int, magnitude: float) -> tf.Tensor:
    """`layers` operations after each other, each drawn from all with equal probability.

    Args:
        images: uint8 (n, height, width, channels), 1 or 3 channels.
        keys: uint64 (n,).
        fill: what comes from outside the image, by channel or one for all.
        layers: how many.
        magnitude: from 0 to 10.
    """
    for layer in range(layers):
        operations = random_integers(keys, 2 * layer, len(OPERATIONS))
        signs = 1 - 2 * tf.cast(random_integers(keys, 2 * layer + 1, 2), tf.float32)
        images = apply(images, operations, signs, fill, magnitude)
    return images


def apply(
    images: tf.Tensor, operations: tf.Tensor, signs: tf.Tensor, fill: Sequence[float], magnitude: float
) -> tf.Tensor:
    """One operation to each image.

    Args:
        images: uint8 (n, height, width, channels).
        operations: int32 (n,), places in `OPERATIONS`.
        signs: float32 (n,), 1 or -1.
        fill: see `randaugment`.
        magnitude: from 0 to 10.

    Returns:
        The images.
    """
    share = magnitude / RANDAUGMENT_MAGNITUDE

    def moved(part, operations, signs):
        return warp(part, *_maps(operations, share * signs, part.shape), fill)

    def other(name):
        return lambda part, operations, signs: _OTHERS[name](
            tf.ensure_shape(part, shape), share, 1 + 0.9 * share * signs
        )

    shape = (None, *images.shape[1:])
    groups = tf.maximum(operations - (len(GEOMETRIC) - 1), 0)
    result = by_group(images, groups, [moved, *map(other, OTHERS)], operations, signs)
    return tf.reshape(result, tf.shape(images))


def _maps(operations: tf.Tensor, amounts: tf.Tensor, shape: tf.TensorShape) -> tuple[tf.Tensor, tf.Tensor]:
    """Matrices and shifts for `warp`; amounts float32 (n,), -1 to 1."""

    def of(name):
        return tf.where(operations == GEOMETRIC.index(name), amounts, 0.0)

    angle = math.radians(30) * of("rotate")
    cosine, sine = steady(tf.cos, angle), steady(tf.sin, angle)
    matrix = tf.stack([cosine, sine + 0.3 * of("shear_x"), -sine + 0.3 * of("shear_y"), cosine], 1)
    shift = tf.stack([of("translate_x") * shape[2], of("translate_y") * shape[1]], 1) * (150 / 331)
    return tf.reshape(matrix, [-1, 2, 2]), shift


def _posterize(images, share, factors):
    bits = 8 - round(4 * share)
    return tf.bitwise.bitwise_and(images, tf.constant(256 - 2 ** (8 - bits), tf.uint8))


def _solarize(images, share, factors):
    threshold = round(256 * (1 - share))
    levels = range(256)
    return tones.apply_table(images, tf.constant([v if v < threshold else 255 - v for v in levels], tf.uint8))


# (images, share of the largest magnitude, factors float32 (n,)) -> images.
_OTHERS = {
    "identity": lambda images, share, factors: images,
    "autocontrast": lambda images, share, factors: tones.apply_table(images, tones.autocontrast_table(images)),
    "equalize": lambda images, share, factors: tones.apply_table(images, tones.equalize_table(images)),
    "posterize": _posterize,
    "solarize": _solarize,
    "brightness": lambda images, share, factors: tones.apply_table(images, tones.brightness_table(factors)),
    "contrast": lambda images, share, factors: tones.apply_table(images, tones.contrast_table(images, factors)),
    "color": lambda images, share, factors: tones.saturate(images, factors),
    "sharpness": lambda images, share, factors: tones.sharpen(images, factors),
}
