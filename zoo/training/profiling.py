"""A trace of some training steps, for TensorBoard's profiler."""

from pathlib import Path

import tensorflow as tf


class Profiler:
    """Traces the blocks that hold some steps.

    Args:
        folder: that of TensorBoard; the trace goes to `plugins/profile` in it.
        first_step: the first step of the trace.
        end: the step after the last one; nothing is traced where it is not above `first_step`.
    """

    def __init__(self, folder: Path, first_step: int, end: int):
        self._folder = folder
        self._first_step = first_step
        self._end = end
        self._running = False

    def before(self, step: int, end: int) -> None:
        """Is called before the block of the steps from `step` up to `end`."""
        if not self._running and step < self._end and end > self._first_step:
            tf.profiler.experimental.start(str(self._folder))
            self._running = True

    def after(self, end: int) -> None:
        """Is called after a block."""
        if end >= self._end:
            self.stop()

    def stop(self) -> None:
        """Writes the trace, if one is being taken."""
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
