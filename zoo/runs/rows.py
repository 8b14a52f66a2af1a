"""The rows of `metrics.jsonl`, one for each event of a run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import RequestError
from zoo.runs.files import write_atomically


def read_rows(path: Path, *, unfinished: bool = False) -> list[dict[str, Any]]:
    """All rows; none where there is no file.

    Args:
        path: `metrics.jsonl`.
        unfinished: the last line may be cut short, as where a run is writing it or was killed; it is left out then.

    Raises:
        RequestError: the file is damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    if unfinished and lines and _place_of(lines[-1])[1] is None:
        lines.pop()
    try:
        rows = [json.loads(line) for line in lines]
    except ValueError as error:
        raise RequestError(f"{path} is damaged: {error}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not row.keys() >= {"step", "epoch", "split"}:
            raise RequestError(f"{path} is damaged: line {number} has no step, epoch and split")
    return rows


def truncate_rows(path: Path, last_step: int, split_to_come: str = "") -> None:
    """Drops the rows past a step, and what is no row, such as one that was cut short.

    Args:
        path: `metrics.jsonl`; it need not exist.
        last_step: the last one of which rows stay.
        split_to_come: of which no row of `last_step` stays either, since it will be written anew; empty: of none.

    Raises:
        RunError: the system refuses to write.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    write_atomically(path, b"".join(_rows_up_to(lines, last_step, split_to_come)))


def _rows_up_to(lines: list[bytes], last_step: int, split_to_come: str) -> Iterator[bytes]:
    """The lines that stay, see `truncate_rows`."""
    for line in lines:
        step, split = _place_of(line)
        if step < last_step or (step == last_step and split != split_to_come):
            yield line + b"\n"


def _place_of(line: bytes) -> tuple[float, str | None]:
    """Step and split of a row; of what is no row a step past all others."""
    try:
        row = json.loads(line)
        return float(row["step"]), row.get("split")
    except (ValueError, TypeError, KeyError):
        return float("inf"), None
