"""What the README says is so."""

import functools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.analysis.nets import graph
from zoo.cli import console, options, train
from zoo.cli.commands import run_zoo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_table_of_models_is_that_of_the_registry():
    rows = re.findall(r"^\| \[`(\w+)`\]\(.+?\) \| (Sequential|Functional) \| (.+?) \|", README, re.MULTILINE)
    listed = {(family, style.lower(), name) for family, style, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {(info.family, info.style, info.name) for info in map(zoo.model_info, zoo.list_models())}
    assert len(rows) == len({family for family, _, _ in listed})


def test_training_from_python_is_as_shown(tmp_path, data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "evaluate"):
        monkeypatch.setattr(zoo, name, functools.partial(getattr(zoo, name), data_dir=data_dir))
    namespace = {}
    exec(PYTHON[0], namespace)
    assert namespace["result"]["steps"] == 3 * (1437 // 32)
    assert namespace["trained"].class_names == {"label": tuple("0123456789")}


def test_importing_works_as_shown():
    namespace = {}
    exec(PYTHON[1], namespace)
    assert namespace["model"].input_shape == (None, 64, 64, 1)
    assert namespace["features"].output_shape == (None, 64)


def test_features_towers_and_heads_are_as_shown():
    namespace = {}
    with graph.without_weights():
        exec(PYTHON[2], namespace)
    assert list(namespace["maps"]) == ["stride2", "stride4", "stride8", "stride16", "stride32"]
    assert {x.name for x in namespace["pair"].inputs} == {"left", "right"}
    assert {name: x.shape[1] for name, x in namespace["heads"].output.items()} == {"character": 170, "angle": 1}
    assert namespace["small"].output_shape == (None, 10)


def test_the_textbook_nets_are_the_same():
    namespace = {}
    exec(PYTHON[3], namespace)
    sequential, functional = namespace["sequential"], namespace["functional"]
    assert sequential.count_params() == functional.count_params() == 7_114
    functional.set_weights(sequential.get_weights())
    x = np.random.default_rng(0).standard_normal((3, 100)).astype("float32")
    np.testing.assert_array_equal(sequential(x), functional(x))


def test_the_example_architecture_keeps_the_contract(monkeypatch):
    zoo.list_models()
    monkeypatch.setattr(zoo.registry, "_MODELS", dict(zoo.registry._MODELS))
    exec(PYTHON[4], {"__name__": "zoo.models.sequential.linear"})
    assert zoo.model_info("linear").style == "sequential"
    assert zoo.build_model("linear").count_params() == zoo.model_info("linear").parameters


def test_inspect_says_what_is_quoted(capsys):
    assert console.run(run_zoo, ["inspect", "resnet20", "--summary"]) == 0
    assert f"$ python -m zoo inspect resnet20 --summary\n{capsys.readouterr().out}```\n" in README


@pytest.mark.parametrize("line", re.findall(r"^    python (train\.py --(?!mode).*)$", README, re.MULTILINE))
def test_the_commands_are_understood(line):
    assert options.config_of(options.parse(train, "train.py", shlex.split(line)[1:]))


def test_ci_takes_exactly_two_commands_from_it():
    block = README.split("<!-- setup -->")[1].split("<!-- end of setup -->")[0]
    commands = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    assert commands == [
        "python -m pip install -e . && python train.py --config=configs/simple_cnn_digits.py",
        "python -m pip install -e '.[test]' && python -m pytest",
    ]
