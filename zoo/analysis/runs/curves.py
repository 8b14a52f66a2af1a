"""Learning curves on a page."""

from collections.abc import Sequence
from pathlib import Path

from zoo.analysis.runs import figures, page
from zoo.analysis.runs.page import Markup


def curve(lines: Sequence[figures.Line], metric: str, path: Path, whose: str = "") -> Markup | None:
    """Draws a metric by epoch; None where no line has two points, since one number is no curve.

    Args:
        lines: to draw.
        metric: its name.
        path: of the PNG.
        whose: for those who cannot see it.
    """
    if max((len(line.x) for line in lines), default=0) < 2:
        return None
    svg = figures.drawn(lambda figure: figures.lines(figure, lines, "epoch", metric.replace("_", " ")), path)
    text = f"{metric}; at the end {', '.join(f'{line.label} {last(line)}' for line in lines)}"
    return page.plot(svg, f"{whose} {text}, by epoch".strip(), text)


def last(line: figures.Line) -> str:
    """The last value of a line; where it is the mean of a band, with the band's ends."""
    text = f"{line.y[-1]:.4g}"
    return text if line.low is None else f"{text} ({line.low[-1]:.4g} to {line.high[-1]:.4g})"
