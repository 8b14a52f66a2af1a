"""Figures of a report, each drawn once: as SVG that takes the page's colours and letters, and as PNG for elsewhere."""

import base64
import dataclasses
import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import image as pictures
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from zoo.analysis.docs import tables

# Okabe and Ito 2008, Color universal design, without the yellow and the black, which one of the two themes would hide.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# So that no line is told from another by its colour alone.
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
# What is drawn in these takes the page's colours of text and of rules in the SVG.
INK, RULE = "#1b1b1b", "#c8c8c8"
PANEL = (4.2, 2.9)  # inches; a column of a page and the width of a phone
MAX_NAMED = 20  # classes whose names and counts are written on a matrix
STYLE = {
    "svg.fonttype": "none",
    # Names of classes and runs may hold dollars.
    "text.parse_math": False,
    "font.size": 9,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "image.cmap": "cividis",  # made to be read alike with and without colour vision, Nunez et al. 2018
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a plot.

    Attributes:
        label: in the legend.
        x, y: its points.
        low, high: of the band around it; None: it has none.
        color: which of `COLORS`; lines of one colour have different dashes.
        dash: which of `DASHES`.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    color: int = 0
    dash: int = 0


def drawn(draw: Callable[[Figure], Any], path: Path, size: tuple[float, float] = PANEL) -> str:
    """Draws a figure, writes it as PNG, and returns it as SVG for a page.

    In the SVG text is text, in the page's own letters, and it has no background; ids are its own by the file's name.

    Args:
        draw: draws into the figure.
        path: of the PNG.
        size: width and height in inches.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.stem}), warnings.catch_warnings():
        # The page's reader has letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        draw(figure)
        # The same layout serves both formats. With an engine in place each would find it anew, by drawing twice.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine(None)
        figure.savefig(path, format="png", dpi=200, facecolor="white")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _for_page(text.getvalue())


def _for_page(svg: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg)
    # Nothing refers to the ids of groups, which every figure has alike.
    svg = re.sub(r'<g id="[\w.]+"', "<g", svg).replace("xlink:href", "href")
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    return svg.replace(INK, "currentColor").replace(RULE, "var(--rule)")


def file(folder: Path, kind: str, name: str) -> Path:
    """Where a figure of a metric or a label goes, whatever characters the name has."""
    safe = re.sub(r"[^\w-]+", "_", name)
    return folder / f"{kind}_{safe}.png"


def picture(pixels: np.ndarray) -> str:
    """An image, (height, width, 1 or 3), from 0 to 255, as the data URI of a PNG."""
    packed = io.BytesIO()
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    pictures.imsave(packed, pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    return f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"


def lines(figure: Figure, drawn_lines: Sequence[Line], x_label: str, y_label: str) -> Axes:
    """Lines with markers where there are few points, and with bands."""
    axes = figure.subplots()
    for line in drawn_lines:
        color = COLORS[line.color % len(COLORS)]
        marker = MARKERS[line.color % len(MARKERS)] if len(line.x) <= MAX_NAMED else None
        dash = DASHES[line.dash % len(DASHES)]
        axes.plot(line.x, line.y, dash, color=color, marker=marker, markersize=3.5, linewidth=1.5, label=line.label)
        if line.low is not None:
            axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.2, linewidth=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(drawn_lines) > 3:
        figure.legend(loc="outside lower left", ncols=2, fontsize=7)
    elif len(drawn_lines) > 1:
        axes.legend()
    return axes


def matrix(figure: Figure, counts: np.ndarray, names: Sequence[str]) -> None:
    """A confusion matrix, rows true classes, coloured by the share of the row; with names and counts if they fit."""
    axes = figure.subplots()
    axes.grid(visible=False)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # By the root, so that few mistakes among many answers are seen.
    norm = matplotlib.colors.PowerNorm(0.5, 0, 1)
    # Where the layout keeps pixels square it may push the labels out of the figure.
    shown = axes.imshow(share, norm=norm, interpolation="nearest", aspect="auto")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if len(names) <= MAX_NAMED:
        short = [name if len(name) <= 14 else f"{name[:13]}\N{HORIZONTAL ELLIPSIS}" for name in names]
        axes.set_xticks(range(len(names)), short, rotation=90 if max(map(len, short)) > 2 else 0)
        axes.set_yticks(range(len(names)), short)
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "black" if share[row, column] > 0.25 else "white"
            axes.text(column, row, str(counts[row, column]), color=color, ha="center", va="center", fontsize=7)
    bar = figure.colorbar(shown, ax=axes, fraction=0.05, ticks=[0, 0.05, 0.2, 0.5, 1])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)


def reliability(figure: Figure, counts: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray) -> None:
    """Accuracy against confidence by bin, with the number of examples below, as `metrics.reliability` gives them."""
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    width = 1 / len(counts)
    middle = (np.arange(len(counts)) + 0.5) * width
    held = counts > 0
    upper.bar(middle[held], accuracy[held], 0.9 * width, color=COLORS[0], alpha=0.45, label="accuracy")
    upper.plot(confidence[held], accuracy[held], "o", color=COLORS[0], markersize=3.5, label="at mean confidence")
    upper.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="calibrated")
    upper.set_ylabel("accuracy")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    upper.legend(loc="upper left")
    lower.bar(middle, counts, 0.9 * width, color=COLORS[1])
    lower.set_ylabel("examples")
    lower.set_xlabel("confidence of the predicted class")


def roc(figure: Figure, false: np.ndarray, true: np.ndarray) -> None:
    """The receiver operating characteristic, as `metrics.roc_curve` gives it."""
    axes = lines(figure, [Line("model", false, true)], "different pairs that pass", "pairs of one class that pass")
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1)
    axes.set_aspect("equal")


@dataclasses.dataclass(frozen=True)
class Point:
    """A model in a plot of accuracy against cost.

    Attributes:
        label: beside it.
        x, y: where.
        deviation: of y over seeds; None: y was published and not measured.
    """

    label: str
    x: float
    y: float
    deviation: float | None


def costs(figure: Figure, points: Sequence[Point], x_label: str, y_label: str) -> None:
    """Points with their names; those that were published are hollow."""
    axes = figure.subplots()
    middle = math.sqrt(min(point.x for point in points) * max(point.x for point in points))
    for number, point in enumerate(sorted(points, key=lambda point: point.x)):
        color = COLORS[number % len(COLORS)]
        hollow = {} if point.deviation is not None else {"markerfacecolor": "none"}
        marker = MARKERS[number % len(MARKERS)]
        axes.errorbar(point.x, point.y, point.deviation, fmt=marker, color=color, capsize=3, markersize=6, **hollow)
        side, align = (7, "left") if point.x <= middle else (-7, "right")
        axes.annotate(point.label, (point.x, point.y), xytext=(side, 3), textcoords="offset points", ha=align, size=8)
    _log_scale(axes, EngFormatter(sep=""))
    # Above a point there are two lines.
    axes.margins(0.15, 0.25)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def ratios(axes: Axes, works: Sequence[str], sides: dict[str, dict[int, tuple[float, float, float]]]) -> None:
    """How many times as long as the zoo the sides of a benchmark take, a row for each work.

    Args:
        axes: to draw into.
        works: titles.
        sides: as `tables.slower` gives them; a side has the same colour and shape in every plot.
    """
    known = list(dict.fromkeys((*tables.SIDES, *sides)))[1:]
    for number, (side, ratios_by_work) in enumerate(sides.items()):
        places = [work + 0.15 + 0.6 * ((number + 0.5) / len(sides) - 0.5) for work in ratios_by_work]
        median, least, most = np.array(list(ratios_by_work.values())).T
        which = known.index(side)
        style = {"color": COLORS[which % len(COLORS)], "fmt": MARKERS[which % len(MARKERS)], "markersize": 4}
        label = tables.SIDES.get(side, side)
        axes.errorbar(median, places, xerr=(median - least, most - median), label=label, linewidth=1, **style)
    axes.axvline(1, color=INK, linewidth=0.8, zorder=0)
    _log_scale(axes, "{x:g}")
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    for number, work in enumerate(works):
        # Above its row, so that there is room on a phone.
        axes.text(0.01, number - 0.45, work.replace("`", ""), transform=axes.get_yaxis_transform(), va="top")
        axes.axhline(number - 0.5, color=RULE, linewidth=0.6)
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.set_xlabel("times as long as the zoo takes; right of 1 the zoo is faster")


def _log_scale(axes: Axes, form: str | EngFormatter) -> None:
    """A logarithmic x axis whose numbers are plain text and do not touch each other."""
    axes.set_xscale("log")
    least, most = axes.get_xlim()
    subs = (1,) if most > 100 * least else (1, 2, 5) if most > 5 * least else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)
    axes.xaxis.set_major_locator(LogLocator(subs=subs) if most > 1.5 * least else MaxNLocator(4))
    axes.xaxis.set_major_formatter(form)
    axes.xaxis.set_minor_formatter(NullFormatter())
