"""RandAugment's operations against Pillow's, one image at a time."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from zoo.data import augment, randomness
from zoo.data.augment import randaugment

RNG = np.random.default_rng(0)
FILL = (10.0, 120.0, 250.0)
# Blurred noise of little contrast, flat images, and images of two levels.
NOISE = RNG.integers(0, 256, (10, 24, 20, 3), dtype=np.uint8)
DULL = (NOISE // 3 + 60).astype(np.uint8)
FLAT = np.broadcast_to(RNG.integers(0, 256, (4, 1, 1, 3)), (4, 24, 20, 3)).astype(np.uint8)
TWO = np.where(RNG.random((4, 24, 20, 1)) < 0.1, FLAT, 255 - FLAT).astype(np.uint8)
IMAGES = np.concatenate([NOISE, DULL, FLAT, TWO])


def keys(count, seed=0):
    return randomness.example_keys(seed, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


def applied(name, images, sign, magnitude):
    count = len(images)
    operations = tf.fill([count], randaugment.OPERATIONS.index(name))
    fill = FILL[: images.shape[-1]]
    return randaugment.apply(tf.constant(images), operations, tf.fill([count], float(sign)), fill, magnitude).numpy()


def pillow(name, image, sign, magnitude):
    share = sign * magnitude / 10
    factor = 1 + 0.9 * share
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    height, width = image.shape[:2]
    angle = np.radians(30 * share)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = {
        "rotate": (cosine, sine, 0, -sine, cosine, 0),
        "shear_x": (1, 0.3 * share, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.3 * share, 1, 0),
        "translate_x": (1, 0, 150 / 331 * width * share, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, 150 / 331 * height * share),
    }
    if name in matrices:
        a, b, c, d, e, f = matrices[name]
        x, y = width / 2, height / 2
        data = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
        # Two images: one of the pixels and one of how much of each is not fill.
        inside = Image.new("L", picture.size, 255).transform(picture.size, Image.Transform.AFFINE, data, Image.NEAREST)
        moved = picture.transform(picture.size, Image.Transform.AFFINE, data, Image.BILINEAR)
        return np.asarray(moved).reshape(image.shape), np.asarray(inside) > 0
    result = {
        "identity": lambda: picture,
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
        "posterize": lambda: ImageOps.posterize(picture, 8 - round(0.4 * magnitude)),
        "solarize": lambda: ImageOps.solarize(picture, round(256 - 25.6 * magnitude)),
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(factor),
        "color": lambda: ImageEnhance.Color(picture).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(factor),
    }[name]()
    return np.asarray(result).reshape(image.shape), None


# Pillow cuts the fraction of blends off, and rounds greys and smoothed pixels before; autocontrast computes in
# floating point, where a whole number can come out just below itself.
WITHIN = {"brightness": 1, "contrast": 2, "color": 2, "sharpness": 2, "autocontrast": 1}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sign", "magnitude"), [(1, 9), (-1, 5), (1, 10), (-1, 10), (1, 0)])
@pytest.mark.parametrize("name", randaugment.OTHERS)
def test_tones_are_pillows(name, sign, magnitude, channels):
    images = np.ascontiguousarray(IMAGES[..., :channels])
    result = applied(name, images, sign, magnitude).astype(int)
    expected = np.stack([pillow(name, image, sign, magnitude)[0] for image in images])
    assert np.abs(result - expected).max() <= WITHIN.get(name, 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sign", "magnitude"), [(1, 9), (-1, 4)])
@pytest.mark.parametrize("name", randaugment.GEOMETRIC)
def test_moves_are_pillows(name, sign, magnitude, channels):
    images = np.ascontiguousarray(IMAGES[:4, ..., :channels])
    result = applied(name, images, sign, magnitude).astype(int)
    compared = 0
    for image, after in zip(images, result, strict=True):
        expected, inside = pillow(name, image, sign, magnitude)
        # At the edge of the image Pillow does not blend with the fill.
        core = np.zeros_like(inside)
        core[2:-2, 2:-2] = np.lib.stride_tricks.sliding_window_view(inside, (5, 5)).all((2, 3))
        assert np.abs(after - expected)[core].max() <= 1
        compared += core.sum()
        outside = np.zeros_like(inside)
        outside[2:-2, 2:-2] = ~np.lib.stride_tricks.sliding_window_view(inside, (5, 5)).any((2, 3))
        np.testing.assert_array_equal(after[outside], np.broadcast_to(FILL[:channels], (outside.sum(), channels)))
    assert compared > 300


def test_magnitude_zero_leaves_what_has_a_magnitude():
    for name in randaugment.OPERATIONS:
        if name not in ("autocontrast", "equalize"):
            np.testing.assert_array_equal(applied(name, IMAGES, 1, 0), IMAGES)


def test_operations_and_signs_are_uniform_and_layers_independent():
    count = 28_000
    first, second = (randomness.random_integers(keys(count), draw, 14).numpy() for draw in (0, 2))
    counts = np.zeros((14, 14))
    np.add.at(counts, (first, second), 1)
    statistic = ((counts - count / 196) ** 2).sum() / (count / 196)
    assert statistic < 195 + 5 * np.sqrt(390)


def test_layers_follow_each_other():
    images = tf.constant(NOISE.repeat(6, 0))
    many = keys(60)
    expected = images
    for layer in range(3):
        operations = randomness.random_integers(many, 2 * layer, 14)
        signs = 1 - 2 * tf.cast(randomness.random_integers(many, 2 * layer + 1, 2), tf.float32)
        expected = randaugment.apply(expected, operations, signs, FILL, 7)
    np.testing.assert_array_equal(randaugment.randaugment(images, many, FILL, 3, 7), expected)
    made = augment.make_augmentation("flip,randaugment:3:7", FILL)(images, many)
    flipped = augment.make_augmentation("flip")(images, many)
    np.testing.assert_array_equal(made, randaugment.randaugment(flipped, randomness.derive(many, 2), FILL, 3, 7))
