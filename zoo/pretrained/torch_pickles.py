"""The pickles that `torch.save` writes of state dicts, read without running anything.

A pickle is a program for a small machine, which can be told to call any function. The machine here has no such
instruction: it knows the few names that stand in state dicts, and calls nothing but the constructors below. Its
instructions are those that PyTorch's own reader with `weights_only=True` knows
(https://github.com/pytorch/pytorch/blob/main/torch/_weights_only_unpickler.py), and those of pickle protocol 4.
"""

import dataclasses
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.pretrained.mapped import BFLOAT16, DamagedError, quoted, view

# A state dict takes about 30 instructions and 200 bytes for each array, and nets have some hundred or thousand arrays.
_MOST_INSTRUCTIONS = 500_000
_MOST_BYTES = 32 * 2**20

_STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_DTYPES = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": BFLOAT16,
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}


@dataclasses.dataclass(frozen=True)
class Name:
    """What a pickle calls by its module and name. It stays a name: nothing is imported."""

    full: str


@dataclasses.dataclass
class Storage:
    """A row of numbers, of which tensors are views.

    Attributes:
        key: its name in the file.
        dtype: of its elements.
        size: how many there are.
        data: their bytes, once they are found.
    """

    key: str
    dtype: np.dtype
    size: int
    data: memoryview = memoryview(b"")


@dataclasses.dataclass
class Tensor:
    """A view of a storage, in elements."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The array, a view of the storage's bytes.

        Raises:
            DamagedError: it reaches beyond them.
        """
        width = self.dtype.itemsize
        strides = [width * stride for stride in self.strides]
        return view(self.storage.data, self.dtype, self.shape, width * self.offset, strides)


class Unpickler:
    """Reads one pickle.

    Args:
        data: the bytes that it stands in.
        start: where it begins.
        storages: by key, filled with those that it refers to.

    Attributes:
        at: where the next instruction stands; after `load` where the pickle ended.
    """

    def __init__(self, data: memoryview, start: int, storages: dict[str, Storage]):
        self.at = start
        self._data = data[: start + _MOST_BYTES]
        self._storages = storages
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object: dictionaries, lists, tuples, strings, numbers, tensors.

        Raises:
            DamagedError: it is no pickle, is cut off, or has another name in it than those of a state dict.
        """
        try:
            for _ in range(_MOST_INSTRUCTIONS):
                code = self._take(1)[0]
                if code == pickle.STOP[0]:
                    return self._stack.pop()
                if code not in _INSTRUCTIONS:
                    raise DamagedError(f"its pickle has the instruction {code}, which no state dict needs")
                _INSTRUCTIONS[code](self)
        except (IndexError, KeyError, UnicodeDecodeError, TypeError) as error:
            raise DamagedError("its pickle is damaged") from error
        raise DamagedError("its pickle is longer than that of any net")

    def _take(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) < size:
            raise DamagedError("its pickle is cut off, or longer than that of any net")
        self.at += size
        return bytes(found)

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self, form: str, encoding: str = "utf-8") -> None:
        self._stack.append(self._take(self._number(form)).decode(encoding))

    def _line(self) -> str:
        # Names of modules and functions are short.
        end = bytes(self._data[self.at : self.at + 256]).find(b"\n")
        if end < 0:
            raise DamagedError("its pickle is damaged")
        return self._take(end + 1)[:-1].decode()

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self._take(self._number("B")), "little", signed=True))

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._marked.pop()
        return found

    def _tuple_since_mark(self) -> None:
        found = tuple(self._since_mark())
        self._stack.append(found)

    def _tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise DamagedError("its pickle is damaged")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def _append(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise DamagedError("its pickle appends to what is no list")
        self._stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise DamagedError("its pickle is damaged")
        _fill(self._stack[-1], list(zip(items[::2], items[1::2], strict=True)))

    def _pop_two(self) -> list[Any]:
        value, key = self._stack.pop(), self._stack.pop()
        return [key, value]

    def _global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in _NAMES:
            raise DamagedError(
                f"it names {quoted(full)}, which is no part of a state dict, so nothing of it was run or taken; "
                "save the net's state_dict() alone"
            )
        self._stack.append(Name(full))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise DamagedError("its pickle is damaged")
        self._global(module, name)

    def _call(self) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if type(called) is not Name or type(arguments) is not tuple or _NAMES[called.full] is None:
            raise DamagedError("its pickle calls what is no function of a state dict")
        self._stack.append(_NAMES[called.full](*arguments))

    def _build(self) -> None:
        # The state of an ordered dictionary is what a module says of its version; that of a Namespace are settings.
        self._stack.pop()
        if type(self._stack[-1]) not in (dict, Tensor):
            raise DamagedError("its pickle sets the state of what has none")

    def _persistent(self) -> None:
        self._stack.append(self._storage(self._stack.pop()))

    def _storage(self, identity: Any) -> Storage:
        """The storage of what PyTorch puts in its place: ("storage", type, key, device, number of elements)."""
        # The older form has a sixth, for a part of another storage, which PyTorch no longer writes.
        if type(identity) is tuple and len(identity) == 6 and identity[5] is None:
            identity = identity[:5]
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise DamagedError("its pickle refers to something else than a storage")
        _, kind, key, _, size = identity
        dtype = _STORAGE_NAMES.get(kind.full) if type(kind) is Name else None
        if dtype is None or type(key) not in (str, int) or type(size) is not int or size < 0:
            raise DamagedError("its pickle refers to something else than a storage")
        found = self._storages.setdefault(str(key), Storage(str(key), dtype, size))
        if (found.dtype, found.size) != (dtype, size):
            raise DamagedError(f"the storage {quoted(found.key)} is of two kinds")
        return found

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _get(self, place: int) -> None:
        self._stack.append(self._memo[place])


def _fill(target: Any, pairs: list[tuple[Any, Any]]) -> None:
    if type(target) is not dict:
        raise DamagedError("its pickle sets items of what is no dictionary")
    for key, value in pairs:
        # The hash of a tuple of tuples can take for ever.
        if type(key) not in (str, int):
            raise DamagedError("its pickle has a key that is neither a string nor a number")
        target[key] = value


def _ordered_dict(pairs: Any = None) -> dict:
    found: dict = {}
    if pairs is not None:
        if type(pairs) is not list or not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
            raise DamagedError("its pickle has a dictionary of no items")
        _fill(found, pairs)
        # They move: a million dictionaries of one list with a million items would fill any memory.
        pairs.clear()
    return found


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if type(storage) is not Storage:
        raise DamagedError("its pickle has a tensor without a storage")
    return _tensor_of(storage, storage.dtype, offset, shape, strides)


def _typed_tensor(storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, dtype: Any, *_: Any):
    found = _DTYPES.get(dtype.full.removeprefix("torch.")) if type(dtype) is Name else None
    if type(storage) is not Storage or found is None:
        raise DamagedError("its pickle has a tensor without a storage or a type")
    return _tensor_of(storage, found, offset, shape, strides)


def _tensor_of(storage: Storage, dtype: np.dtype, offset: Any, shape: Any, strides: Any) -> Tensor:
    if type(offset) is not int or type(shape) is not tuple or type(strides) is not tuple:
        raise DamagedError("its pickle has a tensor of no shape")
    if not all(type(size) is int for size in (*shape, *strides)):
        raise DamagedError("its pickle has a tensor of no shape")
    return Tensor(storage, dtype, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _size(sizes: Any) -> Any:
    return sizes


def _nothing(*_: Any) -> dict:
    return {}


_STORAGE_NAMES = {
    **{f"{room}.{name}": dtype for room in ("torch", "torch.cuda") for name, dtype in _STORAGES.items()},
    **dict.fromkeys(("torch.UntypedStorage", "torch.storage.UntypedStorage"), np.dtype("u1")),
}
# Name -> what stands for it when it is called; None: it cannot be called.
_NAMES: dict[str, Callable | None] = {
    **dict.fromkeys(_STORAGE_NAMES),
    **{f"torch.{name}": None for name in _DTYPES},
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
    # Beside the weights, timm's and torchvision's training keeps its settings in one.
    "argparse.Namespace": _nothing,
}
_INSTRUCTIONS: dict[int, Callable[[Unpickler], None]] = {
    pickle.PROTO[0]: lambda self: self._take(1),
    pickle.FRAME[0]: lambda self: self._take(8),
    pickle.NONE[0]: lambda self: self._stack.append(None),
    pickle.NEWTRUE[0]: lambda self: self._stack.append(True),
    pickle.NEWFALSE[0]: lambda self: self._stack.append(False),
    pickle.BININT[0]: lambda self: self._stack.append(self._number("<i")),
    pickle.BININT1[0]: lambda self: self._stack.append(self._number("B")),
    pickle.BININT2[0]: lambda self: self._stack.append(self._number("<H")),
    pickle.LONG1[0]: Unpickler._long,
    pickle.BINFLOAT[0]: lambda self: self._stack.append(self._number(">d")),
    pickle.BINUNICODE[0]: lambda self: self._text("<I"),
    pickle.SHORT_BINUNICODE[0]: lambda self: self._text("B"),
    # Strings of Python 2.
    pickle.BINSTRING[0]: lambda self: self._text("<I", "latin-1"),
    pickle.SHORT_BINSTRING[0]: lambda self: self._text("B", "latin-1"),
    pickle.MARK[0]: Unpickler._mark,
    pickle.EMPTY_TUPLE[0]: lambda self: self._stack.append(()),
    pickle.TUPLE[0]: Unpickler._tuple_since_mark,
    pickle.TUPLE1[0]: lambda self: self._tuple(1),
    pickle.TUPLE2[0]: lambda self: self._tuple(2),
    pickle.TUPLE3[0]: lambda self: self._tuple(3),
    pickle.EMPTY_LIST[0]: lambda self: self._stack.append([]),
    pickle.APPEND[0]: lambda self: self._append([self._stack.pop()]),
    pickle.APPENDS[0]: lambda self: self._append(self._since_mark()),
    pickle.EMPTY_DICT[0]: lambda self: self._stack.append({}),
    pickle.SETITEM[0]: lambda self: self._set(self._pop_two()),
    pickle.SETITEMS[0]: lambda self: self._set(self._since_mark()),
    pickle.GLOBAL[0]: lambda self: self._global(self._line(), self._line()),
    pickle.STACK_GLOBAL[0]: Unpickler._stack_global,
    pickle.REDUCE[0]: Unpickler._call,
    pickle.NEWOBJ[0]: Unpickler._call,
    pickle.BUILD[0]: Unpickler._build,
    pickle.BINPERSID[0]: Unpickler._persistent,
    pickle.BINPUT[0]: lambda self: self._put(self._number("B")),
    pickle.LONG_BINPUT[0]: lambda self: self._put(self._number("<I")),
    pickle.MEMOIZE[0]: lambda self: self._put(len(self._memo)),
    pickle.BINGET[0]: lambda self: self._get(self._number("B")),
    pickle.LONG_BINGET[0]: lambda self: self._get(self._number("<I")),
}
