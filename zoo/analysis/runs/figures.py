"""Figures of a report, each drawn once: as SVG that takes the page's colours and letters, and as PNG for elsewhere."""

import base64
import contextlib
import dataclasses
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import image as pictures
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

# Okabe and Ito 2008, Color universal design, without the yellow and the black, which one of the two themes would hide.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# So that no line is told from another by its colour alone.
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
NUM_LOOKS = len(COLORS) * len(MARKERS)
# What is drawn in these takes the page's colours of text, of rules and of the background in the SVG.
INK, RULE, PAPER = "#1b1b1b", "#c8c8c8", "#fefefe"
FONT_SIZE = 9  # points, of all text
PANEL = (3.6, 2.6)  # inches; a column of a page, and on a phone its letters are as large as those of a caption
SQUARE = (3.6, 3.4)  # likewise, for what is as high as it is wide
MAX_NAMED = 20  # classes that a matrix has room for, and points that have markers
COLOR_MAP = matplotlib.colormaps["cividis"]  # read alike with and without colour vision, Nunez et al. 2018
DECADES = 30  # the largest value by the smallest one from which on a loss is drawn on a logarithmic axis
STYLE = {
    "svg.fonttype": "none",
    # Names of classes and runs may hold dollars.
    "text.parse_math": False,
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize"), FONT_SIZE),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), FONT_SIZE),
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a plot.

    Attributes:
        label: in the legend.
        x, y: its points.
        low, high: of the band around it; None: it has none.
        color: number of its `look`; lines of one look have different dashes.
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
    """Draws a figure, writes it as PNG, and returns it as SVG for a page, see `svg`.

    Args:
        draw: draws into the figure.
        path: of the PNG.
        size: width and height in inches.
    """
    with _figure(draw, size, path.stem) as figure:
        figure.savefig(path, format="png", dpi=200, facecolor="white")
        return _svg(figure)


def svg(draw: Callable[[Figure], Any], size: tuple[float, float], salt: str) -> str:
    """Draws a figure as SVG.

    Text is text, in the letters of the page around it, there is no background, and the page says what `currentColor`,
    `--rule` and `--paper` are.

    Args:
        draw: draws into the figure.
        size: width and height in inches.
        salt: what makes its ids differ from those of other figures; the same figure has the same ones.
    """
    with _figure(draw, size, salt) as figure:
        return _svg(figure)


@contextlib.contextmanager
def _figure(draw: Callable[[Figure], Any], size: tuple[float, float], salt: str) -> Iterator[Figure]:
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        # The page's reader has letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        draw(figure)
        # The same layout serves all formats. With an engine in place each would find it anew, by drawing twice.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine(None)
        yield figure


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg)
    # Nothing refers to the ids of groups, which every figure has alike.
    svg = re.sub(r'<g id="[\w.]+"', "<g", svg).replace("xlink:href", "href")
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    return svg.replace(INK, "currentColor").replace(RULE, "var(--rule)").replace(PAPER, "var(--paper)")


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


def look(number: int) -> tuple[str, str]:
    """Colour and marker of what has this number in all plots of a page; the first `NUM_LOOKS` differ."""
    return COLORS[number % len(COLORS)], MARKERS[(number + number // len(COLORS)) % len(MARKERS)]


def lines(figure: Figure, drawn_lines: Sequence[Line], x_label: str, y_label: str) -> Axes:
    """Lines with markers where there are few points, and with bands; what is no finite number is a gap."""
    axes = figure.subplots()
    for line in drawn_lines:
        color, marker = look(line.color)
        style = {"color": color, "marker": marker if len(line.x) <= MAX_NAMED else None, "markersize": 3.5}
        dash = DASHES[line.dash % len(DASHES)]
        axes.plot(line.x, _finite(line.y), dash, linewidth=1.5, label=short(line.label, 42), **style)
        if line.low is not None:
            band = _finite(line.low), _finite(line.high)
            axes.fill_between(line.x, *band, color=color, alpha=0.2, linewidth=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if y_label.endswith("loss") and spans_decades(drawn_lines):
        log_scale(axes.yaxis, "{x:g}")
    if len(drawn_lines) > 1:
        # Outside of the axes, where no line runs through it.
        longest = max(len(line.label) for line in drawn_lines)
        figure.legend(loc="outside upper left", ncols=1 if longest > 17 else 2)
    return axes


def lines_size(drawn_lines: Sequence[Line]) -> tuple[float, float]:
    """Width and height of a plot of lines whose legend has a row for each line, where they are many."""
    return PANEL[0], PANEL[1] + 0.18 * max(0, len(drawn_lines) - 2)


def spans_decades(drawn_lines: Sequence[Line]) -> bool:
    """Whether all values, those of bands included, are positive and so far apart that a linear axis hides the small."""
    values = [values for line in drawn_lines for values in (line.y, line.low, line.high) if values is not None]
    known = np.concatenate([np.asarray(part, float)[np.isfinite(_finite(part))] for part in values])
    return bool(known.size) and known.min() > 0 and known.max() > DECADES * known.min()


def _finite(values: Sequence[float]) -> np.ndarray:
    """The values with NaN for what is infinite, as in a run that diverges; such ones have no place on an axis."""
    values = np.asarray(values, float)
    return np.where(np.isfinite(values), values, np.nan)


def short(text: str, most: int) -> str:
    """A text in so many letters, the last of them an ellipsis where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def matrix(figure: Figure, counts: np.ndarray, names: Sequence[str]) -> None:
    """A confusion matrix, rows true classes, coloured by the share of the row, with counts."""
    axes = figure.subplots()
    axes.grid(visible=False)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    # By the root, so that few mistakes among many answers are seen.
    colors = COLOR_MAP(np.sqrt(share))
    # Where the layout keeps cells square it may push the labels out of the figure.
    axes.pcolormesh(colors, edgecolors=RULE, linewidth=0.3)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    ticks = [short(name, 14) for name in names]
    middles = np.arange(len(names)) + 0.5
    axes.set_xticks(middles, ticks, rotation=90 if max(map(len, ticks)) > 2 else 0)
    axes.set_yticks(middles, ticks)
    for row, column in zip(*np.nonzero(counts), strict=True):
        place = {"ha": "center", "va": "center_baseline"}
        axes.text(column + 0.5, row + 0.5, str(counts[row, column]), color=readable_on(colors[row, column]), **place)


def matrix_size(counts: np.ndarray, names: Sequence[str]) -> tuple[float, float]:
    """Width and height in inches of a matrix whose cells have room for their counts."""
    cell = max(0.25, 0.085 * len(str(counts.max())) + 0.08)
    margin = 0.45 + 0.085 * min(14, max(map(len, names)))
    across, down = (margin + len(names) * size for size in (cell, 0.25))
    return max(across, PANEL[0]), max(down, PANEL[1])


def readable_on(color: Sequence[float]) -> str:
    """Black or white, whichever differs more from a colour, red, green and blue from 0 to 1.

    By the relative luminance and the contrast of WCAG 2.2; the better one has a contrast of 4.58 at least.
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color[:3]]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def reliability(figure: Figure, counts: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray) -> None:
    """Accuracy against confidence by bin, as `metrics.reliability` gives them; bars are as solid as their share."""
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    width = 1 / len(counts)
    middle = (np.arange(len(counts)) + 0.5) * width
    share = counts / max(counts.max(), 1)
    for place in np.flatnonzero(counts):
        # Of one example no more than a shadow is left, but its outline.
        look_of_bar = {"facecolor": (COLORS[0], 0.08 + 0.72 * share[place]), "edgecolor": COLORS[0], "linewidth": 0.8}
        upper.bar(middle[place], accuracy[place], 0.9 * width, **look_of_bar)
    held = counts > 0
    upper.plot(confidence[held], accuracy[held], "o", color=COLORS[0], markersize=3.5, label="at mean confidence")
    upper.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, label="calibrated")
    upper.set_ylabel("accuracy")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1.02)
    figure.legend(loc="outside upper left", ncols=2)
    lower.bar(middle, counts, 0.9 * width, color=COLORS[1])
    lower.set_ylabel("examples")
    lower.set_xlabel("confidence of the predicted class")


def roc(figure: Figure, false: np.ndarray, true: np.ndarray) -> None:
    """The receiver operating characteristic, as `metrics.roc_curve` gives it."""
    axes = lines(figure, [Line("model", false, true)], "different pairs that pass", "pairs of one class that pass")
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1)
    axes.set_aspect("equal")


def log_scale(axis: Axis, form: str | EngFormatter) -> None:
    """Makes an axis logarithmic, with numbers that are plain text and do not touch each other."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    least, most = axis.get_view_interval()
    subs = (1,) if most > 100 * least else (1, 2, 5) if most > 5 * least else (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)
    axis.set_major_locator(LogLocator(subs=subs) if most > 1.5 * least else MaxNLocator(4))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(NullFormatter())
