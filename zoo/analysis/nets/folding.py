"""What a net repeats: the same boxes several times in a row, of which a drawing shows the first ones."""

import dataclasses

from zoo.analysis.nets.box import Box

# So many parts between two places where one tensor alone leads on may be what is repeated. That of an Inception-ResNet
# block are two: the block, and the scaled sum.
MOST_PARTS = 4


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Boxes that stand for several times as many.

    Attributes:
        boxes: those that are left.
        times: how often the net has them, one after the other.
    """

    boxes: tuple[Box, ...]
    times: int


def folded(boxes: list[Box]) -> tuple[list[Box], list[Repeat]]:
    """Leaves out what only repeats the boxes before it, and notes sizes where a single tensor leads on.

    Args:
        boxes: of a drawing, sources first. They are changed.

    Returns:
        The boxes that are left, and what of them is repeated.
    """
    parts = _parts(boxes)
    kept: list[Box] = []
    repeats: list[Repeat] = []
    stands_for: dict[Box, Box] = {}
    start = 0
    while start < len(parts):
        length, times = _repeated(parts, start)
        unit = [box for part in parts[start : start + length] for box in part]
        start += length * times
        if times > 1:
            repeats.append(Repeat(tuple(unit), times))
            # What follows takes what the last of them gives.
            last = parts[start - 1][-1]
            stands_for[last], unit[-1].size = unit[-1], last.size
        kept += unit
    for box in kept:
        box.sources = [stands_for.get(source, source) for source in box.sources]
    ends = {part[-1] for part in parts}
    _note_sizes([box for box in kept if box in ends])
    return kept, repeats


def _parts(boxes: list[Box]) -> list[list[Box]]:
    """The boxes in parts, each of which ends with a box that alone leads on to what follows."""
    place = {box: number for number, box in enumerate(boxes)}
    passed = set()
    for box in boxes:
        for source in box.sources:
            one, other = place[source], place[box]
            # A nested model may stand before what it takes.
            passed.update(range(one + 1, other) if one < other else range(other, one))
    parts, part = [], []
    for number, box in enumerate(boxes):
        part.append(box)
        if number not in passed:
            parts.append(part)
            part = []
    return parts


def _repeated(parts: list[list[Box]], start: int) -> tuple[int, int]:
    """How many parts from a place on are repeated, and how often: those that leave out most; (1, 1) for none."""
    best = (1, 1)
    for length in range(1, MOST_PARTS + 1):
        times = 1
        while _same(parts, start, start + length * times, length):
            times += 1
        if length * (times - 1) > best[0] * (best[1] - 1):
            best = (length, times)
    return best


def _same(parts: list[list[Box]], one: int, other: int, length: int) -> bool:
    """Whether parts say the same as others, and take it from the same places."""
    if one == 0 or other + length > len(parts):
        return False
    return _said(parts, one, length) == _said(parts, other, length)


def _said(parts: list[list[Box]], start: int, length: int) -> list[tuple]:
    before = parts[start - 1][-1]
    boxes = [before, *(box for part in parts[start : start + length] for box in part)]
    place = {box: number for number, box in enumerate(boxes)}
    return [(box.lines, box.kind, [place[source] for source in box.sources]) for box in boxes[1:]]


def _note_sizes(boxes: list[Box]) -> None:
    """Notes beside boxes what they put out, where it is another size than before; the ends say it themselves."""
    before = ""
    for box in boxes:
        if box.kind != "end" and box.size not in ("", before):
            box.note = box.size
        before = box.size or before
