"""Where a run shows itself: `metrics.jsonl`, TensorBoard, and the terminal."""

import contextlib
import datetime
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from zoo.runs.files import writing


class Writer(Protocol):
    """Is told of every event of a run."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Takes a row: `step`, `epoch`, `split` and numbers by name."""

    def close(self) -> None:
        """Puts everything where it belongs."""


class JsonLines:
    """Appends each row to a file, where it stands at once, so that a killed run loses none.

    Args:
        path: the file.

    Raises:
        RunError: the system refuses to write, now or at a row.
    """

    def __init__(self, path: Path):
        self._path = path
        with writing(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the run

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        left = memoryview(json.dumps(row).encode() + b"\n")
        with writing(self._path):
            # The last bytes of a disk are filled before it says that it is full.
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """Scalars as event files, named `<split>/<metric>`.

    They are a copy of what `metrics.jsonl` holds, so where they cannot be written the run goes on without.

    Args:
        folder: where the event files go.
        first_step: what an earlier part of the run wrote past this step is to be forgotten.
        warn: is told where events cannot be written.
    """

    def __init__(self, folder: Path, first_step: int, warn: Callable[[str], None] = lambda message: None):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._folder, self._warn = folder, warn
        self._records = None
        with self._or_without():
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(open(folder / _events_name(folder), "wb"))  # noqa: SIM115 - as above
        restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(file_version="brain.Event:2")
        self._add(step=first_step + 1, session_log=restart)

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes the row's numbers."""
        values = [
            self._summary.Value(tag=f"{row['split']}/{name}", simple_value=value)
            for name, value in row.items()
            if name not in ("step", "split")
        ]
        self._add(step=row["step"], summary=self._summary(value=values))

    def close(self) -> None:
        """Closes the file."""
        if self._records is not None:
            with self._or_without():
                self._records.close()

    def _add(self, **fields: Any) -> None:
        """Writes an event, which TensorBoard sees at once."""
        if self._records is not None:
            with self._or_without():
                self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
                self._records.flush()

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        """Gives the events up where the system refuses to write them."""
        try:
            yield
        except OSError as error:
            self._warn(
                f"{self._folder} cannot be written: {error.strerror}; the run goes on without, and metrics.jsonl "
                "holds the same"
            )
            records, self._records = self._records, None
            if records is not None:
                # Closing tries to write once more what is left.
                with contextlib.suppress(OSError):
                    records.close()


def _events_name(folder: Path) -> str:
    """The name of a new event file, after the others by name: the order in which TensorBoard reads them.

    So the number in it, TensorFlow's seconds since 1970, is more than the last one's even if the clock was set back.
    """
    numbers = [int(name.split(".")[3]) for name in os.listdir(folder) if re.match(r"events\.out\.tfevents\.\d", name)]
    number = max([int(time.time()), *(number + 1 for number in numbers)])
    return f"events.out.tfevents.{number:010d}.{socket.gethostname()}.{os.getpid()}"


# Where there is no terminal, a line says that the run is alive at the first end of a block, of training or of
# evaluation, that comes so long after the last line. Within a block nothing can be said, so the first one, which is
# compiled, may be silent for longer; so may preparing and reading a dataset, which come before and show a bar on a
# terminal only.
HEARTBEAT_SECONDS = 30.0


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
        self._shown: dict[str, str] = {}
        self._rate = 0.0
        self._bar = tqdm(
            total=total_steps * batch_size,
            initial=first_step * batch_size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not self._terminal,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt}{postfix}",
        )

    def advance(self, steps: int, epoch: int) -> None:
        """Moves the bar on by so many steps, or says now and then how far the run is."""
        self._step += steps
        if self._warm is None:
            self._warm = self._clock(), self._step
        self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
        self._show_postfix()
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

    def write(self, row: Mapping[str, Any]) -> None:
        """Shows a row: in the bar, or, once it is evaluated, as a line with the training metrics before it."""
        numbers = {
            f"{row['split']}/{name}": f"{value:.4f}"
            for name, value in row.items()
            if name not in ("step", "epoch", "split", "learning_rate", "images_per_second")
        }
        self._shown.update(numbers)
        self._show_postfix()
        if row["split"] == "train":
            self._rate = row["images_per_second"]
        elif not self._terminal:
            metrics = "  ".join(f"{name} {value}" for name, value in self._shown.items())
            # A run that goes on with an evaluation has not trained yet.
            speed = f"  {self._rate:,.0f} images/s" if self._rate else ""
            left = self._left() if self._step < self._total_steps else ""
            self.note(f"epoch {row['epoch']:g}/{self._epochs}  {metrics}{speed}{left}")

    def _show_postfix(self) -> None:
        metrics = "".join(f"  {name} {value}" for name, value in self._shown.items())
        self._bar.set_postfix_str(f"{self._left()}{metrics}".strip(), refresh=False)

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


class Silent:
    """The console of a process that has nothing to say: of several workers only the chief shows the run."""

    def advance(self, steps: int, epoch: int) -> None:
        """Does nothing."""

    def evaluating(self, done: int, examples: int) -> None:
        """Does nothing."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Does nothing."""

    def note(self, message: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""
