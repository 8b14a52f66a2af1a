"""Zip files whose members are stored as they are, which both PyTorch and Keras write."""

import struct
import zipfile
from collections.abc import Iterator, Mapping

from zoo.pretrained.mapped import DamagedError, Window

# The directory of a net has a hundred bytes for each array.
_MOST_DIRECTORY = 8 * 2**20
# Signature, 22 bytes that the directory has too, lengths of the name and of what is extra.
_LOCAL_HEADER = struct.Struct("<4s22x2H")


def looks_like_zip(data: memoryview) -> bool:
    """Whether a zip's first member begins here."""
    return data[:4] == b"PK\x03\x04"


class StoredZip(Mapping[str, memoryview]):
    """The members of a zip by name, each a part of the file itself.

    Args:
        data: the file.

    Raises:
        DamagedError: it is no zip, or a name stands in it twice; when a member is asked for, it is compressed: what a
            kilobyte becomes could be anything.
    """

    def __init__(self, data: memoryview):
        try:
            # What the directory says of itself is believed only so far as it can be held in memory.
            with zipfile.ZipFile(Window(data, _MOST_DIRECTORY, 2 * _MOST_DIRECTORY)) as archive:
                infos = archive.infolist()
        # What `zipfile` raises of damaged files, beside its own error.
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            struct.error,
            NotImplementedError,
            IndexError,
        ) as error:
            reason = " ".join(str(error).split())
            raise DamagedError(f"it is a damaged zip, or is cut off ({reason}); download it again") from error
        self._data = data
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) < len(infos):
            raise DamagedError("a name stands twice in its zip")

    def __getitem__(self, name: str) -> memoryview:
        return _content(self._data, self._infos[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)


def _content(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    name = repr(info.filename[-80:])
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise DamagedError(f"{name} in it is compressed, which neither PyTorch nor Keras does; save it again with them")
    if info.flag_bits & 1:
        raise DamagedError(f"{name} in it is encrypted")
    header = data[max(info.header_offset, 0) :][: _LOCAL_HEADER.size]
    if len(header) < _LOCAL_HEADER.size:
        raise DamagedError(f"{name} in its zip lies outside of it")
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if signature != b"PK\x03\x04" or start + info.file_size > len(data):
        raise DamagedError(f"{name} in its zip lies outside of it")
    return data[start : start + info.file_size]
