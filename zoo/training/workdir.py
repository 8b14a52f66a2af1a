"""The folder of a run: which run it belongs to, whether that is finished, and its records.

This module imports no TensorFlow, so that a request which the folder alone can answer is answered at once.
"""

import contextlib
import csv
import dataclasses
import fcntl
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zoo.config import ExperimentConfig, differences
from zoo.errors import RequestError


class Workdir:
    """The folder of a run.

    Args:
        path: the folder; it need not exist, and nothing is written before `open`.

    Attributes:
        path: likewise.
        checkpoints, tensorboard: folders in it.
        metrics, model: the files `metrics.jsonl` and `model.keras`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.metrics = self.path / "metrics.jsonl"
        self.model = self.path / "model.keras"

    def config(self) -> ExperimentConfig | None:
        """The config of the run that the folder holds, None where it holds none.

        Raises:
            ValueError: the record cannot be read.
        """
        recorded = self._read("config.json")
        if recorded is None:
            return None
        try:
            return ExperimentConfig(**recorded)
        except (TypeError, ValueError) as error:
            raise RequestError(f"{self.path / 'config.json'} is not a config of this version: {error}") from error

    def check(self, config: ExperimentConfig) -> None:
        """Raises a `ValueError` unless a run of this config can begin or go on here.

        It cannot where the path is no folder, where it cannot be written to, and where the folder holds a run
        with another config, whose differing fields the message names.
        """
        try:
            present = next(parent for parent in (self.path, *self.path.absolute().parents) if parent.exists())
        except OSError as error:
            raise RequestError(f"workdir {self.path} cannot be used: {error.strerror}; name another folder") from error
        if not present.is_dir():
            raise RequestError(f"workdir {self.path} cannot be made: {present} is a file; name a folder")
        if not os.access(present, os.W_OK | os.X_OK):
            raise RequestError(f"workdir {self.path} cannot be written to; name another folder with --workdir")
        recorded = self.config()
        if recorded is None:
            if self.checkpoints.exists() or self.result() is not None:
                raise RequestError(f"workdir {self.path} holds a run without its config.json; name another folder")
            return
        changed = differences(recorded, config)
        # A run that saved nothing binds nobody.
        if changed and self._holds_results():
            fields = ", ".join(f"{name} ({old!r} there, {new!r} here)" for name, (old, new) in changed.items())
            raise RequestError(
                f"workdir {self.path} holds a run with another {fields}; name another folder with --workdir"
            )

    def result(self) -> dict[str, Any] | None:
        """The result of the finished run, None where none is finished."""
        return self._read("result.json")

    @contextlib.contextmanager
    def open(self, config: ExperimentConfig) -> Iterator[None]:
        """Makes the folder, records whose it is, and keeps other processes out while it is open.

        The lock is the operating system's, so a process that dies holds it no longer.

        Raises:
            ValueError: the folder cannot be written to, or another process runs in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "w")  # noqa: SIM115 - closed below
        except OSError as error:
            raise RequestError(
                f"workdir {self.path} cannot be written to ({error.strerror}); name another folder with --workdir"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RequestError(
                    f"another process is running in workdir {self.path}; wait for it, or name another folder"
                ) from error
            write_json(self.path / "config.json", dataclasses.asdict(config))
            yield

    def write_run(self, **values: Any) -> None:
        """Records provenance: adds these values to `run.json`."""
        write_json(self.path / "run.json", {**self.run(), **values})

    def run(self) -> dict[str, Any]:
        """What `run.json` holds; empty where there is none."""
        return self._read("run.json") or {}

    def statistics(self) -> tuple[list[float], list[float]] | None:
        """Mean and deviation of the pixels that the run was trained with; None where it was not."""
        recorded = self.run().get("preprocessing") if self._holds_results() else None
        return recorded and (recorded["mean"], recorded["deviation"])

    def write_result(self, result: dict[str, Any]) -> None:
        """Records the result, which is what marks the run as finished."""
        write_json(self.path / "result.json", result)

    def write_evaluation(
        self,
        answers: dict[str, np.ndarray],
        confusions: dict[str, np.ndarray],
        class_names: dict[str, tuple[str, ...]],
    ) -> None:
        """Records what the model answered to each evaluation example, and how classes were confused.

        Args:
            answers: by name, (n,); they become `evaluation.npz`.
            confusions: counts by label, rows true classes, columns predicted ones; `confusion_<label>.csv`.
            class_names: by label.
        """
        packed = io.BytesIO()
        np.savez_compressed(packed, **{name.replace("/", "."): values for name, values in answers.items()})
        write_atomically(self.path / "evaluation.npz", packed.getvalue())
        for label, counts in confusions.items():
            text = io.StringIO()
            table = csv.writer(text)
            table.writerow(["true \\ predicted", *class_names[label]])
            table.writerows([name, *row] for name, row in zip(class_names[label], counts.tolist(), strict=True))
            write_atomically(self.path / f"confusion_{label}.csv", text.getvalue().encode())

    def truncate_metrics(self, last_step: int) -> None:
        """Drops the rows of `metrics.jsonl` past a step, and a last row that was cut short."""
        if not self.metrics.exists():
            return
        kept = [line for line in self.metrics.read_text().splitlines() if _step_of(line) <= last_step]
        write_atomically(self.metrics, "".join(f"{line}\n" for line in kept).encode())

    def _holds_results(self) -> bool:
        return self.result() is not None or (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self.path / name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise RequestError(f"{self.path / name} is damaged: {error}; name another folder") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes JSON that is there whole or not at all."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it into it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
