import numpy as np
import pytest
import tensorflow as tf

from zoo.data import randomness
from zoo.data.augment import erasing

FILL = (10.4, 120.6, 250.0)
COLOUR = (10, 121, 250)


def keys(count):
    return randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


def boxes(changed):
    """Rectangles (top, left, height, width) of masks (n, h, w), after a look whether they are rectangles."""
    result = []
    for mask in changed:
        rows, columns = mask.any(1), mask.any(0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns[None])
        filled = [np.flatnonzero(side) for side in (rows, columns)]
        for side in filled:
            assert len(side) == 0 or side[-1] - side[0] + 1 == len(side)
        result.append([*(side[0] if len(side) else -1 for side in filled), *map(len, filled)])
    return np.array(result)


@pytest.mark.parametrize("channels", [1, 3])
def test_cutout_is_a_square_around_any_pixel(channels):
    images = np.full((1000, 9, 11, channels), 3, np.uint8)
    result = erasing.cutout(tf.constant(images), keys(1000), FILL[:channels], 4).numpy()
    np.testing.assert_array_equal(np.unique(result[..., channels - 1]), sorted({3, COLOUR[channels - 1]}))
    mask = (result != 3).all(-1)
    np.testing.assert_array_equal(mask, (result != 3).any(-1))
    boxes(mask)
    y = randomness.random_integers(keys(1000), 0, 9).numpy()[:, None, None]
    x = randomness.random_integers(keys(1000), 1, 11).numpy()[:, None, None]
    rows, columns = np.arange(9)[:, None], np.arange(11)
    # DeVries and Taylor's: half the side each way, cut off at the edge.
    np.testing.assert_array_equal(mask, (rows >= y - 2) & (rows < y + 2) & (columns >= x - 2) & (columns < x + 2))


def test_random_erasing_is_as_the_paper_says():
    images = np.full((3000, 50, 40, 3), 3, np.uint8)
    result = erasing.random_erasing(tf.constant(images), keys(3000), FILL, 0.7).numpy()
    mask = (result != 3).all(-1)
    assert {tuple(pixel) for pixel in result[mask][:1000]} == {COLOUR}
    assert abs(mask.any((1, 2)).mean() - 0.7) < 0.03
    top, left, tall, wide = boxes(mask[mask.any((1, 2))]).T
    area, ratio = tall * wide / 2000, tall / wide
    assert 0.015 < area.min() < 0.03
    assert 0.37 < area.max() < 0.42
    assert 0.25 < ratio.min() < 0.35
    assert 3 < ratio.max() < 3.8
    small = area < 0.2
    assert abs(np.median(area[small]) - 0.11) < 0.012
    assert abs((ratio[small] > 1).mean() - 0.5) < 0.03
    assert abs((top / (50 - tall)).mean() - 0.5) < 0.02
    assert abs((left / (40 - wide)).mean() - 0.5) < 0.02


def test_paste_takes_images_or_a_colour():
    images, other = tf.zeros([2, 3, 4, 2]), tf.ones([2, 3, 4, 2])
    ones = tf.constant([1, 0])
    mask = erasing.rectangle(images, ones, ones, ones + 1, ones + 2)
    for value in (erasing.paste(images, other, mask), erasing.paste(images, tf.constant([1.0]), mask)):
        expected = np.zeros((2, 3, 4, 2))
        expected[0, 1, 1:3] = 1
        expected[1, 0, 0:2] = 1
        np.testing.assert_array_equal(value, expected)
