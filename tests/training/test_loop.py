"""Whole runs: what they leave behind, and that a run which was stopped ends as one that was not."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from kills import rows
from moments import INTRODUCTION, Killed, before_call, kill
from tensorflow.python.autograph.impl import api as autograph

import zoo
from zoo.config import ExperimentConfig
from zoo.data import pipeline
from zoo.data.sources import load_source
from zoo.errors import Interrupted, RequestError, RunError
from zoo.runs import provenance
from zoo.runs.checkpoints import Checkpoints
from zoo.training.engines.tensorflow import Engine
from zoo.training.engines.tensorflow.gradients import Gradients
from zoo.training.evaluation import evaluate
from zoo.training.experiment import Experiment, make_experiment
from zoo.training.loop import train_and_evaluate
from zoo.training.progress import is_better
from zoo.training.recording import Recorder
from zoo.training.signals import deferred_signals

# 11 steps an epoch, 22 in all; blocks of 6 and 5 steps; checkpoints at 6, 11 or 12, 17, 22.
CONFIG = ExperimentConfig(
    model="mlp",
    model_args={"hidden_sizes": [16], "dropout": 0.2, "batch_norm": True},
    augment="pad_crop:1",
    batch_size=128,
    epochs=2,
    schedule="cosine",
    checkpoint_every_steps=6,
    log_every_steps=6,
    jit="off",  # compiles faster; that XLA changes nothing is the engine's test
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train_and_evaluate(CONFIG, str(workdir), data_dir=data_dir)


def test_a_run_rewrites_no_function(finished, splits_read_anew, data_dir, tmp_path, monkeypatch):
    # AutoGraph's first use takes seconds, and each function that it rewrites some more. The data are prepared already.
    rewritten = []
    convert = autograph._convert_actual
    monkeypatch.setattr(autograph, "_convert_actual", lambda f, *rest: rewritten.append(f) or convert(f, *rest))
    accumulating = dataclasses.replace(CONFIG, epochs=1, accumulate_steps=2, ema_decay=0.9)
    train_and_evaluate(accumulating, str(tmp_path / "run"), data_dir=data_dir)
    assert not rewritten


def test_what_a_run_leaves_behind(finished, data_dir):
    workdir, result = finished
    assert sorted(os.listdir(workdir)) == [
        ".lock",
        "checkpoints",
        "config.json",
        "confusion_label.csv",
        "evaluation.npz",
        "metrics.jsonl",
        "model.keras",
        "result.json",
        "run.json",
        "tensorboard",
    ]
    assert json.loads((workdir / "result.json").read_text()) == result
    assert json.loads((workdir / "config.json").read_text()) == dataclasses.asdict(CONFIG)
    assert (result["steps"], result["epochs"], result["seed"]) == (22, 2, 0)
    evaluated = {"test/loss", "test/accuracy", "test/top5_accuracy", "test/calibration_error"}
    assert set(result["metrics"]) == {"train/loss", "train/accuracy", *evaluated}
    assert len(result["state_sha256"]) == 64
    assert [(row["step"], row["split"]) for row in rows(workdir)] == [
        (6, "train"),
        (11, "train"),
        (11, "test"),
        (17, "train"),
        (22, "train"),
        (22, "test"),
    ]
    assert rows(workdir)[-1]["accuracy"] == result["metrics"]["test/accuracy"]
    assert rows(workdir)[-1]["epoch"] == 2
    # The rate is that of the step that was taken.
    expected = [0.001 * 0.5 * (1 + np.cos(np.pi * (step - 1) / 22)) for step in (6, 11, 17, 22)]
    shown = [row["learning_rate"] for row in rows(workdir) if row["split"] == "train"]
    np.testing.assert_allclose(shown, expected, rtol=1e-5)
    run = json.loads((workdir / "run.json").read_text())
    assert run["dataset"]["class_names"] == {"label": [str(digit) for digit in range(10)]}
    assert run["dataset"]["train_sha256"] == load_source("digits", "train", data_dir).fingerprint
    assert run["versions"]["zoo"] == zoo.__version__
    assert len(run["started"]) == 1
    assert run["started"][0] <= run["ended"]


def test_the_answers_to_the_evaluation_split_are_left_behind(finished, data_dir):
    workdir, result = finished
    labels = load_source("digits", "test", data_dir).column("label")
    with np.load(workdir / "evaluation.npz", allow_pickle=False) as answers:
        np.testing.assert_array_equal(answers["label"], labels)
        np.testing.assert_array_equal(answers["example"], np.arange(360))
        right = answers["predicted"] == labels
        assert right.mean() == pytest.approx(result["metrics"]["test/accuracy"])
    head, *table = [line.split(",") for line in (workdir / "confusion_label.csv").read_text().splitlines()]
    assert head == ["true \\ predicted", *map(str, range(10))]
    counts = np.array([row[1:] for row in table], int)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(labels))
    assert np.trace(counts) == right.sum()


def test_the_workdir_alone_suffices_to_use_the_model(finished, data_dir):
    workdir, result = finished
    model = zoo.load_model(str(workdir / "model.keras"))
    run = json.loads((workdir / "run.json").read_text())
    test = load_source("digits", "test", data_dir)
    preprocessing = run["preprocessing"]
    images = (test.arrays["image"].astype("float32") - preprocessing["mean"]) / preprocessing["deviation"]
    hits = np.argmax(model.predict(images, verbose=0), -1) == test.arrays["label"]
    assert hits.mean() == pytest.approx(result["metrics"]["test/accuracy"])


def test_a_finished_run_is_not_run_again(finished, monkeypatch):
    workdir, result = finished
    monkeypatch.setattr("zoo.training.loop.make_experiment", kill)
    assert train_and_evaluate(CONFIG, str(workdir)) == result


def test_the_same_run_twice_is_the_same_and_another_seed_is_not(finished, tmp_path, data_dir):
    workdir, result = finished
    again = train_and_evaluate(CONFIG, str(tmp_path / "again"), data_dir=data_dir)
    assert again["state_sha256"] == result["state_sha256"]
    assert rows(tmp_path / "again") == rows(workdir)
    other = dataclasses.replace(CONFIG, seed=1)
    result_of_other = train_and_evaluate(other, str(tmp_path / "other"), data_dir=data_dir)
    assert result_of_other["state_sha256"] != result["state_sha256"]


@pytest.mark.parametrize("block", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))])
def test_killed_anywhere_and_started_again_it_ends_the_same(finished, tmp_path, data_dir, monkeypatch, block):
    workdir, result = finished
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", block, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    resumed = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert resumed["state_sha256"] == result["state_sha256"]
    assert resumed["metrics"] == result["metrics"]
    assert rows(tmp_path / "run") == rows(workdir)
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["started"]) == 2


def test_progress_of_another_version_is_one_line(finished, tmp_path, monkeypatch):
    workdir, _ = finished
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    load = Checkpoints.load

    def of_another_version(self, step):
        state, progress = load(self, step)
        return state, {**progress, "tomorrow": 1}

    monkeypatch.setattr(Checkpoints, "load", of_another_version)
    with pytest.raises(RequestError, match="does not fit: another version of zoo wrote its progress, with 'tomorrow'"):
        train_and_evaluate(CONFIG, str(tmp_path / "run"))


def test_killed_after_the_last_step_it_still_has_its_metrics(finished, tmp_path, data_dir, monkeypatch):
    _, result = finished
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.recording.state_sha256", lambda state: kill())
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    resumed = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert resumed["state_sha256"] == result["state_sha256"]
    assert resumed["metrics"] == result["metrics"]


@contextlib.contextmanager
def signal_handled(number):
    """A shell that runs the tests in the background has SIGINT ignored; in here it is not."""
    outside = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, outside)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_same_call_goes_on(finished, tmp_path, data_dir, monkeypatch, number, status):
    _, result = finished
    with monkeypatch.context() as patch, signal_handled(number):
        before_call(patch, Engine, "train_block", 2, lambda: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted, match="stopped at step 11 of 22, which is saved") as stopped:
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
        assert signal.getsignal(number) is signal.default_int_handler
    assert stopped.value.exit_status == status
    resumed = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert resumed["state_sha256"] == result["state_sha256"]


def noting(calls, function):
    return lambda *given: calls.append(given) or function(*given)


@pytest.mark.parametrize(
    "when", ["before", *(pytest.param(when, marks=pytest.mark.slow) for when in ("within", "at the end, twice"))]
)
def test_a_signal_does_not_wait_for_an_evaluation(finished, tmp_path, data_dir, monkeypatch, when):
    """The evaluation is made up for, so that rows, metrics and bits are those of a run that was not stopped."""
    workdir, result = finished
    config = dataclasses.replace(CONFIG, ema_decay=0.9, keep_best="accuracy") if when == "within" else CONFIG
    if when == "within":
        workdir = tmp_path / "whole"
        result = train_and_evaluate(config, str(workdir), data_dir=data_dir)
    # Three blocks of one batch each.
    monkeypatch.setattr(pipeline, "MAX_JOINED_SIZE", 1)
    monkeypatch.setattr(pipeline, "evaluation_plan", lambda batches, batch_size: pipeline.BlockPlan.of(3, 3, 1))
    name, moments, step, evaluated = {
        "before": ("train_block", [2], 11, 0),
        "within": ("evaluate_block", [2], 11, 2),
        "at the end, twice": ("evaluate_block", [4, 1], 22, 1),
    }[when]
    for number in moments:
        calls = []
        with monkeypatch.context() as patch, signal_handled(signal.SIGINT):
            patch.setattr(Engine, "evaluate_block", noting(calls, Engine.evaluate_block))
            before_call(patch, Engine, name, number, lambda: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(Interrupted, match=f"stopped at step {step} of 22, which is saved"):
                train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert len(calls) == evaluated
    resumed = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    for key in ("state_sha256", "metrics", "best"):
        assert resumed[key] == result[key], key
    assert rows(tmp_path / "run") == rows(workdir)


@pytest.mark.slow
def test_killed_after_an_evaluation_was_made_up_for_its_row_stands_once(finished, tmp_path, data_dir, monkeypatch):
    workdir, result = finished
    with monkeypatch.context() as patch, signal_handled(signal.SIGINT):
        before_call(patch, Engine, "train_block", 2, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 1, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert rows(tmp_path / "run")[-1]["split"] == "test"
    assert train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)["metrics"] == result["metrics"]
    assert rows(tmp_path / "run") == rows(workdir)


def test_a_signal_that_is_ignored_stays_ignored():
    with signal_handled(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with deferred_signals() as received:
            os.kill(os.getpid(), signal.SIGINT)
        assert received == []
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_going_on_elsewhere_is_refused_or_said(tmp_path, data_dir, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 3, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    file = tmp_path / "run" / "run.json"
    run = json.loads(file.read_text())
    file.write_text(json.dumps({**run, "dataset": {**run["dataset"], "train_sha256": "another"}}))
    with pytest.raises(ValueError, match="began with other examples of digits; name the --data_dir it began with"):
        train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    file.write_text(json.dumps({**run, "replicas": 8}))
    train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert "the run began with other replicas (see run.json): it is no longer exactly" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named_and_passed_over(finished, tmp_path, data_dir, monkeypatch, capsys):
    _, result = finished
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 4, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    (tmp_path / "run/checkpoints/step-00000017/state.npz").write_bytes(b"")
    resumed = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert "step-00000017 is damaged" in capsys.readouterr().err
    assert resumed["state_sha256"] == result["state_sha256"]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, data_dir, monkeypatch):
    train_block, count = Engine.train_block, iter(range(1, 1000))

    def poisoned(self, block):
        if next(count) == 3:
            kernel = self._model.trainable_variables[0]
            kernel.assign(kernel * float("nan"))
        return train_block(self, block)

    monkeypatch.setattr(Engine, "train_block", poisoned)
    with pytest.raises(RunError, match="the loss became nan at step 12; the last good state is that of step 6 in"):
        train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-00000006"]


def test_weights_that_are_no_numbers_are_not_saved(tmp_path, data_dir, monkeypatch):
    """The loss of a step is taken before its update, so a bad update shows in the weights first."""
    train_block, count = Engine.train_block, iter(range(1, 1000))

    def poisoned(self, block):
        metrics = train_block(self, block)
        if next(count) == 3:
            kernel = self._model.trainable_variables[0]
            kernel.assign(kernel * float("inf"))
        return metrics

    monkeypatch.setattr(Engine, "train_block", poisoned)
    with pytest.raises(
        RunError, match="kernel stopped being finite by step 18; the last good state is that of step 12"
    ):
        train_and_evaluate(dataclasses.replace(CONFIG, eval_every_epochs=2), str(tmp_path / "run"), data_dir=data_dir)


def test_evaluate_takes_the_newest_checkpoint_or_the_one_asked_for(finished, data_dir):
    workdir, result = finished
    before = sorted(path for path in workdir.rglob("*"))
    newest = evaluate(CONFIG, str(workdir), data_dir=data_dir)
    assert newest["step"] == 22
    assert newest["metrics"]["test/accuracy"] == pytest.approx(result["metrics"]["test/accuracy"])
    older = evaluate(CONFIG, str(workdir), step=17, data_dir=data_dir)
    assert older["step"] == 17
    other_split = dataclasses.replace(CONFIG, eval_split="train[:100]", batch_size=64)
    assert set(evaluate(other_split, str(workdir), data_dir=data_dir)["metrics"]) == {
        f"train[:100]/{name}" for name in ("loss", "accuracy", "top5_accuracy", "calibration_error")
    }
    assert sorted(path for path in workdir.rglob("*")) == before
    with pytest.raises(ValueError, match=r"there is no checkpoint of step 3 in .*; there is .*17, 22"):
        evaluate(CONFIG, str(workdir), step=3, data_dir=data_dir)
    with pytest.raises(ValueError, match="does not fit"):
        evaluate(
            dataclasses.replace(CONFIG, model="lenet5", model_args={}, image_size=32), str(workdir), data_dir=data_dir
        )


def test_waiting_for_input_counts_and_bookkeeping_does_not(tmp_path, data_dir, monkeypatch):
    """By a clock that stands still but where input is waited for, a block is taken, or something is kept of it."""
    seconds = [0.0]

    def passing(owner, name, number):
        function = getattr(owner, name)

        def slow(*given):
            seconds[0] += number
            return function(*given)

        monkeypatch.setattr(owner, name, slow)

    def waited_for(blocks):
        for block in blocks:
            seconds[0] += 10
            yield block

    training_blocks = Experiment.training_blocks
    monkeypatch.setattr(Experiment, "training_blocks", lambda *a: waited_for(training_blocks(*a)))
    passing(Engine, "train_block", 1)
    passing(Engine, "evaluate_block", 100)
    passing(Checkpoints, "save", 100)
    monkeypatch.setattr(time, "perf_counter", lambda: seconds[0])
    result = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    assert result["train_seconds"] == 44
    # The first blocks of 6 and of 5 steps were compiled.
    assert result["images_per_second"] == 128 / 2
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    rates = [row["images_per_second"] for row in lines if row["split"] == "train"]
    assert rates == [6 * 128 / 11, 5 * 128 / 11] * 2


def test_evaluation_every_few_epochs_and_always_at_the_end(tmp_path, data_dir):
    config = dataclasses.replace(CONFIG, epochs=3, eval_every_epochs=2, log_every_steps=1000)
    train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert [row["step"] for row in rows(tmp_path / "run") if row["split"] == "test"] == [22, 33]


@pytest.mark.parametrize(
    ("name", "value", "warned"), [("system", "another kernel", False), ("model", -1, True), ("onednn", None, True)]
)
def test_going_on_with_another_kind_of_machine_is_told_and_recorded(
    tmp_path, data_dir, monkeypatch, capsys, name, value, warned
):
    """What decides no bits may change."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 3, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(folder), data_dir=data_dir)
    run = json.loads((folder / "run.json").read_text())
    run["hardware"] |= {"vendor": "V", "family": 6, "model": 1, "instructions": "AVX2", "onednn": True}
    (folder / "run.json").write_text(json.dumps({**run, "hardware": {**run["hardware"], name: value}}))
    facts = ("vendor", "family", "model", "instructions", "onednn", "environment")
    monkeypatch.setattr(provenance.processor, "facts", lambda: {fact: run["hardware"][fact] for fact in facts})
    capsys.readouterr()
    train_and_evaluate(CONFIG, str(folder), data_dir=data_dir)
    assert ("began with other hardware (see run.json)" in capsys.readouterr().err) is warned
    run = json.loads((folder / "run.json").read_text())
    assert run["mixed_kinds"] is warned
    assert (provenance.kind(run, CONFIG.cpu_threads) is None) is warned


@pytest.mark.slow
def test_mirrored_resumes_exactly_too(tmp_path, data_dir, monkeypatch):
    whole = train_and_evaluate(CONFIG, str(tmp_path / "whole"), strategy="mirrored:2", data_dir=data_dir)
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 3, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "cut"), strategy="mirrored:2", data_dir=data_dir)
    resumed = train_and_evaluate(CONFIG, str(tmp_path / "cut"), strategy="mirrored:2", data_dir=data_dir)
    assert resumed["state_sha256"] == whole["state_sha256"]


@pytest.mark.slow
def test_a_run_of_two_replicas_goes_on_with_one(finished, tmp_path, data_dir, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 3, kill)
        with pytest.raises(Killed):
            train_and_evaluate(CONFIG, str(tmp_path / "run"), strategy="mirrored:2", data_dir=data_dir)
    first, *_ = rows(tmp_path / "run")
    capsys.readouterr()
    result = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir)
    warning, *others = capsys.readouterr().err.splitlines()
    going_on = next(line for line in others if not re.match(INTRODUCTION, line))
    assert warning == (
        "warning: the run began with other replicas and strategy (see run.json): it is no longer exactly repeatable"
    )
    assert going_on.startswith("going on from the checkpoint of step 6 ")
    after = rows(tmp_path / "run")
    assert after[0] == first
    assert [(row["step"], row["split"]) for row in after] == [(row["step"], row["split"]) for row in rows(finished[0])]
    # Dropout is drawn per replica, so the nets are not the same.
    assert result["metrics"]["test/accuracy"] == pytest.approx(finished[1]["metrics"]["test/accuracy"], abs=0.1)


# At this rate a run does not amplify rounding: after 50 steps two devices are off by 7e-7 of the way that the weights
# went, with oneDNN, without it and without AVX-512. At 0.1 those are 3e-6, 6e-4 and 8e-3.
SYNCHRONISED = ExperimentConfig(
    model="simple_cnn", optimizer="sgd", learning_rate=1e-3, train_split="train[:800]", batch_size=32, epochs=2,
    sync_batch_norm=True, eval_every_epochs=2,
)  # fmt: skip


def trainable(model):
    """All trainable weights as one vector in float64."""
    return np.concatenate([np.ravel(variable.numpy()).astype("float64") for variable in model.trainable_variables])


@pytest.fixture(scope="module")
def way_of_one_device(tmp_path_factory, data_dir):
    """The weights at the start and at the end of a run on one device."""
    workdir = str(tmp_path_factory.mktemp("synchronised") / "run")
    start = trainable(make_experiment(SYNCHRONISED, data_dir=data_dir).model)
    train_and_evaluate(SYNCHRONISED, workdir, data_dir=data_dir)
    return start, trainable(zoo.load_model(f"{workdir}/model.keras"))


def share_of_the_way(way, workdir, data_dir):
    """How far a run on two devices ends from the one on one device, as a share of the way that the latter went."""
    train_and_evaluate(SYNCHRONISED, str(workdir), strategy="mirrored:2", data_dir=data_dir)
    run = json.loads((workdir / "run.json").read_text())
    assert (run["strategy"], run["replicas"]) == ("mirrored", 2)
    start, end = way
    return np.linalg.norm(trainable(zoo.load_model(str(workdir / "model.keras"))) - end) / np.linalg.norm(end - start)


def test_mirrored_with_synchronised_batch_norm_is_one_device(way_of_one_device, tmp_path, data_dir):
    # A hundred times what rounding does; what is wrong does a tenth at least, see the next test.
    assert share_of_the_way(way_of_one_device, tmp_path / "run", data_dir) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.0, 0.0), (1.0, 1.01)], ids=["averaged", "dropped", "a hundredth"])
def test_replicas_that_do_not_add_up_are_seen(way_of_one_device, tmp_path, data_dir, monkeypatch, weights):
    """Gradients averaged that should be added, one replica's share left out, or one of them a hundredth larger."""
    own = Gradients._gradients_of

    def weighted(self, batch):
        gradients, sums = own(self, batch)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return [gradient * tf.constant(weights)[replica] for gradient in gradients], sums

    monkeypatch.setattr(Gradients, "_gradients_of", weighted)
    share = share_of_the_way(way_of_one_device, tmp_path / "run", data_dir)
    assert share > (1e-3 if weights == (1.0, 1.01) else 0.1)


# The best checkpoint, and runs that end early.

PATIENT = dataclasses.replace(
    CONFIG, epochs=6, learning_rate=0.1, keep_best="accuracy", early_stop_metric="calibration_error"
)


def evaluations(workdir):
    return [row for row in rows(workdir) if row["split"] == "test"]


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("early") / "run"
    config = dataclasses.replace(PATIENT, early_stop_patience=1)
    return workdir, config, train_and_evaluate(config, str(workdir), data_dir=data_dir)


def test_a_run_that_gets_no_better_ends_early(stopped_early):
    workdir, _, result = stopped_early
    errors = [row["calibration_error"] for row in evaluations(workdir)]
    assert all(later < earlier for earlier, later in itertools.pairwise(errors[:-1]))
    assert errors[-1] >= errors[-2]
    assert (result["stopped_early"], result["steps"]) == (True, 11 * len(errors))
    assert result["steps"] < 66
    best = {"value": errors[-2], "step": 11 * (len(errors) - 1), "evaluations_since": 1}
    assert result["best"]["calibration_error"] == best


def test_the_best_checkpoint_is_kept_and_evaluated(stopped_early, data_dir):
    workdir, config, result = stopped_early
    best = max(evaluations(workdir), key=lambda row: row["accuracy"])
    assert result["best"]["accuracy"]["value"] == best["accuracy"]
    found = evaluate(config, str(workdir), step="best", data_dir=data_dir)
    assert found["metrics"]["test/accuracy"] == best["accuracy"]
    assert found["step"] == result["best"]["accuracy"]["step"]


@pytest.mark.parametrize("block", [pytest.param(3, marks=pytest.mark.slow), 7])
def test_a_killed_run_remembers_what_was_best(stopped_early, tmp_path, data_dir, monkeypatch, block):
    _, config, result = stopped_early
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", block, kill)
        with pytest.raises(Killed):
            train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    again = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    for name in ("best", "steps", "stopped_early", "state_sha256"):
        assert again[name] == result[name], name


def test_killed_after_it_had_stopped_it_trains_no_more(stopped_early, tmp_path, data_dir, monkeypatch):
    _, config, result = stopped_early
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "finish", lambda self, answers: kill())
        with pytest.raises(Killed):
            train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    monkeypatch.setattr(Engine, "train_block", lambda self, block: pytest.fail("trained on"))
    assert (
        train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)["state_sha256"] == result["state_sha256"]
    )


def test_a_removed_best_checkpoint_does_no_harm(stopped_early, tmp_path, data_dir):
    workdir, config, _ = stopped_early
    copy = shutil.copytree(workdir, tmp_path / "run")
    best = int((copy / "checkpoints" / "best").read_text())
    shutil.rmtree(copy / "checkpoints" / f"step-{best:08d}")
    with pytest.raises(ValueError, match=f"there is no checkpoint of step {best}"):
        evaluate(config, str(copy), step="best", data_dir=data_dir)
    (copy / "checkpoints" / "best").unlink()
    with pytest.raises(ValueError, match=r"there is no best checkpoint in .*; keep_best names the metric"):
        evaluate(config, str(copy), step="best", data_dir=data_dir)


def test_a_run_whose_best_checkpoint_is_removed_goes_on(stopped_early, tmp_path, data_dir, monkeypatch):
    _, config, result = stopped_early
    checkpoints, number = tmp_path / "run" / "checkpoints", 2 * result["steps"] // 11 - 1
    removed = []

    def remove():
        removed.append(int((checkpoints / "best").read_text()))
        shutil.rmtree(checkpoints / f"step-{removed[0]:08d}")

    # In the last epoch it goes while the run trains, and then the run is killed and started again.
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", number, remove)
        before_call(patch, Recorder, "finish", 1, kill)
        with pytest.raises(Killed):
            train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    again = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    for name in ("best", "steps", "state_sha256"):
        assert again[name] == result[name], name
    # The mark is on the step of the result if there is such a checkpoint, and otherwise there is none.
    (gone,) = removed
    assert (checkpoints / "best").exists() == (result["best"]["accuracy"]["step"] != gone)


@pytest.mark.parametrize(
    ("metric", "value", "than", "better"),
    [
        ("accuracy", 0.9, 0.8, True),
        ("roc_auc", 0.5, 0.5, False),
        ("loss", 0.9, 0.8, False),
        ("calibration_error", 0.1, 0.2, True),
        ("loss", float("nan"), 1.0, False),
        ("loss", 1.0, float("nan"), True),
        ("accuracy", 0.0, float("nan"), True),
        ("accuracy", float("nan"), float("nan"), False),
    ],
)
def test_what_is_better(metric, value, than, better):
    assert is_better(metric, value, than) == better


def test_averaged_weights_are_evaluated_and_saved(tmp_path, data_dir):
    config = dataclasses.replace(CONFIG, ema_decay=0.9)
    result = train_and_evaluate(config, str(tmp_path / "whole"), data_dir=data_dir)
    test = load_source("digits", "test", data_dir).arrays
    run = json.loads((tmp_path / "whole" / "run.json").read_text())["preprocessing"]
    images = (test["image"] - np.float32(run["mean"])) / np.float32(run["deviation"])
    logits = np.array(zoo.load_model(tmp_path / "whole" / "model.keras")(images))
    assert (logits.argmax(1) == test["label"]).mean() == pytest.approx(result["metrics"]["test/accuracy"], abs=1e-9)
    assert evaluate(config, str(tmp_path / "whole"), data_dir=data_dir)["metrics"]["test/loss"] == pytest.approx(
        result["metrics"]["test/loss"], rel=1e-6
    )


@pytest.mark.slow
def test_raw_and_averaged_weights_go_on(tmp_path, data_dir, monkeypatch):
    config = dataclasses.replace(CONFIG, ema_decay=0.9)
    result = train_and_evaluate(config, str(tmp_path / "whole"), data_dir=data_dir)
    with monkeypatch.context() as patch:
        before_call(patch, Engine, "train_block", 3, kill)
        with pytest.raises(Killed):
            train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert (
        train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)["state_sha256"] == result["state_sha256"]
    )


def test_a_trace_of_some_steps(tmp_path, data_dir):
    config = dataclasses.replace(CONFIG, epochs=1)
    train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir, profile_steps=(2, 4))
    (trace,) = (tmp_path / "run" / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert trace.stat().st_size > 1000


def test_a_trace_that_cannot_be_written_does_not_stop_a_run(finished, tmp_path, data_dir, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("a file")
    result = train_and_evaluate(CONFIG, str(tmp_path / "run"), data_dir=data_dir, profile_steps=(2, 4))
    assert result["state_sha256"] == finished[1]["state_sha256"]
    errors = capsys.readouterr().err
    assert errors.count(f"warning: no trace in {tmp_path}/run/tensorboard: ") == 1
