"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere; both on standard error."""

import contextlib
import datetime
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from zoo.waiting import said_if_slow

# Where there is no terminal, a line says that the run is alive at the first end of a block, of training or of
# evaluation, that comes so long after the last line. Within a block nothing can be said, so the first one, which is
# compiled, may be silent for longer; so may preparing and reading a dataset, which come before and show a bar on a
# terminal only.
HEARTBEAT_SECONDS = 30.0
_BAR, _RATE = "{{desc}} {{percentage:3.0f}}%|{{bar:10}}| {}", "  {{rate_fmt}}"
# A terminal of fewer columns has no room for the rate.
_WIDE = 100


class Console:
    """A progress bar on a terminal, plain lines elsewhere; both on standard error.

    The time left, and the speed beside it while nothing is evaluated, follow from all the time since the first block of
    this part of the run ended, evaluations and checkpoints included: the steps to come will have theirs. Neither is
    known before the second block ends.

    Args:
        first_step: where this part of the run begins.
        total_steps: where the run ends.
        batch_size: examples per step.
        epochs: of the run.
        clock: seconds that pass.
    """

    def __init__(
        self,
        first_step: int,
        total_steps: int,
        batch_size: int,
        epochs: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._terminal = sys.stderr.isatty()
        self._clock = clock
        self._step, self._total_steps = first_step, total_steps
        self._batch_size = batch_size
        self._epochs = epochs
        self._spoke = clock()
        # Time and step of the end of the first block: that one was compiled, and the data were opened for it.
        self._warm: tuple[float, int] | None = None
        # By split, what was measured last, by name.
        self._shown: dict[str, dict[str, str]] = {}
        self._said: set[str] = set()
        self._rate = 0.0
        self._bar = tqdm(
            total=total_steps * batch_size,
            initial=first_step * batch_size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not self._terminal,
            bar_format=_BAR.format(""),
        )

    def advance(self, steps: int, epoch: int) -> None:
        """Moves the bar on by so many steps, or says now and then how far the run is."""
        self._step += steps
        if self._warm is None:
            self._warm = self._clock(), self._step
        self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
        self._show_in_bar()
        self._bar.update(steps * self._batch_size)
        if self._terminal:
            self._spoke = self._clock()
        elif self._silent_for_long():
            place = f"epoch {epoch}/{self._epochs}  step {self._step:,} of {self._total_steps:,}"
            self.note(f"{place}{self._speed()}{self._left()}")

    def evaluating(self, done: int, examples: int) -> None:
        """Says now and then how many examples of an evaluation are done."""
        if self._silent_for_long():
            message = f"evaluating, {done:,} of {examples:,} examples"
            if self._terminal:
                self._bar.set_description_str(message)
            else:
                self.note(message)

    @contextlib.contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Says what is being done inside if that takes long: each time in the bar, in lines once."""
        if self._terminal:
            description = self._bar.desc
            with said_if_slow(doing, self._bar.set_description_str, counting=True):
                yield
            if self._bar.desc != description:
                self._bar.set_description_str(description)
            return
        say = _nothing if doing in self._said else self.note
        self._said.add(doing)
        with said_if_slow(doing, say):
            yield

    def write(self, row: Mapping[str, Any]) -> None:
        """Shows a row: in the bar, and once it is evaluated as a line with the training metrics before it."""
        self._shown[row["split"]] = {
            name: f"{value:.4f}"
            for name, value in row.items()
            if name not in ("step", "epoch", "split", "learning_rate", "images_per_second")
        }
        self._show_in_bar()
        if row["split"] == "train":
            self._rate = row.get("images_per_second", 0.0)
            return
        epoch = f"epoch {row['epoch']:g}"
        if self._terminal:
            self.note(_fitting(epoch, self._measured(), _columns()))
            return
        # A run that goes on with an evaluation has not trained yet.
        speed = f"  {self._rate:,.0f} images/s" if self._rate else ""
        left = self._left() if self._step < self._total_steps else ""
        self.note(f"{_line(f'{epoch}/{self._epochs}', self._measured())}{speed}{left}")

    def _measured(self) -> dict[str, dict[str, str]]:
        """What was measured last, training first, whichever came first in this part of the run."""
        return dict(sorted(self._shown.items(), key=lambda shown: shown[0] != "train"))

    def _show_in_bar(self) -> None:
        if not self._terminal:
            return
        metrics = "".join(f"  {name} {value}" for name, value in self._shown.get("train", {}).items())
        shown = f"{self._left()}{metrics}".strip()
        self._bar.bar_format = (_BAR + _RATE * (_columns() >= _WIDE)).format(shown)

    def _silent_for_long(self) -> bool:
        return self._clock() - self._spoke >= HEARTBEAT_SECONDS

    def _seconds_per_step(self) -> float | None:
        """Since the first block, None where there was no more than that."""
        if self._warm is None or self._warm[1] == self._step:
            return None
        then, step = self._warm
        return (self._clock() - then) / (self._step - step)

    def _speed(self) -> str:
        seconds = self._seconds_per_step()
        return f"  {self._batch_size / seconds:,.0f} images/s" if seconds else ""

    def _left(self) -> str:
        seconds = self._seconds_per_step()
        if seconds is None:
            return ""
        return f"  {datetime.timedelta(seconds=round(seconds * (self._total_steps - self._step)))} left"

    def note(self, message: str) -> None:
        """Prints a line without breaking the bar."""
        # Who read the lines may have left, such as `head`, or a full disk holds the log; the run goes on.
        with contextlib.suppress(OSError):
            self._bar.write(message, file=sys.stderr)
        self._spoke = self._clock()

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.close()


def _line(head: str, measured: Mapping[str, Mapping[str, str]]) -> str:
    """What was measured, by split and name, in a line."""
    parts = [" ".join([split, *itertools.chain(*metrics.items())]) for split, metrics in measured.items()]
    return "  ".join([head, *parts])


def _fitting(head: str, measured: Mapping[str, Mapping[str, str]], columns: int) -> str:
    """The same, where it is too long without all but the loss and the first metric of each split, and in short."""
    line = _line(head, measured)
    if len(line) > columns:
        line = _line(head, {split: dict(list(metrics.items())[:2]) for split, metrics in measured.items()})
    return line if len(line) <= columns else line.replace("accuracy", "acc")


def _columns() -> int:
    """The width of the terminal, which standard error is on, whatever standard output is."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def _nothing(text: str) -> None:
    """Says nothing."""


class Silent:
    """The console of a process that has nothing to say: of several workers only the chief shows the run."""

    def advance(self, steps: int, epoch: int) -> None:
        """Does nothing."""

    def evaluating(self, done: int, examples: int) -> None:
        """Does nothing."""

    def busy(self, doing: str) -> contextlib.AbstractContextManager[None]:
        """Does nothing."""
        return contextlib.nullcontext()

    def write(self, row: Mapping[str, Any]) -> None:
        """Does nothing."""

    def note(self, message: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""
