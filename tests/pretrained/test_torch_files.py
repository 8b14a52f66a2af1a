"""Files of PyTorch against the values that PyTorch wrote, and files that would run code or read what is not theirs."""

import itertools
import os
import pickle
import zipfile

import numpy as np
import pytest
from pretrained_files import EVERY_TYPE, FILES, NET, assert_same, counted, state_dict, tensor, torch_zip

from zoo.errors import RequestError
from zoo.pretrained.files import read_weights

FORMS = ["pth", "older.pth"]


def views():
    """Of `make_files.views`."""
    whole = counted(4, 6)
    return {
        "whole": whole,
        "transposed": whole.T,
        "rows": whole[1:3],
        "columns": whole[:, 2:4],
        "every_other": whole[::2, 1::2],
        "of_half": counted(3, 5).T,
        "scalar": np.array(7),
        "empty": np.zeros((0, 3), "float32"),
        "channels_last": counted(2, 3, 4, 5),
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_type(form):
    read = read_weights(FILES / f"types.{form}")
    assert read.style == "torch"
    assert [*read.arrays] == [*EVERY_TYPE]
    assert_same(read.arrays, EVERY_TYPE)


@pytest.mark.parametrize("form", FORMS)
def test_parts_of_storages(form):
    assert_same(read_weights(FILES / f"views.{form}").arrays, views())


@pytest.mark.parametrize("name", ["net.pth", "net.older.pth", "protocol_4.pth"])
def test_a_net(name):
    read = read_weights(FILES / name)
    assert [*read.arrays] == [*NET]
    assert_same(read.arrays, NET)


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_gives_its_averages_without_prefixes(form):
    assert_same(read_weights(FILES / f"checkpoint.{form}").arrays, NET)


def test_parameters():
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    expected = {name: value for name, value in NET.items() if not name.endswith(buffers)}
    assert_same(read_weights(FILES / "parameters.pth").arrays, expected)


def test_a_type_that_has_no_storage_of_its_own():
    assert_same(read_weights(FILES / "newer_types.pth").arrays, {"uint16": counted(2, 3, dtype="uint16")})


def test_nothing_is_copied_or_can_be_changed():
    arrays = read_weights(FILES / "net.pth").arrays
    assert arrays["conv1.weight"].base is not None
    with pytest.raises(ValueError, match="read-only"):
        arrays["conv1.weight"][:] = 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whole_net.pth", "it names 'torch.nn.modules.container.Sequential', which is no part of a state dict"),
        ("torchscript.pth", "TorchScript"),
    ],
)
def test_a_program_is_refused(name, reason):
    with pytest.raises(RequestError, match=reason):
        read_weights(FILES / name)


TWO = np.array([1, 2], "<f4").tobytes()


def read(path, pickled, **options):
    path.write_bytes(torch_zip(pickled, **{"s0": TWO, **options}))
    return read_weights(path).arrays


def refusal(path, pickled, **options) -> str:
    with pytest.raises(RequestError) as caught:
        read(path, pickled, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_made_file_is_read(tmp_path):
    """What the tests below change is right as it is."""
    assert_same(read(tmp_path / "a.pth", state_dict(tensor())), {"w": np.array([1, 2], "float32")})


class Harm:
    """What a pickle calls when it is loaded by Python."""

    def __init__(self, called, *arguments):
        self.calls = called, arguments

    def __reduce__(self):
        return self.calls


def command(mark) -> str:
    return f"touch {mark}"


@pytest.mark.parametrize("protocol", range(6))
def test_python_would_run_what_is_refused_here(tmp_path, protocol):
    mark = tmp_path / "mark"
    harm = pickle.dumps({"w": Harm(os.system, command(mark))}, protocol=protocol)
    refusal(tmp_path / "a.pth", harm)
    assert not mark.exists()
    pickle.loads(harm)
    assert mark.exists()


def programs(mark: str) -> dict[str, bytes]:
    """Pickles that call `os.system`, or something as useful to an attacker, in every way that pickles have."""
    told = f"X{chr(len(mark) + 6)}\0\0\0touch {mark}".encode()
    system, evaluate = b"cposix\nsystem\n", b"c__builtin__\neval\n"
    return {
        "REDUCE": b"\x80\2" + system + told + b"\x85R.",
        "STACK_GLOBAL": b"\x80\4\x8c\5posix\x8c\6system\x93" + told + b"\x85R.",
        "INST": b"(S'touch " + mark.encode() + b"'\niposix\nsystem\n.",
        "OBJ": b"(" + system + told + b"o.",
        "NEWOBJ": b"\x80\2csubprocess\nPopen\n" + told + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\4\x8c\nsubprocess\x8c\5Popen\x93" + told + b"\x85}\x92.",
        "EXT": b"\x80\2\x82\1.",
        "eval": b"\x80\2" + evaluate + told + b"\x85R.",
        "getattr": b"\x80\2cbuiltins\ngetattr\n.",
        "a name with dots": b"\x80\4\x8c\5torch\x8c\x0fhub.load_string\x93.",
        "torch.load": b"\x80\2ctorch\nload\n.",
        "torch.hub": b"\x80\2ctorch.hub\nload\n.",
        "numpy": b"\x80\2cnumpy.core.multiarray\n_reconstruct\n.",
        "BUILD of a dictionary's attributes": b"\x80\2ccollections\nOrderedDict\n}X\1\0\0\0aK\1sb.",
        "BUILD of a name": b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n}b.",
        "BUILD of a storage": b"\x80\2(X\7\0\0\0storagectorch\nFloatStorage\nX\2\0\0\0s0X\3\0\0\0cpuK\2tQ}b.",
        "a call of a storage": b"\x80\2ctorch\nFloatStorage\n)R.",
        "a call of what was called": b"\x80\2ccollections\nOrderedDict\n)R)R.",
        "a call with a dictionary": b"\x80\2ccollections\nOrderedDict\n}R.",
        "hidden among weights": state_dict(tensor())[:-1] + b"X\1\0\0\0x" + system + told + b"\x85Rs.",
        "a key": b"\x80\2}" + system + told + b"\x85RK\1s.",
        "a parameter of nothing": state_dict(b"ctorch._utils\n_rebuild_parameter\nNK\1N\x87R"),
    }


@pytest.mark.parametrize("trick", programs(""))
@pytest.mark.parametrize("form", ["zip", "older"])
def test_nothing_is_run(tmp_path, trick, form):
    mark = tmp_path / "m"
    program = programs(str(mark))[trick]
    if form == "zip":
        refusal(tmp_path / "a.pth", program)
    else:
        older = (FILES / "net.older.pth").read_bytes()
        start = older.index(b"\x80\2", older.index(b"little_endian"))
        (tmp_path / "a.pth").write_bytes(older[:start] + program + older[start:])
        with pytest.raises(RequestError) as caught:
            read_weights(tmp_path / "a.pth")
        assert "\n" not in str(caught.value)
    assert not mark.exists()


IDENTITIES = {
    "no tuple": b"X\7\0\0\0storage",
    "empty": b")",
    "a number": b"K\1",
    "too short": b"X\7\0\0\0storageK\1\x86",
    "a module": b"(X\6\0\0\0moduleNX\1\0\0\0aX\1\0\0\0bNt",
    "no type": b"(X\7\0\0\0storageNX\2\0\0\0s0X\3\0\0\0cpuK\2t",
    "a type that is none": b"(X\7\0\0\0storageccollections\nOrderedDict\nX\2\0\0\0s0X\3\0\0\0cpuK\2t",
    "no key": b"(X\7\0\0\0storagectorch\nFloatStorage\nNX\3\0\0\0cpuK\2t",
    "a list as key": b"(X\7\0\0\0storagectorch\nFloatStorage\n]X\3\0\0\0cpuK\2t",
    "a missing key": b"(X\7\0\0\0storagectorch\nFloatStorage\nX\2\0\0\0s9X\3\0\0\0cpuK\2t",
    "a path as key": b"(X\7\0\0\0storagectorch\nFloatStorage\nX\x0b\0\0\0../data.pklX\3\0\0\0cpuK\2t",
    "a part of another": b"(X\7\0\0\0storagectorch\nFloatStorage\nX\2\0\0\0s0X\3\0\0\0cpuK\2X\1\0\0\0vK\0K\1\x87t",
    "no size": b"(X\7\0\0\0storagectorch\nFloatStorage\nX\2\0\0\0s0X\3\0\0\0cpuNt",
}
SIZES = {
    "a storage larger than its bytes": {"size": b"K\3"},
    "a storage smaller than its bytes": {"size": b"K\1"},
    "a storage of less than nothing": {"size": b"J\xfe\xff\xff\xff"},
    "a storage of another type": {"kind": b"ctorch\nDoubleStorage\n"},
    "a larger shape": {"shape": b"K\3\x85"},
    "a negative shape": {"shape": b"J\xff\xff\xff\xff\x85"},
    "a shape of no numbers": {"shape": b"N\x85"},
    "a shape of truth": {"shape": b"\x88\x85"},
    "no shape": {"shape": b"N"},
    "more strides than dimensions": {"strides": b"K\1K\1\x86"},
    "long strides": {"strides": b"K\2\x85"},
    "negative strides": {"strides": b"J\xff\xff\xff\xff\x85"},
    "an offset": {"offset": b"K\1"},
    "a negative offset": {"offset": b"J\xff\xff\xff\xff"},
    "no offset": {"offset": b"N"},
    "a huge offset": {"offset": b"\x8a\x08" + b"\xff" * 7 + b"\x7f"},
    "huge strides": {"strides": b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"},
    "a huge shape": {"shape": b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"},
    "one number many times": {"shape": b"J\0\0\0\x40\x85", "strides": b"K\0\x85"},
    "a shape that is empty and huge": {"shape": b"K\0" + 3 * (b"\x8a\x06" + b"\xff" * 5 + b"\x7f"), "strides": b")"},
}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_odd_storages_are_refused(tmp_path, identity):
    refusal(tmp_path / "a.pth", state_dict(tensor(identity=IDENTITIES[identity])))


@pytest.mark.parametrize("size", SIZES)
def test_nothing_outside_of_a_storage_is_read(tmp_path, size):
    refusal(tmp_path / "a.pth", state_dict(tensor(**SIZES[size])))


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"\x80\2K\1.", "no state dict"),
        (b"\x80\2].", "no state dict"),
        (state_dict(b"K\1"), "'w' in it is no tensor"),
        (state_dict(b"N", b"K\1"), "'1' in it is no tensor"),
        (state_dict(b"N", b")"), "a key that is neither a string nor a number"),
        (b"\x80\2}X\1\0\0\0ws.", "its pickle is damaged"),
        (b"\x80\2K\1K\1a.", "appends to what is no list"),
        (b"\x80\2](K\1u.", "its pickle is damaged"),
        (b"\x80\2](K\1K\1u.", "items of what is no dictionary"),
        (b"\x80\2ccollections\nOrderedDict\n]K\1a\x85R.", "a dictionary of no items"),
        (b".", "its pickle is damaged"),
        (b"\x80\2", "its pickle is cut off"),
        (b"\x80\2}h\5.", "its pickle is damaged"),
    ],
)
def test_what_is_no_state_dict(tmp_path, pickled, reason):
    assert reason in refusal(tmp_path / "a.pth", pickled)


def test_a_name_with_and_without_prefix(tmp_path):
    both = b"\x80\2}(X\1\0\0\0w" + tensor() + b"X\x08\0\0\0module.w" + tensor() + b"u."
    assert "has 'w' twice" in refusal(tmp_path / "a.pth", both)


def test_a_compressed_storage_is_refused_and_never_unpacked(tmp_path):
    zeros = state_dict(tensor(size=b"J\0\0\0\1"))
    message = refusal(tmp_path / "a.pth", zeros, compression=zipfile.ZIP_DEFLATED, s0=bytes(2**26))
    assert "compressed" in message
    assert (tmp_path / "a.pth").stat().st_size < 2**17


def test_a_name_twice_in_a_zip(tmp_path):
    made = torch_zip(state_dict(tensor()), s0=TWO, s1=TWO).replace(b"data/s1", b"data/s0")
    (tmp_path / "a.pth").write_bytes(made)
    with pytest.raises(RequestError, match="a name stands twice"):
        read_weights(tmp_path / "a.pth")


def test_strings_of_python_2(tmp_path):
    """As PyTorch of Python 2 wrote them, whose names are bytes."""
    older = tensor(identity=b"(U\7storagectorch\nFloatStorage\nT\2\0\0\0s0U\3cpuK\2t")
    assert_same(read(tmp_path / "a.pth", state_dict(older, b"U\1w")), {"w": np.array([1, 2], "float32")})


def test_items_of_python_2(tmp_path):
    """An ordered dictionary that is called with its items."""
    items = b"\x80\2ccollections\nOrderedDict\n](](X\1\0\0\0w" + tensor() + b"ee\x85R."
    assert_same(read(tmp_path / "a.pth", items), {"w": np.array([1, 2], "float32")})


@pytest.mark.parametrize("name", ["net.pth", "net.older.pth", "checkpoint.pth"])
def test_every_cut_is_refused(tmp_path, name):
    whole = (FILES / name).read_bytes()
    for length in itertools.chain(range(1, 200, 7), range(200, len(whole), 61), [len(whole) - 1]):
        (tmp_path / "a.pth").write_bytes(whole[:length])
        with pytest.raises(RequestError) as caught:
            read_weights(tmp_path / "a.pth")
        assert "\n" not in str(caught.value)
