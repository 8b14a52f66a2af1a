"""A file that is mapped into memory: its bytes, views of them as arrays, and what is wrong with it.

Nothing is copied: a float32 array is a view of the file, and only what is used is read from the disk.
"""

import contextlib
import io
import json
import math
import mmap
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import RequestError

# NumPy has no such type: two bytes that say nothing of themselves.
BFLOAT16 = np.dtype("V2")

# A net has a few hundred arrays with some hundred bytes for each, and a description of its layers takes a megabyte or
# two. Of hostile JSON Python makes about 30 times as much.
_MOST_JSON = 8 * 2**20
# Of every NumPy.
_MOST_DIMENSIONS = 32
_MOST_ELEMENTS = 2**48


class DamagedError(ValueError):
    """A file is not what it should be. The message says what is wrong, and does not name the file."""


def quoted(name: object) -> str:
    """A name from a file for a message: on one line, and not endlessly long."""
    text = name if isinstance(name, str) else type(name).__name__
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a file to be read.

    Raises:
        RequestError: there is none, it is no file, or it cannot be read.
    """
    if "\0" in str(path):
        raise RequestError(f"{str(path)!r} is no path")
    try:
        # A named pipe would be waited for, and a device has no end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RequestError(f"{path} is no file")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise RequestError(f"there is no {path}") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read only.

    Raises:
        RequestError: there is none, it is no file, is empty or cannot be read.
    """
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise RequestError(f"{path} is empty; download it again")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class Window(io.RawIOBase):
    """Some bytes as a file, for libraries that want one.

    Args:
        data: the bytes.
        most_at_once: no single read may be longer, whatever a damaged file asks for.
        most: nor all of them together.
    """

    def __init__(self, data: memoryview, most_at_once: int, most: int):
        self._data, self._at = data, 0
        self._most_at_once, self._left = most_at_once, most

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Its places can be gone to."""
        return True

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if start + offset < 0:
            raise OSError("it points to before its beginning")
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes; an OSError where they are too many."""
        rest = max(len(self._data) - self._at, 0)
        size = rest if size is None or size < 0 else min(size, rest)
        if size > min(self._most_at_once, self._left):
            raise OSError("it describes its content in too many bytes")
        found = bytes(self._data[self._at : self._at + size])
        self._left -= size
        self._at += size
        return found

    def readinto(self, buffer) -> int:
        """Fills a buffer with the next bytes; an OSError where there are too few or too many."""
        # HDF5 does not look at how much was read, and would take what stood in its memory for the rest.
        if self._at + len(buffer) > len(self._data):
            raise OSError("it is cut off")
        buffer[:] = self.read(len(buffer))
        return len(buffer)


def view(
    data: memoryview, dtype: np.dtype, shape: Sequence[int], offset: int = 0, strides: Sequence[int] | None = None
) -> np.ndarray:
    """An array whose elements stand in some bytes.

    Args:
        data: the bytes.
        dtype: of the elements.
        shape: of the array.
        offset: of the first element, in bytes.
        strides: between elements, in bytes; in rows if there are none.

    Raises:
        DamagedError: a size is none, or elements stand outside of the bytes.
    """
    sizes = (*shape, offset, *(strides or ()))
    if len(shape) > _MOST_DIMENSIONS or not all(type(size) is int and 0 <= size <= _MOST_ELEMENTS for size in sizes):
        raise DamagedError("an array has a size that no array can have")
    if strides is not None and len(strides) != len(shape):
        raise DamagedError("an array has more strides than dimensions, or fewer")
    if math.prod(shape) * dtype.itemsize > len(data):
        raise DamagedError("an array is larger than the bytes that it stands in")
    try:
        return np.ndarray(tuple(shape), dtype, data, offset, strides)
    except (ValueError, TypeError, OverflowError) as error:  # NumPy's own check of the bounds
        raise DamagedError("an array reaches beyond the bytes that it stands in") from error


class Arrays(Mapping[str, np.ndarray]):
    """Arrays by name, in the order of the file.

    Each is a read-only view of the file. Half precision becomes float32 when an array is asked for, so that the file is
    not held twice.
    """

    def __init__(self, views: Mapping[str, np.ndarray]):
        self._views = dict(views)

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._views[name]
        if found.dtype == BFLOAT16:
            # The upper half of a float32.
            bits = np.ascontiguousarray(found).view("<u2").reshape(found.shape).astype("<u4")
            bits <<= 16
            found = bits.view("<f4")
        elif found.dtype == np.float16:
            found = found.astype(np.float32)
        elif not found.flags.aligned:
            # Numbers may stand anywhere in a file; a library may expect them at multiples of their size.
            found = found.copy()
        found.flags.writeable = False
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)


def parse_json(data: memoryview | bytes) -> dict[str, Any]:
    """The object of a JSON document.

    Raises:
        DamagedError: it is none, a name stands in it twice, or it is too long for what describes a net.
    """
    if len(data) > _MOST_JSON:
        raise DamagedError(f"its JSON has {len(data)} bytes, which no description of a net needs")

    def refuse(constant):
        raise DamagedError(f"its JSON has {constant}, which is no number of JSON")

    def object_of(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            raise DamagedError("its JSON has a name twice")
        return found

    try:
        found = json.loads(str(data, "utf-8"), object_pairs_hook=object_of, parse_constant=refuse)
    except DamagedError:
        raise
    except RecursionError:
        raise DamagedError("its JSON is nested too deep") from None
    except ValueError as error:
        raise DamagedError(f"its JSON cannot be read ({' '.join(str(error).split())[:80]})") from error
    if not isinstance(found, dict):
        raise DamagedError("its JSON is no object")
    return found
