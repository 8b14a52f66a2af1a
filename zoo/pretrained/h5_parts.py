"""The bytes of an HDF5 file by their address, and how many of its parts may be looked at."""

import struct

from zoo.pretrained.mapped import DamagedError

# What stands where an address is not set.
UNDEFINED = 2**64 - 1
# Messages, names, nodes. A net has some thousand.
_MOST = 500_000


def padded(content: memoryview, size: int) -> bytes:
    """So many bytes at least, with zeros where there are fewer."""
    return bytes(content[: max(size, 0)]).ljust(size, b"\0")


class Parts:
    """The bytes of a file.

    Args:
        data: all of them.
    """

    def __init__(self, data: memoryview):
        self._data, self._left = data, _MOST
        self._heaps: dict[int, dict[int, memoryview]] = {}

    def count(self, number: int = 1) -> None:
        """Counts parts that are looked at. A damaged file can lead around in circles.

        Raises:
            DamagedError: there are too many.
        """
        self._left -= number
        if self._left < 0:
            raise DamagedError("it has more parts than any net; it is damaged")

    def take(self, address: int, size: int) -> memoryview:
        """The bytes at an address.

        Raises:
            DamagedError: they are not all there.
        """
        self.count()
        if address + size > len(self._data):
            raise DamagedError("it points to behind its end; it is damaged, or cut off")
        return self._data[address : address + size]

    def number(self, address: int, size: int) -> int:
        """The number at an address."""
        return int.from_bytes(self.take(address, size), "little")

    def signed(self, address: int, signature: bytes, size: int) -> memoryview:
        """The bytes at an address that begin with a signature.

        Raises:
            DamagedError: they do not.
        """
        found = self.take(address, size)
        if found[: len(signature)] != signature:
            raise DamagedError(f"a part of it is no {signature.decode()}; it is damaged")
        return found

    def heap_object(self, address: int, index: int) -> memoryview:
        """An object of a heap at an address: a text of any length.

        Raises:
            DamagedError: there is none.
        """
        if address not in self._heaps:
            size = int.from_bytes(self.signed(address, b"GCOL", 16)[8:], "little")
            heap, objects, at = self.take(address, size), {}, 16
            while at + 16 <= size:
                self.count()
                number, length = struct.unpack_from("<H6xQ", heap, at)
                # The rest is free.
                if number == 0:
                    break
                objects[number] = heap[at + 16 : at + 16 + length]
                at += 16 + -(-length // 8) * 8
            self._heaps[address] = objects
        if index not in self._heaps[address]:
            raise DamagedError("a name in it is missing; it is damaged")
        return self._heaps[address][index]
