"""A run that is killed at a random moment and started again ends with the bits of one that was not."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Checkpoints so often that a good part of the time goes into writing them.
ARGV = [
    str(ROOT / "train.py"),
    "--model=simple_cnn",
    "--model_args=dropout=0.5",
    "--augment=pad_crop:1",
    "--schedule=cosine",
    "--epochs=12",
    "--checkpoint_every_steps=10",
    "--log_every_steps=10",
    "--cpu_threads=1",
]


def start(workdir, data_dir) -> subprocess.Popen:
    argv = [sys.executable, *ARGV, f"--workdir={workdir}", f"--data_dir={data_dir}"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(workdir, data_dir) -> dict:
    process = start(workdir, data_dir)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads((workdir / "result.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    began = time.monotonic()
    result = finish(workdir, data_dir)
    return result, time.monotonic() - began


def kill(process, workdir, delay, *, while_writing):
    """Kills after `delay` seconds; if asked to, as soon after that as a checkpoint is being written."""
    deadline = time.monotonic() + delay
    while process.poll() is None:
        late = time.monotonic() >= deadline
        if late and (not while_writing or any((workdir / "checkpoints").glob(".*.tmp"))):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_sigkill(seed, uninterrupted, tmp_path, data_dir):
    result, seconds = uninterrupted
    # Before a third of the time it is still importing; the last moments are those of saving the model.
    delay = random.Random(seed).uniform(0.3, 1.0) * seconds
    workdir = tmp_path / "run"
    kill(start(workdir, data_dir), workdir, delay, while_writing=seed % 3 == 0)
    resumed = finish(workdir, data_dir)
    assert resumed["state_sha256"] == result["state_sha256"]
    assert resumed["metrics"] == result["metrics"]
    assert not any((workdir / "checkpoints").glob(".*.tmp"))
