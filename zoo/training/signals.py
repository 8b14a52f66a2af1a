"""SIGINT and SIGTERM, which a run answers at the end of a block, when its state can be saved."""

import contextlib
import os
import signal
from collections.abc import Iterator


class StopRequested(Exception):  # noqa: N818 - nothing went wrong
    """A signal came to one of the workers; each of them stops where this is raised."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM while a block runs; a second one is taken as it always is."""
    received: list[int] = []
    previous = {}

    def note(number, frame):
        received.append(number)
        restore()
        with contextlib.suppress(OSError):
            # `print` must not be called here: it may be what was interrupted.
            os.write(2, b"\nstopping as soon as the state is saved; once more to stop at once\n")

    def restore():
        for number, handler in previous.items():
            signal.signal(number, handler)
        previous.clear()

    # Only the main thread may set handlers; elsewhere signals are the caller's business.
    with contextlib.suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who started us in the background may have had it ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
