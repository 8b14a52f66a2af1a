"""The mark of the best checkpoint is that of the checkpoint a run goes on from, wherever the part before it ended."""

import shutil

import pytest
from kills import result
from moments import Killed, before_call, kill

from zoo.runs.checkpoints import Checkpoints
from zoo.training.engines.tensorflow import Engine

# Its accuracy rises from epoch to epoch: the checkpoints of steps 11 and 22 are the best when they are written.
BEST = ("--epochs=3", "--keep_best=accuracy", "--log_every_steps=11")


def stopped_before(start, workdir, owner, name, number) -> Checkpoints:
    with pytest.MonkeyPatch.context() as patch:
        before_call(patch, owner, name, number, kill)
        with pytest.raises(Killed):
            start(workdir, *BEST)
    return Checkpoints(workdir / "checkpoints")


@pytest.fixture(scope="module")
def unmarked(start, tmp_path_factory):
    """A run that was killed between the checkpoint of step 22 and its mark."""
    workdir = tmp_path_factory.mktemp("unmarked") / "run"
    checkpoints = stopped_before(start, workdir, Checkpoints, "mark_best", 2)
    assert (checkpoints.steps()[-1], checkpoints.best()) == (22, 11)
    return workdir


@pytest.fixture
def workdir(unmarked, tmp_path):
    return shutil.copytree(unmarked, tmp_path / "run")


def test_killed_between_a_checkpoint_and_its_mark(start, workdir):
    assert stopped_before(start, workdir, Engine, "train_block", 1).best() == 22


@pytest.mark.slow
def test_it_is_kept_though_others_come_after_it(start, workdir, tmp_path):
    for folder in (workdir, tmp_path / "whole"):
        assert start(folder, *BEST) == 0
        best = Checkpoints(folder / "checkpoints").best()
        assert best == result(folder)["best"]["accuracy"]["step"]
        Checkpoints(folder / "checkpoints").load(best)
    assert result(workdir)["best"] == result(tmp_path / "whole")["best"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_goes_back_beyond_what_was_marked(start, workdir, kept):
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.mark_best(22)
    (workdir / "checkpoints" / "step-00000022" / "state.npz").unlink()
    if not kept:
        shutil.rmtree(workdir / "checkpoints" / "step-00000011")
    stopped_before(start, workdir, Engine, "train_block", 1)
    assert checkpoints.best() == (11 if kept else None)
