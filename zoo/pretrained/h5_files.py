"""HDF5 files, read without the HDF5 library, which is not made for files that nobody vouches for.

Version 1.14.6 of the library turns for ever on some files of Keras in which a few bytes were changed, and has published
faults on files that were made for it, such as CVE-2025-2309 and CVE-2025-2310. The format itself can point into other
files, compute an array from others, and have a program loaded to unpack one. Keras does none of these: it writes
groups, texts, and arrays whose numbers follow each other. That part of the format is here, after the HDF5 File Format
Specification 3.0 (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html): superblocks 0 to 3, both kinds
of groups and of headers, attributes in the header, contiguous and compact arrays. Whatever else stands in a file is
refused, and the number of parts that are looked at is bounded.
"""

import functools
import itertools
import math
import struct
from collections.abc import Iterator

import numpy as np

from zoo.pretrained.h5_links import links_of
from zoo.pretrained.h5_parts import UNDEFINED, Parts, padded
from zoo.pretrained.mapped import BFLOAT16, DamagedError, quoted, view

# Kinds of messages in the header of an object.
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION = 0x1, 0x3, 0x7, 0x8, 0xB, 0xC, 0x10
_ATTRIBUTES_ELSEWHERE = 0x15
# Names of layers and variables.
_LONGEST_TEXT = 1024
_MOST_DEPTH = 32
# Sign, exponent and mantissa of the IEEE's numbers: where the exponent begins, its bits, where the mantissa begins, its
# bits, and what is taken from the exponent.
_FLOATS = {2: (10, 5, 0, 10, 15), 4: (23, 8, 0, 23, 127), 8: (52, 11, 0, 52, 1023)}


def looks_like_h5(data: memoryview) -> bool:
    """Whether a file begins as HDF5 files do."""
    return data[:8] == b"\x89HDF\r\n\x1a\n"


def root_of(data: memoryview) -> "Node":
    """The root group of a file.

    Raises:
        DamagedError: it is cut off, or of another kind than Keras writes.
    """
    parts = Parts(data)
    version = parts.number(8, 1)
    if version in (0, 1):
        sizes, base, end = parts.take(13, 2), 24 + 4 * version, 40 + 4 * version
        root = end + 24
    elif version in (2, 3):
        sizes, base, end, root = parts.take(9, 2), 12, 28, 36
    else:
        raise DamagedError(f"it is an HDF5 file of version {version}, which is not known")
    if bytes(sizes) != b"\x08\x08" or parts.number(base, 8) != 0:
        raise DamagedError("it is another HDF5 file than Keras writes")
    if parts.number(end, 8) > len(data):
        raise DamagedError(f"it should have {parts.number(end, 8)} bytes and has {len(data)}; it is cut off")
    return Node(parts, parts.number(root, 8), "")


class Node:
    """A group or an array of a file.

    Args:
        parts: the file.
        address: of its header.
        path: its name.
    """

    def __init__(self, parts: Parts, address: int, path: str):
        self._parts, self._path = parts, path
        self._messages = list(_messages(parts, address))

    def _message(self, kind: int) -> memoryview | None:
        return next((content for found, content in self._messages if found == kind), None)

    @property
    def is_group(self) -> bool:
        """Whether it has a place for others in it."""
        return self._message(_LAYOUT) is None

    @functools.cached_property
    def _links(self) -> dict[str, int]:
        return links_of(self._parts, self._messages) if self.is_group else {}

    def __contains__(self, name: str) -> bool:
        return name in self._links

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def find(self, path: str) -> "Node":
        """What stands at a path in the group.

        Raises:
            DamagedError: nothing.
        """
        names, found = path.split("/"), self
        if len(names) > _MOST_DEPTH:
            raise DamagedError(f"{quoted(path)} in it is nested too deep")
        for name in names:
            if name not in found:
                raise DamagedError(f"{quoted(path)} is missing in it")
            found = Node(self._parts, found._links[name], f"{found._path}/{name}")
        return found

    def array(self) -> np.ndarray:
        """A view of the numbers of an array.

        Raises:
            DamagedError: they are packed, elsewhere, not there, or no numbers.
        """
        space, kind, layout = map(self._message, (_DATASPACE, _DATATYPE, _LAYOUT))
        if space is None or kind is None or layout is None:
            raise DamagedError(f"{quoted(self._path)} in it is no array")
        shape, dtype = _shape(self._parts, space), _number_type(kind)
        if dtype == BFLOAT16 and (not self.has_texts("dtype") or self.texts("dtype") != ["bfloat16"]):
            dtype = None
        if dtype is None or shape is None:
            raise DamagedError(f"{quoted(self._path)} in it is no array of numbers")
        if self._message(_FILTERS) or self._message(_EXTERNAL) or bytes(layout[:2]) not in (b"\3\0", b"\3\1", b"\4\1"):
            raise DamagedError(f"{quoted(self._path)} in it does not stand there in one piece, as Keras writes arrays")
        size = math.prod(shape) * dtype.itemsize
        if layout[1] == 0:
            data = layout[4 : 4 + int.from_bytes(layout[2:4], "little")]
        elif size == 0:
            data = layout[:0]
        else:
            address, stored = struct.unpack("<2Q", padded(layout, 18)[2:18])
            if address == UNDEFINED or stored != size:
                raise DamagedError(f"the numbers of {quoted(self._path)} are not in it")
            data = self._parts.take(address, size)
        if len(data) < size:
            raise DamagedError(f"the numbers of {quoted(self._path)} are not in it")
        return view(data, dtype, shape)

    def has_texts(self, name: str) -> bool:
        """Whether there is an attribute of that name."""
        return name in self._attributes or f"{name}0" in self._attributes

    def texts(self, name: str) -> list[str]:
        """The texts of an attribute, which Keras cuts into `name0`, `name1`, ... where they are too many for one.

        Raises:
            DamagedError: there is none, or what stands there are no texts.
        """
        names = [name] if name in self._attributes else []
        if not names:
            names = list(itertools.takewhile(self._attributes.__contains__, (f"{name}{n}" for n in itertools.count())))
        if not names:
            raise DamagedError(f"{quoted(name)} of {quoted(self._path)} is missing in it")
        return [text for part in names for text in _texts(self._parts, *self._attributes[part])]

    @functools.cached_property
    def _attributes(self) -> dict[str, tuple[memoryview, memoryview, memoryview]]:
        """By name the type, the shape and the content of each."""
        elsewhere = self._message(_ATTRIBUTES_ELSEWHERE)
        if elsewhere is not None:
            places = padded(elsewhere, 20)[4 if elsewhere[1:2] == b"\1" else 2 :]
            if int.from_bytes(places[:8], "little") != UNDEFINED:
                raise DamagedError(f"{quoted(self._path)} in it has more attributes than Keras writes")
        return dict(_attribute(content) for kind, content in self._messages if kind == _ATTRIBUTE)


def _messages(parts: Parts, address: int) -> Iterator[tuple[int, memoryview]]:
    """The messages of an object's header: what kind each is, and its content."""
    newer = bytes(parts.take(address, 4)) == b"OHDR"
    if newer:
        flags = parts.number(address + 5, 1)
        # Times, and when groups and attributes are kept elsewhere, may stand before the size.
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        chunks = [(at + width, parts.number(at, width))]
    else:
        if parts.number(address, 1) != 1:
            raise DamagedError("an object in it has no header; it is damaged")
        flags, chunks = 0, [(address + 16, parts.number(address + 8, 4))]
    form = struct.Struct("<BHB" + ("2x" if flags & 4 else "") if newer else "<HHB3x")
    while chunks:
        at, size = chunks.pop(0)
        chunk = parts.take(at, size)
        place = 0
        while place + form.size <= size:
            kind, length, message_flags = form.unpack_from(chunk, place)
            content = chunk[place + form.size : place + form.size + length]
            parts.count()
            if len(content) < length:
                raise DamagedError("the header of an object in it is damaged")
            place += form.size + length
            if kind == _CONTINUATION:
                start, more = struct.unpack("<2Q", padded(content, 16)[:16])
                # The newer ones are between a signature and a checksum.
                chunks.append((start + 4, max(more - 8, 0)) if newer else (start, more))
            elif message_flags & 2:
                raise DamagedError("an object in it shares its description with others, which Keras never does")
            elif kind:
                yield kind, content


def _attribute(content: memoryview) -> tuple[str, tuple[memoryview, memoryview, memoryview]]:
    version, flags, *lengths = struct.unpack("<BB3H", padded(content, 8)[:8])
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise DamagedError("an attribute in it is of a kind that Keras does not write")
    at, found = 9 if version == 3 else 8, []
    for length in lengths:
        found.append(content[at : at + length])
        # The first version begins each at a multiple of eight.
        at += -(-length // 8) * 8 if version == 1 else length
    name, kind, space = found
    return bytes(name).rstrip(b"\0").decode("utf-8", "replace"), (kind, space, content[at:])


def _texts(parts: Parts, kind: memoryview, space: memoryview, content: memoryview) -> list[str]:
    shape = _shape(parts, space) or ()
    count, head = math.prod(shape), padded(kind, 8)
    width = int.from_bytes(head[4:8], "little")
    variable = head[0] & 15 == 9 and head[1] & 15 == 1 and width == 16
    if count == 0:
        return []
    if not variable and head[0] & 15 != 3:
        raise DamagedError("an attribute in it has numbers where names should be")
    # Each takes some bytes there, so there are no more than fit.
    if count * width > len(content) or not 0 < width <= _LONGEST_TEXT:
        raise DamagedError("an attribute in it is cut off")
    texts = []
    for place in range(0, count * width, width):
        parts.count()
        text = content[place : place + width]
        if variable:
            length, address, index = struct.unpack("<IQI", text)
            text = parts.heap_object(address, index)[:length] if length else b""
        if len(text) > _LONGEST_TEXT:
            raise DamagedError("a name in it is longer than names are")
        try:
            texts.append(bytes(text).rstrip(b"\0").decode())
        except UnicodeDecodeError:
            raise DamagedError("a name in it is no text") from None
    return texts


def _shape(parts: Parts, space: memoryview) -> tuple[int, ...] | None:
    """A shape; None where there is nothing."""
    version, rank = padded(space, 4)[:2]
    start = {1: 8, 2: 4}.get(version)
    if start is None or len(space) < start + 8 * rank:
        raise DamagedError("an array in it has no shape")
    if version == 2 and space[3] == 2:
        return None
    parts.count(rank)
    return struct.unpack(f"<{rank}Q", space[start : start + 8 * rank])


def _number_type(kind: memoryview) -> np.dtype | None:
    """The type of numbers; None of other types."""
    kind = padded(kind, 20)
    number_class, flags, width = kind[0] & 15, kind[1], int.from_bytes(kind[4:8], "little")
    offset, bits = struct.unpack("<2H", kind[8:12])
    if number_class == 5 and width == 2:
        return BFLOAT16
    if number_class not in (0, 1) or width not in (1, 2, 4, 8) or (offset, bits) != (0, 8 * width):
        return None
    order = ">" if flags & 1 else "<"
    if number_class == 0:
        return np.dtype(f"{order}{'i' if flags & 8 else 'u'}{width}")
    form = (*kind[12:16], int.from_bytes(kind[16:20], "little"))
    return np.dtype(f"{order}f{width}") if form == _FLOATS.get(width) and not flags & 0x40 else None
