"""The language of `augment`, such as `pad_crop:4,flip`: names, their numbers, and the order in which they may stand.

What each does to images says `zoo.data.augment.named`.
"""

import dataclasses
import re
from collections.abc import Sequence

from zoo.errors import RequestError, unknown

# Cuts a part of stored images out and brings it to one size.
CROP = "random_resized_crop"
# Mix finished images with their neighbours; of both, each batch takes one.
MIXING = ("mixup", "cutmix")
# Of RandAugment: how many operations there are, and the largest magnitude (Cubuk et al. 2019, arXiv:1909.13719).
RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE = 14, 10


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
        ((True, 1, RANDAUGMENT_OPERATIONS), (False, 0, RANDAUGMENT_MAGNITUDE)),
    ),
    "mixup": _ALPHA,
    "cutmix": _ALPHA,
}


def parse_augmentations(text: str) -> list[tuple[str, tuple[float, ...]]]:
    """Reads `pad_crop:4,flip` as `[("pad_crop", (4,)), ("flip", ())]`.

    Raises:
        RequestError: an augmentation is unknown, stands twice or in the wrong place, or has no strength or one that it
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
        if name == CROP and place:
            raise RequestError(f"augment is {text!r}; {name} must stand first, it makes the images one size")
        mixed = [other for other, _ in result if other in MIXING]
        if mixed and name not in MIXING:
            raise RequestError(f"augment is {text!r}; {mixed[0]} must stand last, it mixes finished images")
        result.append((name, numbers))
    return result


def written_augmentations() -> dict[str, str]:
    """Every augmentation as it is written, with strengths that it may have, and what these are in words."""
    return {kind.example.format(name): kind.says for name, kind in _STRENGTHS.items()}
