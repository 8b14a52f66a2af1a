"""Files are brought once, whole and as published, whatever the connection, the disk and the user do."""

import dataclasses
import io
import re
import signal
import sys
import threading
from pathlib import Path

import pytest
from loopback import CONTENT

from zoo import waiting
from zoo.errors import RequestError, RunError
from zoo.pretrained import transfer
from zoo.pretrained.catalog import find_entry
from zoo.pretrained.downloading import address, is_here, local_file, place


def part_of(entry) -> Path:
    return place(entry).with_name(f"{entry.file}.part")


def left_by(entry) -> set[str]:
    """What is in the cache's folder; a lock only where something went wrong."""
    return {path.name for path in place(entry).parent.iterdir()}


def refused(entry, kind=RequestError) -> str:
    """The one line by which a request for a file is refused."""
    with pytest.raises(kind) as caught:
        local_file(entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_brought_once(server, torch_entry, tmp_path, capsys):
    assert not is_here(torch_entry)
    path = local_file(torch_entry)
    assert path == tmp_path / "torch" / "hub" / "checkpoints" / torch_entry.file
    assert path.read_bytes() == CONTENT
    assert is_here(torch_entry)
    assert left_by(torch_entry) == {torch_entry.file}
    assert local_file(torch_entry) == path
    assert server.downloads == [None]
    assert capsys.readouterr() == ("", "")


def test_a_file_of_keras_is_held_to_its_whole_digest(server, keras_entry, tmp_path):
    path = local_file(keras_entry)
    assert path == tmp_path / "keras" / "models" / "net.h5"
    assert path.read_bytes() == CONTENT
    server.files["/resnet/net.h5"] = CONTENT[:-1] + b"?"
    path.unlink()
    assert "its digest is md5:" in refused(keras_entry)


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_connection_that_is_cut_is_made_again_and_goes_on(server, torch_entry, reset):
    server.cuts, server.reset = [1_000_000, 2_000_000], reset
    assert local_file(torch_entry).read_bytes() == CONTENT
    first, *others = server.downloads
    begins = [int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) for asked in others]
    assert first is None
    assert len(begins) == 2
    # A connection that dies may take with it what had not been read.
    assert begins <= [1_000_000, 2_000_000] if reset else begins == [1_000_000, 2_000_000]
    assert begins[0] < begins[1]


def test_the_next_call_goes_on_where_this_one_gave_up(server, torch_entry):
    server.cuts = [1_000_000] * (1 + transfer.ATTEMPTS)
    message = refused(torch_entry)
    host = server.url.removeprefix("http://")
    assert message == f"the connection to {host} was cut, 3 times, 1.0 MB are here and kept; try again later"
    assert part_of(torch_entry).read_bytes() == CONTENT[:1_000_000]
    assert not is_here(torch_entry)
    server.asked.clear()
    assert local_file(torch_entry).read_bytes() == CONTENT
    assert server.downloads == ["bytes=1000000-"]
    assert left_by(torch_entry) == {torch_entry.file}


def test_a_server_that_sends_no_parts_is_begun_anew(server, torch_entry):
    server.ranges, server.cuts = False, [1_000_000]
    assert local_file(torch_entry).read_bytes() == CONTENT
    assert server.downloads == [None, "bytes=1000000-"]


def test_a_server_that_tells_no_length(server, torch_entry):
    server.lengths = False
    assert local_file(torch_entry).read_bytes() == CONTENT


@pytest.mark.parametrize("begun", [CONTENT, b"?" * 1_000, CONTENT + b"?"], ids=["whole", "of another", "too long"])
def test_what_an_earlier_attempt_left_is_used_if_it_is_right(server, torch_entry, begun):
    part_of(torch_entry).parent.mkdir(parents=True)
    part_of(torch_entry).write_bytes(begun)
    assert local_file(torch_entry).read_bytes() == CONTENT
    assert server.downloads == [f"bytes={len(begun)}-"] + [None] * (begun != CONTENT)


def test_a_file_that_is_not_there(server, torch_entry):
    del server.files[f"/models/{torch_entry.file}"]
    assert refused(torch_entry) == (
        f"{torch_entry.url} is not to be had: the server says 404 Not Found; get the file in another way and put it at "
        f"{place(torch_entry)}"
    )
    assert len(server.asked) == 1
    assert left_by(torch_entry) <= {f".{torch_entry.file}.lock"}


def test_a_server_that_is_busy_is_asked_again(server, torch_entry):
    server.statuses = [503, 429]
    assert local_file(torch_entry).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_stays_busy(server, torch_entry):
    server.statuses = [503] * 9
    assert refused(torch_entry) == (
        f"{torch_entry.url} is not to be had: the server says 503 Service Unavailable, 3 times; try again later"
    )
    assert len(server.asked) == 3


def test_other_bytes_than_were_published_are_not_kept(server, torch_entry):
    server.files[f"/models/{torch_entry.file}"] = b"<html>Sign in to the network</html>"
    message = refused(torch_entry)
    assert message.startswith(f"{torch_entry.url} is not what was published: its digest is sha256:")
    assert f"not {torch_entry.digest};" in message
    assert left_by(torch_entry) <= {f".{torch_entry.file}.lock"}


def test_a_file_in_the_cache_that_is_another_is_left_alone(server, torch_entry):
    place(torch_entry).parent.mkdir(parents=True)
    place(torch_entry).write_bytes(b"of somebody")
    message = refused(torch_entry)
    assert message.startswith(f"{place(torch_entry)} is not what was published: its digest is sha256:")
    assert message.endswith("remove or rename it, and it is downloaded anew")
    assert place(torch_entry).read_bytes() == b"of somebody"
    assert server.asked == []


def test_without_a_network_it_is_said_which_file_goes_where(torch_entry, server):
    # Nobody listens on a port that was given back.
    server.go_away()
    message = refused(torch_entry)
    assert message.startswith(f"{server.url.removeprefix('http://')} cannot be reached (")
    assert message.endswith(
        f"get a network, or download {torch_entry.url} elsewhere and put it at {place(torch_entry)}"
    )


def test_a_disk_that_becomes_full(torch_entry):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        message = refused(torch_entry, RunError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert message == (
        f"{part_of(torch_entry)} cannot be written: File too large; make space on that disk and start the same command "
        "again, which goes on"
    )
    assert CONTENT.startswith(part_of(torch_entry).read_bytes())
    assert 1_000_000 < part_of(torch_entry).stat().st_size <= 2_000_000
    assert local_file(torch_entry).read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_not_filled(torch_entry, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2_000_000}))
    assert "needs 3.0 MB more, and the disk has 2.0 MB; make space on it" in refused(torch_entry, RunError)
    assert left_by(torch_entry) <= {f".{torch_entry.file}.lock"}


def test_a_folder_that_cannot_be_made(torch_entry, tmp_path):
    (tmp_path / "torch").write_text("a file")
    assert "; make it writable, or set TORCH_HOME to another folder" in refused(torch_entry)
    assert (tmp_path / "torch").read_text() == "a file"


def test_who_stops_it_goes_on_later(server, torch_entry, monkeypatch):
    whole = transfer._pieces

    def stopped(answer):
        had = 0
        for piece in whole(answer):
            yield piece
            had += len(piece)
            if had >= 1_000_000:
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_pieces", stopped)
        with pytest.raises(KeyboardInterrupt):
            local_file(torch_entry)
    had = part_of(torch_entry).stat().st_size
    assert 1_000_000 <= had < len(CONTENT)
    assert local_file(torch_entry).read_bytes() == CONTENT
    assert server.downloads == [None, f"bytes={had}-"]


def test_two_at_once_download_it_once(server, torch_entry, monkeypatch):
    """Another process is another holder of the lock, as a thread is."""
    server.gate, waits, said = threading.Event(), threading.Event(), waiting.said_if_slow
    found = []

    def heard(doing, *arguments, **options):
        if doing == f"another process downloads {torch_entry.file}; waiting for it":
            waits.set()
        return said(doing, *arguments, **options)

    monkeypatch.setattr(waiting, "said_if_slow", heard)
    threads = [threading.Thread(target=lambda: found.append(local_file(torch_entry))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waits.wait(60)
    server.gate.set()
    for thread in threads:
        thread.join(60)
    assert found == [place(torch_entry)] * 2
    assert place(torch_entry).read_bytes() == CONTENT
    assert server.downloads == [None]


def test_a_bar_on_a_terminal(torch_entry, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    local_file(torch_entry)
    assert torch_entry.file in terminal.getvalue()
    assert "3.00M" in terminal.getvalue()
    # It is gone in the end.
    assert terminal.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip() == ""


def test_a_line_where_there_is_no_terminal(server, torch_entry, monkeypatch, capfd):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    said, gate = threading.Event(), threading.Event()
    write = waiting._write

    def written(screen, text):
        write(screen, text)
        if text.startswith("downloading"):
            said.set()
            gate.set()

    monkeypatch.setattr(waiting, "_write", written)
    server.gate = gate
    local_file(torch_entry)
    assert said.is_set()
    assert f"downloading {torch_entry.file}, 3.0 MB ...\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "variables", "expected"),
    [
        ("torchvision/resnet18.IMAGENET1K_V1", {}, ".cache/torch/hub/checkpoints/resnet18-f37072fd.pth"),
        ("timm/legacy_xception.tf_in1k", {"XDG_CACHE_HOME": "x"}, "x/torch/hub/checkpoints/xception-43020ad28.pth"),
        ("timm/legacy_xception.tf_in1k", {"TORCH_HOME": "~/t"}, "t/hub/checkpoints/xception-43020ad28.pth"),
        ("keras/xception", {}, ".keras/models/xception_weights_tf_dim_ordering_tf_kernels.h5"),
        ("keras/xception", {"KERAS_HOME": "k"}, "k/models/xception_weights_tf_dim_ordering_tf_kernels.h5"),
        ("timm/vgg11.tv_in1k", {}, ".cache/huggingface/hub/models--timm--vgg11.tv_in1k"),
        ("timm/vgg11.tv_in1k", {"XDG_CACHE_HOME": "x"}, "x/huggingface/hub/models--timm--vgg11.tv_in1k"),
        ("timm/vgg11.tv_in1k", {"HF_HOME": "h"}, "h/hub/models--timm--vgg11.tv_in1k"),
        ("timm/vgg11.tv_in1k", {"HF_HUB_CACHE": "h", "HF_HOME": "x"}, "h/models--timm--vgg11.tv_in1k"),
    ],
)
def test_where_files_go(name, variables, expected, tmp_path, monkeypatch):
    for variable in ("TORCH_HOME", "KERAS_HOME", "HF_HOME"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable, folder in variables.items():
        monkeypatch.setenv(variable, folder if folder.startswith("~") else str(tmp_path / folder))
    assert place(find_entry(name)) == tmp_path / expected


def test_keras_takes_the_file_from_there(server, keras_entry, tmp_path):
    import keras

    path = local_file(keras_entry)
    server.asked.clear()
    found = keras.utils.get_file(
        keras_entry.file,
        keras_entry.url,
        cache_dir=tmp_path / "keras",
        cache_subdir="models",
        file_hash=keras_entry.digest.removeprefix("md5:"),
    )
    assert (Path(found), server.asked) == (path, [])


def test_addresses_are_a_browsers(monkeypatch):
    entry = find_entry("timm/vgg11.tv_in1k")
    assert address(entry) == "https://huggingface.co/timm/vgg11.tv_in1k/resolve/main/model.safetensors"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert address(entry) == "https://mirror.example/timm/vgg11.tv_in1k/resolve/main/model.safetensors"
    assert address(find_entry("keras/vgg16")).startswith("https://storage.googleapis.com/tensorflow/")
    assert address(dataclasses.replace(entry, url="https://example.org/net.pth")) == "https://example.org/net.pth"
