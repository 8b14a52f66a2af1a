"""Augmentation: functions from a batch of images to a batch of images, without state.

What happens to an example depends on `(seed, epoch, index of the example)` alone, not on its batch, its
worker or what came before: each example has a 64-bit key, and random numbers are hashes of key and draw.
A whole batch goes through a few operations instead of one call per image.
"""

from collections.abc import Callable

import tensorflow as tf

from zoo.data.randomness import random_integers
from zoo.errors import RequestError, unknown

# (images (n, height, width, channels), keys uint64 (n,)) -> images of the same shape and dtype.
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# An index map says from which row and column of the input every pixel of the output comes:
# rows int32 (n, height), columns int32 (n, width). Rows and columns outside the image are black.
IndexMap = tuple[tf.Tensor, tf.Tensor]


def pad_crop(rows: tf.Tensor, columns: tf.Tensor, keys: tf.Tensor, draw: int, padding: int) -> IndexMap:
    """Shifts each image by up to `padding` pixels each way.

    It equals padding every side and cropping at random (He et al. 2015, arXiv:1512.03385, section 4.2, who
    pad with the mean; here the padding is black).
    """
    top = random_integers(keys, draw, 2 * padding + 1) - padding
    left = random_integers(keys, draw + 1, 2 * padding + 1) - padding
    return rows + top[:, None], columns + left[:, None]


def flip(rows: tf.Tensor, columns: tf.Tensor, keys: tf.Tensor, draw: int) -> IndexMap:
    """Mirrors every second image left to right."""
    mirrored = random_integers(keys, draw, 2) == 1
    return rows, tf.where(mirrored[:, None], columns.shape[1] - 1 - columns, columns)


def parse_augmentations(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Reads `pad_crop:4,flip` as `[("pad_crop", (4,)), ("flip", ())]`.

    Raises:
        ValueError: an augmentation is unknown, stands twice, or has no strength or one that it cannot have.
    """
    result: list[tuple[str, tuple[int, ...]]] = []
    for part in text.split(",") if text.strip() else ():
        name, *strength = part.strip().split(":")
        if name not in _TAKES_PIXELS:
            raise unknown("augmentation", name, _TAKES_PIXELS)
        if name in dict(result):
            raise RequestError(f"augment is {text!r}; {name} may stand once")
        if not _TAKES_PIXELS[name] and strength:
            raise RequestError(f"augment is {text!r}; {name} takes no number")
        if _TAKES_PIXELS[name] and (len(strength) != 1 or not strength[0].isdecimal() or int(strength[0]) == 0):
            raise RequestError(f"augment is {text!r}; {name} takes a number of pixels, as {name}:4")
        result.append((name, tuple(int(pixels) for pixels in strength)))
    return result


def check_augmentations(text: str, image_shape: tuple[int, ...]) -> None:
    """Raises a `ValueError` unless the text names augmentations that images of this shape can take."""
    for name, pixels in parse_augmentations(text):
        if pixels and pixels[0] >= min(image_shape[:2]):
            raise RequestError(
                f"augment is {text!r}; {name} must be smaller than the image, {image_shape[0]} pixels high"
            )


_TAKES_PIXELS = {"pad_crop": True, "flip": False}
_INDEX_MAPS = {"pad_crop": pad_crop, "flip": flip}


def make_augmentation(text: str) -> Augmentation:
    """The augmentations that a config names, in that order, as one function.

    Moving pixels costs the same however many augmentations say where from: their maps are composed, and
    the pixels are gathered once.
    """
    steps = parse_augmentations(text)
    margin = max((pixels for name, args in steps for pixels in args), default=0)

    def apply(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        height, width, channels = images.shape[1:]
        rows, columns = tf.range(height)[None], tf.range(width)[None]
        # Output pixels are traced back to the input: the last augmentation comes first.
        for number, (name, args) in reversed(list(enumerate(steps))):
            rows, columns = _INDEX_MAPS[name](rows, columns, keys, 2 * number, *args)
        images = tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
        padded_width = width + 2 * margin
        pixels = (rows[:, :, None] + margin) * padded_width + columns[:, None, :] + margin
        pixels = tf.broadcast_to(pixels, [tf.shape(images)[0], height, width])
        return tf.gather(tf.reshape(images, [-1, padded_width * (height + 2 * margin), channels]), pixels, batch_dims=1)

    return apply
