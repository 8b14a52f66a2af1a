"""Charts of many runs: what accuracy costs, and how long others take."""

import dataclasses
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from matplotlib.transforms import Bbox

from zoo.analysis.docs import tables
from zoo.analysis.runs.figures import INK, PAPER, RULE, log_scale, look

# Where a label may stand beside its point, in points from it, the nearest places first: at its right or at its left,
# and as far up or down as others leave no room.
_PLACES = [(side, step) for step in sorted(range(-60, 61, 3), key=abs) for side in (8, -8)]
_POINTS_INCHES = 0.38  # of a row of `ratios`, below its title


@dataclasses.dataclass(frozen=True)
class Point:
    """A model in a plot of accuracy against cost.

    Attributes:
        label: beside it.
        x, y: where.
        deviation: of y over seeds; None: y was published and not measured.
        look: its number, see `figures.look`.
    """

    label: str
    x: float
    y: float
    deviation: float | None
    look: int = 0


def costs(figure: Figure, points: Sequence[Point], x_label: str, y_label: str) -> None:
    """Points with their names; those that were published are hollow."""
    axes = figure.subplots()
    for point in points:
        color, marker = look(point.look)
        hollow = {} if point.deviation is not None else {"markerfacecolor": "none"}
        axes.errorbar(point.x, point.y, point.deviation, fmt=marker, color=color, capsize=3, markersize=6, **hollow)
    log_scale(axes.xaxis, EngFormatter(sep=""))
    # Above a point there are two lines.
    axes.margins(0.15, 0.25)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    # What is to be labelled must have its place first.
    figure.draw_without_rendering()
    _label(axes, points)


def _label(axes: Axes, points: Sequence[Point]) -> None:
    """Writes the points' names beside them, each where it covers no point and no other name and leaves the axes least.

    The names take no part in the layout, which would move the points.
    """
    taken, pixels = [], axes.figure.dpi / 72
    for point in points:
        ends = [(point.x, point.y + sign * (point.deviation or 0)) for sign in (-1, 1)]
        taken.append(Bbox(axes.transData.transform(ends)).padded(4 * pixels))
    inside = axes.get_window_extent()
    box = {"facecolor": PAPER, "linewidth": 0, "pad": 1}
    for point in sorted(points, key=lambda point: -point.y):
        text = axes.annotate(point.label, (point.x, point.y), (0, 0), textcoords="offset points", va="center", bbox=box)
        text.set_in_layout(False)

        def badness(place: tuple[int, int], text=text) -> float:
            text.set_position(place)
            text.set_horizontalalignment("left" if place[0] > 0 else "right")
            covered = text.get_window_extent()
            outside = (
                max(0, inside.x0 - covered.x0)
                + max(0, covered.x1 - inside.x1)
                + max(0, inside.y0 - covered.y0)
                + max(0, covered.y1 - inside.y1)
            )
            return 1000 * covered.count_overlaps(taken) + outside

        badness(min(_PLACES, key=badness))
        taken.append(text.get_window_extent())


def ratios(axes: Axes, works: Sequence[str], sides: dict[str, dict[int, tuple[float, float, float]]]) -> None:
    """How many times as long as the zoo the sides of a benchmark take, a row for each work.

    Args:
        axes: to draw into; `ratios_height` says how high they should be.
        works: titles.
        sides: as `tables.slower` gives them; a side has the same colour and shape in every plot.
    """
    titles, tops, heads = _rows(works)
    known = list(dict.fromkeys((*tables.SIDES, *sides)))[1:]
    for number, (side, ratios_by_work) in enumerate(sides.items(), 1):
        median, least, most = np.array(list(ratios_by_work.values())).T
        places = [tops[row] + heads[row] + _POINTS_INCHES * number / (len(sides) + 1) for row in ratios_by_work]
        color, marker = look(known.index(side))
        style = {"color": color, "fmt": marker, "markersize": 4, "linewidth": 1, "label": tables.SIDES.get(side, side)}
        axes.errorbar(median, places, xerr=(median - least, most - median), **style)
    axes.axvline(1, color=INK, linewidth=0.8, zorder=0.6)
    log_scale(axes.xaxis, "{x:g}")
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    for title, top, head in zip(titles, tops, heads, strict=True):
        # Above the points, so that there is room on a phone, and on paper, so that no line runs through it.
        axes.axhspan(top, top + head, color=PAPER, linewidth=0, zorder=0.7)
        axes.text(0.015, top + 0.05, title, transform=axes.get_yaxis_transform(), va="top")
        axes.axhline(top, color=RULE, linewidth=0.6, zorder=0.8)
    axes.set_ylim(ratios_height(works), 0)
    axes.set_xlabel("times as long as the zoo takes;\nright of 1 the zoo is faster")


def ratios_height(works: Sequence[str]) -> float:
    """The inches that the rows of `ratios` take."""
    _, tops, heads = _rows(works)
    return tops[-1] + heads[-1] + _POINTS_INCHES


def _rows(works: Sequence[str]) -> tuple[list[str], list[float], list[float]]:
    """Of each row the title, in lines as wide as a panel; in inches where it begins, and how high its title is."""
    titles = [textwrap.fill(work.replace("`", ""), 45) for work in works]
    heads = [0.08 + 0.15 * (title.count("\n") + 1) for title in titles]
    return titles, [sum(heads[:row]) + row * _POINTS_INCHES for row in range(len(works))], heads
