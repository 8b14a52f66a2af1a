"""What can go wrong, told apart by who can mend it.

A `RequestError` is the user's to mend (exit status 2), a `RunError` is a run that went wrong (1), and
`Interrupted` is a run that was asked to stop and can go on (128 + signal number). What stops nothing is a warning.
"""

import contextlib
import difflib
import sys
from collections.abc import Iterable, Sequence


class RequestError(ValueError):
    """The request cannot be carried out; the message is one line that says what to change."""


class RunError(RuntimeError):
    """A run that had started cannot go on; the message is one line that says why."""


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A run was stopped by a signal after it had saved its state.

    Args:
        signal_number: the signal, for example `signal.SIGTERM`.
        message: where the run stopped and how it goes on.
    """

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.exit_status = 128 + signal_number


# So many names of what there is are told to who asks for something else.
_MOST_NAMED = 12


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a name that is not known, with the nearest names that are.

    Args:
        kind: what the name stands for, as the user would say it: `model`, `optimizer`.
        name: what was asked for.
        known: what could have been asked for; an empty name, which stands for a default, is not told.
    """
    known = sorted(set(known) - {""})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return RequestError(f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?")
    return RequestError(f"unknown {kind} {name!r}; there is {some_of(known, _MOST_NAMED) or 'none'}")


def some_of(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def warn(message: str) -> None:
    """Says what went wrong without stopping anything: one line on standard error."""
    # A warning that cannot be shown, as where a full disk holds the log, stops no run.
    with contextlib.suppress(OSError):
        # On a terminal a line that says what takes long may stand there, see `zoo.waiting`.
        cleared = "\r\x1b[2K" if sys.stderr.isatty() else ""
        print(f"{cleared}warning: {message}", file=sys.stderr)
