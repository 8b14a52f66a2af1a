"""Decodes a part of an encoded image, and turns images as they are shown."""

import functools
import io

import numpy as np
import tensorflow as tf

from zoo.data.headers import BY_PILLOW, JPEG, OTHER_FORMATS, PNG, WEBP

# A JPEG can be decoded at these shares of its size.
RATIOS = (1, 2, 4, 8)


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
    # By format, the place among the decoders of `decode_window`.
    places = {JPEG: 1, PNG: 0, WEBP: len(ratios) + 1, BY_PILLOW: len(ratios) + 2}
    how = tf.gather([places[kind] for kind in sorted(places)], headers[:, 3])
    return _as_stored(headers, windows), how + tf.where(headers[:, 3] == JPEG, halvings, 0)


def decode_window(
    content: tf.Tensor, window: tf.Tensor, how: tf.Tensor, channels: int, ratios: tuple[int, ...] = RATIOS
) -> tf.Tensor:
    """A part of an encoded image as it is stored, uint8 (height, width, channels).

    Args:
        content: of the file, a scalar string.
        window: see `plan`; one row.
        how: see `plan`; one number.
        channels: 1 or 3.
        ratios: those that `plan` was told.
    """

    def png():
        return cut(tf.io.decode_image(content, channels=channels, expand_animations=False), channels)

    def webp():
        # Asked for three channels, the decoder refuses a file with an alpha channel. It gives frames, here one.
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
    return tf.switch_case(how, [png, *jpegs, webp, by_pillow])


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


# By orientation, which of three steps show an image, in this order: sides swapped, so that rows become columns; columns
# reversed; rows reversed. There is no orientation 0.
_STEPS = np.array(
    [(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)], bool
)


def _as_stored(headers: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Where windows in images as they are shown, int32 (n, 4), lie in the images as they are stored."""
    swapped, columns, rows = tf.unstack(tf.gather(_STEPS, headers[:, 2]), axis=1)
    top, left, tall, wide = tf.unstack(windows, axis=1)
    top = tf.where(rows, headers[:, 0] - top - tall, top)
    left = tf.where(columns, headers[:, 1] - left - wide, left)
    upright, lying = tf.stack([top, left, tall, wide], 1), tf.stack([left, top, wide, tall], 1)
    return tf.where(swapped[:, None], lying, upright)


def turned(images: tf.Tensor, orientations: tf.Tensor) -> tf.Tensor:
    """A batch of images as they are shown, uint8 (n, height, width, channels).

    All at once and after they were resized: in the loop over the images a branch would take 3 % of the time of those
    that are not turned, and what turns an image takes NumPy a third of the time of TensorFlow.

    Args:
        images: of that shape, each with the pixels in the order in which they are stored; where sides are swapped that
            is an image of `width` rows.
        orientations: from 1 to 8, int32 (n,).
    """

    def turn():
        result = tf.numpy_function(_turned, [images, orientations], tf.uint8, stateful=False)
        return tf.ensure_shape(result, images.shape)

    return tf.cond(tf.reduce_any(orientations > 1), turn, lambda: images)


@tf.autograph.experimental.do_not_convert
def _turned(images: np.ndarray, orientations: np.ndarray) -> np.ndarray:
    result = images.copy()
    for number in np.flatnonzero(orientations > 1):
        swapped, columns, rows = _STEPS[orientations[number]]
        height, width, channels = images[number].shape
        view = images[number].reshape(width, height, channels).swapaxes(0, 1) if swapped else images[number]
        view = view[:: -1 if rows else 1, :: -1 if columns else 1]
        # One channel after the other takes a quarter of the time of all at once.
        for channel in range(channels):
            result[number, ..., channel] = view[..., channel]
    return result
