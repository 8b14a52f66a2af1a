"""The rows of `metrics.jsonl`, one for each event of a run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import RequestError
from zoo.runs.files import write_atomically


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows; none where there is no file.

    Raises:
        RequestError: the file is damaged.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise RequestError(f"{path} is damaged: {error}") from error


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
