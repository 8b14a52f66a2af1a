"""A disk that is full, whatever is being written: one line that names the file, nothing lost, nothing left behind."""

import contextlib
import errno
import os
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kills import result, rows
from moments import INTRODUCTION, before_call

from zoo.errors import RunError
from zoo.runs.checkpoints import Checkpoints
from zoo.training import recording
from zoo.training.engines.tensorflow import Engine
from zoo.training.writers import JsonLines


def the_error(capsys) -> str:
    """The line that says what went wrong; there is no other but those of progress."""
    *others, last = capsys.readouterr().err.splitlines()
    known = rf"{INTRODUCTION}|epoch |going on from|warning: \S+tensorboard cannot be written"
    assert all(re.match(known, line) for line in others)
    assert last.startswith("error: ")
    assert "and start the same command again, which goes on from the newest checkpoint" in last
    return last


def leftovers(workdir: Path) -> list[str]:
    return [path.name for path in workdir.rglob(".*.tmp*")]


def whole(workdir: Path) -> list[int]:
    """The steps of the checkpoints, all of which must be whole."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    for step in checkpoints.steps():
        checkpoints.load(step)
    return checkpoints.steps()


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, 2 MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leaves not a byte."""
    with open(disk / "ballast", "wb", buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(disk).f_bavail == 0


def test_full_while_a_checkpoint_is_written(start, uninterrupted, disk, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        before_call(patch, Checkpoints, "save", 3, lambda: fill(disk))
        assert start(disk / "run") == 1
    assert f"{disk}/run/checkpoints/step-00000018 cannot be written: No space left on device; make" in the_error(capsys)
    assert whole(disk / "run") == [6, 12]
    assert leftovers(disk / "run") == []
    # The same command on the disk that is still full ends as clearly.
    assert start(disk / "run") == 1
    assert "No space left on device" in the_error(capsys)
    (disk / "ballast").unlink()
    assert start(disk / "run") == 0
    assert "going on from the checkpoint of step 12" in capsys.readouterr().err
    assert result(disk / "run")["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert rows(disk / "run") == uninterrupted[1]


@pytest.mark.slow
def test_full_while_rows_are_written(start, disk, monkeypatch, capsys):
    # Enough rows that they outgrow what the file's last page has left.
    argv = ("--epochs=6", "--eval_every_epochs=6")
    assert start(disk / "whole", *argv) == 0
    expected = result(disk / "whole")["state_sha256"], rows(disk / "whole")
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 20, lambda: fill(disk))
        assert start(disk / "run", *argv, "--checkpoint_every_steps=1000") == 1
    assert f"{disk}/run/metrics.jsonl cannot be written: No space left on device" in the_error(capsys)
    (disk / "ballast").unlink()
    assert start(disk / "run", *argv, "--checkpoint_every_steps=1000") == 0
    assert (result(disk / "run")["state_sha256"], rows(disk / "run")) == expected


@pytest.mark.slow
def test_full_while_the_model_is_saved(start, uninterrupted, disk, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        # After the last checkpoint, since the answers are at hand then.
        before_call(patch, recording, "replacing", 1, lambda: fill(disk))
        assert start(disk / "run") == 1
    assert f"{disk}/run/model.keras cannot be written: No space left on device" in the_error(capsys)
    assert whole(disk / "run")[-1] == 22
    assert leftovers(disk / "run") == []
    (disk / "ballast").unlink()
    assert start(disk / "run") == 0
    assert result(disk / "run")["state_sha256"] == uninterrupted[0]["state_sha256"]


def test_full_from_the_start(start, disk, capsys):
    fill(disk)
    assert start(disk / "run") == 1
    assert f"{disk}/run/config.json cannot be written: No space left on device" in the_error(capsys)
    assert leftovers(disk / "run") == []


def test_a_file_that_may_not_be_as_large(start, uninterrupted, tmp_path, monkeypatch, capsys):
    """The same by the system's own limit, which needs no rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        before_call(patch, Checkpoints, "save", 2, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard)))
        try:
            status = start(tmp_path / "run")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "step-00000012 cannot be written: File too large; raise the limit of a file's size" in the_error(capsys)
    assert whole(tmp_path / "run") == [6]
    assert leftovers(tmp_path / "run") == []
    assert start(tmp_path / "run") == 0
    assert result(tmp_path / "run")["state_sha256"] == uninterrupted[0]["state_sha256"]


@pytest.mark.parametrize("number", range(1, 5))
def test_any_write_of_a_checkpoint_may_fail(tmp_path, monkeypatch, number):
    """Both files, their folder, and the folder that holds it are waited for; each of them may be what fails."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(1, {"a": np.arange(3)}, {"step": 1})

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        before_call(patch, os, "fsync", number, full)
        with pytest.raises(RunError, match=r"step-00000002 cannot be written: No space left on device"):
            checkpoints.save(2, {"a": np.arange(4)}, {"step": 2})
    assert leftovers(tmp_path) == []
    # By the last of them it stands where it belongs.
    assert whole(tmp_path) == ([1, 2] if number == 4 else [1])
    checkpoints.save(2, {"a": np.arange(5)}, {"step": 2})
    assert len(checkpoints.restore()[1]["a"]) == 5


def test_a_row_on_a_full_device():
    writer = JsonLines(Path("/dev/full"))
    with pytest.raises(RunError, match=r"/dev/full cannot be written: No space left on device"):
        writer.write({"step": 1})
    writer.close()
