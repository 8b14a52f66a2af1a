"""What a path stands for: files of all kinds, folders of a hub, and what comes in their place."""

import builtins
import hashlib
import json
import os
import random
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from pretrained_files import FILES, NET, assert_same, safetensors, state_dict, tensor, torch_zip

from zoo.errors import RequestError
from zoo.pretrained.files import read_weights, sha256


def refusal(path) -> str:
    with pytest.raises(RequestError) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty; download it again"),
        (b"Not Found", "it begins as no file of weights does"),
        (b"x", "it begins as no file of weights does"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "it is a web page, not the file"),
        (b"\n  <html lang='en'>\n", "it is a web page, not the file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:11ad3fa6\nsize 102\n",
            "it is a Git LFS pointer, not the file",
        ),
        (b"\x80\x02}q\x00.", "it begins as no file of weights does"),
        (safetensors(b"{}"), "it holds no arrays"),
        (torch_zip(b"\x80\2}."), "it holds no arrays"),
    ],
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.h5"])
def test_what_is_no_file_of_weights(tmp_path, content, reason, name):
    (tmp_path / name).write_bytes(content)
    assert reason in refusal(tmp_path / name)


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("photo.jpg", b"")
    assert "it is a zip of something else" in refusal(tmp_path / "a.pth")


def test_an_hdf5_file_of_something_else(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["photo"] = np.zeros(3)
    assert "an HDF5 file of something else" in refusal(tmp_path / "a.h5")


def test_what_is_no_file(tmp_path):
    assert refusal(tmp_path / "a.pth") == f"there is no {tmp_path / 'a.pth'}"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert refusal(path) == f"{path} is no file"
        with pytest.raises(RequestError, match="is no file"):
            sha256(path)
    assert "is no path" in refusal("a\0b")
    assert "cannot be read: File name too long" in refusal("a" * 300)
    # A file in the place of a folder.
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be read: Not a directory" in refusal(tmp_path / "file" / "a.pth")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    path.write_bytes((FILES / "net.pth").read_bytes())
    path.chmod(0)
    if os.geteuid() == 0:
        # Whom no permission keeps from reading.
        def denied(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(builtins, "open", denied)
    assert refusal(path) == f"{path} cannot be read: Permission denied"


def test_the_name_of_a_file_says_nothing(tmp_path):
    for number, name in enumerate(("net.pth", "net.older.pth", "net.safetensors")):
        (tmp_path / f"blob{number}").write_bytes((FILES / name).read_bytes())
        assert_same(read_weights(tmp_path / f"blob{number}").arrays, NET)


def test_a_path_may_be_a_string():
    assert read_weights(str(FILES / "net.pth")).path == FILES / "net.pth"


def hub(folder: Path, *names: str, config: object = None) -> Path:
    for name in names:
        (folder / name).write_bytes((FILES / "net.safetensors").read_bytes())
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


CONFIG = {"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("model.safetensors",), "model.safetensors"),
        (("pytorch_model.bin",), "pytorch_model.bin"),
        (("pytorch_model.bin", "model.safetensors", "README.md", "other.pth"), "model.safetensors"),
        (("net.pth", "README.md"), "net.pth"),
        (("model.safetensors", "model.safetensors.index.json"), "model.safetensors"),
    ],
)
def test_a_folder_of_a_hub(tmp_path, names, chosen):
    read = read_weights(hub(tmp_path, *names, config=CONFIG))
    assert read.path == tmp_path / chosen
    assert read.config == CONFIG
    assert_same(read.arrays, NET)


def test_a_folder_as_a_hub_s_cache_has_it(tmp_path):
    """The files are links into a folder of blobs, beside that of the snapshot."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "blobs" / "11ad3fa6").write_bytes((FILES / "net.safetensors").read_bytes())
    (tmp_path / "snapshot" / "model.safetensors").symlink_to("../blobs/11ad3fa6")
    read = read_weights(tmp_path / "snapshot")
    assert read.path == tmp_path / "snapshot" / "model.safetensors"
    assert read.config == {}
    assert_same(read.arrays, NET)


def test_a_folder_without_one_file_of_weights(tmp_path):
    assert "there is no file of weights" in refusal(tmp_path)
    hub(tmp_path, "README.md")
    assert refusal(tmp_path).endswith("there is README.md")
    hub(tmp_path, "a.pth", "b.safetensors")
    assert refusal(tmp_path).endswith("give one of them: a.pth, b.safetensors")


def test_an_index_is_not_followed(tmp_path):
    """Whether it points out of the folder or not: the weights are not in one file."""
    (tmp_path / "secret.safetensors").write_bytes((FILES / "net.safetensors").read_bytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    weight_map = dict.fromkeys(NET, "../secret.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert "split over several files, see model.safetensors.index.json" in refusal(folder)


@pytest.mark.parametrize("config", ["", "[]", '{"a": NaN}', '{"a": ' * 100_000, '{"a": 1, "a": 2}', "\0"])
def test_a_config_that_is_none(tmp_path, config):
    hub(tmp_path, "model.safetensors")
    (tmp_path / "config.json").write_text(config)
    assert str(tmp_path / "config.json") in refusal(tmp_path)


def test_sha256(tmp_path):
    path = FILES / "net.pth"
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "empty").write_bytes(b"")
    assert sha256(str(tmp_path / "empty")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(RequestError, match="there is no"):
        sha256(tmp_path / "missing")


# What a damaged file may ask for: much, nothing, less than nothing.
WORDS = (
    b"\xff" * 8,
    b"\0" * 8,
    b"\xff\xff\xff\x7f" * 2,
    (2**31).to_bytes(8, "little"),
    (2**63 - 8).to_bytes(8, "little"),
)


def damaged(whole: bytes, seed: int) -> bytes:
    """Cut, with some bytes changed, with words written over it, or with a piece left out."""
    rng, data = random.Random(seed), bytearray(whole)
    kind = rng.randrange(4)
    if kind == 0:
        del data[rng.randrange(1, len(data)) :]
    elif kind == 1:
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(data) - 8)
            data[place : place + 8] = rng.choice(WORDS)
    else:
        first, last = sorted(rng.sample(range(len(data)), 2))
        del data[first:last]
    return bytes(data)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    names = ("net.pth", "net.older.pth", "checkpoint.pth", "protocol_4.pth", "net.safetensors", "types.safetensors")
    found = {name: (FILES / name).read_bytes() for name in names}
    net = keras.Sequential(
        [keras.Input((3, 3, 2)), keras.layers.Conv2D(4, 3, name="conv1"), keras.layers.BatchNormalization(name="bn1")]
    )
    net.save(folder / "a.keras")
    net.save_weights(folder / "a.weights.h5")
    net.save(folder / "a.h5")
    with h5py.File(folder / "latest.h5", "w", libver="latest") as file:
        file.attrs["layer_names"] = [f"layer{number}".encode() for number in range(60)]
        for number in range(60):
            group = file.create_group(f"layer{number}")
            group.attrs["weight_names"] = [b"kernel:0"]
            group["kernel:0"] = np.zeros(2, "f4")
    return found | {path.name: path.read_bytes() for path in folder.iterdir()}


def fuzz(folder: Path, whole_files: dict[str, bytes], seeds: range) -> None:
    path = folder / "damaged"
    for name, whole in whole_files.items():
        counts = {"read": 0, "refused": 0}
        for seed in seeds:
            path.write_bytes(damaged(whole, seed))
            try:
                arrays = read_weights(path).arrays
                with warnings.catch_warnings():
                    # Of changed bits NumPy says that they are no numbers.
                    warnings.simplefilter("ignore", RuntimeWarning)
                    for array in arrays.values():
                        array.sum()
                counts["read"] += 1
            except RequestError as error:
                counts["refused" if "\n" not in str(error) else f"{seed} in several lines"] += 1
            except Exception as error:
                raise AssertionError(f"{name} with the seed {seed} raises {error!r}") from error
        assert min(counts.values()) > 0, (name, counts)


def test_damaged_files_are_read_or_refused(tmp_path, whole_files):
    fuzz(tmp_path, whole_files, range(40))


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused(tmp_path, whole_files):
    fuzz(tmp_path, whole_files, range(40, 5000))


def bombs() -> dict[str, bytes]:
    """Small files, or such of some megabytes, that would take gigabytes."""
    header = b'{"w": [' + b"[]," * 2_500_000 + b"[]]}"
    pairs = b"](" + b"]K\1aK\1a" * 50_000 + b"e"
    return {
        "a string of 2 GB": torch_zip(b"\x80\3\x8e" + (2**31).to_bytes(8, "little") + b"x"),
        "a text of 2 GB": torch_zip(b"\x80\2X\xff\xff\xff\x7fx"),
        "a place for 2**32 objects": torch_zip(b"\x80\2}r\xff\xff\xff\xff."),
        "a million dictionaries": torch_zip(b"\x80\2" + b"}" * 1_000_000),
        "a million marks": torch_zip(b"\x80\2" + b"(" * 1_000_000),
        "one list in many dictionaries": torch_zip(
            b"\x80\2ccollections\nOrderedDict\nq\0" + pairs + b"q\1" + b"h\0h\1\x85R" * 100_000 + b"."
        ),
        "tuples of tuples": torch_zip(b"\x80\2)" + b"q\0h\0\x86" * 150_000 + b"."),
        "a key of tuples of tuples": torch_zip(b"\x80\2})" + b"q\0h\0\x86" * 60 + b"K\1s."),
        "one number a billion times": torch_zip(
            state_dict(tensor(shape=b"J\0\0\0\x40\x85", strides=b"K\0\x85")), s0=b"\0" * 8
        ),
        "a packed storage": torch_zip(
            state_dict(tensor(size=b"J\0\0\0\1")), s0=bytes(2**26), compression=zipfile.ZIP_DEFLATED
        ),
        "a directory of many members": many_members(200_000),
        "a header of lists": safetensors(header),
        "a header of more": safetensors(b'{"w": [' + b"[]," * 6_000_000 + b"[]]}"),
        "a header of 2**63": safetensors(b"{}", length=2**63),
    }


def many_members(count: int) -> bytes:
    entry = b"PK\1\2" + bytes(24) + b"\1\0" + bytes(16) + b"x"
    size = (len(entry) * count).to_bytes(4, "little")
    return b"PK\3\4" + entry * count + b"PK\5\6" + bytes(4) + b"\xff\xff" * 2 + size + b"\4\0\0\0" + b"\0\0"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured as Linux tells it")
def test_no_file_takes_half_a_gigabyte(tmp_path):
    for number, content in enumerate(bombs().values()):
        (tmp_path / f"{number}").write_bytes(content)
    for name, options in {"chunks": {"chunks": (2**20,), "compression": "gzip"}, "none": {}}.items():
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["layer_names"] = [b"a"]
            file.create_group("a").attrs["weight_names"] = [b"kernel:0"]
            file["a"].create_dataset("kernel:0", (2**40,), "f4", **options)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from zoo.errors import RequestError\n"
        "from zoo.pretrained.files import read_weights\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_weights(path)\n"
        "    except RequestError as error: assert '\\n' not in str(error)\n"
        "    else: sys.exit(f'{path} was read')\n"
        # Unlike `ru_maxrss`, this one does not begin with what the process had that started this one.
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    paths = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 500_000, f"{done.stdout} kB"
