"""A run that is given more epochs goes on from its end; it is never made shorter."""

import json
import re
import shutil

import numpy as np
import pytest
from kills import result, rows
from moments import Killed, before_call, kill

from zoo.training.engines.tensorflow import Engine


@pytest.fixture(scope="module")
def finished(start, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    assert start(workdir, "--epochs=1") == 0
    return workdir


@pytest.fixture
def workdir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_it_ends_as_the_run_that_had_them_from_the_start(start, workdir, uninterrupted, capsys):
    before = result(workdir)
    assert start(workdir, "--epochs=2") == 0
    whole, whole_rows = uninterrupted
    assert result(workdir)["state_sha256"] == whole["state_sha256"] != before["state_sha256"]
    assert (result(workdir)["epochs"], result(workdir)["steps"]) == (2, 22)
    assert rows(workdir) == whole_rows
    (extended,) = json.loads((workdir / "run.json").read_text())["extended"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", extended.pop("at"))
    assert extended == {"from": 1, "to": 2, "step": 11, "result": before}
    errors = capsys.readouterr().err
    assert "going on from the checkpoint of step 11" in errors
    assert "the run had 1 epochs; its schedule is that of 2 from here on" in errors
    # The same command again has nothing left to do.
    assert start(workdir, "--epochs=2") == 0
    assert "is finished already" in capsys.readouterr().err


def test_the_schedule_is_that_of_the_new_end(start, tmp_path):
    workdir = tmp_path / "run"
    for epochs in (1, 2):
        assert start(workdir, "--schedule=cosine", f"--epochs={epochs}") == 0
    shown = [row["learning_rate"] for row in rows(workdir) if row["split"] == "train"]
    old = [0.0005 * (1 + np.cos(np.pi * step / 11)) for step in range(11)]
    new = [0.0005 * (1 + np.cos(np.pi * step / 22)) for step in range(11, 22)]
    np.testing.assert_allclose(shown, [*old, *new], rtol=1e-4, atol=1e-9)


def test_fewer_are_refused_and_nothing_is_touched(start, workdir, capsys):
    assert start(workdir, "--epochs=2") == 0
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert start(workdir, "--epochs=1") == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: epochs is 1; the run in")
    assert "has 2, and none can be taken away" in errors
    assert errors.count("\n") == 1
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_a_refusal_after_the_folder_was_opened_touches_nothing_either(start, workdir, capsys):
    """Whether the examples are those that the run began with is known only when they are there."""
    run = json.loads((workdir / "run.json").read_text())
    run["dataset"]["train_examples"] += 1
    (workdir / "run.json").write_text(json.dumps(run))
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    assert start(workdir, "--epochs=2") == 2
    assert "began with other examples of digits" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_without_its_last_checkpoint_it_cannot_go_on(start, workdir, capsys):
    shutil.rmtree(workdir / "checkpoints" / "step-00000011")
    assert start(workdir, "--epochs=2") == 2
    assert "cannot go on from its end, its checkpoint of step 11 is gone" in capsys.readouterr().err


def test_more_epochs_and_another_field_are_another_run(start, workdir, capsys):
    assert start(workdir, "--epochs=2", "--seed=1") == 2
    assert "another epochs (1 there, 2 here), seed (0 there, 1 here)" in capsys.readouterr().err


def test_one_that_was_killed_may_have_them_too(start, tmp_path, uninterrupted, monkeypatch):
    """Killed as soon as it is extended, it is neither finished nor as short as it was."""
    workdir = tmp_path / "run"
    for epochs, number in ((1, 9), (2, 1)):
        with monkeypatch.context() as patch:
            before_call(patch, Engine, "train_block", number, kill)
            with pytest.raises(Killed):
                start(workdir, f"--epochs={epochs}")
    assert start(workdir, "--epochs=1") == 2
    assert start(workdir, "--epochs=2") == 0
    assert result(workdir)["state_sha256"] == uninterrupted[0]["state_sha256"]
    (extended,) = json.loads((workdir / "run.json").read_text())["extended"]
    assert (extended["from"], extended["to"], extended["step"], extended["result"]) == (1, 2, 6, None)


@pytest.mark.slow
def test_a_finished_one_that_is_killed_before_its_new_end(start, workdir, uninterrupted, monkeypatch):
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 1, kill)
        with pytest.raises(Killed):
            start(workdir, "--epochs=2")
    assert not (workdir / "result.json").exists()
    assert start(workdir, "--epochs=2") == 0
    assert result(workdir)["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert len(json.loads((workdir / "run.json").read_text())["extended"]) == 1
