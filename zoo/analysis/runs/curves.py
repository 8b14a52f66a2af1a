"""Learning curves on a page."""

import math
from collections.abc import Sequence
from pathlib import Path

from zoo.analysis.runs import figures, page
from zoo.analysis.runs.page import Markup


class Curves:
    """Plots of metrics by epoch, and sentences for what is no curve: a single value, and one that never changes.

    Args:
        folder: of the PNGs.
        prefix: with which their names begin.
        whose: for those who cannot see the plots.
    """

    def __init__(self, folder: Path, prefix: str = "curve", whose: str = ""):
        self._folder, self._prefix, self._whose = folder, prefix, whose
        self._plots: list[Markup] = []
        self._told: dict[str, list[str]] = {"Measured once": [], "Never changed": [], "No number": []}

    def add(self, metric: str, lines: Sequence[figures.Line]) -> None:
        """Takes in a metric by epoch, for each run and split that has it."""
        for line in lines:
            broken = [(x, y) for x, y in zip(line.x, line.y, strict=True) if not math.isfinite(y)]
            if broken:
                more = f" and at {len(broken) - 1} later ones" if broken[1:] else ""
                self._tell("No number", line, metric, f"{broken[0][1]} at epoch {broken[0][0]:g}{more}")
        known = [line for line in lines if any(map(math.isfinite, line.y))]
        once = [line for line in known if len(line.x) == 1]
        several = [line for line in known if len(line.x) > 1]
        for line in once:
            self._tell("Measured once", line, metric, last(line))
        if any(map(_changes, several)):
            self._draw(metric, several)
            return
        for line in several:
            self._tell("Never changed", line, metric, last(line))

    def parts(self) -> list[Markup]:
        """The plots, and a paragraph for each kind of what is told."""
        grid = [page.element("div", *self._plots, class_="plots")] if self._plots else []
        told = [page.paragraph(f"{how}: {'; '.join(texts)}.") for how, texts in self._told.items() if texts]
        return [*grid, *told]

    def _tell(self, how: str, line: figures.Line, metric: str, value: str) -> None:
        # A rate is that of the training, and of no split; labels of several runs name them too.
        name = metric if (line.label, metric) == ("train", "learning_rate") else f"{line.label}/{metric}"
        self._told[how].append(f"{name} {value}")

    def _draw(self, metric: str, lines: Sequence[figures.Line]) -> None:
        svg = figures.drawn(
            lambda figure: figures.lines(figure, lines, "epoch", metric.replace("_", " ")),
            figures.file(self._folder, self._prefix, metric),
            figures.lines_size(lines),
        )
        text = f"{metric}; at the end {', '.join(f'{line.label} {last(line)}' for line in lines)}"
        self._plots.append(page.plot(svg, f"{self._whose} {text}, by epoch".strip(), text))


def _changes(line: figures.Line) -> bool:
    """Whether a line is a curve; infinities and NaN are no values, and a band has as much to show as a line."""
    values = [value for part in (line.y, line.low, line.high) if part is not None for value in part]
    return len({value for value in values if math.isfinite(value)}) > 1


def last(line: figures.Line) -> str:
    """The last value of a line; where it is the mean of a band, with the band's ends."""
    text = f"{line.y[-1]:.4g}"
    return text if line.low is None else f"{text} ({line.low[-1]:.4g} to {line.high[-1]:.4g})"
