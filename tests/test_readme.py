"""What the README says is so."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import zoo
from zoo.analysis.nets import graph

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# By the first of its words that tells it from the others.
SNIPPETS = {
    next(word for word in ("predict", "build_model", "train") if f"zoo.{word}(" in code): code
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
}


def test_it_is_short():
    assert len(README.splitlines()) <= 250


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
    exec(SNIPPETS["train"], namespace)
    assert namespace["result"]["steps"] == 3 * (1437 // 32)
    assert namespace["trained"].class_names == {"label": tuple("0123456789")}


def test_building_is_as_shown():
    namespace = {}
    with graph.without_weights():
        exec(SNIPPETS["build_model"], namespace)
    assert namespace["model"].input_shape == (None, 64, 64, 1)
    assert namespace["features"].output_shape == (None, 64)
    assert list(namespace["maps"]) == ["stride2", "stride4", "stride8", "stride16", "stride32"]
    assert {x.name for x in namespace["pair"].inputs} == {"left", "right"}
    assert {name: x.shape[1] for name, x in namespace["heads"].output.items()} == {"character": 170, "angle": 1}
    assert namespace["small"].output_shape == (None, 10)


def test_what_a_run_prints_is_what_was_recorded():
    result = json.loads((ROOT / "results" / "simple_cnn_digits" / "0.json").read_text())["result"]
    lines = dict(re.findall(r"^([\w/]+) {2,}(.+)$", README, re.MULTILINE))
    assert lines["state_sha256"] == result["state_sha256"]
    assert {name: lines[name] for name in result["metrics"]} == {
        name: f"{value:.4f}" for name, value in result["metrics"].items()
    }
    assert lines["steps"] == f"{result['steps']} ({result['epochs']} epochs, seed {result['seed']})"


def test_ci_takes_exactly_two_commands_from_it():
    block = README.split("<!-- setup -->")[1].split("<!-- end of setup -->")[0]
    setup = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    assert setup == [
        "python -m pip install -e . && python train.py --config=configs/simple_cnn_digits.py",
        "python -m pip install -e '.[test]' && python -m pytest",
    ]


def steps():
    """What a reader does, in order, as words for Python: commands and snippets, without installing and testing."""
    found = []
    joined = re.sub(r" \\\n *", " ", README)
    for block in re.finditer(r"^    python [^\n]*$|^```python\n.*?^```$", joined, re.MULTILINE | re.DOTALL):
        if block[0].startswith("```"):
            found.append(["-c", block[0].removeprefix("```python\n").removesuffix("```")])
        else:
            parts = [shlex.split(part)[1:] for part in block[0].split("&&")]
            found += [words for words in parts if words[:2] not in (["-m", "pip"], ["-m", "pytest"])]
    return found


def draw_photos(folder):
    """What the README calls photos: round things are cats, angular ones dogs."""
    rng = np.random.default_rng(0)
    for label, draw in (("cat", "ellipse"), ("dog", "rectangle")):
        (folder / label).mkdir(parents=True)
        for number in range(1, 25):
            width, height = map(int, rng.integers(90, 160, 2))
            photo = Image.new("RGB", (width, height), tuple(map(int, rng.integers(0, 90, 3))))
            box = [20, 20, width - 20, height - 20]
            getattr(ImageDraw.Draw(photo), draw)(box, tuple(map(int, rng.integers(120, 255, 3))))
            photo.save(folder / label / f"{number}.jpg")


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the working tree, with what was changed in it since the last commit."""
    git = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    git(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")])
    changed = git(["git", "ls-files", "--modified", "--others", "--exclude-standard"], cwd=ROOT).stdout.splitlines()
    for name in changed:
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


@pytest.mark.slow
def test_a_reader_does_all_of_it_in_order(clone, tmp_path):
    draw_photos(clone / "photos")
    shutil.copy(clone / "photos" / "cat" / "1.jpg", clone / "new.jpg")
    # Nothing may come from the network, nor from what was prepared before.
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "PYTHONPATH": str(clone), "TFDS_DATA_DIR": str(tmp_path / "data")}
    assert not (clone / "runs").exists()
    printed = {}
    for words in steps():
        done = subprocess.run(
            [sys.executable, *words], cwd=clone, env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        printed[shlex.join(words)] = done.stdout
        # TensorFlow warns of what the zoo asks of it; a page reads a folder's files in a way of its own.
        if words[0] == "-c":
            assert "WARNING:tensorflow" not in done.stderr, shlex.join(words)
    assert len(printed) == len(steps()) >= 15
    (predicted,) = [text for words, text in printed.items() if "zoo.predict(" in words]
    assert re.fullmatch(r"(cat|dog) [01]\.\d+ \{'cat': \S+, 'dog': \S+\}\n", predicted)
    for file in (
        "data.png",
        "runs/simple_cnn_digits-0/report/index.html",
        "runs/photos/report/index.html",
        "runs/mine/result.json",
        "results/report/index.html",
        "compare.html",
    ):
        assert (clone / file).is_file(), file
