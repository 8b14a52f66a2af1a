"""Every recipe: what it says of itself, and that it runs."""

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.config import load_config
from zoo.training.loop import train_and_evaluate

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").glob("*.py"))
README = (ROOT / "README.md").read_text()
MEASURED = re.compile(r"^Measured:  test/accuracy (0\.\d{4}) \+- (0\.\d{4}), ", re.MULTILINE)


def record(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text()))


def measured(file: Path) -> tuple[float, float]:
    mean, deviation = MEASURED.search(record(file)).groups()
    return float(mean), float(deviation)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_record_is_complete_and_the_readme_s(file):
    config = load_config(str(file))
    assert file.stem == f"{config.model}_{config.dataset}"
    assert f"Command:   python train.py --config=configs/{file.name}\n" in record(file)
    assert re.search(r"^Time: ", record(file), re.MULTILINE)
    assert re.search(r"^Published: ", record(file), re.MULTILINE)
    mean, deviation = MEASURED.search(record(file)).groups()
    assert re.search(rf"\| `configs/{file.name}` \| {mean} ± {deviation} \|", README)


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=[pytest.mark.slow] if "resnet" in file.stem else []) for file in FILES],
    ids=lambda file: file.stem,
)
def test_runs(file, tmp_path, data_dir):
    config = dataclasses.replace(
        load_config(str(file)), train_split="train[:256]", epochs=1, warmup_epochs=0, cpu_threads=0
    )
    result = train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert result["steps"] == 256 // config.batch_size


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_reaches_its_band(file, tmp_path, data_dir):
    """A seed that the record does not hold, in a process of its own, since the recipe sets the threads."""
    argv = [f"--config={file}", "--seed=5", f"--workdir={tmp_path / 'run'}", f"--data_dir={data_dir}"]
    done = subprocess.run([sys.executable, "train.py", *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accuracy = float(re.search(r"^test/accuracy +(\S+)", done.stdout, re.MULTILINE)[1])
    mean, deviation = measured(file)
    # One of 360 images is 0.0028; five deviations of a small sample, but no less than four images.
    assert abs(accuracy - mean) <= max(5 * deviation, 0.0112)
