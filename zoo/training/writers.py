"""Where a run shows itself: `metrics.jsonl`, TensorBoard, and the terminal."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm


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
    """

    def __init__(self, path: Path):
        self._file = open(path, "a", buffering=1)  # noqa: SIM115 - open as long as the run

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """Scalars as event files, named `<split>/<metric>`.

    Args:
        folder: where the event files go.
        first_step: what an earlier part of the run wrote past this step is to be forgotten.
    """

    def __init__(self, folder: Path, first_step: int):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self._writer = EventFileWriter(str(folder))
        restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._writer.add_event(self._event(wall_time=time.time(), step=first_step + 1, session_log=restart))

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes the row's numbers."""
        values = [
            self._summary.Value(tag=f"{row['split']}/{name}", simple_value=value)
            for name, value in row.items()
            if name not in ("step", "split")
        ]
        event = self._event(wall_time=time.time(), step=row["step"], summary=self._summary(value=values))
        self._writer.add_event(event)

    def close(self) -> None:
        """Flushes and closes the file."""
        self._writer.close()


class Console:
    """A progress bar on a terminal, plain lines elsewhere; both on standard error.

    Args:
        first_step: where this part of the run begins.
        total_steps: where the run ends.
        batch_size: examples per step.
        epochs: of the run.
    """

    def __init__(self, first_step: int, total_steps: int, batch_size: int, epochs: int):
        self._terminal = sys.stderr.isatty()
        self._epochs = epochs
        self._shown: dict[str, str] = {}
        self._rate = 0.0
        self._bar = tqdm(
            total=total_steps * batch_size,
            initial=first_step * batch_size,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not self._terminal,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {rate_fmt} {remaining} left{postfix}",
        )

    def advance(self, images: int, epoch: int) -> None:
        """Moves the bar on by so many images."""
        self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
        self._bar.update(images)

    def write(self, row: Mapping[str, Any]) -> None:
        """Shows a row: in the bar, or, once it is evaluated, as a line with the training metrics before it."""
        numbers = {
            f"{row['split']}/{name}": f"{value:.4f}"
            for name, value in row.items()
            if name not in ("step", "epoch", "split", "learning_rate", "images_per_second")
        }
        self._shown.update(numbers)
        self._bar.set_postfix_str("  ".join(f"{name} {value}" for name, value in self._shown.items()), refresh=False)
        if row["split"] == "train":
            self._rate = row["images_per_second"]
        elif not self._terminal:
            metrics = "  ".join(f"{name} {value}" for name, value in self._shown.items())
            self.note(f"epoch {row['epoch']:g}/{self._epochs}  {metrics}  {self._rate:,.0f} images/s")

    def note(self, message: str) -> None:
        """Prints a line without breaking the bar."""
        # Who read the lines may have left, such as `head`; the run goes on.
        with contextlib.suppress(BrokenPipeError):
            self._bar.write(message, file=sys.stderr)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.close()


class Silent:
    """The console of a process that has nothing to say: of several workers only the chief shows the run."""

    def advance(self, images: int, epoch: int) -> None:
        """Does nothing."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Does nothing."""

    def note(self, message: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""
