"""A run that trains its classifier alone at first, and all after that: wherever it is killed, it ends with its bits."""

import json

import numpy as np
import pytest
from kills import Job, Kill, difference, run
from moments import Killed, before_call, kill

import zoo
from zoo.runs.checkpoints import Checkpoints
from zoo.training.engines.tensorflow import Engine

# 11 steps an epoch, 33 in all: the switch comes at step 11, evaluations at 22 and 33. Everything that goes by the
# number of updates, or by which variables are trained, is on; with float16 updates are counted apart from steps.
FLAGS = (
    *("--freeze=trunk", "--unfreeze_epoch=1", "--epochs=3", "--eval_every_epochs=2", "--layer_decay=0.5"),
    *("--optimizer=adamw", "--weight_decay=0.01", "--ema_decay=0.9", "--recompute_batch_norm=3", "--schedule=cosine"),
    *("--precision=float16", "--learning_rate=0.01", "--keep_checkpoints=9"),
)


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    assert start(workdir, *FLAGS) == 0
    return workdir


def test_in_the_end_all_is_trained_and_the_saved_model_can_be_trained_float16(whole):
    model = zoo.load_model(str(whole / "model.keras"))
    assert all(layer.trainable for layer in model.layers)
    # 64 x 16 and 2 x 16 for the hidden layer, 17 x 10 for the classifier.
    run = json.loads((whole / "run.json").read_text())
    assert (run["parameters"], run["trained_parameters"]) == (1_226, 170)
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == 1_226
    first, second = (Checkpoints(whole / "checkpoints").load(step)[0] for step in (6, 33))
    moved = [name for name, value in first.items() if (value != second[name]).any()]
    assert all(any(name.endswith(variable.path) for name in moved) for variable in model.weights)


def start_and_kill(start, workdir, flags, monkeypatch, method, number):
    """A run that dies before its engine is called so for that time."""
    with monkeypatch.context() as patch:
        before_call(patch, Engine, method, number, kill)
        with pytest.raises(Killed):
            start(workdir, *flags)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "number", "method"),
    [
        pytest.param(6, 9, "train_block", id="before the switch"),
        pytest.param(11, 12, "train_block", id="at the switch"),
        pytest.param(6, 15, "train_block", id="after the switch"),
        pytest.param(22, 1, "evaluate_block", id="while evaluating"),
    ],
)
def test_killed_and_started_again_float16(start, whole, tmp_path, monkeypatch, every, number, method):
    flags = (*FLAGS, f"--checkpoint_every_steps={every}")
    start_and_kill(start, tmp_path / "run", flags, monkeypatch, method, number)
    assert start(tmp_path / "run", *flags) == 0
    assert difference(tmp_path / "run", whole) == ""


@pytest.mark.slow
def test_stopped_at_every_step_of_the_switch_float16(start, whole, tmp_path, monkeypatch):
    """In one run: killed in the block before the switch, in the one after, and while it evaluates at the end."""
    flags = (*FLAGS, "--checkpoint_every_steps=1")
    for method, number in (("train_block", 11), ("train_block", 2), ("evaluate_block", 1), ("evaluate_block", 2)):
        start_and_kill(start, tmp_path / "run", flags, monkeypatch, method, number)
    assert start(tmp_path / "run", *flags) == 0
    assert difference(tmp_path / "run", whole) == ""


@pytest.mark.slow
def test_killed_by_the_system(tmp_path, data_dir):
    flags = ("--optimizer=adam", "--freeze=conv*", "--unfreeze_epoch=2", "--layer_decay=0.7", "--eval_every_epochs=3")
    Job(tmp_path / "whole", data_dir, flags=flags).finish()
    kills = [Kill("training", step=step) for step in (84, 88, 92)]
    done, wrong = run(kills, Job(tmp_path / "run", data_dir, flags=flags), tmp_path / "whole")
    assert (len(done), wrong) == (3, "")
