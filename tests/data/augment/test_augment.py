"""Augmentations against plain NumPy, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.config.augmentations import parse_augmentations
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
    with pytest.raises(ValueError, match="pad_crop must be smaller than the shorter side, 8 pixels"):
        augment.check_augmentations("pad_crop:8", (8, 9, 1))


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("cutout:9", (9, 12, 3), "cutout must be smaller than the shorter side, 9 pixels"),
        ("affine:5:0:0:6", (12, 6, 3), "affine must be smaller than the shorter side, 6 pixels"),
        ("flip,randaugment:1:5", (8, 8, 2), "randaugment is for images of 1 or 3 channels, not of 2"),
        ("color_jitter:0.1", (8, 8, 4), "color_jitter is for images of 1 or 3 channels, not of 4"),
    ],
)
def test_what_images_of_a_shape_cannot_take(text, shape, message):
    augment.check_augmentations(text, (32, 32, 3))
    with pytest.raises(ValueError, match=message):
        augment.check_augmentations(text, shape)


def test_strengths_are_numbers():
    text = "random_resized_crop:.25, affine:10:0.2:0:2,randaugment:2:9,cutmix:1"
    assert parse_augmentations(text) == [
        ("random_resized_crop", (0.25,)),
        ("affine", (10.0, 0.2, 0.0, 2.0)),
        ("randaugment", (2, 9.0)),
        ("cutmix", (1.0,)),
    ]
    assert parse_augmentations("") == parse_augmentations(" ") == []


def test_the_area_of_random_crops():
    assert augment.random_crop_area("flip") is None
    assert augment.random_crop_area("random_resized_crop,flip") == 0.08
    assert augment.random_crop_area("random_resized_crop:0.5,flip") == 0.5


ALL = "pad_crop:2,flip,affine:10:0.2:0.3:2,color_jitter:0.4,randaugment:1:9,cutout:3,random_erasing:0.5"


@pytest.mark.parametrize(
    ("text", "shape"), [*((text, (9, 7, 3)) for text in ALL.split(",")), (ALL, (8, 8, 1)), (ALL, (5, 33, 3))]
)
def test_an_example_is_the_same_alone_and_in_any_place(text, shape):
    """For each augmentation and all together, for any size, alone or not, in a graph or not."""
    images = RNG.integers(0, 256, (40, *shape), dtype=np.uint8)
    function = augment.make_augmentation(text, tuple(range(100, 100 + shape[-1])))
    together = function(images, keys(40)).numpy()
    assert together.dtype == np.uint8
    assert together.shape == images.shape
    assert not np.array_equal(together, images)
    order = np.random.default_rng(1).permutation(40)
    graph = tf.function(
        function, input_signature=[tf.TensorSpec((None, *shape), tf.uint8), tf.TensorSpec((None,), tf.uint64)]
    )
    np.testing.assert_array_equal(graph(images[order], tf.gather(keys(40), order)), together[order])
    for n in (0, 17):
        np.testing.assert_array_equal(graph(images[n : n + 1], keys(40)[n : n + 1])[0], together[n])


def test_another_epoch_is_augmented_otherwise():
    one, other = (augment.make_augmentation(ALL)(IMAGES, keys(epoch=epoch)).numpy() for epoch in (0, 1))
    assert (one != other).any((1, 2, 3)).mean() > 0.9


def test_augmentations_of_other_stages_are_left_out():
    text = "random_resized_crop,flip,mixup:1"
    flipped = augment.make_augmentation("pad_crop:1,flip")(IMAGES, keys())
    assert not np.array_equal(flipped, IMAGES)
    # What a crop or mixing does not touch draws the same numbers as without: the place in the text decides.
    np.testing.assert_array_equal(
        augment.make_augmentation(text)(IMAGES, keys()),
        augment.make_augmentation("random_resized_crop,flip")(IMAGES, keys()),
    )
    assert augment.make_mixing("flip") is None
    assert augment.make_mixing(text) is not None


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
        ("cutuot:8", "unknown augmentation 'cutuot'; did you mean cutout"),
        ("cutout", "cutout takes a number of pixels, as cutout:8"),
        ("random_erasing:1.1", "random_erasing takes a probability above 0 and up to 1, as random_erasing:0.5"),
        ("random_erasing:nan", "random_erasing takes a probability"),
        ("random_erasing:0", "random_erasing takes a probability"),
        ("color_jitter:-0.4", "color_jitter takes a strength above 0 and up to 1, as color_jitter:0.4"),
        ("randaugment:2", "randaugment takes the number of operations, 1 to 14, and their magnitude, 0 to 10"),
        ("randaugment:0:9", "randaugment takes the number"),
        ("randaugment:2:11", "randaugment takes the number"),
        ("randaugment:1.5:5", "randaugment takes the number"),
        ("affine:10:1:0:0", "affine takes degrees up to 180, scale up to 0.9, .*, as affine:10:0.2:0.3:2"),
        ("affine:10", "affine takes degrees"),
        ("random_resized_crop:0", "random_resized_crop takes nothing or the least area, above 0 and up to 1"),
        ("random_resized_crop:0.1:2", "random_resized_crop takes nothing or the least area"),
        ("mixup", "mixup takes a number above 0 and up to 100, as mixup:0.2"),
        ("mixup:0.0", "mixup takes a number above 0"),
        ("flip,random_resized_crop", "random_resized_crop must stand first"),
        ("mixup:1,flip", "mixup must stand last"),
        ("mixup:1,cutmix:1,mixup:1", "mixup may stand once"),
        ("cutmix:1,mixup:1,cutmix:1", "cutmix may stand once"),
        ("cutmix:1,flip,mixup:1", "cutmix must stand last"),
    ],
)
def test_wrong_descriptions(text, message):
    with pytest.raises(ValueError, match=message):
        parse_augmentations(text)
