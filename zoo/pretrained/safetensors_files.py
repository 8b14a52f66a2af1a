"""Files of `.safetensors`: eight bytes with the length of a JSON header, the header, then the numbers.

Read without the library, which is no dependency: all of the format is in
https://huggingface.co/docs/safetensors/index#format.
"""

import math

import numpy as np

from zoo.pretrained.mapped import BFLOAT16, Arrays, DamagedError, parse_json, quoted, view

_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def looks_like_safetensors(data: memoryview) -> bool:
    """Whether a JSON object begins where the header does."""
    return data[8:9] == b"{"


def read_safetensors(data: memoryview) -> Arrays:
    """The arrays of a file.

    Raises:
        DamagedError: the file breaks a rule of the format.
    """
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise DamagedError(f"its header should have {length} bytes, which the file has not; it may be cut off")
    header, numbers = parse_json(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__", None)
    # Every byte belongs to one array: nothing is hidden between them, and none is a part of two.
    spans = sorted(_span(name, entry) for name, entry in header.items())
    end = 0
    for start, stop in spans:
        if start != end or stop < start:
            raise DamagedError("its arrays overlap, or have gaps between them")
        end = stop
    if end != len(numbers):
        raise DamagedError(f"its arrays take {end} bytes, and {len(numbers)} follow the header; it may be cut off")
    return Arrays({name: _array(name, entry, numbers) for name, entry in header.items()})


def _span(name: str, entry: object) -> tuple[int, int]:
    """From where to where an array's bytes go."""
    if not isinstance(entry, dict) or {*entry} != {"dtype", "shape", "data_offsets"}:
        raise DamagedError(f"the entry of {quoted(name)} is not dtype, shape and data_offsets")
    span = entry["data_offsets"]
    if not isinstance(span, list) or len(span) != 2 or not all(type(place) is int and place >= 0 for place in span):
        raise DamagedError(f"the data_offsets of {quoted(name)} are not two places")
    return tuple(span)


def _array(name: str, entry: dict, numbers: memoryview) -> np.ndarray:
    dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise DamagedError(f"{quoted(name)} is of {quoted(dtype)}, which is not one of {', '.join(_DTYPES)}")
    if not isinstance(shape, list):
        raise DamagedError(f"the shape of {quoted(name)} is no list")
    found = view(numbers[start:stop], _DTYPES[dtype], shape)
    if math.prod(shape) * found.itemsize != stop - start:
        raise DamagedError(f"{quoted(name)} has {stop - start} bytes, and its shape takes {found.nbytes}")
    return found
