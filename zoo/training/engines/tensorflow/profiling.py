"""A trace of some training steps, for TensorBoard's profiler."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf


class Profiler:
    """Traces the blocks that hold some steps. A trace is no condition of a run, which goes on where it fails.

    Args:
        folder: that of TensorBoard; the trace goes to `plugins/profile` in it.
        first_step: the first step of the trace.
        end: the step after the last one; nothing is traced where it is not above `first_step`.
        warn: is told where the trace cannot be taken or written, and where no block held any of the steps.
    """

    def __init__(self, folder: Path, first_step: int, end: int, warn: Callable[[str], None] = lambda message: None):
        self._folder = folder
        self._first_step = first_step
        self._end = end
        self._warn = warn
        self._awaited = end > first_step
        self._running = False

    def before(self, step: int, end: int) -> None:
        """Is called before the block of the steps from `step` up to `end`."""
        if self._awaited and step < self._end and end > self._first_step:
            self._awaited = False
            with self._or_without():
                tf.profiler.experimental.start(str(self._folder))
                self._running = True

    def after(self, end: int) -> None:
        """Is called after a block."""
        if end >= self._end:
            self._stop()

    def close(self) -> None:
        """Writes the trace, if one is being taken; says so if there was none to take."""
        self._stop()
        if self._awaited:
            self._warn(
                f"nothing was traced: profile_steps {self._first_step}:{self._end} lie outside the steps that were run"
            )

    def _stop(self) -> None:
        if self._running:
            self._running = False
            with self._or_without():
                tf.profiler.experimental.stop()

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        """Gives the trace up where TensorFlow or the system refuses it."""
        try:
            yield
        # What TensorFlow raises here is no OSError, not even on a full disk, and of no one kind.
        except Exception as error:
            reason = " ".join(str(error).split())
            self._warn(f"no trace in {self._folder}: {reason}; the run goes on without")
