"""The values of the files in `files/`, and files that somebody made to do harm."""

import io
import math
import struct
import zipfile
from pathlib import Path

import numpy as np

FILES = Path(__file__).parent / "files"


def counted(*shape: int, dtype: str = "float32") -> np.ndarray:
    """As `make_files` does: 0, 1/2, 1, ... of a floating type, 0, 1, 2, ... of another; half precision as float32."""
    numbers = np.arange(math.prod(shape))
    if dtype == "bool":
        numbers = numbers % 2
    elif "float" in dtype:
        numbers = numbers / 2
    return numbers.reshape(shape).astype({"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype))


# Of `make_files.net`.
NET = {
    "conv1.weight": counted(4, 3, 3, 3),
    "bn1.weight": counted(4),
    "bn1.bias": counted(4),
    "bn1.running_mean": counted(4),
    "bn1.running_var": counted(4),
    "bn1.num_batches_tracked": counted(dtype="int64"),
    "fc.weight": counted(2, 4),
    "fc.bias": counted(2),
}
TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
EVERY_TYPE = {dtype: counted(2, 3, dtype=dtype) for dtype in TYPES}


def assert_same(found, expected):
    """The same names, types, shapes and values, and nothing that can be written to in the file."""
    assert {*found} == {*expected}
    for name, value in expected.items():
        array = found[name]
        assert isinstance(array, np.ndarray), name
        assert (array.dtype, array.shape) == (value.dtype, value.shape), name
        assert array.tobytes() == value.tobytes(), name


def safetensors(header: bytes, numbers: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + numbers


def torch_zip(pickled: bytes, *, compression: int = zipfile.ZIP_STORED, **storages: bytes) -> bytes:
    """A file of `torch.save` with any pickle; storages are called `s0`, `s1`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return made.getvalue()


def tensor(
    *,
    offset: bytes = b"K\0",
    shape: bytes = b"K\2\x85",
    strides: bytes = b"K\1\x85",
    size: bytes = b"K\2",
    identity: bytes | None = None,
    kind: bytes = b"ctorch\nFloatStorage\n",
) -> bytes:
    """The instructions for a tensor of two numbers in the storage `s0`, or of another one."""
    identity = identity or b"(X\7\0\0\0storage" + kind + b"X\2\0\0\0s0X\3\0\0\0cpu" + size + b"t"
    arguments = b"(" + identity + b"Q" + offset + shape + strides + b"\x89ccollections\nOrderedDict\n)Rt"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def state_dict(value: bytes, name: bytes = b"X\1\0\0\0w") -> bytes:
    return b"\x80\2}" + name + value + b"s."
