"""A sign of life for a person who waits: a line that says what is being done, where that takes long."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

# A line comes after so many seconds of silence.
PATIENCE = 2.0


@contextlib.contextmanager
def said_if_slow(doing: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Says what is being done inside, once, if it takes longer than `PATIENCE`.

    Args:
        doing: such as `importing TensorFlow`.
        say: takes the line; default: standard error as it is now, whatever is done to it inside.
    """
    with contextlib.ExitStack() as closing:
        if say is None:
            say = closing.enter_context(_standard_error())
        timer = threading.Timer(PATIENCE, say, [f"{doing} ..."])
        # A process that ends is not kept waiting for it.
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            # Not in the middle of what comes next.
            timer.join()


@contextlib.contextmanager
def _standard_error() -> Iterator[Callable[[str], None]]:
    """Prints a line, also while the file descriptor is turned away from the screen."""
    stream = sys.stderr
    try:
        screen = os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):
        # A notebook's has none.
        yield lambda text: print(text, file=stream, flush=True)
        return
    try:
        yield lambda text: _write(screen, f"{text}\n".encode())
    finally:
        os.close(screen)


def _write(screen: int, line: bytes) -> None:
    # Who read it may have left, or a full disk holds it.
    with contextlib.suppress(OSError):
        os.write(screen, line)
