"""Images that are stored otherwise than they are shown, and formats besides JPEG and PNG, against Pillow."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from zoo.data import headers, images, randomness

RNG = np.random.default_rng(0)
ORIENTATION = 0x0112
PICTURE = RNG.integers(0, 256, (21, 34, 3), dtype=np.uint8)
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 90}}
ALL = range(1, 9)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **LOSSLESS.get(kind, {}), **options)
    return file.getvalue()


def tagged(picture, kind, orientation):
    """A picture as it is stored, with EXIF data that say how it is shown."""
    exif = Image.Exif()
    exif.update({0x010F: "maker", ORIENTATION: orientation, 0x0132: "2020:01:01 00:00:00"})
    return encoded(Image.fromarray(picture), kind, exif=exif)


def shown(stored, orientation):
    """What Pillow makes of stored pixels, uint8 (height, width, 3)."""
    image = Image.fromarray(stored)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def pixels(content, shape=PICTURE.shape):
    return images.decode(tf.constant([content]), shape)[0].numpy()


def keys(count):
    return randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_as_they_are_shown(kind, orientation):
    content = tagged(PICTURE, kind, orientation)
    expected = shown(pixels(encoded(Image.fromarray(PICTURE), kind)), orientation)
    assert images.header_sizes(tf.constant([content])).numpy().tolist() == [list(expected.shape[:2])]
    np.testing.assert_array_equal(images.decode_one(tf.constant(content), 3), expected)


@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_of_one_declared_size_are_as_they_are_stored(kind, orientation):
    content, upright = tagged(PICTURE, kind, orientation), encoded(Image.fromarray(PICTURE), kind)
    np.testing.assert_array_equal(pixels(content), pixels(upright))
    ways = [
        lambda of: images.squeeze(of, 12, 3, turn=False),
        lambda of: images.center_crop(of, 12, 3, 0.6, turn=False),
        lambda of: images.random_resized_crop(of, keys(1), 12, 3, turn=False),
    ]
    for way in ways:
        np.testing.assert_array_equal(way(tf.constant([content])), way(tf.constant([upright])))


# Rounding may differ where interpolation takes rows before columns.
@pytest.mark.parametrize("orientation", ALL)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_windows_are_of_the_image_as_it_is_shown(kind, orientation):
    stored = tf.constant([tagged(PICTURE, kind, orientation)] * 6)
    upright = tf.constant(shown(PICTURE, orientation)[None].repeat(6, 0))
    for size in (8, 16, 40):
        ways = [
            lambda of, size=size: images.squeeze(of, size, 3),
            lambda of, size=size: images.center_crop(of, size, 3, 0.6),
            lambda of, size=size: images.random_resized_crop(of, keys(6), size, 3),
        ]
        for way in ways:
            difference = np.abs(way(stored).numpy().astype(int) - way(upright).numpy())
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("orientation", ALL)
def test_only_the_crop_of_a_turned_jpeg_is_decoded(orientation):
    """Away from its edges, beyond which there are no colours to smooth with, a crop is that of the whole image."""
    y, x = np.mgrid[:200, :150] / 20
    picture = np.round(127.5 + 120 * np.stack([np.sin(x + 0.3 * y), np.cos(y), np.sin(0.7 * x)], -1)).astype(np.uint8)
    content = tagged(picture, "JPEG", orientation)
    upright = shown(pixels(encoded(Image.fromarray(picture), "JPEG"), picture.shape), orientation)
    dense = tf.constant(upright[None].repeat(8, 0))
    crops, expected = (images.random_resized_crop(of, keys(8), 80, 3) for of in (tf.constant([content] * 8), dense))
    assert np.abs(crops.numpy().astype(int) - expected.numpy())[:, 4:-4, 4:-4].max() <= 1
    # At a half of its size a JPEG lies right to less than a pixel.
    small, expected = (images.squeeze(of, 40, 3)[0].numpy() for of in (tf.constant([content]), dense))
    assert np.abs(small.astype(int) - expected).mean() < 2


def test_a_batch_of_all_orientations_is_turned_one_by_one_in_a_graph():
    contents = tf.constant([tagged(PICTURE, kind, orientation) for kind in ("JPEG", "PNG") for orientation in ALL])
    dataset = tf.data.Dataset.from_tensors(contents).map(lambda some: images.squeeze(some, 16, 3))
    (together,) = dataset.as_numpy_iterator()
    for number, one in enumerate(together):
        np.testing.assert_array_equal(images.squeeze(contents[number : number + 1], 16, 3)[0], one)


def tiff(order, *, kind=3, value=6, tag=ORIENTATION, directory=8, count=1):
    """EXIF data of one entry, as a camera of this byte order writes them."""
    form = {1: "Bxxx", 4: "I"}.get(kind, "Hxx")
    packed = struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(order + form, value)
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", directory)
    return start + struct.pack(f"{order}H", count) + packed


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_both_byte_orders_and_all_whole_numbers_are_read(order, kind):
    data = tiff(order, kind=kind)
    assert headers.exif_orientation(data) == headers.exif_orientation(b"Exif\0\0" + data) == 6
    plain = encoded(Image.fromarray(PICTURE), "JPEG")
    content = with_segments(plain, b"Exif\0\0" + data)
    np.testing.assert_array_equal(images.decode_one(tf.constant(content), 3), shown(pixels(plain), 6))


def with_segments(jpeg, *segments):
    """A JPEG with these contents of APP1 segments before its own."""
    packed = [b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment for segment in segments]
    return jpeg[:2] + b"".join(packed) + jpeg[2:]


@pytest.mark.parametrize("first", [6, 1, 0])
def test_of_several_exif_segments_the_first_counts_as_for_pillow(first):
    plain = encoded(Image.fromarray(PICTURE), "JPEG")
    segments = [b"Exif\0\0" + tiff("<", value=value) for value in (first, 3, 8)]
    content = with_segments(plain, b"http://ns.adobe.com/xap/1.0/\0", *segments)
    turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert headers.header_of(content)[:3] == (*turned.shape[:2], max(first, 1))


@pytest.mark.parametrize("side", [2**31, 2**32 - 1])
def test_a_side_that_is_no_int32_is_that_of_a_damaged_header(side):
    plain = encoded(Image.fromarray(PICTURE), "PNG")
    for place in (16, 20):
        damaged = plain[:place] + struct.pack(">I", side) + plain[place + 4 :]
        assert images.header_sizes(tf.constant([damaged, plain])).numpy().tolist() == [[0, 0], [21, 34]]
        with pytest.raises(tf.errors.InvalidArgumentError, match="the image has no header"):
            images.decode_one(tf.constant(damaged), 3)


def test_damaged_exif_data_turn_nothing():
    whole = tiff("<")
    damaged = [whole[:length] for length in range(len(whole) - 2)]
    damaged += [tiff("<", value=0), tiff("<", value=9), tiff("<", tag=1), tiff("<", directory=2**31)]
    damaged += [tiff(">", tag=1, count=65535), b"XX" + whole[2:]]
    assert {headers.exif_orientation(data) for data in damaged} == {1}


def frames(count=3):
    return [Image.fromarray(RNG.integers(0, 256, PICTURE.shape, dtype=np.uint8)) for _ in range(count)]


def others():
    """Files of other formats by name; all but the last three hold one picture."""
    image, (first, *more) = Image.fromarray(PICTURE), frames()
    alpha = Image.fromarray(np.dstack([PICTURE, RNG.integers(0, 256, PICTURE.shape[:2], dtype=np.uint8)]))
    modes = ("1", "L", "P", "RGB", "RGBA")
    return {
        **{f"BMP {mode}": encoded(image.convert(mode), "BMP") for mode in modes},
        **{f"GIF {mode}": encoded(image.convert(mode), "GIF") for mode in ("L", "P")},
        **{f"WebP {mode}": encoded(image.convert(mode), "WEBP") for mode in ("L", "RGB")},
        "WebP alpha": encoded(alpha, "WEBP"),
        "WebP lossy": encoded(image, "WEBP", method=0),
        "GIF moving": encoded(first, "GIF", save_all=True, append_images=more),
        "WebP moving": encoded(first, "WEBP", save_all=True, append_images=more),
    }


@pytest.mark.parametrize(("name", "content"), others().items(), ids=others())
def test_other_formats_are_decoded(name, content):
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert images.header_sizes(tf.constant([content])).numpy().tolist() == [[21, 34]]
    np.testing.assert_array_equal(pixels(content), expected)
    grey = pixels(content, (21, 34, 1))[..., 0]
    # Pillow rounds greys otherwise.
    assert np.abs(grey.astype(int) - np.asarray(Image.fromarray(expected).convert("L"))).max() <= 1


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP", "TIFF"])
def test_what_is_damaged_or_of_another_format_raises(kind):
    content = encoded(Image.fromarray(PICTURE), kind)
    for damaged in (content[: len(content) // 2], content[:20], content if kind == "TIFF" else content[:8]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            images.squeeze(tf.constant([damaged]), 16, 3)
