"""The names in the groups of an HDF5 file, and the addresses of what they stand for.

An older group has a tree of nodes with 40 bytes for each name, and its names in a heap. A newer one has its links in
its own header, and where they are more than eight in a heap of blocks, with a tree of their places. Keras' files have
older ones, since that is what the HDF5 library 1 writes if nothing else is asked for.
"""

import struct
from collections.abc import Iterable, Iterator

from zoo.pretrained.h5_parts import UNDEFINED, Parts, padded
from zoo.pretrained.mapped import DamagedError

_LINK_INFO, _LINK, _SYMBOL_TABLE = 0x2, 0x6, 0x11
_MOST_DEPTH = 16


def links_of(parts: Parts, messages: Iterable[tuple[int, memoryview]]) -> dict[str, int]:
    """By name the address of what is in a group.

    Args:
        parts: the file.
        messages: of the group's header.

    Raises:
        DamagedError: it is damaged, or a link is no hard one: it may point out of the file.
    """
    pairs: list[tuple[bytes, int]] = []
    for kind, content in messages:
        if kind == _SYMBOL_TABLE:
            tree, heap = struct.unpack("<2Q", padded(content, 16)[:16])
            pairs += _older_links(parts, tree, heap)
        elif kind == _LINK:
            pairs.append(_link(content))
        elif kind == _LINK_INFO:
            at = 10 if padded(content, 2)[1] & 1 else 2
            heap, tree = struct.unpack("<2Q", padded(content, at + 16)[at : at + 16])
            if heap != UNDEFINED:
                pairs += _newer_links(parts, tree, heap)
    try:
        found = {name.decode(): address for name, address in pairs}
    except UnicodeDecodeError:
        raise DamagedError("a name in it is no text; it is damaged") from None
    if len(found) < len(pairs):
        raise DamagedError("a name stands in it twice; it is damaged")
    return found


def _older_links(parts: Parts, tree: int, heap: int) -> Iterator[tuple[bytes, int]]:
    size, _, start = struct.unpack("<3Q", parts.signed(heap, b"HEAP", 32)[8:])
    names = parts.take(start, size)
    for node in _leaves(parts, tree):
        count = int.from_bytes(parts.signed(node, b"SNOD", 8)[6:], "little")
        for place in range(count):
            at, address, cached = struct.unpack("<QQI", parts.take(node + 8 + 40 * place, 40)[:20])
            if cached == 2:
                raise _points_elsewhere()
            # Names are short; of a damaged heap not all is copied for each of them.
            name, end, _ = bytes(names[min(at, size) :][:1025]).partition(b"\0")
            if not end:
                raise DamagedError("a name in it is cut off; it is damaged")
            yield name, address


def _leaves(parts: Parts, address: int, depth: int = 0) -> Iterator[int]:
    """Addresses of the nodes with names, from a tree of nodes."""
    kind, level, count = struct.unpack("<BBH", parts.signed(address, b"TREE", 8)[4:])
    if kind != 0 or depth > _MOST_DEPTH:
        raise DamagedError("a group in it is damaged")
    for place in range(count):
        # Before and after each address stands a name; two more before all are the addresses of the neighbours.
        child = parts.number(address + 32 + 16 * place, 8)
        if level == 0:
            yield child
        else:
            yield from _leaves(parts, child, depth + 1)


def _link(content: memoryview) -> tuple[bytes, int]:
    version, flags = padded(content, 2)[:2]
    at = 2
    if version != 1:
        raise DamagedError("a link in it is of a kind that is not known")
    if flags & 8:
        if content[at : at + 1] != b"\0":
            raise _points_elsewhere()
        at += 1
    # When it was made, and the encoding of its name.
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(content[at : at + width], "little")
    name, address = content[at + width : at + width + length], content[at + width + length :][:8]
    if len(address) < 8:
        raise DamagedError("a link in it is cut off")
    return bytes(name), int.from_bytes(address, "little")


def _newer_links(parts: Parts, tree: int, heap: int) -> Iterator[tuple[bytes, int]]:
    header = parts.signed(heap, b"FRHP", 142)
    filters, width, first = struct.unpack_from("<H", header, 7)[0], *struct.unpack_from("<HQ", header, 110)
    largest, bits = struct.unpack_from("<QH", header, 120)
    root, rows = struct.unpack_from("<QH", header, 132)
    if filters or bits > 64 or not first or not width:
        raise DamagedError("a group in it is of a kind that Keras does not write")
    offset_width = -(-bits // 8)
    blocks = [(0, root)] if rows == 0 else []
    start = 0
    for row in range(rows):
        size = first << max(row - 1, 0)
        if size > largest:
            raise DamagedError("a group in it has more names than any net")
        for column in range(width):
            entry = root + 13 + offset_width + 8 * (row * width + column)
            blocks.append((start, parts.number(entry, 8)))
            start += size
    for place in _places(parts, tree):
        if place[0] & 0x30:
            raise DamagedError("a group in it is of a kind that Keras does not write")
        offset = int.from_bytes(place[1 : 1 + offset_width], "little")
        length = int.from_bytes(place[1 + offset_width :], "little")
        start, block = max(pair for pair in blocks if pair[0] <= offset)
        yield _link(parts.take(block + offset - start, length))


def _places(parts: Parts, address: int) -> Iterator[bytes]:
    """Places in a heap of blocks, from the tree of a group."""
    header = parts.signed(address, b"BTHD", 38)
    kind, size, record, depth = struct.unpack_from("<BIHH", header, 5)
    root, count = struct.unpack_from("<QH", header, 16)
    if kind != 5 or record != 11 or depth > _MOST_DEPTH or size < 64:
        raise DamagedError("a group in it is damaged")
    # How long a pointer is follows from how many records there can be below.
    most = [(size - 10) // record]
    below, pointers = most[:], [0]
    for level in range(1, depth + 1):
        pointer = 8 + _bytes_of(most[-1]) + (_bytes_of(below[-1]) if level > 1 else 0)
        pointers.append(pointer)
        most.append((size - 10 - pointer) // (record + pointer))
        below.append((most[-1] + 1) * below[-1] + most[-1])
    nodes = [(root, count, depth)]
    while nodes:
        at, count, level = nodes.pop()
        if count > most[level]:
            raise DamagedError("a group in it is damaged")
        node = parts.signed(at, b"BTIN" if level else b"BTLF", size)
        parts.count(count)
        for number in range(count):
            # A hash of the name stands first.
            yield bytes(node[6 + record * number + 4 : 6 + record * (number + 1)])
        for child in range(count + 1 if level else 0):
            pointer = node[6 + record * count + pointers[level] * child :][: pointers[level]]
            held = int.from_bytes(pointer[8 : 8 + _bytes_of(most[level - 1])], "little")
            nodes.append((int.from_bytes(pointer[:8], "little"), held, level - 1))


def _bytes_of(number: int) -> int:
    return -(-number.bit_length() // 8)


def _points_elsewhere() -> DamagedError:
    return DamagedError("a link in it points elsewhere, maybe into another file, which Keras never does")
