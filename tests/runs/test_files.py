import errno
import os
import resource
import signal

import pytest

from zoo.errors import RunError
from zoo.runs import files
from zoo.runs.files import remove_leftovers, replacing, write_atomically, writing


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path):
    file = tmp_path / "result.json"
    for content in (b"before", b"after"):
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "result.json"
    file.write_text("before")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"result\.json cannot be written: No space left on device; make space on that"):
        write_atomically(file, b"after")
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_file_that_may_not_be_as_large_names_the_limit(tmp_path):
    """The system's own refusal. Python has the signal that goes with it ignored."""
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Of this whole process, so nothing else may be written until it is lifted.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RunError) as raised:
            write_atomically(tmp_path / "model.keras", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{tmp_path}/model.keras cannot be written: File too large; raise the limit" in str(raised.value)
    assert os.listdir(tmp_path) == []


def interrupted_while_writing(path):
    with replacing(path) as temporary:
        assert temporary.suffix == path.suffix
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_the_file_beside_keeps_the_ending_and_goes_when_interrupted(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted_while_writing(tmp_path / "model.keras")
    assert os.listdir(tmp_path) == []


def test_other_errors_are_left_alone():
    with pytest.raises(ZeroDivisionError), writing("file"):
        print(1 / 0)


def test_leftovers_go_and_the_rest_stays(tmp_path):
    (tmp_path / ".12.tmp").mkdir()
    (tmp_path / ".12.tmp" / "state.npz").write_text("")
    for name in (".model.12.tmp.keras", ".result.12.tmp.json", "result.json", ".lock"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", "result.json"]
    remove_leftovers(tmp_path / "nowhere")


def test_where_folders_cannot_be_opened_files_are_synced_all_the_same(tmp_path, monkeypatch):
    """As on Windows, which opens no folder, and flushes a file only for who may write to it."""
    opened, own = [], os.open

    def windows_open(path, flags, *mode):
        assert not os.path.isdir(path)
        opened.append(flags & os.O_RDWR)
        return own(path, flags, *mode)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(files.os, "open", windows_open)
    (tmp_path / "new").write_bytes(b"1")
    files.sync(tmp_path / "new")
    files.sync(tmp_path)
    assert opened == [os.O_RDWR]
