"""What a run must not mind: a second one in its folder, a clock that is set, records that go missing."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from kills import ROOT, result, rows
from moments import RUN, Killed, before_call, kill

from zoo.training.engines.tensorflow import Engine


def test_a_second_run_is_refused_and_the_first_goes_on(start, uninterrupted, tmp_path, data_dir, monkeypatch):
    argv = [sys.executable, str(ROOT / "train.py"), f"--workdir={tmp_path}/run", f"--data_dir={data_dir}", *RUN]
    second = []

    def start_second():
        second.append(subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False))

    before_call(monkeypatch, Engine, "train_block", 9, start_second)
    assert start(tmp_path / "run") == 0
    (done,) = second
    assert (done.returncode, done.stdout) == (2, "")
    assert [line for line in done.stderr.splitlines() if not line.endswith(" ...")] == [
        f"error: another process is running in workdir {tmp_path}/run; wait for it, or name another folder"
    ]
    assert result(tmp_path / "run")["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert rows(tmp_path / "run") == uninterrupted[1]


@pytest.fixture
def killed(start, tmp_path, monkeypatch):
    """A run that was killed after its checkpoint of step 12."""
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 15, kill)
        with pytest.raises(Killed):
            start(tmp_path / "run")
    return tmp_path / "run"


def test_a_clock_that_is_set_back(start, uninterrupted, killed, monkeypatch):
    """To 1990; and the machine was started anew, so that its monotonic clock began again too."""
    before = json.loads((killed / "run.json").read_text())
    real_time, monotonic = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: real_time() % 1000 + 20 * 365.25 * 86400)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() - 10**6)
    assert start(killed) == 0
    ended = result(killed)
    assert ended["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert ended["wall_seconds"] > ended["train_seconds"] > 0
    assert ended["images_per_second"] > 0
    assert rows(killed) == uninterrupted[1]
    assert json.loads((killed / "run.json").read_text())["started"][0] == before["started"][0]


def test_records_that_are_gone_between_two_parts_of_a_run(start, uninterrupted, killed, capsys):
    (killed / "metrics.jsonl").unlink()
    shutil.rmtree(killed / "tensorboard")
    (killed / "tensorboard").write_text("in the way")
    assert start(killed) == 0
    assert f"warning: {killed}/tensorboard cannot be written: File exists; the run goes on" in capsys.readouterr().err
    assert result(killed)["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert result(killed)["metrics"] == uninterrupted[0]["metrics"]
    assert rows(killed) == [row for row in uninterrupted[1] if row["step"] > 12]


@pytest.mark.slow
def test_records_that_go_while_it_runs(start, uninterrupted, tmp_path, monkeypatch):
    def remove():
        (tmp_path / "run" / "metrics.jsonl").unlink()
        shutil.rmtree(tmp_path / "run" / "tensorboard")

    before_call(monkeypatch, Engine, "train_block", 9, remove)
    assert start(tmp_path / "run") == 0
    assert result(tmp_path / "run")["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert result(tmp_path / "run")["metrics"] == uninterrupted[0]["metrics"]


@pytest.mark.slow
def test_nothing_is_written_outside_workdir_and_data_dir(tmp_path):
    for name in ("home", "here", "temporary"):
        (tmp_path / name).mkdir()
    argv = [sys.executable, str(ROOT / "train.py"), "--workdir=../run", "--data_dir=../data", *RUN]
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(argv, cwd=tmp_path / "here", env=env, capture_output=True, timeout=120, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "here", "home", "run", "temporary"]
    assert not list((tmp_path / "here").iterdir())
    # Keras and matplotlib keep their settings and caches in hidden folders of the home folder, TFDS a temporary one.
    assert all(path.name in (".keras", ".cache", ".config") for path in (tmp_path / "home").iterdir())
    assert not [path for path in (tmp_path / "temporary").rglob("*") if path.is_file()]
