"""Checkpoints: every variable, written atomically, verified when read.

    checkpoints/step-00001000/state.npz     the variables, and the run's progress as JSON
    checkpoints/step-00001000/SHA256SUMS    its digest, as `sha256sum -c` reads it
    checkpoints/best                        the step of the best one, which is kept whatever its age

A checkpoint is written beside its place and renamed into it, so it is there whole or not at all. Reading
takes the newest one whose bytes are those that were written. Nothing in a checkpoint is executed: the
arrays are read without pickle.
"""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import RequestError

State = dict[str, np.ndarray]

_FOLDER = re.compile(r"step-(\d{8,})")
_PROGRESS = "progress.json"


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: made with the first checkpoint.
        keep: how many of the last ones stay.
        warn: is told of each damaged checkpoint that is passed over.
    """

    def __init__(self, folder: Path, *, keep: int = 3, warn: Callable[[str], None] = lambda message: None):
        self._folder = folder
        self._keep = keep
        self._warn = warn

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, rising, whole or not."""
        names = os.listdir(self._folder) if self._folder.is_dir() else []
        return sorted(int(match[1]) for match in map(_FOLDER.fullmatch, names) if match)

    def save(self, step: int, state: State, progress: dict[str, Any]) -> None:
        """Writes a checkpoint, replaces one of the same step, and removes the oldest beyond `keep`."""
        content = _packed(state, progress)
        target, temporary = self._path(step), self._folder / f".{os.getpid()}.tmp"
        self._remove_leftovers()
        temporary.mkdir(parents=True)
        write_durably(temporary / "state.npz", content)
        write_durably(temporary / "SHA256SUMS", f"{hashlib.sha256(content).hexdigest()}  state.npz\n".encode())
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _sync_folder(self._folder)
        best = self.best()
        for old in self.steps()[: -self._keep]:
            if old != best:
                shutil.rmtree(self._path(old))

    def best(self) -> int | None:
        """The step that was marked as the best; None where none was."""
        try:
            return int((self._folder / "best").read_text())
        except (OSError, ValueError):
            return None

    def mark_best(self, step: int) -> None:
        """Says that the checkpoint of a step is the best so far."""
        write_durably(self._folder / ".best.tmp", f"{step}\n".encode())
        (self._folder / ".best.tmp").replace(self._folder / "best")

    def restore(self) -> tuple[int, State, dict[str, Any]] | None:
        """The newest whole checkpoint: its step, state and progress; None where none was ever written.

        Raises:
            ValueError: there are checkpoints, and every one is damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return step, *self.load(step)
            except DamagedError as error:
                self._warn(str(error))
        if steps:
            raise RequestError(f"every checkpoint in {self._folder} is damaged; remove the folder to start over")
        return None

    def load(self, step: int) -> tuple[State, dict[str, Any]]:
        """State and progress of one checkpoint.

        Raises:
            DamagedError: a file of it is missing, or its bytes are not those that were written.
        """
        folder = self._path(step)
        try:
            content = (folder / "state.npz").read_bytes()
            recorded = (folder / "SHA256SUMS").read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise DamagedError(f"checkpoint {folder} is damaged: {error}") from error
        if recorded != f"{hashlib.sha256(content).hexdigest()}  state.npz\n":
            raise DamagedError(f"checkpoint {folder} is damaged: its bytes are not those that were written")
        return _unpacked(content)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"

    def _remove_leftovers(self) -> None:
        """What a killed process was writing."""
        for leftover in self._folder.glob(".*.tmp"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


class DamagedError(Exception):
    """A checkpoint is not what was written."""


def state_sha256(state: State) -> str:
    """SHA-256 over every variable's dtype, shape and bytes, in order.

    Names are left out: Keras numbers some of them by what else the process has built.
    """
    digest = hashlib.sha256()
    for value in state.values():
        digest.update(f"{value.dtype.str}{value.shape};".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _packed(state: State, progress: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **state)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_PROGRESS, json.dumps(progress))
    return buffer.getvalue()


def _unpacked(content: bytes) -> tuple[State, dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        progress = json.loads(archive.read(_PROGRESS))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != _PROGRESS}, progress


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's entries, without which a rename may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
