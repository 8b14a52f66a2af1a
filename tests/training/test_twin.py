"""`zoo.train` and `zoo.evaluate` are `train.py`, to the bit."""

import json

import pytest

import zoo
from zoo.cli import console
from zoo.cli.commands import run_train
from zoo.errors import RequestError

FIELDS = {"model": "mlp", "epochs": 2, "batch_size": 64, "jit": "off", "seed": 3}


def test_python_and_command_line_do_the_same(tmp_path, data_dir, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [f"--{name}={value}" for name, value in FIELDS.items()]
    assert console.run(run_train, [f"--data_dir={data_dir}", "--workdir=runs/command", *flags]) == 0
    commanded = json.loads((tmp_path / "runs" / "command" / "result.json").read_text())
    result = zoo.train(zoo.ExperimentConfig(**FIELDS), data_dir=data_dir)
    assert result == json.loads((next(tmp_path.glob("runs/mlp_digits-*-3")) / "result.json").read_text())
    assert result["state_sha256"] == commanded["state_sha256"]
    assert result["metrics"] == commanded["metrics"]
    # A finished run is not run again.
    assert zoo.train(zoo.ExperimentConfig(**FIELDS), data_dir=data_dir) == result
    capsys.readouterr()
    where = ["--workdir=runs/command", f"--data_dir={data_dir}", "--eval_split=train[:64]"]
    assert console.run(run_train, ["--mode=evaluate", "--checkpoint=44", *where]) == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    evaluated = zoo.evaluate("runs/command", checkpoint=44, data_dir=data_dir, eval_split="train[:64]")
    assert (shown.pop("step"), shown.pop("workdir")) == ("44", "runs/command")
    assert evaluated["step"] == 44
    assert shown == {name: f"{value:.4f}" for name, value in evaluated["metrics"].items()}


def test_a_wrong_request_is_one_error_and_writes_nothing(tmp_path, data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="unknown strategy 'miror'; did you mean mirrored"):
        zoo.train(zoo.ExperimentConfig(model="mlp"), strategy="miror", data_dir=data_dir)
    with pytest.raises(RequestError, match="there is no run in runs/none; train first"):
        zoo.evaluate("runs/none")
    with pytest.raises(RequestError, match="memory_gib is -1"):
        zoo.train(zoo.ExperimentConfig(model="mlp"), memory_gib=-1, data_dir=data_dir)
    assert list(tmp_path.iterdir()) == []
