"""Augmentations against plain NumPy, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.data import augment, randomness

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(1, 256, (64, 9, 7, 3), dtype=np.uint8)


def keys(count=64, seed=0, epoch=0):
    return randomness.example_keys(
        seed, tf.fill([count], tf.constant(epoch, tf.int64)), tf.range(count, dtype=tf.int64)
    )


def reference_pad_crop(image, top, left, padding):
    height, width, _ = image.shape
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    return padded[top : top + height, left : left + width]


def test_pad_crop_is_padding_and_cropping():
    padded = augment.make_augmentation("pad_crop:2")(IMAGES, keys()).numpy()
    top, left = (randomness.random_integers(keys(), draw, 5).numpy() for draw in (0, 1))
    assert set(top) == set(left) == set(range(5))
    expected = [reference_pad_crop(*one, 2) for one in zip(IMAGES, top, left, strict=True)]
    np.testing.assert_array_equal(padded, expected)


def test_flip_mirrors_about_half():
    flipped = augment.make_augmentation("flip")(IMAGES, keys()).numpy()
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, IMAGES, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(flipped, IMAGES, strict=True)])
    assert (mirrored ^ same).all()
    assert 20 < mirrored.sum() < 44


@pytest.mark.parametrize("text", ["pad_crop:3,flip", "flip,pad_crop:3"])
def test_order_is_as_written(text):
    """Composed into one gather, the result is that of one after the other."""
    result = augment.make_augmentation(text)(IMAGES, keys()).numpy()
    first = text.startswith("pad_crop")
    top, left = (randomness.random_integers(keys(), draw + (0 if first else 2), 7).numpy() for draw in (0, 1))
    mirrored = randomness.random_integers(keys(), 2 if first else 0, 2).numpy() == 1
    for image, expected, t, s, m in zip(IMAGES, result, top, left, mirrored, strict=True):
        if first:
            image = reference_pad_crop(image, t, s, 3)
            image = image[:, ::-1] if m else image
        else:
            image = reference_pad_crop(image[:, ::-1] if m else image, t, s, 3)
        np.testing.assert_array_equal(expected, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_dtype_and_shape_stay(dtype):
    result = augment.make_augmentation("pad_crop:1,flip")(IMAGES.astype(dtype), keys())
    assert result.dtype == dtype
    assert result.shape == IMAGES.shape


def test_padding_is_smaller_than_the_image():
    augment.check_augmentations("pad_crop:7,flip", (8, 9, 1))
    with pytest.raises(ValueError, match="pad_crop must be smaller than the image, 8 pixels high"):
        augment.check_augmentations("pad_crop:8", (8, 9, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flop", "unknown augmentation 'flop'; did you mean flip"),
        ("pad_crop", "pad_crop takes a number of pixels, as pad_crop:4"),
        ("pad_crop:0", "pad_crop takes a number of pixels"),
        ("pad_crop:00", "pad_crop takes a number of pixels"),
        ("pad_crop:-1", "pad_crop takes a number of pixels"),
        ("pad_crop:1.5", "pad_crop takes a number of pixels"),
        ("pad_crop:1:2", "pad_crop takes a number of pixels"),
        ("flip:2", "flip takes no number"),
        ("flip,flip", "flip may stand once"),
        ("flip,", "unknown augmentation ''"),
    ],
)
def test_wrong_descriptions(text, message):
    with pytest.raises(ValueError, match=message):
        augment.parse_augmentations(text)
