"""Checkpoints: every variable, written atomically, verified when read.

    checkpoints/step-00001000/state.npz     the variables, and the run's progress as JSON
    checkpoints/step-00001000/SHA256SUMS    its digest, as `sha256sum -c` reads it
    checkpoints/best                        the step of the best one, which is kept whatever its age

A checkpoint is written beside its place and renamed into it, so it is there whole or not at all. Reading
takes the newest one whose bytes are those that were written. Nothing in a checkpoint is executed: the
arrays are read without pickle.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.errors import RequestError
from zoo.runs.files import remove_leftovers, sync, write_atomically, writing

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
        """Writes a checkpoint, replaces one of the same step, and removes the oldest beyond `keep`.

        Newer ones are removed too: who writes this step went back beyond them, since they were damaged, and will write
        them anew.

        Raises:
            RunError: the system refuses to write, as on a full disk; the checkpoints before are untouched, and
                nothing is left that takes space.
        """
        target, temporary = self._path(step), self._folder / f".{os.getpid()}.tmp"
        with writing(target):
            try:
                self._write(temporary, state, progress)
                self._remove(target)
                temporary.rename(target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            # A rename is in the folder's entries, which the disk must have before a power failure too.
            sync(self._folder)
            self._remove_others(step)

    def _remove_others(self, step: int) -> None:
        """Removes all but the last `keep` checkpoints up to a step, and the best one."""
        steps, best = self.steps(), self.best()
        last = [other for other in steps if other <= step][-self._keep :]
        for other in steps:
            if other > step or (other not in last and other != best):
                # On Windows a checkpoint that another process reads stays until the next time.
                with contextlib.suppress(*((PermissionError,) if os.name == "nt" else ())):
                    self._remove(self._path(other))

    def _remove(self, checkpoint: Path) -> None:
        """Removes a checkpoint, which is there whole or not at all for whoever reads meanwhile."""
        if checkpoint.exists():
            removed = self._folder / f".{checkpoint.name}.{os.getpid()}.tmp"
            checkpoint.rename(removed)
            shutil.rmtree(removed)

    def _write(self, folder: Path, state: State, progress: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self._folder)
        folder.mkdir()
        with open(folder / "state.npz", "wb") as file:
            hashing = _Hashing(file)
            _pack(hashing, state, progress)
        # Bytes, since Windows would end the line in a way that `sha256sum -c` does not know.
        (folder / "SHA256SUMS").write_bytes(f"{hashing.digest.hexdigest()}  state.npz\n".encode())
        for path in (folder / "state.npz", folder / "SHA256SUMS", folder):
            sync(path)

    def best(self) -> int | None:
        """The step that was marked as the best; None where none was."""
        try:
            return int((self._folder / "best").read_text())
        except (OSError, ValueError):
            return None

    def mark_best(self, step: int | None) -> None:
        """Says that the checkpoint of a step is the best so far; None: that none is.

        Raises:
            RunError: the system refuses to write.
        """
        mark = self._folder / "best"
        if step is not None:
            write_atomically(mark, f"{step}\n".encode())
            return
        with writing(mark):
            mark.unlink(missing_ok=True)

    def restore(self, step: int | None = None) -> tuple[int, State, dict[str, Any]] | None:
        """A checkpoint: its step, state and progress.

        Args:
            step: of the checkpoint; None: of the newest whole one.

        Returns:
            None where none was ever written.

        Raises:
            RequestError: the checkpoint of this step is damaged, or every one is.
        """
        if step is not None:
            try:
                return step, *self.load(step)
            except DamagedError as error:
                raise RequestError(str(error)) from error
        passed_over: set[int] = set()
        # The list is read anew each time: a run that is going on removes old checkpoints while this one reads.
        while left := [known for known in self.steps() if known not in passed_over]:
            try:
                return left[-1], *self.load(left[-1])
            except DamagedError as error:
                passed_over.add(left[-1])
                if self._path(left[-1]).exists():
                    self._warn(str(error))
        if self.steps():
            raise RequestError(f"every checkpoint in {self._folder} is damaged; remove the folder to start over")
        return None

    def load(self, step: int) -> tuple[State, dict[str, Any]]:
        """State and progress of one checkpoint, of which memory holds one copy.

        Raises:
            DamagedError: a file of it is missing, or its bytes are not those that were written.
        """
        folder = self._path(step)
        try:
            recorded = (folder / "SHA256SUMS").read_text()
            with open(folder / "state.npz", "rb") as file:
                if recorded != f"{hashlib.file_digest(file, 'sha256').hexdigest()}  state.npz\n":
                    raise DamagedError(f"checkpoint {folder} is damaged: its bytes are not those that were written")
                file.seek(0)
                return _unpacked(file)
        except (OSError, UnicodeDecodeError) as error:
            raise DamagedError(f"checkpoint {folder} is damaged: {error}") from error

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"


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


class _Hashing:
    """A file that can only be appended to, and digests what it is given, so that it need not be read again."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def _pack(file: _Hashing, state: State, progress: dict[str, Any]) -> None:
    """Writes what `np.load` reads as an npz file, variable by variable: a large state is not held twice."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in state.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
        # `writestr` would note the time, and fails where the clock stands before 1980.
        with archive.open(_PROGRESS, "w") as member:
            member.write(json.dumps(progress).encode())


def _unpacked(file: BinaryIO) -> tuple[State, dict[str, Any]]:
    with zipfile.ZipFile(file) as archive:
        progress = json.loads(archive.read(_PROGRESS))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != _PROGRESS}, progress
