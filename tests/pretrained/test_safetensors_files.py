"""Files of safetensors against the values that its library wrote, and files that break its rules."""

import json

import numpy as np
import pytest
from pretrained_files import EVERY_TYPE, FILES, NET, assert_same, safetensors

from zoo.errors import RequestError
from zoo.pretrained.files import read_weights


def test_every_type():
    read = read_weights(FILES / "types.safetensors")
    assert read.style == "torch"
    assert_same(read.arrays, EVERY_TYPE)


def test_a_net():
    assert_same(read_weights(FILES / "net.safetensors").arrays, NET)


def test_nothing_is_copied_or_can_be_changed():
    arrays = read_weights(FILES / "net.safetensors").arrays
    assert arrays["conv1.weight"].base is not None
    with pytest.raises(ValueError, match="read-only"):
        arrays["conv1.weight"][:] = 0


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
NUMBERS = np.array([1, 2], "<f4").tobytes()


def entry(**changed) -> bytes:
    return json.dumps({"w": {**ENTRY, **changed}}).encode()


def two(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    spans = {"a": first, "b": second}
    entries = {name: {"dtype": "U8", "shape": [b - a], "data_offsets": [a, b]} for name, (a, b) in spans.items()}
    return safetensors(json.dumps(entries).encode(), NUMBERS)


def test_a_made_file_is_read(tmp_path):
    """What the tests below change is right as it is; a header may end with spaces."""
    (tmp_path / "a.safetensors").write_bytes(safetensors(entry() + b"   ", NUMBERS))
    assert_same(read_weights(tmp_path / "a.safetensors").arrays, {"w": np.array([1, 2], "float32")})
    (tmp_path / "b.safetensors").write_bytes(two((4, 8), (0, 4)))
    found = read_weights(tmp_path / "b.safetensors").arrays
    assert_same(found, {"a": np.frombuffer(NUMBERS[4:], "u1"), "b": np.frombuffer(NUMBERS[:4], "u1")})


BROKEN = {
    "a header of 2 GB": safetensors(entry(), NUMBERS, 2**31),
    "a header of 2**63": safetensors(entry(), NUMBERS, 2**63),
    "a header of nothing": safetensors(entry(), NUMBERS, 0),
    "a header cut off": safetensors(entry(), NUMBERS, len(entry()) - 1),
    "a header with numbers in it": safetensors(entry(), NUMBERS, len(entry()) + 1),
    "no object": safetensors(b"[]", NUMBERS),
    "no entry": safetensors(b'{"w": 1}', NUMBERS),
    "no type": safetensors(b'{"w": {"shape": [2], "data_offsets": [0, 8]}}', NUMBERS),
    "more than an entry": safetensors(entry(strides=[1]), NUMBERS),
    "an unknown type": safetensors(entry(dtype="F33"), NUMBERS),
    "a type in small letters": safetensors(entry(dtype="f32"), NUMBERS),
    "a type of eight bits": safetensors(entry(dtype="F8_E4M3", shape=[8]), NUMBERS),
    "a type of Python": safetensors(entry(dtype="O", shape=[1]), NUMBERS),
    "a list as type": safetensors(entry(dtype=["F32"]), NUMBERS),
    "a type too wide": safetensors(entry(dtype="F64"), NUMBERS),
    "a type too narrow": safetensors(entry(dtype="F16"), NUMBERS),
    "a larger shape": safetensors(entry(shape=[3]), NUMBERS),
    "a smaller shape": safetensors(entry(shape=[1]), NUMBERS),
    "a negative shape": safetensors(entry(shape=[-2]), NUMBERS),
    "two negative sizes": safetensors(entry(shape=[-1, -2]), NUMBERS),
    "a shape of fractions": safetensors(entry(shape=[2.0]), NUMBERS),
    "a shape of truth": safetensors(entry(shape=[True, 2]), NUMBERS),
    "a shape that is none": safetensors(entry(shape=2), NUMBERS),
    "a shape of texts": safetensors(entry(shape="2"), NUMBERS),
    "a shape of many dimensions": safetensors(entry(shape=[2] + [1] * 5000), NUMBERS),
    "an empty shape that is huge": safetensors(entry(shape=[0, 2**62, 2**62], data_offsets=[0, 0])),
    "a huge size": safetensors(entry(shape=[2**64 + 2]), NUMBERS),
    "one place": safetensors(entry(data_offsets=[0]), NUMBERS),
    "places that are none": safetensors(entry(data_offsets={"0": 8}), NUMBERS),
    "places of fractions": safetensors(entry(data_offsets=[0, 8.0]), NUMBERS),
    "places before the beginning": safetensors(entry(data_offsets=[-8, 0]), NUMBERS),
    "places the wrong way round": safetensors(entry(data_offsets=[8, 0]), NUMBERS),
    "places behind the end": safetensors(entry(data_offsets=[8, 16]), NUMBERS),
    "huge places": safetensors(entry(data_offsets=[2**63, 2**63 + 8]), NUMBERS),
    "bytes that belong to none": safetensors(entry(), NUMBERS + b"\0"),
    "an overlap": two((0, 5), (4, 8)),
    "the same bytes twice": two((0, 8), (0, 8)),
    "a gap": two((0, 3), (4, 8)),
    "a name twice": safetensors(b"{" + entry()[1:-1] + b"," + entry()[1:-1] + b"}", NUMBERS),
    "a shape twice": safetensors(entry()[:-2] + b', "shape": [2]}}', NUMBERS),
    "NaN": safetensors(b'{"w": NaN}'),
    "a size that is NaN": safetensors(entry().replace(b"[2]", b"[NaN]"), NUMBERS),
    "infinity": safetensors(entry().replace(b"[2]", b"[-Infinity]"), NUMBERS),
    "a number with many digits": safetensors(entry().replace(b"[2]", b"[" + b"9" * 5000 + b"]"), NUMBERS),
    "nested lists": safetensors(b'{"w": ' + b"[" * 100_000),
    "nested objects": safetensors(b'{"w": ' * 100_000),
    "no text": safetensors(b'{"\xff": 1}'),
    "UTF-16": safetensors("{}".encode("utf-16")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / "a.safetensors"
    path.write_bytes(BROKEN[name])
    with pytest.raises(RequestError) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} cannot be read as weights: ")


def test_every_cut_is_refused(tmp_path):
    whole = (FILES / "net.safetensors").read_bytes()
    for length in [*range(1, len(whole), 7), len(whole) - 1]:
        (tmp_path / "a.safetensors").write_bytes(whole[:length])
        with pytest.raises(RequestError):
            read_weights(tmp_path / "a.safetensors")
