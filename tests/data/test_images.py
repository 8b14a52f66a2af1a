"""Stored images to one size, against Pillow's decoding and NumPy's own resizing."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoo.data import images, randomness

RNG = np.random.default_rng(0)


def smooth(height, width):
    """A picture with little between neighbours, so that positions are seen in the levels; uint8 (h, w, 3)."""
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(x + 0.3 * y), np.cos(y - 0.5 * x), np.sin(0.7 * x) * np.cos(y)]
    return np.round(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def encoded(array, kind="PNG", mode=None, **options):
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def decoded(content, channels=3):
    """What `images.decode` makes of a file, itself held against Pillow below."""
    with Image.open(io.BytesIO(content)) as image:
        shape = (image.height, image.width, channels)
    return images.decode(tf.constant([content]), shape)[0].numpy()


def bilinear(image, size):
    """Half-pixel centres, edges repeated, rounded; float64."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        length = image.shape[axis]
        place = (np.arange(size) + 0.5) * length / size - 0.5
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if d == axis else 1 for d in range(3)])
        first, second = (np.take(result, np.clip(low + step, 0, length - 1), axis) for step in (0, 1))
        result = first * (1 - share) + second * share
    return result


def keys(count, seed=0):
    return randomness.example_keys(seed, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


def assert_levels(result, expected, within=0.501):
    """Equal to a float reference but for rounding."""
    assert result.dtype == np.uint8
    assert np.abs(result - np.asarray(expected, np.float64)).max() <= within


MODES = [("JPEG", mode) for mode in ("L", "RGB", "CMYK")] + [("PNG", m) for m in ("L", "RGB", "RGBA", "LA", "P", "1")]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "mode"), MODES)
def test_images_of_every_mode_are_converted(kind, mode, channels):
    content = encoded(smooth(40, 30), kind, mode)
    result = decoded(content, channels)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB"))
    # Pillow rounds greys otherwise and takes the accurate transform of JPEG.
    assert_levels(result, expected.reshape(result.shape), 3 if kind == "JPEG" else 1 if channels == 1 else 0)


@pytest.mark.parametrize(("kind", "mode"), MODES)
def test_headers_tell_the_size(kind, mode):
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail may stand here: \xff\xd8\xff\xc0\x00\x11\x08\x00\x01\x00\x01"
    contents = [encoded(smooth(40, 300), kind, mode, exif=exif), encoded(smooth(1, 7), kind, mode)]
    if kind == "JPEG":
        contents.append(encoded(smooth(50, 60), kind, mode, progressive=True, comment=b"\xff" * 100))
        # 255 may be repeated before a marker, and a decoder passes over what is no segment.
        contents.append(contents[1][:2] + b"\xff\xff" + contents[1][2:])
        contents.append(contents[1].replace(b"\xff\xdb", b"\x00\x01\x02\xff\xdb", 1))
    expected = [(40, 300), (1, 7), (50, 60), (1, 7), (1, 7)][: len(contents)]
    np.testing.assert_array_equal(images.header_sizes(tf.constant(contents)), expected)
    for content, (height, width) in zip(contents, expected, strict=True):
        assert images.decode(tf.constant([content]), (height, width, 3)).shape == (1, height, width, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_header_that_is_cut_off_has_no_size(kind):
    content = encoded(smooth(40, 30), kind)
    start = content.index(b"\xff\xc0") + 9 if kind == "JPEG" else 24
    contents = [content[:length] for length in range(start)]
    assert not np.any(images.header_sizes(tf.constant(contents)))
    np.testing.assert_array_equal(images.header_sizes(tf.constant([content[:start]])), [(40, 30)])
    assert not np.any(images.header_sizes(tf.constant([b"GIF89a" + b"\xff\xc0" * 20, b"\xff" * 50])))
    assert images.header_sizes(tf.constant([], tf.string)).shape == (0, 2)


def test_of_16_bits_the_upper_8_are_taken():
    levels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    content = encoded(levels)
    result = images.decode(tf.constant([content]), (8, 8, 1))[0, :, :, 0]
    np.testing.assert_array_equal(result, levels // 256)


def test_images_that_should_have_one_size_and_have_not():
    contents = tf.constant([encoded(smooth(8, 8)), encoded(smooth(8, 9), "JPEG")])
    with pytest.raises(tf.errors.InvalidArgumentError, match=images.OTHER_SIZE):
        images.decode(contents, (8, 8, 3))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(30, 37), (17, 9), (60, 41)])
def test_squeeze_is_bilinear(kind, shape):
    content = encoded(smooth(*shape), kind)
    result = images.squeeze(tf.constant([content]), 32, 3)[0].numpy()
    assert_levels(result, bilinear(decoded(content), 32))


def test_dense_and_encoded_images_give_the_same_pixels():
    pictures = [smooth(30, 37), 255 - smooth(30, 37)]
    files = tf.constant([encoded(picture) for picture in pictures])
    dense = tf.constant(np.stack(pictures))
    for size in (8, 24, 50):
        for how in ("bilinear", "bicubic"):
            same = [
                (images.squeeze(stored, size, 3, how), images.center_crop(stored, size, 3, 0.875, how))
                for stored in (files, dense)
            ]
            crops = [images.random_resized_crop(stored, keys(2), size, 3, 0.3, how) for stored in (files, dense)]
            np.testing.assert_array_equal(same[0], same[1])
            np.testing.assert_array_equal(*crops)


def test_an_image_is_the_same_alone_in_any_place_and_in_a_graph():
    contents = [encoded(smooth(30 + n, 40 - n), kind) for n, kind in enumerate(("JPEG", "PNG", "JPEG", "PNG"))]

    def crop(which):
        which = tf.constant(which)
        return images.random_resized_crop(tf.gather(contents, which), tf.gather(keys(4), which), 16, 3)

    together = crop([0, 1, 2, 3]).numpy()
    np.testing.assert_array_equal(crop([3, 1, 2, 0]), together[[3, 1, 2, 0]])
    for n in range(4):
        np.testing.assert_array_equal(crop([n])[0], together[n])
    dataset = tf.data.Dataset.from_tensors([2, 0]).map(lambda which: crop([0, 1, 2, 3])[:2])
    np.testing.assert_array_equal(next(iter(dataset)), together[:2])


def test_bicubic_stays_within_the_levels():
    step = np.repeat(np.array([0, 255], np.uint8), 8)[None, :, None] * np.ones((16, 1, 1), np.uint8)
    result = images.squeeze(tf.constant(step[None]), 32, 1, "bicubic")[0].numpy()
    reference = np.asarray(Image.fromarray(step[..., 0]).resize((32, 32), Image.Resampling.BICUBIC))
    # The overshoot is cut off, not wrapped around; Pillow computes with 8 bits of weight.
    assert_levels(result[..., 0], reference, 1)


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_a_large_jpeg_is_decoded_small_and_not_aliased(ratio):
    """Stripes of two pixels vanish into grey instead of turning into other stripes."""
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 1), 128 * ratio)
    content = encoded(np.tile(stripes[None, :, None], (256 * ratio, 1, 3)), "JPEG", quality=95)
    result = images.squeeze(tf.constant([content]), 120, 3)[0].numpy()
    assert np.abs(result.astype(int) - 127).max() <= 12
    picture = encoded(smooth(64 * ratio, 64 * ratio), "JPEG", quality=95)
    small = images.squeeze(tf.constant([picture]), 64, 3)[0].numpy()
    boxes = decoded(picture).reshape(64, ratio, 64, ratio, 3).mean((1, 3))
    assert np.abs(small - boxes).mean() < 1.5


def test_a_large_png_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), 60)[None, :, None] * np.ones((120, 1, 3), np.uint8)
    result = images.squeeze(tf.constant([encoded(stripes)]), 37, 3)[0].numpy()
    assert np.abs(result.astype(int) - 127).max() <= 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("height", "width", "fraction"), [(40, 56, 0.875), (56, 40, 0.875), (33, 48, 1.0), (48, 48, 0.5)]
)
def test_center_crop_is_the_central_square(kind, height, width, fraction):
    content = encoded(smooth(height, width), kind, **({"subsampling": 0} if kind == "JPEG" else {}))
    side = round(fraction * min(height, width))
    top, left = (height - side) // 2, (width - side) // 2
    expected = bilinear(decoded(content)[top : top + side, left : left + side], 32)
    assert_levels(images.center_crop(tf.constant([content]), 32, 3, fraction)[0].numpy(), expected)


def windows(height, width, count, min_area=0.08, seed=0):
    sizes = tf.fill([count], height), tf.fill([count], width)
    return images.random_windows(*sizes, keys=keys(count, seed), min_area=min_area).numpy()


@pytest.mark.parametrize(("height", "width"), [(300, 375), (500, 200), (64, 64), (28, 28)])
def test_random_crops_are_as_the_paper_says(height, width):
    top, left, tall, wide = windows(height, width, 20_000).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (tall > 0).all()
    assert (wide > 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()
    area, ratio = tall * wide / (height * width), wide / tall
    edge = 2 / min(height, width)
    largest = min(height, 4 / 3 * width) * min(width, 4 / 3 * height) / (height * width)
    assert 0.08 - edge <= area.min() < 0.08 + edge
    assert largest - 0.05 < area.max() <= largest + edge
    assert (ratio > 3 / 4 * (1 - 4 * edge)).all()
    assert (ratio < 4 / 3 * (1 + 4 * edge)).all()
    # Small crops always fit, so their area and their shape are as drawn.
    small = area < 0.3
    if height == width:
        assert abs(np.median(area[small]) - (0.08 + 0.3) / 2) < 0.01
        assert abs((ratio[small] > 1).mean() - (ratio[small] < 1).mean()) < 0.05
    for start, room in ((top, height - tall), (left, width - wide)):
        assert abs((start[room > 0] / room[room > 0]).mean() - 0.5) < 0.02


def test_positions_of_crops_are_uniform():
    top, _, tall, _ = windows(64, 64, 60_000, min_area=0.25).T
    chosen = top[tall == 40]
    counts = np.bincount(chosen, minlength=25)
    statistic = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    assert statistic < 24 + 5 * np.sqrt(48)


def test_where_no_crop_fits_the_centre_is_taken():
    top, left, tall, wide = windows(20, 200, 50, min_area=0.9).T
    assert set(tall) == {20}
    assert set(wide) == {27}
    assert set(top) == {0}
    assert set(left) == {86}


def test_the_crop_is_of_the_window():
    picture = smooth(60, 80)
    result = images.random_resized_crop(tf.constant(np.stack([picture] * 8)), keys(8), 24, 3).numpy()
    drawn = images.random_windows(tf.fill([8], 60), tf.fill([8], 80), keys=randomness.derive(keys(8), 0), min_area=0.08)
    for one, (top, left, tall, wide) in zip(result, drawn.numpy(), strict=True):
        if max(tall, wide) <= 48:
            assert_levels(one, bilinear(picture[top : top + tall, left : left + wide], 24))


def test_only_the_crop_of_a_jpeg_is_decoded():
    content = encoded(smooth(200, 150), "JPEG", quality=90)
    result = images.random_resized_crop(tf.constant([content] * 8), keys(8), 80, 3).numpy()
    dense = images.random_resized_crop(tf.constant(decoded(content)[None].repeat(8, 0)), keys(8), 80, 3).numpy()
    # At the edges of a crop there are no colours beyond to smooth with.
    assert np.abs(result.astype(int) - dense).mean() < 0.1
    np.testing.assert_array_equal(result[:, 4:-4, 4:-4], dense[:, 4:-4, 4:-4])
    # The lower half of the file is missing, and the central quarter of the image is not.
    upper = encoded(smooth(100, 400), "JPEG", quality=90)
    cut = upper[: int(0.9 * len(upper))]
    whole, part = (images.center_crop(tf.constant([c]), 32, 3, 0.25) for c in (upper, cut))
    np.testing.assert_array_equal(whole, part)


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: c[:10], lambda c: b"", lambda c: b"no image"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_damaged_image_raises(kind, damage):
    content = damage(encoded(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8), kind))
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.squeeze(tf.constant([content]), 16, 3)
