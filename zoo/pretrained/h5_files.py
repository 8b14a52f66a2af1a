"""HDF5 files that are not trusted: only what stands in the file itself, as it stands there.

HDF5 can point into other files, compute a dataset from others, load a program to unpack one, and declare sizes that are
written nowhere. Keras does none of these: it writes groups, short texts, and arrays whose numbers follow each other.
So the library reads what describes the arrays, and no more than a net needs of it; the numbers are views of the file.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from zoo.pretrained.mapped import BFLOAT16, DamagedError, Window, quoted, view

if TYPE_CHECKING:
    import h5py

# A group of a thousand names has a table of 64 kB, and texts stand in heaps of at most 64 kB.
_MOST_AT_ONCE = 256 * 2**10
_MOST_DESCRIPTION = 64 * 2**20
# Texts of one attribute. All may be the same one of 256 kB, of which the library makes as many copies.
_MOST_TEXTS = 2048
_MOST_DEPTH = 32


def looks_like_h5(data: memoryview) -> bool:
    """Whether a file begins as HDF5 files do."""
    return data[:8] == b"\x89HDF\r\n\x1a\n"


@contextlib.contextmanager
def open_h5(data: memoryview) -> Iterator["h5py.File"]:
    """The groups of a file.

    Raises:
        DamagedError: anything went wrong in here.
    """
    import h5py

    try:
        with h5py.File(Window(data, _MOST_AT_ONCE, _MOST_DESCRIPTION), "r") as file:
            yield file
    except DamagedError:
        raise
    except Exception as error:  # of damaged files h5py raises what comes its way
        raise DamagedError(
            f"it is a damaged HDF5 file, or is cut off ({' '.join(str(error).split())[:160]})"
        ) from error


def subgroup(group: "h5py.Group", path: str) -> "h5py.Group":
    """The group of a path in a group.

    Raises:
        DamagedError: there is none, or it is in another place than it seems.
    """
    import h5py

    found = _member(group, path)
    if not isinstance(found, h5py.Group):
        raise DamagedError(f"{quoted(path)} in it is no group")
    return found


def array(data: memoryview, group: "h5py.Group", path: str) -> np.ndarray:
    """A view of the numbers of a dataset.

    Args:
        data: the file.
        group: the group in which the path begins.
        path: of the dataset.

    Raises:
        DamagedError: there is none, its numbers are packed, computed, elsewhere or not there, or are no numbers.
    """
    import h5py

    found = _member(group, path)
    if not isinstance(found, h5py.Dataset):
        raise DamagedError(f"{quoted(path)} in it is no array")
    dtype, shape = found.dtype, found.shape
    if found.attrs.get_id("dtype").shape == () if "dtype" in found.attrs else False:
        dtype = BFLOAT16 if texts(found, "dtype") == ["bfloat16"] and dtype.itemsize == 2 else dtype
    if shape is None or (dtype != BFLOAT16 and (dtype.kind not in "fiub" or dtype.itemsize > 8)):
        raise DamagedError(f"{quoted(path)} in it is no array of numbers")
    properties = found.id.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise DamagedError(f"{quoted(path)} in it does not stand in one piece, as Keras writes arrays")
    if math.prod(shape) == 0:
        return view(memoryview(b""), dtype, shape)
    offset = found.id.get_offset()
    if offset is None or found.id.get_storage_size() != math.prod(shape) * dtype.itemsize:
        raise DamagedError(f"the numbers of {quoted(path)} are not in it")
    return view(data, dtype, shape, offset)


def texts(item: "h5py.Group | h5py.Dataset", name: str) -> list[str]:
    """The texts of an attribute.

    Raises:
        DamagedError: there are too many, or they are no texts.
    """
    import h5py

    kept = item.attrs.get_id(name)
    if math.prod(kept.shape) == 0:
        return []
    if math.prod(kept.shape) > _MOST_TEXTS or kept.get_storage_size() > _MOST_AT_ONCE:
        raise DamagedError(f"it has more {quoted(name)} than any net")
    if kept.dtype.kind != "S" and h5py.check_string_dtype(kept.dtype) is None:
        raise DamagedError(f"{quoted(name)} in it is no text")
    found = np.ravel(np.asarray(item.attrs[name], object)).tolist()
    return [text.decode() if isinstance(text, bytes) else str(text) for text in found]


def numbered_texts(item: "h5py.Group", name: str) -> list[str]:
    """The texts of an attribute that Keras cut into `name0`, `name1`, ... where they are too many for one.

    Raises:
        DamagedError: there is none, or as `texts` does.
    """
    if name in item.attrs:
        return texts(item, name)
    parts = []
    while f"{name}{len(parts)}" in item.attrs:
        parts.append(texts(item, f"{name}{len(parts)}"))
    if not parts:
        raise DamagedError(f"{quoted(name)} of {quoted(item.name)} is missing in it")
    return [text for part in parts for text in part]


def _member(group: "h5py.Group", path: str) -> "h5py.Group | h5py.Dataset":
    import h5py

    parts = path.split("/")
    if len(parts) > _MOST_DEPTH or not {"", ".", ".."}.isdisjoint(parts):
        raise DamagedError(f"{quoted(path)} in it is no path")
    for part in parts:
        if not isinstance(group, h5py.Group) or part not in group:
            raise DamagedError(f"{quoted(path)} is missing in it")
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise DamagedError(f"{quoted(path)} in it points elsewhere, which Keras never does")
        group = group[part]
    return group
