"""A sign of life for a person who waits: what is being done is said where that takes long."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

# Something is said after so many seconds of silence, and on a terminal, where it takes no room, as often as that.
PATIENCE, SECOND = 2.0, 1.0
# Goes to the beginning of the line and empties it.
_CLEARED = "\r\x1b[2K"


@contextlib.contextmanager
def said_if_slow(
    doing: str, say: Callable[[str], None] | None = None, *, counting: bool | None = None
) -> Iterator[None]:
    """Says what is being done inside, if it takes longer than `PATIENCE`.

    Args:
        doing: such as `importing TensorFlow`.
        say: takes the line; default: standard error as it is now, whatever is done to it inside. On a terminal the line
            is gone in the end.
        counting: whether the line comes again each second, with how many those are; default: on a terminal. Where
            bars are drawn inside it should not.
    """
    with contextlib.ExitStack() as closing:
        if say is None:
            say, on_terminal = closing.enter_context(_standard_error())
            counting = on_terminal if counting is None else counting
        done = threading.Event()
        # A process that ends is not kept waiting for it.
        speaker = threading.Thread(target=_speak, args=(doing, say, bool(counting), done), daemon=True)
        speaker.start()
        try:
            yield
        finally:
            done.set()
            # Nothing is said any more that could come between what follows.
            speaker.join()


def _speak(doing: str, say: Callable[[str], None], counting: bool, done: threading.Event) -> None:
    began = time.monotonic()
    if done.wait(PATIENCE):
        return
    # Who reads it may have closed it.
    with contextlib.suppress(OSError, ValueError):
        say(f"{doing} ...")
        while counting and not done.wait(SECOND):
            say(f"{doing} ... {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def _standard_error() -> Iterator[tuple[Callable[[str], None], bool]]:
    """Shows a line, also while the file descriptor is turned away from the screen; and whether that is a terminal."""
    stream = sys.stderr
    try:
        screen = os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):
        # A notebook's has no descriptor, and some processes have no standard error.
        yield (lambda text: stream and print(text, file=stream, flush=True)), False
        return
    terminal, said = os.isatty(screen), []

    def say(text: str) -> None:
        said.append(text)
        _write(screen, f"{_CLEARED}{text}" if terminal else f"{text}\n")

    try:
        yield say, terminal
    finally:
        if terminal and said:
            _write(screen, _CLEARED)
        os.close(screen)


def _write(screen: int, text: str) -> None:
    # A full disk may hold it.
    with contextlib.suppress(OSError):
        os.write(screen, text.encode())
