"""Files of `torch.save`: a zip since PyTorch 1.6, before that pickles one after the other and then the numbers.

In the zip `x/data.pkl` is the pickle, and `x/data/7` the bytes of its storage 7. The older form has a number that says
what it is, a version, the sizes of numbers on the machine, the object, the keys of its storages, and for each of these
its size and its bytes.
"""

from collections.abc import Mapping
from typing import Any

from zoo.pretrained.mapped import Arrays, DamagedError, quoted
from zoo.pretrained.torch_pickles import Storage, Tensor, Unpickler

# The number 0x1950A86A20F9469CFC6C as a pickle, without its protocol.
_OLDER_BEGINNING = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
# Where the weights stand in what training keeps: in this order, as timm's `load_state_dict` looks, averages first.
_WEIGHTS = ("state_dict_ema", "model_ema", "state_dict", "model")
# What wrappers put before the names, in this order, as timm's `clean_state_dict` takes it off: compiled, data parallel.
_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")


def looks_like_older_torch(data: memoryview) -> bool:
    """Whether a file begins as PyTorch began them before 1.6."""
    return data[:1] == b"\x80" and data[2 : 2 + len(_OLDER_BEGINNING)] == _OLDER_BEGINNING


def is_torch_zip(contents: Mapping[str, memoryview]) -> bool:
    """Whether the members of a zip are those of `torch.save`."""
    return any(name.endswith("/data.pkl") for name in contents)


def read_torch_zip(contents: Mapping[str, memoryview]) -> Arrays:
    """The arrays of a state dict, or of the one in a checkpoint.

    Args:
        contents: the members of the zip by name.

    Raises:
        DamagedError: it holds something else, is cut off, or would have code run.
    """
    pickles = [name for name in contents if name.endswith("/data.pkl")]
    folder = pickles[0].removesuffix("data.pkl")
    if len(pickles) > 1:
        raise DamagedError(f"it has {len(pickles)} pickles in its zip")
    if any(name.startswith(f"{folder}code/") for name in contents):
        raise DamagedError("it is a program of TorchScript; save the net's state_dict() by torch.save")
    if bytes(contents.get(f"{folder}byteorder", b"little")[:16]) != b"little":
        raise DamagedError("its numbers have their bytes in the other order; save it again on another machine")
    storages: dict[str, Storage] = {}
    checkpoint = Unpickler(contents[pickles[0]], 0, storages).load()
    for storage in storages.values():
        name = f"{folder}data/{storage.key}"
        if name not in contents:
            raise DamagedError(f"the storage {quoted(storage.key)} is missing")
        _give(storage, contents[name])
    return _state_dict(checkpoint)


def read_older_torch(data: memoryview) -> Arrays:
    """The arrays of a state dict, or of the one in a checkpoint, in the form before PyTorch 1.6.

    Raises:
        DamagedError: it holds something else, is cut off, or would have code run.
    """
    at = 2 + len(_OLDER_BEGINNING)
    storages: dict[str, Storage] = {}
    parts = []
    for _ in ("version", "machine", "checkpoint", "keys"):
        pickled = Unpickler(data, at, storages)
        parts.append(pickled.load())
        at = pickled.at
    version, machine, checkpoint, keys = parts
    if version != 1001 or not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise DamagedError("it is of a version, or of a machine, that PyTorch left behind")
    if not isinstance(keys, list) or len({*map(str, keys)}) < len(keys) or {*map(str, keys)} != {*storages}:
        raise DamagedError("its storages are others than those that it refers to")
    for key in keys:
        storage = storages[str(key)]
        size = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if size != storage.size:
            raise DamagedError(f"the storage {quoted(storage.key)} has not the size that it should; it may be cut off")
        _give(storage, data[at : at + size * storage.dtype.itemsize])
        at += size * storage.dtype.itemsize
    return _state_dict(checkpoint)


def _give(storage: Storage, data: memoryview) -> None:
    if len(data) != storage.size * storage.dtype.itemsize:
        raise DamagedError(f"the storage {quoted(storage.key)} has not the size that it should; it may be cut off")
    storage.data = data


def _state_dict(checkpoint: Any) -> Arrays:
    if not isinstance(checkpoint, dict):
        raise DamagedError("it holds no state dict; save the net's state_dict()")
    found = next((checkpoint[key] for key in _WEIGHTS if isinstance(checkpoint.get(key), dict)), checkpoint)
    arrays = {}
    for full, value in found.items():
        if type(value) is not Tensor:
            raise DamagedError(f"{quoted(str(full))} in it is no tensor; save the net's state_dict() alone")
        name = str(full)
        if name.startswith(_PREFIXES):
            for prefix in _PREFIXES:
                name = name.removeprefix(prefix)
        if name in arrays:
            raise DamagedError(f"it has {quoted(name)} twice, with what stands before it and without")
        arrays[name] = value.array()
    return Arrays(arrays)
