"""Where a run's rows of metrics go: `metrics.jsonl` and TensorBoard."""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

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
