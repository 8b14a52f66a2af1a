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


def number(value: float | None) -> str:
    """Three digits that count; `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def spread(found: dict[str, float] | None) -> str:
    """Median (least to most), as benchmarks record them; `-` for none."""
    return f"{number(found['median'])} ({number(found['least'])} to {number(found['most'])})" if found else "-"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The lines of a table in Markdown; the columns of `right` hold numbers."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, *rows)]
    return [lines[0], f"|{'|'.join(rule)}|", *lines[1:]]


def not_measured(works: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """By side and reason the titles of the works that it should have taken part in and did not."""
    found: dict[tuple[str, str], list[str]] = {}
    for work in works:
        for side, its in work["sides"].items():
            if its["skipped"] and its["skipped"] != NO_SUCH_SIDE:
                found.setdefault((SIDES.get(side, side), its["skipped"]), []).append(work["title"])
    return found


def slower(works: Iterable[dict[str, Any]]) -> dict[str, dict[int, tuple[float, float, float]]]:
    """By side and number of the work how many times as long as the zoo it takes: the median, the least, the most."""
    found: dict[str, dict[int, tuple[float, float, float]]] = {}
    for row, work in enumerate(works):
        for side, its in work["sides"].items():
            if ratio := its["times_slower"]:
                found.setdefault(side, {})[row] = (ratio["median"], ratio["least"], ratio["most"])
    # In the order of SIDES, whatever the works' own.
    return {side: found[side] for side in dict.fromkeys((*SIDES, *found)) if side in found}
