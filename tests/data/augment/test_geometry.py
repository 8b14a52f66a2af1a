"""Affine maps against SciPy's interpolation, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from zoo.data import randomness
from zoo.data.augment import geometry

RNG = np.random.default_rng(0)
FILL = (10.0, 120.0, 250.0)


def keys(count):
    return randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


def reference(image, matrix, shift):
    """The output at p, (x, y) from the centre, is the input at `matrix @ p + shift`; float64."""
    height, width, channels = image.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) - centre
    x, y = np.moveaxis(points @ matrix.T + shift + centre, -1, 0)
    planes = [
        ndimage.map_coordinates(image[..., c].astype(float), [y, x], order=1, mode="grid-constant", cval=FILL[c])
        for c in range(channels)
    ]
    return np.stack(planes, -1)


@pytest.mark.parametrize("shape", [(12, 17, 3), (8, 8, 1)])
def test_warp_is_bilinear(shape):
    images = RNG.integers(0, 256, (20, *shape), dtype=np.uint8)
    matrix = np.eye(2) + RNG.normal(0, 0.3, (20, 2, 2))
    shift = RNG.normal(0, 3, (20, 2))
    result = geometry.warp(
        tf.constant(images), tf.constant(matrix, tf.float32), tf.constant(shift, tf.float32), FILL[: shape[-1]]
    ).numpy()
    expected = np.stack([reference(*one) for one in zip(images, matrix, shift, strict=True)])
    assert np.abs(result - expected).max() < 0.51


def test_warp_by_the_identity_changes_nothing():
    images = tf.constant(RNG.integers(0, 256, (256, 7, 7, 3), dtype=np.uint8))
    same = geometry.warp(images, tf.eye(2, batch_shape=[256]), tf.zeros([256, 2]), (77.3, 0.1, 254.9))
    np.testing.assert_array_equal(same, images)


def drawn(count, degrees, scale, shear, shift):
    """The seven numbers of each image, by the same hashes, and the map that they mean."""
    draws = tf.range(7, dtype=tf.int64)
    numbers = 2.0 * randomness.random_uniform(keys(count)[:, None], draws).numpy() - 1
    taken = randomness.random_integers(randomness.derive(keys(count)[:, None], 7 + draws), 0, 2).numpy()
    numbers = numbers * taken * [np.radians(degrees), shear, shear, scale, scale, shift, shift]
    maps = []
    for angle, shear_x, shear_y, scale_x, scale_y, right, down in numbers:
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        forward = rotate @ [[1, shear_x], [shear_y, 1]] @ np.diag([1 + scale_x, 1 + scale_y])
        backward = np.linalg.inv(forward)
        maps.append((backward, -backward @ [right, down]))
    return numbers, maps


def test_affine_scales_shears_rotates_and_shifts():
    strengths = (20, 0.3, 0.4, 3)
    images = RNG.integers(0, 256, (64, 15, 11, 3), dtype=np.uint8)
    numbers, maps = drawn(64, *strengths)
    result = geometry.affine(tf.constant(images), keys(64), FILL, *strengths).numpy()
    expected = np.stack([reference(image, *one) for image, one in zip(images, maps, strict=True)])
    # Positions are float32: where neighbours differ much, a level more.
    assert np.abs(result - expected).max() < 0.52
    assert abs((numbers == 0).mean() - 0.5) < 0.1


def test_by_group_keeps_order_and_takes_empty_groups():
    values = tf.range(6)[:, None]
    result = geometry.by_group(
        values,
        tf.constant([2, 0, 2, 0, 0, 2]),
        [lambda v, e: v + e, lambda v, e: v, lambda v, e: v * 10],
        tf.fill([6, 1], 100),
    )
    assert result.numpy()[:, 0].tolist() == [0, 101, 20, 103, 104, 50]
