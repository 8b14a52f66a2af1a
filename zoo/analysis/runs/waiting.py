"""Signs of life for who waits for a page."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
# A line comes no earlier, and no more often, than after this many seconds.
PATIENCE = 1.0


def say(text: str) -> None:
    """Writes a line to standard error at once."""
    print(f"report: {text}", file=sys.stderr, flush=True)


def with_progress(items: Sequence[Item], doing: str) -> Iterator[Item]:
    """The items one by one, with a line on standard error that says how many are done, where they take long.

    Args:
        items: of which each takes a while.
        doing: what is done with them.
    """
    before = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - before > PATIENCE:
            say(f"{doing}, {number} of {len(items)} done")
            before = time.monotonic()
        yield item
