"""Runs read back, and what is no run."""

import dataclasses
import json
import re

import made
import pytest

from zoo.runs import records
from zoo.runs.answers import read_answers


def test_a_workdir_and_its_record_are_the_same_run(tmp_path):
    run = records.read(made.workdir(tmp_path / "run", made.config(seed=3), None, {"test/accuracy": 0.8}))
    other = records.read(made.record(tmp_path, "recipe", 3))
    assert (run.name, other.name) == ("run", "recipe/3")
    assert run.config == other.config
    assert run.curve == other.curve
    assert records.evaluation_metrics(run) == {"accuracy": 0.8}
    assert records.evaluation_metrics(other) == {"accuracy": 0.8}
    assert records.points(run.curve, "test", "loss") == {1.0: 1.0, 2.0: 0.5}
    assert records.curve_metrics(run.curve) == ["loss", "learning_rate"]


def test_records_come_by_seed(tmp_path):
    for seed in (10, 2):
        made.record(tmp_path, "b", seed)
    made.record(tmp_path, "a", 0)
    (tmp_path / "a" / "notes.json").write_text("[]")
    found = records.read_records(tmp_path)
    assert {name: [run.config.seed for run in runs] for name, runs in found.items()} == {"a": [0], "b": [2, 10]}
    assert records.holds_records(tmp_path)
    assert records.read_benchmarks(tmp_path) is None
    assert records.read_records(tmp_path / "nothing") == {}


def broken(folder, what):
    if what == "no folder":
        return folder / "nowhere"
    if what == "no record":
        return made.record(folder, "recipe", 0, curve=None)
    if what == "part of a record":
        return made.record(folder, "recipe", 0, result={"metrics": {}})
    if what == "no JSON":
        (folder / "file.json").write_text("{")
        return folder / "file.json"
    if what == "another version":
        return made.record(folder, "recipe", 0, fields={"modle": "mlp"})
    run = made.workdir(folder / "run", made.config(), None, {})
    if what == "no config":
        (run / "config.json").unlink()
    elif what == "damaged":
        (run / "metrics.jsonl").write_text('{"step"')
    elif what == "no row":
        (run / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "split": "train"}\n[1]\n')
    elif what == "part of a result":
        (run / "result.json").write_text('{"metrics": {}, "model": "mlp", "dataset": "a", "steps": 1}')
    elif what == "no result":
        (run / "result.json").write_text("[]")
    return run


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "nowhere; name the folder of a run, or a record"),
        ("no config", "holds no run: it has no config.json"),
        ("damaged", "metrics.jsonl is damaged"),
        ("no row", "metrics.jsonl is damaged: line 2 has no step, epoch and split"),
        (
            "part of a result",
            "result.json is damaged: it lacks epochs and 5 more; remove it, and the run's command makes",
        ),
        ("no result", "result.json is damaged: it lacks model and 9 more"),
        ("part of a record", "0.json is no record of a run: it lacks model and 8 more in its result"),
        ("no record", "is no record of a run; one holds config, curve, fields, result, run, seed"),
        ("no JSON", "cannot be read as a record"),
        ("another version", "holds no config of this version"),
    ],
)
def test_what_is_no_run(tmp_path, what, message):
    path = broken(tmp_path, what)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        records.read(path)
    assert "\n" not in str(raised.value)


def test_a_run_that_is_not_finished_is_what_its_rows_tell(tmp_path):
    rows = made.curve(values=(0.5, 0.25), accuracy=0.75)
    folder = made.unfinished(tmp_path / "run", made.config(), rows)
    with (folder / "metrics.jsonl").open("a") as file:
        # A run that is killed, or goes on, may have written a part of the next one.
        file.write('{"step": 27, "epo')
    run = records.read(folder)
    assert run.unfinished == "not finished: step 18 of 400"
    assert run.curve == rows
    metrics = {"train/loss": 0.25, "test/loss": 0.5, "test/accuracy": 0.75}
    assert run.result == {"steps": 18, "metrics": metrics}
    (folder / "checkpoints" / "step-00000020").mkdir(parents=True)
    assert records.read(folder).unfinished == "not finished: step 20 of 400"


def test_a_run_that_shall_have_more_epochs_is_not_finished(tmp_path):
    folder = made.workdir(tmp_path / "run", made.config(), None, {"test/accuracy": 0.8})
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(made.config(epochs=99))))
    run = records.read(folder)
    assert run.unfinished == "not finished: step 18"
    assert "test/accuracy" not in run.result["metrics"]
    assert records.read(made.workdir(tmp_path / "other", made.config(), None, {})).unfinished == ""


def test_a_loss_that_became_no_number_is_told(tmp_path):
    rows = made.curve(values=(0.5, float("nan"), float("nan")))
    run = records.read(made.unfinished(tmp_path / "run", made.config(), rows))
    assert run.unfinished == "not finished: step 27 of 400; the train loss became nan by step 18"


@pytest.mark.parametrize("content", [b"{", b"", b"PK\x03\x04 cut short"], ids=repr)
@pytest.mark.parametrize("name", ["evaluation.npz", "benchmarks.json"])
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    reading = read_answers if name.endswith("npz") else records.read_benchmarks
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        reading(tmp_path)
