"""A drawing of a model, or of a piece of it: boxes and lines are those of its graph.

A layer that only changes single numbers, such as batch normalisation or ReLU, stands in the box of the layer whose
output nothing else takes. A nested model is one box. Rows follow the longest path from the top.
"""

import collections
import dataclasses
import html
import math
import re
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from zoo.analysis.nets import complexity, folding, graph, structure
from zoo.analysis.nets.box import FONT, LETTER, LINE, Box
from zoo.analysis.nets.folding import Repeat
from zoo.analysis.nets.graph import Call, Tensor

# Layers that stay in the box above them.
FOLLOWERS = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.ReLU,
    layers.Rescaling,
)
WORDS = {
    "Add": "add",
    "AveragePooling2D": "average pooling",
    "BatchNormalization": "batch norm",
    "Concatenate": "concatenate",
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise conv",
    "Dropout": "dropout",
    "Flatten": "flatten",
    "GlobalAveragePooling2D": "mean over the image",
    "LocalResponseNormalization": "local response norm",
    "MaxPooling2D": "max pooling",
    "Multiply": "multiply",
    "ReLU": "ReLU",
    "SeparableConv2D": "separable conv",
    "Subtract": "subtract",
    "ZeroPadding2D": "zero padding",
}
ACTIVATIONS = {"relu": "ReLU"}
# Sizes in pixels of the picture.
MARGIN, GAP_ACROSS, GAP_DOWN = 14, 18, 24
# Of the frame around what is repeated, from the boxes inside.
FRAME = 10
STYLE = """
  .paper { fill: #ffffff; } text { fill: #1f2328; } path { stroke: #6e7781; }
  .plain { fill: #f6f8fa; stroke: #8c959f; } .end { fill: none; stroke: none; }
  .weights { fill: #d6e8f7; stroke: #0072b2; } .joins { fill: #fbe3cf; stroke: #d55e00; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } path { stroke: #8b949e; }
    .plain { fill: #161b22; stroke: #6e7681; } .weights { fill: #0f2f47; stroke: #56b4e9; }
    .joins { fill: #43260f; stroke: #e69f00; }
  }
"""
# Of what a folded drawing has beside that.
FOLDED_STYLE = """
  .frame { stroke: #6e7781; } .note { fill: #57606a; }
  @media (prefers-color-scheme: dark) { .frame { stroke: #8b949e; } .note { fill: #9ea7b3; } }
"""


def draw(model: keras.Model, piece: str = "", *, fold: bool = False) -> str:
    """Draws a model, or a piece of it, as an SVG that stands for itself, in light and in dark.

    Args:
        model: with a graph.
        piece: a regular expression that the names of the piece's layers begin with; what lies between two of them
            belongs to it too. Empty: the whole model.
        fold: draw what is repeated several times in a row once, in a frame that says how often, and say at the right
            what size the tensors have where one alone leads on.

    Raises:
        ValueError: the model has no graph, or no layer of it has such a name.
    """
    boxes = boxes_of(model, piece)
    if not boxes:
        raise ValueError(f"no layer of {model.name} has a name that begins with {piece!r}")
    repeats: list[Repeat] = []
    if fold:
        boxes, repeats = folding.folded(boxes)
    return _svg(arranged(boxes), repeats, f"{piece or 'all'} of {model.name}")


def boxes_of(model: keras.Model, piece: str = "") -> list[Box]:
    """The boxes of a model, or of a piece of it, sources first; see `draw`."""
    calls = graph.calls(model)
    takers = graph.takers(calls)
    chosen = _between(calls, [call for call in calls if re.match(piece, call.name)])
    made: dict[Tensor, Box] = {}
    nested: dict[Call, Box] = {}
    boxes: list[Box] = []
    for call in chosen:
        for tensor in call.inputs:
            if tensor not in made:  # it comes from outside the piece
                made[tensor] = Box([graph.shape_text(tensor.shape)], "end", [])
                boxes.append(made[tensor])
        sources = [made[tensor] for tensor in call.inputs]
        inside = call.path[0] if call.path else None
        if inside in nested:  # a further layer of a model that has its box
            box = nested[inside]
            box.sources += [source for source in sources if source not in (box, *box.sources)]
        elif not inside and isinstance(call.operation, FOLLOWERS) and _goes_on(call, sources, takers):
            box = sources[0]
            _add_follower(box, _words(call.operation))
        else:
            box = _nested_box(inside, sources, calls) if inside else _box(call, sources)
            nested |= {inside: box} if inside else {}
            boxes.append(box)
        made |= dict.fromkeys(call.outputs, box)
        box.size = graph.shape_text(call.outputs[0].shape)
    within = set(chosen)
    for tensor in [tensor for call in chosen for tensor in call.outputs]:
        if tensor.is_output or any(taker not in within for taker in takers[tensor]):
            name = [tensor.source.operation.name] if tensor.is_output else []
            boxes.append(Box([*name, graph.shape_text(tensor.shape)], "end", [made[tensor]]))
    return boxes


def _between(calls: list[Call], named: list[Call]) -> list[Call]:
    """The calls that are named, and those on a path from one of them to another."""
    after, before = set(named), set(named)
    for call in calls:
        if any(tensor.source in after for tensor in call.inputs):
            after.add(call)
    for call in reversed(calls):
        if call in before:
            before.update(tensor.source for tensor in call.inputs)
    return [call for call in calls if call in after and call in before]


def _goes_on(call: Call, sources: list[Box], takers: dict[Tensor, list[Call]]) -> bool:
    """Whether what a call takes goes nowhere else."""
    alone = len(sources) == 1 and sources[0].kind != "end"
    return alone and len(takers[call.inputs[0]]) == 1 and not call.inputs[0].is_output


def _box(call: Call, sources: list[Box]) -> Box:
    if isinstance(call.operation, layers.InputLayer):
        return Box([call.operation.name, graph.shape_text(call.outputs[0].shape)], "end", sources)
    kind = "weights" if complexity.has_kernel(call) else "joins" if structure.merge_kind(call) else "plain"
    box = Box([_words(call.operation)], kind, sources)
    activation = getattr(call.operation, "activation", None)
    if activation not in (None, keras.activations.linear) and not isinstance(call.operation, layers.Activation):
        _add_follower(box, _activation_words(activation))
    return box


def _nested_box(inside: Call, sources: list[Box], calls: list[Call]) -> Box:
    times = len({call.path[0] for call in calls if call.path and call.path[0].operation is inside.operation})
    lines = [inside.operation.name, *(["shared weights"] if times > 1 and inside.operation.weights else [])]
    return Box(lines, "weights" if inside.operation.weights else "plain", sources)


def _add_follower(box: Box, words: str) -> None:
    """Notes in a box what its output goes through: short words share a line, but for the first of what has weights."""
    shares = len(box.lines) > 1 if box.kind == "weights" else len(box.lines[-1]) < 12
    if shares and " · " not in box.lines[-1]:
        box.lines[-1] += f" · {words}"
    else:
        box.lines.append(words)


def _words(operation: Any) -> str:
    """What an operation does, as `3x3 conv, 64, stride 2`."""
    kind = next((name for name in graph.keras_names(operation) if name in WORDS), type(operation).__name__)
    words = [WORDS.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()]
    if isinstance(operation, layers.Activation):
        return _activation_words(operation.activation)
    if hasattr(operation, "kernel_size"):
        words = [f"{_by(operation.kernel_size)} {words[0]}"]
        words += [f"{operation.filters:,}"] if hasattr(operation, "filters") else []
        words += [f"{operation.groups} groups"] if getattr(operation, "groups", 1) > 1 else []
        words += ["not padded"] if operation.padding == "valid" and max(operation.kernel_size) > 1 else []
    elif isinstance(operation, layers.Dense):
        words = ["dense", f"{operation.units:,}"]
    elif hasattr(operation, "pool_size"):
        words = [f"{_by(operation.pool_size)} {words[0]}"]
    elif isinstance(operation, layers.ZeroPadding2D):
        sides = [side for sides in operation.padding for side in sides]
        words = [f"{words[0]} {_once(sides, '-')}"]
    elif isinstance(operation, layers.Dropout):
        words = [f"{words[0]} {operation.rate:g}"]
    elif isinstance(operation, layers.Rescaling) and isinstance(operation.scale, int | float):
        words = [f"times {operation.scale:g}"]
    strides = getattr(operation, "strides", (1, 1))
    return ", ".join([*words, *([f"stride {_once(strides, 'x')}"] if max(strides) > 1 else [])])


def _activation_words(activation: Any) -> str:
    """What a function or a layer is called that stands as the activation of a layer."""
    name = getattr(activation, "__name__", type(activation).__name__)
    return ACTIVATIONS.get(name, name)


def _once(sizes: Sequence[int], between: str) -> str:
    """Sizes that are all the same as one."""
    return between.join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))


def _by(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def arranged(boxes: list[Box]) -> list[list[Box]]:
    """The boxes in rows, with `x` and `row` set; empty boxes are added where a line passes a row."""
    for box in boxes:
        box.row = max((source.row + 1 for source in box.sources), default=0)
    rows: list[list[Box]] = [[] for _ in range(max(box.row for box in boxes) + 1)]
    for box in boxes:
        rows[box.row].append(box)
        box.sources = [_passing(source, box.row, rows) for source in box.sources]
    targets: dict[Box, list[tuple[Box, float]]] = collections.defaultdict(list)
    for box in [box for row in rows for box in row]:
        for place, source in enumerate(box.sources):
            # Where a box takes several tensors, its branches stand in that order.
            targets[source].append((box, (place + 0.5) / len(box.sources) - 0.5))
    for row in rows:
        _place(row, dict.fromkeys(row, 0.0))
    for _ in range(8):
        for row in rows[1:]:
            _place(row, {box: _mean([source.x for source in box.sources], box.x) for box in row})
        for row in reversed(rows[:-1]):
            _place(row, {box: _mean([target.x + 60 * place for target, place in targets[box]], box.x) for box in row})
    _straighten(rows, targets)
    return rows


def _straighten(rows: list[list[Box]], targets: dict[Box, list]) -> None:
    """Gives the boxes of a path without branches one middle, as far as the others leave room for it."""
    paths: list[list[Box]] = []
    path_of: dict[Box, list[Box]] = {}
    for box in [box for row in rows for box in row]:
        goes_on = len(box.sources) == 1 and len(targets[box.sources[0]]) == 1
        path_of[box] = path_of[box.sources[0]] if goes_on else []
        path_of[box].append(box)
        paths += [] if goes_on else [path_of[box]]
    for _ in range(40):
        for path in paths:
            around = [*path[0].sources, *(target for target, _ in targets[path[-1]])]
            middle = _mean([box.x for box in path], 0.0)
            # A path on its own row has no width to keep from: it goes to the middle of what it is between.
            middle = _mean([middle, *(box.x for box in around)] if len(path) == 1 else [middle], 0.0)
            for box in path:
                box.x = middle
        for row in rows:
            _place(row, {box: box.x for box in row})


def _passing(source: Box, row: int, rows: list[list[Box]]) -> Box:
    """The box just above a row through which the line from a source reaches it."""
    for between in range(source.row + 1, row):
        source = Box([], "end", [source], x=source.x, row=between)
        rows[between].append(source)
    return source


def _place(row: list[Box], wanted: dict[Box, float]) -> None:
    """Moves the boxes of a row to where they are wanted, in that order, without overlap."""
    row.sort(key=wanted.__getitem__)
    # Pushed to the right, and pushed to the left: both keep the distances, and so does their middle.
    right, left = _pushed(row, wanted, 1), _pushed(row[::-1], wanted, -1)
    for box in row:
        box.x = (right[box] + left[box]) / 2


def _pushed(row: list[Box], wanted: dict[Box, float], way: int) -> dict[Box, float]:
    result: dict[Box, float] = {}
    for before, box in zip([None, *row], row, strict=False):
        least = result[before] * way + _distance(before, box) if before else -math.inf
        result[box] = way * max(wanted[box] * way, least)
    return result


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _distance(one: Box, other: Box) -> float:
    return (one.width + other.width) / 2 + GAP_ACROSS


def _svg(rows: list[list[Box]], repeats: list[Repeat], title: str) -> str:
    boxes = [box for row in rows for box in row]
    left = min(box.x - box.width / 2 for box in boxes) - MARGIN - (FRAME if repeats else 0)
    tops, deep, y = [], [max(box.height for box in row) for row in rows], MARGIN
    for height in deep:
        tops.append(y)
        y += height + GAP_DOWN
    for box in boxes:
        box.x -= left
        height = box.height if box.lines else deep[box.row]
        box.top = tops[box.row] + (deep[box.row] - height) / 2
        box.bottom = box.top + height
    frames = [_frame(repeat, rows) for repeat in repeats]
    right = max([box.x + box.width / 2 for box in boxes] + [frame.right for frame in frames])
    notes = [(right + FRAME, (box.top + box.bottom) / 2, box.note) for box in boxes if box.note]
    width = max([right, *(x + LETTER * len(text) for x, _, text in notes)]) + MARGIN
    size = f"{width:.0f} {y - GAP_DOWN + MARGIN:.0f}"
    wide, high = size.split()
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {size}" '
            f'font-family="system-ui, sans-serif" font-size="{FONT}" text-anchor="middle">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{STYLE}{FOLDED_STYLE if frames or notes else ''}</style>",
            '<rect class="paper" width="100%" height="100%" rx="8"/>',
            *(frame.shape for frame in frames),
            f'<path d="{"".join(line for box in boxes for line in _lines(box))}" fill="none" stroke-width="1.2"/>',
            *(shape for box in boxes for shape in _shapes(box)),
            *(_note(x, y, text) for x, y, text in [*(frame.note for frame in frames), *notes]),
            "</svg>\n",
        ]
    )


@dataclasses.dataclass(frozen=True)
class _Frame:
    """The frame around what is repeated: its SVG, where it and its note end, and the note's place and text."""

    shape: str
    right: float
    note: tuple[float, float, str]


def _frame(repeat: Repeat, rows: list[list[Box]]) -> _Frame:
    inside = [box for row in {box.row for box in repeat.boxes} for box in rows[row]]
    left, right = (
        min(box.x - box.width / 2 for box in inside) - FRAME,
        max(box.x + box.width / 2 for box in inside) + FRAME,
    )
    top, bottom = min(box.top for box in inside) - FRAME, max(box.bottom for box in inside) + FRAME
    shape = (
        f'<rect class="frame" x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" height="{bottom - top:.0f}" '
        'rx="8" fill="none" stroke-dasharray="5 3"/>'
    )
    text = f"{repeat.times} times"
    return _Frame(shape, right + 6 + LETTER * len(text), (right + 6, (top + bottom) / 2, text))


def _note(x: float, y: float, text: str) -> str:
    return f'<text class="note" x="{x:.0f}" y="{y + 4:.0f}" text-anchor="start">{html.escape(text)}</text>'


def _lines(box: Box) -> list[str]:
    """The lines that end in a box; straight down where the box is none."""
    down = [] if box.lines else [f"M{box.x:.0f} {box.top:.0f}V{box.bottom:.0f}"]
    for source in box.sources:
        middle = (source.bottom + box.top) / 2
        curve = f"C{source.x:.0f} {middle:.0f} {box.x:.0f} {middle:.0f} {box.x:.0f} {box.top:.0f}"
        down.append(f"M{source.x:.0f} {source.bottom:.0f}{curve}")
    return down


def _shapes(box: Box) -> list[str]:
    """A box and its text; round at its sides where it joins paths, so that colour is not all that tells it."""
    if not box.lines:
        return []
    corner = {"joins": 12, "weights": 3}.get(box.kind, 6)
    shapes = [
        f'<rect class="{box.kind}" x="{box.x - box.width / 2:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="{corner}"/>'
    ]
    for number, line in enumerate(box.lines):
        shapes.append(f'<text x="{box.x:.0f}" y="{box.top + 16 + LINE * number:.0f}">{html.escape(line)}</text>')
    return shapes
