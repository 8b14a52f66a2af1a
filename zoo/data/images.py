"""From images as they are stored to uint8 images of one size, `(n, size, size, channels)`.

Stored images are uint8 `(n, height, width, channels)`, or string `(n,)`: the content of JPEG, PNG, BMP, GIF and WebP
files, of any size each. Of a JPEG only the part that is asked for is decoded. An image gives the same pixels alone and
in a batch, and a PNG the same as the decoded image.

How much is averaged: down to half the size the interpolation sees every pixel, so it is used as it is. Below half, a
JPEG is decoded at a half, a quarter or an eighth of its size, which leaves out the waves that the smaller image could
not hold and takes less time; a crop then lies right to less than a pixel of the result. Everything else is resized
with antialiasing. Antialiasing always would take 2.2 times as long (photographs of 300 x 375 pixels to 224, decoding
included).

JPEG: grey, colour or CMYK, decoded as TensorFlow does it by default, so that pixels are those of TFDS and Keras; the
accurate transform (Pillow's) takes 3 % more time, and levels differ by 1 on average. PNG: grey, colour or palette; an
alpha channel is left out and of 16 bits the upper 8 are taken. WebP likewise; of what moves the first frame is taken.

An image is turned as the orientation in its EXIF data says (JPEG, PNG, WebP): windows and sizes are those of the image
as it is shown. It is turned after it was resized, which takes less time; a level may then be another than of the image
stored upright, where interpolation comes within rounding of a half. Images of a dataset that declares one size for all
are not turned at all: what it declares is the size of what is stored, and TFDS' own decoder knows no orientation.

What cannot be decoded raises `tf.errors.InvalidArgumentError` where the result is used. A JPEG that was cut off is
noticed where the missing part is needed.

What decides how an image is treated, its size and format, is looked at for the whole batch at once, and one image at a
time goes through decoding and resizing alone: the two take nearly all of the time then.
"""

import functools
import math
import os
from collections.abc import Callable

import tensorflow as tf

from zoo.data.decoding import decode_window, plan, slice_window, turned
from zoo.data.headers import read_headers
from zoo.data.randomness import derive, random_integers, random_uniform, steady

INTERPOLATIONS = ("bilinear", "bicubic")

# Szegedy et al. 2014, arXiv:1409.4842, section 6: between 8 % and 100 % of the area, sides between 3:4 and 4:3.
MIN_AREA = 0.08
ASPECT = 4 / 3
# After so many crops that do not fit, the central one is taken; torchvision's number.
ATTEMPTS = 10

# What is said of an image that has another size than its dataset declares.
OTHER_SIZE = "an image has another size than the dataset declares; set image_size"


def reason(message: str) -> str:
    """Why images could not be made, of a message of TensorFlow's: in our own words where they are in it."""
    return OTHER_SIZE if OTHER_SIZE in message else message


# (heights, widths), int32 (n,) each -> the part of each image to be taken, int32 (n, 4): top, left, height, width.
Windows = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def squeeze(
    images: tf.Tensor, size: int, channels: int, interpolation: str = "bilinear", turn: bool = True
) -> tf.Tensor:
    """Resizes whole images, whatever their proportions.

    Args:
        images: as stored, see above.
        size: height and width of the result, pixels.
        channels: of the result, 1 or 3, for encoded images; others keep theirs.
        interpolation: one of `INTERPOLATIONS`; bicubic is Keys' with a = -0.5.
        turn: encoded images are turned as their EXIF data say.

    Returns:
        uint8 (n, size, size, channels), rounded to the nearest level.
    """
    if images.dtype != tf.string:
        return _resize(images, size, interpolation)
    return _resized_windows(images, _whole, size, channels, interpolation, turn)


def center_crop(
    images: tf.Tensor, size: int, channels: int, fraction: float, interpolation: str = "bilinear", turn: bool = True
) -> tf.Tensor:
    """Takes the central square and resizes it.

    With `fraction` 0.875 it is how ImageNet classifiers are evaluated: a crop of 224 from an image whose shorter side
    has 256 pixels, in one step as TensorFlow Model Garden does it (official/vision/ops/preprocess_ops.py,
    `CENTER_CROP_FRACTION`).

    Args:
        images: see `squeeze`.
        size: see `squeeze`.
        channels: see `squeeze`.
        fraction: side of the square in shares of the shorter side of the image, above 0 and up to 1.
        interpolation: see `squeeze`.
        turn: see `squeeze`.

    Returns:
        See `squeeze`.
    """
    windows = functools.partial(_central_square, fraction=fraction)
    if images.dtype != tf.string:
        (window,) = tf.unstack(windows(tf.constant([images.shape[1]]), tf.constant([images.shape[2]])))
        return _resize(slice_window(images, window), size, interpolation)
    return _resized_windows(images, windows, size, channels, interpolation, turn)


def random_resized_crop(
    images: tf.Tensor,
    keys: tf.Tensor,
    size: int,
    channels: int,
    min_area: float = MIN_AREA,
    interpolation: str = "bilinear",
    turn: bool = True,
) -> tf.Tensor:
    """Takes a random part of every image and resizes it (Szegedy et al. 2014, arXiv:1409.4842, section 6).

    Its area is uniform between `min_area` and the whole, the ratio of its sides log-uniform between 3:4 and 4:3, so
    that upright and lying crops are equally likely (the paper does not say; torchvision does the same). It lies
    anywhere inside. Where none of 10 draws fits, the largest central crop of allowed proportions is taken.

    Args:
        images: see `squeeze`.
        keys: uint64 (n,), one per example, see `randomness.example_keys`.
        size: see `squeeze`.
        channels: see `squeeze`.
        min_area: in shares of the image, above 0 and up to 1.
        interpolation: see `squeeze`.
        turn: see `squeeze`.

    Returns:
        See `squeeze`.
    """
    windows = functools.partial(random_windows, keys=derive(keys, 0), min_area=min_area)
    return _resized_windows(images, windows, size, channels, interpolation, turn)


def decode(images: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Decodes images that have one size, string (n,), to uint8 (n, *shape), as they are stored.

    Another size raises `tf.errors.InvalidArgumentError` with `OTHER_SIZE` where the result is used.
    """
    headers = read_headers(images, turn=False)
    same = tf.debugging.assert_equal(headers[:, :2], tf.constant([shape[:2]]), OTHER_SIZE)
    with tf.control_dependencies([same]):
        windows = _whole(headers[:, 0], headers[:, 1])
    # No whole image is larger than itself, so none is made smaller.
    arguments = images, *plan(headers, windows, max(shape[:2]), ratios=(1,))
    return _each(lambda one: tf.ensure_shape(decode_window(*one, shape[-1], ratios=(1,)), shape), arguments, shape)


def decode_one(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a single image of any size, a scalar string, to uint8 (height, width, channels)."""
    headers = read_headers(image[None])
    height, width, orientation, _ = tf.unstack(headers[0])
    # Where there is no header, the decoder of JPEG would write to standard error.
    with tf.control_dependencies([tf.debugging.assert_positive(height, "the image has no header")]):
        windows, how = plan(headers, _whole(headers[:, 0], headers[:, 1]), 1, ratios=(1,))
    stored = decode_window(image, windows[0], how[0], channels, ratios=(1,))
    return turned(tf.reshape(stored, (1, height, width, channels)), orientation[None])[0]


def header_sizes(images: tf.Tensor) -> tf.Tensor:
    """Heights and widths of encoded images, string (n,), as they are shown: int32 (n, 2); 0 where no header says."""
    return read_headers(images)[:, :2]


def _each(function: Callable, images: tuple[tf.Tensor, ...], shape: tuple[int, ...]) -> tf.Tensor:
    """What the function makes of every image, uint8 (n, *shape)."""
    # Outside of a graph images are worked on one after the other, and TensorFlow warns who asks for more.
    parallel = None if tf.executing_eagerly() else _PARALLEL
    return tf.map_fn(function, images, fn_output_signature=tf.TensorSpec(shape, tf.uint8), parallel_iterations=parallel)


# How many images of a batch may be worked on at once; it changes nothing but the time.
_PARALLEL = max(8, os.cpu_count() or 1)


def _resized_windows(
    images: tf.Tensor, windows: Windows, size: int, channels: int, interpolation: str, turn: bool
) -> tf.Tensor:
    """One image at a time, also of a dense batch: `crop_and_resize` of whole batches takes longer (1.2 to 4 times)."""
    if images.dtype == tf.string:
        headers = read_headers(images, turn)
        arguments = images, *plan(headers, windows(headers[:, 0], headers[:, 1]), size)
        cut = functools.partial(decode_window, channels=channels)
    else:
        sizes = tf.broadcast_to(tf.shape(images)[1:3], [tf.shape(images)[0], 2])
        arguments = images, windows(sizes[:, 0], sizes[:, 1])
        cut, channels = slice_window, images.shape[-1]
    resized = _each(lambda one: _resize(cut(*one), size, interpolation), arguments, (size, size, channels))
    return turned(resized, headers[:, 2]) if turn and images.dtype == tf.string else resized


def _resize(images: tf.Tensor, size: int, interpolation: str) -> tf.Tensor:
    """uint8 (..., height, width, channels) to uint8 (..., size, size, channels)."""
    # The kernel for float32 takes half the time of that for uint8.
    pixels = tf.cast(images, tf.float32)
    resize = functools.partial(tf.image.resize, pixels, (size, size), interpolation)
    longest = tf.reduce_max(tf.shape(images)[-3:-1])
    pixels = tf.cond(longest > 2 * size, functools.partial(resize, antialias=True), resize)
    # Bilinear interpolation stays within the levels there were, bicubic does not.
    to_uint8 = tf.cast if interpolation == "bilinear" else tf.saturate_cast
    return to_uint8(pixels + 0.5, tf.uint8)


def _whole(heights: tf.Tensor, widths: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.zeros_like(heights), tf.zeros_like(widths), heights, widths], 1)


def _central_square(heights: tf.Tensor, widths: tf.Tensor, fraction: float) -> tf.Tensor:
    sides = tf.maximum(1, _rounded(fraction * tf.cast(tf.minimum(heights, widths), tf.float32)))
    return tf.stack([(heights - sides) // 2, (widths - sides) // 2, sides, sides], 1)


def random_windows(heights: tf.Tensor, widths: tf.Tensor, keys: tf.Tensor, min_area: float) -> tf.Tensor:
    """The windows of `random_resized_crop`, see `Windows`; `keys`: uint64 (n,)."""
    # One column per attempt.
    attempts = tf.range(ATTEMPTS, dtype=tf.int64)
    shares = min_area + (1 - min_area) * random_uniform(keys[:, None], 2 * attempts)
    ratios = steady(tf.exp, math.log(ASPECT) * (2 * random_uniform(keys[:, None], 2 * attempts + 1) - 1))
    areas = shares * tf.cast(heights, tf.float32)[:, None] * tf.cast(widths, tf.float32)[:, None]
    tall = tf.maximum(1, _rounded(tf.sqrt(areas / ratios)))
    wide = tf.maximum(1, _rounded(tf.sqrt(areas * ratios)))
    fits = (tall <= heights[:, None]) & (wide <= widths[:, None])
    first = tf.argmax(fits, 1)
    fitting = tf.reduce_any(fits, 1)
    # The largest of allowed proportions.
    most_tall = tf.minimum(heights, _rounded(ASPECT * tf.cast(widths, tf.float32)))
    most_wide = tf.minimum(widths, _rounded(ASPECT * tf.cast(heights, tf.float32)))
    tall = tf.where(fitting, tf.gather(tall, first, batch_dims=1), most_tall)
    wide = tf.where(fitting, tf.gather(wide, first, batch_dims=1), most_wide)
    top = random_integers(keys, 2 * ATTEMPTS, heights - tall + 1)
    left = random_integers(keys, 2 * ATTEMPTS + 1, widths - wide + 1)
    top = tf.where(fitting, top, (heights - tall) // 2)
    left = tf.where(fitting, left, (widths - wide) // 2)
    return tf.stack([top, left, tall, wide], 1)


def _rounded(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(x), tf.int32)
