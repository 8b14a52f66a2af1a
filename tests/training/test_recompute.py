"""Statistics of batch normalisation taken anew in whole runs: what that does, and that no interruption changes it."""

import dataclasses
import os
import signal

import pytest
from kills import rows
from moments import Killed, before_call, kill
from test_loop import CONFIG, signal_handled

from zoo.errors import Interrupted, RequestError
from zoo.training.engines.tensorflow import Engine
from zoo.training.engines.tensorflow.population import PopulationStatistics
from zoo.training.evaluation import evaluate
from zoo.training.experiment import Experiment
from zoo.training.loop import train_and_evaluate

# 11 steps an epoch, 22 in all.
SMALL = dataclasses.replace(CONFIG, schedule="constant", recompute_batch_norm=5, ema_decay=0.9)
# Deep, and its weights change fast; the statistics have a momentum of 0.99.
SHORT = dataclasses.replace(
    SMALL, model_args={"hidden_sizes": [64] * 8, "batch_norm": True}, augment="", ema_decay=0.0, learning_rate=0.1
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train_and_evaluate(SMALL, str(workdir), data_dir=data_dir)


def check_same(workdir, data_dir, finished):
    """The run in a folder goes on to the end of the one that nothing stopped, and its last checkpoint is that end."""
    whole, result = finished
    resumed = train_and_evaluate(SMALL, str(workdir), data_dir=data_dir)
    assert resumed["state_sha256"] == result["state_sha256"]
    assert resumed["metrics"] == result["metrics"]
    assert rows(workdir) == rows(whole)
    evaluated = evaluate(SMALL, str(workdir), data_dir=data_dir)["metrics"]
    assert evaluated == {name: value for name, value in result["metrics"].items() if name.startswith("test")}


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (Engine, "train_block", 3),
        pytest.param(PopulationStatistics, "recompute", 2, marks=pytest.mark.slow),
        pytest.param(PopulationStatistics, "recompute", 1, marks=pytest.mark.slow),
        pytest.param(Engine, "evaluate_block", 2, marks=pytest.mark.slow),
    ],
)
def test_killed_anywhere_it_ends_with_the_same_bits(finished, tmp_path, data_dir, monkeypatch, owner, name, number):
    with monkeypatch.context() as patch:
        before_call(patch, owner, name, number, kill)
        with pytest.raises(Killed):
            train_and_evaluate(SMALL, str(tmp_path / "run"), data_dir=data_dir)
    check_same(tmp_path / "run", data_dir, finished)


def step_by_step(blocks):
    """Blocks cut into such of one step, so that there are moments between them."""
    for block in blocks:
        for step in range(len(block["image"])):
            yield {name: value[step : step + 1] for name, value in block.items()}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["recompute", "evaluate_block"])
def test_a_signal_at_the_last_evaluation_is_made_up_for_in_the_checkpoint_too(
    finished, tmp_path, data_dir, monkeypatch, moment
):
    owner = PopulationStatistics if moment == "recompute" else Engine
    with monkeypatch.context() as patch, signal_handled(signal.SIGINT):
        blocks = Experiment.statistics_blocks
        patch.setattr(Experiment, "statistics_blocks", lambda experiment: step_by_step(blocks(experiment)))
        before_call(patch, owner, moment, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="stopped at step 22 of 22, which is saved"):
            train_and_evaluate(SMALL, str(tmp_path / "run"), data_dir=data_dir)
    check_same(tmp_path / "run", data_dir, finished)


@pytest.mark.slow
def test_an_early_stop_at_an_evaluation_that_was_made_up_for_is_in_the_checkpoint_too(tmp_path, data_dir, monkeypatch):
    # Nothing is better than the first evaluation, so that the run ends at the second one.
    stopping = dataclasses.replace(SMALL, early_stop_metric="accuracy", early_stop_patience=1, epochs=5)
    monkeypatch.setattr("zoo.training.progress.is_better", lambda metric, value, than: False)
    whole = train_and_evaluate(stopping, str(tmp_path / "whole"), data_dir=data_dir)
    assert (whole["steps"], whole["stopped_early"]) == (22, True)
    with monkeypatch.context() as patch, signal_handled(signal.SIGINT):
        before_call(patch, PopulationStatistics, "recompute", 2, lambda: os.kill(os.getpid(), signal.SIGINT))
        blocks = Experiment.statistics_blocks
        patch.setattr(Experiment, "statistics_blocks", lambda experiment: step_by_step(blocks(experiment)))
        with pytest.raises(Interrupted, match="stopped at step 22 of 55, which is saved"):
            train_and_evaluate(stopping, str(tmp_path / "run"), data_dir=data_dir)
    resumed = train_and_evaluate(stopping, str(tmp_path / "run"), data_dir=data_dir)
    assert resumed["state_sha256"] == whole["state_sha256"]
    evaluated = evaluate(stopping, str(tmp_path / "run"), data_dir=data_dir)["metrics"]
    assert evaluated == {name: value for name, value in whole["metrics"].items() if name.startswith("test")}


@pytest.mark.slow
def test_a_short_run_of_a_net_with_batch_norm_is_evaluated_as_it_was_trained(tmp_path, data_dir, capsys):
    """Moving statistics that have not settled make a net that has learned look as if it had not."""
    losses = {}
    for batches in (0, 11):
        config = dataclasses.replace(SHORT, recompute_batch_norm=batches)
        metrics = train_and_evaluate(config, str(tmp_path / str(batches)), data_dir=data_dir)["metrics"]
        losses[batches] = metrics["test/loss"]
        warned = "22 steps are too few for the moving statistics of batch normalisation" in capsys.readouterr().err
        assert warned == (batches == 0)
    assert losses[0] > metrics["train/loss"] + 1.0
    assert abs(losses[11] - metrics["train/loss"]) < 1.0


def test_a_net_without_batch_norm_is_not_warned_of_and_refused_where_it_is_asked_for(tmp_path, data_dir, capsys):
    short = dataclasses.replace(
        SMALL, model_args={"hidden_sizes": [16]}, recompute_batch_norm=0, train_split="train[:256]"
    )
    assert train_and_evaluate(short, str(tmp_path / "short"), data_dir=data_dir)["steps"] == 4
    assert "too few" not in capsys.readouterr().err
    config = dataclasses.replace(SMALL, model_args={"hidden_sizes": [16]})
    with pytest.raises(RequestError, match="recompute_batch_norm is 5; mlp has no batch normalisation, leave it out"):
        train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert not (tmp_path / "run").exists()
