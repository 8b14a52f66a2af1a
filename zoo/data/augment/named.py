"""Augmentation as a config names it: functions from a batch of images to a batch of images, without state.

What happens to an example depends on `(seed, epoch, index of the example)` alone, not on its batch, its
worker or what came before: each example has a 64-bit key, and random numbers are hashes of key and draw.
A whole batch goes through a few operations instead of one call per image. Where examples need different
operations, they are sorted by operation first.

| as written | stage | see |
|---|---|---|
| `random_resized_crop:0.08` | first: stored images to one size | `zoo.data.images` |
| `pad_crop:4`, `flip`, `affine:10:0.2:0.3:2` | pixels, uint8 | `geometry` |
| `color_jitter:0.4` | pixels, uint8 | `tones.color_jitter` |
| `randaugment:2:9` | pixels, uint8 | `randaugment` |
| `cutout:8`, `random_erasing:0.5` | pixels, uint8 | `erasing` |
| `mixup:0.2`, `cutmix:1` | last, one of them: mixes examples, float32 | `mixing` |
"""

import dataclasses
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from zoo.data.augment import erasing, geometry, mixing, randaugment, tones
from zoo.data.images import MIN_AREA
from zoo.data.randomness import derive
from zoo.errors import RequestError, unknown

# (images (n, height, width, channels), keys uint64 (n,)) -> images of the same shape and dtype.
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# (float32 (n, height, width, channels), keys uint64 (n,)) -> (such images, weight of the own label float32 (n,)).
Mixing = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

# An image and its colours: (images, keys, draw, fill, *strengths) -> images. `draw` is the first of two numbers
# of each key that belong to the augmentation; what needs more takes them from a key of its own.
_PIXELS = {
    "pad_crop": lambda images, keys, draw, fill, pixels: geometry.pad_crop(images, keys, draw, pixels),
    "flip": lambda images, keys, draw, fill: geometry.flip(images, keys, draw),
    "affine": lambda images, keys, draw, fill, *most: geometry.affine(images, derive(keys, draw), fill, *most),
    "cutout": lambda images, keys, draw, fill, size: erasing.cutout(images, derive(keys, draw), fill, size),
    "random_erasing": lambda images, keys, draw, fill, share: erasing.random_erasing(
        images, derive(keys, draw), fill, share
    ),
    "color_jitter": lambda images, keys, draw, fill, strength: tones.color_jitter(images, derive(keys, draw), strength),
    "randaugment": lambda images, keys, draw, fill, *args: randaugment.randaugment(
        images, derive(keys, draw), fill, *args
    ),
}
_MIXING = {"mixup": mixing.mixup, "cutmix": mixing.cutmix}
_CROP = "random_resized_crop"


@dataclasses.dataclass(frozen=True)
class _Strengths:
    """What stands behind a name.

    Attributes:
        says: in words, for messages.
        example: as it is written.
        allowed: for each number whether it is a whole one, and from where to where it goes.
        optional: the numbers may be left out.
    """

    says: str
    example: str
    allowed: tuple[tuple[bool, float, float], ...]
    optional: bool = False

    def read(self, texts: Sequence[str]) -> tuple[float, ...] | None:
        """The numbers; None where they cannot be."""
        if self.optional and not texts:
            return ()
        if len(texts) != len(self.allowed):
            return None
        numbers = []
        for text, (whole, least, most) in zip(texts, self.allowed, strict=True):
            if not re.fullmatch(r"[0-9]+" if whole else r"[0-9]+(\.[0-9]+)?|\.[0-9]+", text):
                return None
            number = int(text) if whole else float(text)
            if not least <= number <= most:
                return None
            numbers.append(number)
        return tuple(numbers)


# "Above 0".
_SMALL = 1e-6
_PIXEL_NUMBER = (True, 1, 1_000_000)
_SHARE = (False, _SMALL, 1)
_ALPHA = _Strengths("a number above 0 and up to 100", "{}:0.2", ((False, _SMALL, 100),))

_STRENGTHS = {
    "random_resized_crop": _Strengths(
        "nothing or the least area, above 0 and up to 1", "{}:0.08", (_SHARE,), optional=True
    ),
    "pad_crop": _Strengths("a number of pixels", "{}:4", (_PIXEL_NUMBER,)),
    "flip": _Strengths("no number", "{}", ()),
    "affine": _Strengths(
        "degrees up to 180, scale up to 0.9, shear up to 0.9 and shift in pixels",
        "{}:10:0.2:0.3:2",
        ((False, 0, 180), (False, 0, 0.9), (False, 0, 0.9), (False, 0, 1_000_000)),
    ),
    "cutout": _Strengths("a number of pixels", "{}:8", (_PIXEL_NUMBER,)),
    "random_erasing": _Strengths("a probability above 0 and up to 1", "{}:0.5", (_SHARE,)),
    "color_jitter": _Strengths("a strength above 0 and up to 1", "{}:0.4", (_SHARE,)),
    "randaugment": _Strengths(
        "the number of operations, 1 to 14, and their magnitude, 0 to 10",
        "{}:2:9",
        ((True, 1, len(randaugment.OPERATIONS)), (False, 0, randaugment.MAX_MAGNITUDE)),
    ),
    "mixup": _ALPHA,
    "cutmix": _ALPHA,
}
# What is measured in pixels must be smaller than the image; the place of that number.
_IN_PIXELS = {"pad_crop": 0, "cutout": 0, "affine": 3}
_OF_COLOURS = ("color_jitter", "randaugment")


def parse_augmentations(text: str) -> list[tuple[str, tuple[float, ...]]]:
    """Reads `pad_crop:4,flip` as `[("pad_crop", (4,)), ("flip", ())]`.

    Raises:
        ValueError: an augmentation is unknown, stands twice or in the wrong place, or has no strength or one that it
            cannot have.
    """
    result: list[tuple[str, tuple[float, ...]]] = []
    parts = text.split(",") if text.strip() else []
    for place, part in enumerate(parts):
        name, *strengths = part.strip().split(":")
        if name not in _STRENGTHS:
            raise unknown("augmentation", name, _STRENGTHS)
        kind = _STRENGTHS[name]
        if name in dict(result):
            raise RequestError(f"augment is {text!r}; {name} may stand once")
        numbers = kind.read(strengths)
        if numbers is None:
            as_in = f", as {kind.example.format(name)}" if kind.allowed else ""
            raise RequestError(f"augment is {text!r}; {name} takes {kind.says}{as_in}")
        if name == _CROP and place:
            raise RequestError(f"augment is {text!r}; {name} must stand first, it makes the images one size")
        mixed = [other for other, _ in result if other in _MIXING]
        if mixed and name in _MIXING:
            raise RequestError(f"augment is {text!r}; take one of {mixed[0]} and {name}")
        if mixed:
            raise RequestError(f"augment is {text!r}; {mixed[0]} must stand last, it mixes finished images")
        result.append((name, numbers))
    return result


def check_augmentations(text: str, image_shape: tuple[int, ...]) -> None:
    """Raises a `ValueError` unless the text names augmentations that images of this shape can take.

    Args:
        text: as a config names them.
        image_shape: height, width and channels, as the model takes them.
    """
    for name, numbers in parse_augmentations(text):
        if name in _IN_PIXELS and numbers[_IN_PIXELS[name]] >= min(image_shape[:2]):
            raise RequestError(
                f"augment is {text!r}; {name} must be smaller than the shorter side, {min(image_shape[:2])} pixels"
            )
        if name in _OF_COLOURS and image_shape[2] not in (1, 3):
            raise RequestError(f"augment is {text!r}; {name} is for images of 1 or 3 channels, not of {image_shape[2]}")


def make_augmentation(text: str, fill: Sequence[float] = (0.0,)) -> Augmentation:
    """The augmentations of pixels that a config names, in that order, as one function.

    `random_resized_crop` and mixing belong to other stages and are left out here.

    Args:
        text: as a config names them.
        fill: what is painted over and what comes from outside the image, in levels from 0 to 255, by channel or one
            for all; `pad_crop` pads with black whatever it is.

    Returns:
        Takes uint8 images whose shape is known but for the number (`pad_crop` and `flip` also any other dtype).
    """
    steps = [(number, name, args) for number, (name, args) in enumerate(parse_augmentations(text)) if name in _PIXELS]

    def apply(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        images = tf.convert_to_tensor(images)
        for number, name, args in steps:
            images = _PIXELS[name](images, keys, 2 * number, fill, *args)
        return images

    return apply


def random_crop_area(text: str) -> float | None:
    """The least area of `random_resized_crop`, in shares of the image; None where it is not named."""
    strengths = dict(parse_augmentations(text)).get(_CROP)
    return None if strengths is None else next(iter(strengths), MIN_AREA)


def make_mixing(text: str) -> Mixing | None:
    """What mixes each example with its neighbour; None where the text names nothing that does.

    Returns:
        Takes float32 images (n, height, width, channels), n even, and keys uint64 (n,), and gives the images and how
        much each example's own label weighs, float32 (n,). The neighbour of position i is i XOR 1.
    """
    for number, (name, strengths) in enumerate(parse_augmentations(text)):
        if name in _MIXING:
            return lambda images, keys: _MIXING[name](images, derive(keys, 2 * number), *strengths)
    return None
