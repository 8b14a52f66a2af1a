"""Augmentation as a config names it: functions from a batch of images to a batch of images, without state.

What happens to an example depends on `(seed, epoch, index of the example)` alone, not on its batch, its worker or what
came before; where images are mixed, on its neighbour and the number of its batch too. Each example has a 64-bit key,
and random numbers are hashes of key and draw. A whole batch goes through a few operations instead of one call per
image. Where examples need different operations, they are sorted by operation first.

| as written | stage | see |
|---|---|---|
| `random_resized_crop:0.08` | first: stored images to one size | `zoo.data.images` |
| `pad_crop:4`, `flip`, `affine:10:0.2:0.3:2` | pixels, uint8 | `geometry` |
| `color_jitter:0.4` | pixels, uint8 | `tones.color_jitter` |
| `randaugment:2:9` | pixels, uint8 | `randaugment` |
| `cutout:8`, `random_erasing:0.5` | pixels, uint8 | `erasing` |
| `mixup:0.2`, `cutmix:1` | last: mixes examples, float32; of both, each batch takes one | `mixing` |
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from zoo.config.augmentations import CROP, parse_augmentations
from zoo.data.augment import erasing, geometry, mixing, randaugment, tones
from zoo.data.images import MIN_AREA
from zoo.data.randomness import derive
from zoo.errors import RequestError

# (images (n, height, width, channels), keys uint64 (n,)) -> images of the same shape and dtype.
Augmentation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
# (float32 (n, height, width, channels), keys uint64 (n,), keys of their batches uint64 (n,))
# -> (such images, weight of the own label float32 (n,)).
Mixing = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

# What is measured in pixels must be smaller than the image; the place of that number.
_IN_PIXELS = {"pad_crop": 0, "cutout": 0, "affine": 3}
_OF_COLOURS = ("color_jitter", "randaugment")


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


def check_augmentations(text: str, image_shape: tuple[int, ...]) -> None:
    """Raises a `RequestError` unless the text names augmentations that images of this shape can take.

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
    strengths = dict(parse_augmentations(text)).get(CROP)
    return None if strengths is None else next(iter(strengths), MIN_AREA)


def make_mixing(text: str) -> Mixing | None:
    """What mixes each example with its neighbour; None where the text names nothing that does.

    Of mixup and cutmix together each batch takes one, both as often, which the batch's key decides: timm's way
    (`Mixup` with `switch_prob=0.5`). What it takes does what it would do alone at its place in the text.

    Returns:
        Takes float32 images (n, height, width, channels), n even, and keys and batch keys, uint64 (n,), and gives the
        images and how much each example's own label weighs, float32 (n,). The neighbour of position i is i XOR 1, of
        the same batch.
    """
    mixings = [
        functools.partial(_mix, number, name, strengths)
        for number, (name, strengths) in enumerate(parse_augmentations(text))
        if name in _MIXING
    ]
    if len(mixings) < 2:
        return (lambda images, keys, batch_keys: mixings[0](images, keys)) if mixings else None
    return functools.partial(mixing.by_turns, mixings)


def _mix(
    number: int, name: str, strengths: Sequence[float], images: tf.Tensor, keys: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return _MIXING[name](images, derive(keys, 2 * number), *strengths)
