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
    if what == "no JSON":
        (folder / "file.json").write_text("{")
        return folder / "file.json"
    if what == "another version":
        return made.record(folder, "recipe", 0, fields={"modle": "mlp"})
    run = made.workdir(folder / "run", made.config(), None, {})
    if what == "no config":
        (run / "config.json").unlink()
    elif what == "unfinished":
        (run / "result.json").unlink()
    elif what == "more epochs":
        (run / "config.json").write_text(json.dumps(dataclasses.asdict(made.config(epochs=99))))
    elif what == "damaged":
        (run / "metrics.jsonl").write_text('{"step"')
    return run


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", "nowhere; name the folder of a run, or a record"),
        ("no config", "holds no run: it has no config.json"),
        ("unfinished", "is not finished; start its command again, which goes on"),
        ("more epochs", "is not finished; start its command again, which goes on"),
        ("damaged", "metrics.jsonl is damaged"),
        ("no record", "is no record of a run; one holds config, curve, fields, result, run, seed"),
        ("no JSON", "cannot be read as a record"),
        ("another version", "holds no config of this version"),
    ],
)
def test_what_is_no_finished_run(tmp_path, what, message):
    path = broken(tmp_path, what)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        records.read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"{", b"", b"PK\x03\x04 cut short"], ids=repr)
@pytest.mark.parametrize("name", ["evaluation.npz", "benchmarks.json"])
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    reading = read_answers if name.endswith("npz") else records.read_benchmarks
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        reading(tmp_path)
