"""Numbers, tables and what the sides of a benchmark are called: one of each for pages, cards and benchmarks."""

from collections.abc import Iterable, Sequence
from typing import Any

# Side of results/benchmarks.json -> what people call it, in the order in which they stand.
SIDES = {
    "zoo": "zoo",
    "keras": "Keras",
    "keras_tuned": "Keras, tuned",
    "torch": "PyTorch",
    "torch_compile": "torch.compile",
    "jax": "JAX",
}
# Why a side has no figures that is no omission; a test holds it to `benchmarks.works`, which imports no zoo.
NO_SUCH_SIDE = "there is none for this work"


def counted(count: int, what: str) -> str:
    """`1 layer`, `2 layers`, for words whose plural is an s."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def number(value: float | None) -> str:
    """Three digits that count; `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def metric(value: float) -> str:
    """A metric with four decimals, as accuracies are told; of what is smaller or larger four digits that count."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """How long something took, in units in which people think of so much time."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def spread(ratio: dict[str, float] | None) -> str:
    """Median (least to most), as benchmarks record them; `-` for none."""
    return f"{number(ratio['median'])} ({number(ratio['least'])} to {number(ratio['most'])})" if ratio else "-"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The lines of a table in Markdown; the columns of `right` hold numbers."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, *rows)]
    return [lines[0], f"|{'|'.join(rule)}|", *lines[1:]]


def markdown_text(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """The same table as one text."""
    return "\n".join(markdown(header, rows, right))


def not_measured(works: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """The titles of the works that a side should have taken part in and did not, by the side and the reason."""
    titles: dict[tuple[str, str], list[str]] = {}
    for work in works:
        for side, measured in work["sides"].items():
            reason = measured["skipped"]
            if reason and reason != NO_SUCH_SIDE:
                titles.setdefault((SIDES.get(side, side), reason), []).append(work["title"])
    return titles


def slower(works: Iterable[dict[str, Any]]) -> dict[str, dict[int, tuple[float, float, float]]]:
    """How many times as long as the zoo each side takes for each work, by its number: median, least and most."""
    ratios: dict[str, dict[int, tuple[float, float, float]]] = {}
    for row, work in enumerate(works):
        for side, measured in work["sides"].items():
            if ratio := measured["times_slower"]:
                ratios.setdefault(side, {})[row] = (ratio["median"], ratio["least"], ratio["most"])
    # The sides come in the order of SIDES, whatever order the works have them in.
    return {side: ratios[side] for side in dict.fromkeys((*SIDES, *ratios)) if side in ratios}
