"""Files that are there whole or not at all, and what is said where the system refuses to write them.

This module imports no TensorFlow, see `zoo.runs.workdir`.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import RunError

_WINDOWS = os.name == "nt"
_REMEDIES = {
    errno.ENOSPC: "make space on that disk",
    # Not every system knows it.
    getattr(errno, "EDQUOT", errno.ENOSPC): "make space within the quota or on that disk",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "make that disk writable",
    errno.EACCES: "make it writable",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write into an error that names the file and says what to do.

    Raises:
        RunError: in place of any `OSError` within.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"{path} cannot be written: {reason}; {_REMEDIES.get(error.errno, 'mend that')} and start the same "
            "command again, which goes on from the newest checkpoint"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a file beside `path` to be written; it takes the place of `path` once the disk has it.

    Where writing fails nothing is left of it, and what was at `path` still is.

    Raises:
        RunError: the system refuses to write.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    with writing(path):
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all; raises as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes JSON that is there whole or not at all; raises as `replacing` does."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process was writing in a folder; no other may be writing there."""
    for leftover in folder.glob(".*.tmp*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def sync(path: Path) -> None:
    """Waits until the disk has a file's content, or a folder's entries, as after a rename in it."""
    # Windows opens no folder, and flushes a file only for who may write to it.
    if _WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
