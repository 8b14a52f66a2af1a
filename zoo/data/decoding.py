"""Decodes a part of an encoded image and turns it as it is shown.

Nearly all images are JPEG and PNG that are stored as they are shown. They have branches of their own, so that the last
branch, with decoders for all others and whatever is to be turned, takes no time from them.
"""

import functools
import io

import numpy as np
import tensorflow as tf

from zoo.data.headers import BY_PILLOW, JPEG, OTHER_FORMATS, PNG, WEBP

# A JPEG can be decoded at these shares of its size.
RATIOS = (1, 2, 4, 8)
# How an image is decoded is one number: its place in `_decoders`, and the orientation less one times this.
_TURN = 16


def plan(
    headers: tf.Tensor, windows: tf.Tensor, size: int, ratios: tuple[int, ...] = RATIOS
) -> tuple[tf.Tensor, tf.Tensor]:
    """How to decode the parts of a batch of images.

    A JPEG is made smaller as often as its window stays at least `size` both ways.

    Args:
        headers: see `zoo.data.headers.read_headers`, int32 (n, 4).
        windows: top, left, height and width in the images as they are shown, int32 (n, 4).
        size: of what is to become of them, pixels.
        ratios: at which JPEGs may be decoded.

    Returns:
        What `decode_window` takes: the windows in the images as they are stored, int32 (n, 4), and how to decode them,
        int32 (n,).
    """
    shorter = tf.reduce_min(windows[:, 2:], 1, keepdims=True)
    halvings = tf.reduce_sum(tf.cast(shorter >= tf.constant(ratios[1:], tf.int32) * size, tf.int32), 1)
    # By format, the place in `_decoders`.
    places = {JPEG: 1, PNG: 0, WEBP: len(ratios) + 1, BY_PILLOW: len(ratios) + 2}
    place = tf.gather([places[kind] for kind in sorted(places)], headers[:, 3])
    place += tf.where(headers[:, 3] == JPEG, halvings, 0)
    return _as_stored(headers, windows), place + _TURN * (headers[:, 2] - 1)


def decode_window(
    content: tf.Tensor, window: tf.Tensor, how: tf.Tensor, channels: int, ratios: tuple[int, ...] = RATIOS
) -> tf.Tensor:
    """A part of an encoded image as it is shown, uint8 (height, width, channels).

    Args:
        content: of the file, a scalar string.
        window: see `plan`; one row.
        how: see `plan`; one number.
        channels: 1 or 3.
        ratios: those that `plan` was told.
    """
    decoders = _decoders(content, window, channels, ratios)

    def rare():
        return _turned(tf.switch_case(how % _TURN, decoders), how // _TURN + 1, channels)

    # A number beyond the last branch takes the last.
    return tf.switch_case(how, [*decoders[: 1 + len(ratios)], rare])


def _decoders(content: tf.Tensor, window: tf.Tensor, channels: int, ratios: tuple[int, ...]) -> list:
    """Functions that decode the window of the image as it is stored: as PNG, JPEG at each ratio, WebP, by Pillow."""

    def png():
        return cut(tf.io.decode_image(content, channels=channels, expand_animations=False), channels)

    def webp():
        # Asked for three channels, the decoder refuses a file with an alpha channel. It gives a list of frames, here one.
        return grey_if_asked(cut(tf.io.decode_webp(content, channels=0)[0], None)[..., :3])

    def by_pillow():
        image = tf.numpy_function(_decode_by_pillow, [content[None]], tf.uint8, stateful=False)
        with tf.control_dependencies([tf.debugging.assert_greater(tf.size(image), 0, "the image is damaged")]):
            return grey_if_asked(cut(image, 3))

    def cut(image, channels):
        return slice_window(tf.ensure_shape(image, (None, None, channels)), window)

    def grey_if_asked(image):
        return image if channels == 3 else tf.image.rgb_to_grayscale(image)

    jpegs = [functools.partial(_decode_jpeg, content, window, channels, ratio) for ratio in ratios]
    return [png, *jpegs, webp, by_pillow]


def _decode_jpeg(content: tf.Tensor, window: tf.Tensor, channels: int, ratio: int) -> tf.Tensor:
    def decoded(channels):
        return tf.image.decode_and_crop_jpeg(content, window // ratio, channels=channels, ratio=ratio)

    if channels == 3:
        return decoded(3)
    # The decoder makes no grey of CMYK.
    is_cmyk = tf.io.extract_jpeg_shape(content)[2] == 4
    return tf.cond(is_cmyk, lambda: tf.image.rgb_to_grayscale(decoded(3)), lambda: decoded(1))


@tf.autograph.experimental.do_not_convert
def _decode_by_pillow(contents: np.ndarray) -> np.ndarray:
    """The first frame of one file as it is stored, uint8 (height, width, 3), without alpha; of size 0 if damaged.

    Args:
        contents: bytes, (1,): of a scalar TensorFlow makes other things in a graph and outside.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(contents[0]), formats=OTHER_FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except Exception:  # A damaged file may raise anything.
        return np.zeros((0, 0, 3), np.uint8)


def slice_window(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """A part of decoded images (..., height, width, channels); `window`: top, left, height, width."""
    top, left, height, width = tf.unstack(window)
    return image[..., top : top + height, left : left + width, :]


# An image is shown after up to three steps, in this order: sides swapped, so that rows become columns (orientations 5
# to 8), columns reversed (2, 3, 6, 7), rows reversed (3, 4, 7, 8).
def _steps(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which of the three steps the orientations take, bool."""
    columns = tf.constant([False, False, True, True, False, False, True, True, False])
    rows = tf.constant([False, False, False, True, True, False, False, True, True])
    return orientation > 4, tf.gather(columns, orientation), tf.gather(rows, orientation)


def _as_stored(headers: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Where windows in images as they are shown, int32 (n, 4), lie in the images as they are stored."""
    swapped, columns, rows = _steps(headers[:, 2])
    top, left, tall, wide = tf.unstack(windows, axis=1)
    top = tf.where(rows, headers[:, 0] - top - tall, top)
    left = tf.where(columns, headers[:, 1] - left - wide, left)
    upright, lying = tf.stack([top, left, tall, wide], 1), tf.stack([left, top, wide, tall], 1)
    return tf.where(swapped[:, None], lying, upright)


def _turned(image: tf.Tensor, orientation: tf.Tensor, channels: int) -> tf.Tensor:
    """An image as it is shown, from (height, width, channels) as it is stored."""
    swapped, columns, rows = _steps(orientation)
    image = tf.transpose(image, tf.where(swapped, [1, 0, 2], [0, 1, 2]))
    image = tf.reverse(image, tf.boolean_mask([1], [columns]))
    # To gather rows takes a third of the time of reversing them.
    numbers = tf.range(tf.shape(image)[0])
    image = tf.gather(image, tf.where(rows, numbers[::-1], numbers))
    return tf.ensure_shape(image, (None, None, channels))
