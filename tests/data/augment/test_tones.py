"""Tones against Pillow and NumPy; what RandAugment makes of them stands in test_randaugment.py."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import randomness
from zoo.data.augment import tones

RNG = np.random.default_rng(0)


def keys(count):
    return randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter_changes_brightness_then_contrast_then_saturation(channels):
    images = RNG.integers(0, 256, (50, 6, 8, channels), dtype=np.uint8)
    result = tones.color_jitter(tf.constant(images), keys(50), 0.4).numpy()
    luma = np.array([1.0] if channels == 1 else [0.299, 0.587, 0.114])
    factors = np.stack([0.6 + 0.8 * randomness.random_uniform(keys(50), draw).numpy() for draw in range(3)], 1)
    assert factors.min() < 0.63
    assert factors.max() > 1.37
    for image, after, (brightness, contrast, saturation) in zip(images, result, factors, strict=True):
        pixels = np.clip(image * brightness, 0, 255)
        middle = (pixels @ luma).mean()
        pixels = np.clip(middle + contrast * (pixels - middle), 0, 255)
        grey = (pixels @ luma)[..., None]
        pixels = np.clip(grey + saturation * (pixels - grey), 0, 255)
        assert np.abs(after - pixels).max() < 0.501


def test_tables_are_for_all_for_images_or_for_channels():
    images = RNG.integers(0, 256, (3, 4, 5, 2), dtype=np.uint8)
    table = RNG.integers(0, 256, (3, 2, 256), dtype=np.uint8)
    n, c = np.arange(3)[:, None, None, None], np.arange(2)
    for part, expected in (
        (table, table[n, c, images]),
        (table[:, 0], table[n, 0, images]),
        (table[0, 0], table[0, 0, images]),
    ):
        np.testing.assert_array_equal(tones.apply_table(tf.constant(images), tf.constant(part)), expected)
