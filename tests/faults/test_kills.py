"""Killed by SIGKILL and started again, a run ends with the bits of one that was not. More of it: kills.py."""

import random

import pytest
from kills import MOMENTS, TOTAL_STEPS, TRAIN, Job, Kill, difference, draw, run, wrong

from benchmarks.loopback import End
from zoo.cli import console
from zoo.cli.commands import run_train

# In this process TensorFlow has been imported, and the number of threads set, already.
HERE = ("--cpu_threads=0", "--model=mlp", "--model_args=hidden_sizes=[64],dropout=0.5", "--jit=off")


def finish(workdir, data_dir) -> int:
    return console.run(run_train, [*TRAIN[1:], *HERE, f"--workdir={workdir}", f"--data_dir={data_dir}"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    assert finish(workdir, data_dir) == 0
    return workdir


def test_killed_while_a_checkpoint_is_written(finished, tmp_path, data_dir):
    job = Job(tmp_path / "run", data_dir, flags=HERE)
    assert job.kill(Kill("checkpoint", step=40))
    assert not (tmp_path / "run" / "result.json").exists()
    assert finish(tmp_path / "run", data_dir) == 0
    assert difference(tmp_path / "run", finished) == ""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    Job(workdir, data_dir).finish()
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        [Kill("start", delay=3.0), Kill("checkpoint", step=4), Kill("end", delay=0.05)],
        [Kill("training", step=100, delay=0.02), Kill("training", step=100)],
        *(draw(random.Random(f"test/{number}"), start_seconds=5.0) for number in range(3)),
    ],
    ids=lambda kills: ", ".join(map(str, kills)),
)
def test_killed_at_random_moments(kills, uninterrupted, tmp_path, data_dir):
    done, wrong = run(kills, Job(tmp_path / "run", data_dir), uninterrupted)
    assert wrong == ""
    assert done


def test_the_draw_is_the_seeds_and_reaches_every_moment():
    drawn = [draw(random.Random(seed), 5.0, processes=2) for seed in range(100)]
    assert drawn == [draw(random.Random(seed), 5.0, processes=2) for seed in range(100)]
    kills = [kill for one in drawn for kill in one]
    assert {kill.moment for kill in kills} == set(MOMENTS)
    assert {kill.process for kill in kills} == {0, 1}
    assert min(kill.step for kill in kills if kill.step) < 20
    assert TOTAL_STEPS - 20 < max(kill.step for kill in kills) < TOTAL_STEPS
    assert {len(one) for one in drawn} == {1, 2, 3}


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl"])
def test_a_difference_is_seen(finished, tmp_path, name):
    for file in ("result.json", "metrics.jsonl"):
        (tmp_path / file).write_text((finished / file).read_text())
    assert difference(tmp_path, finished) == ""
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace('"step": 4,', '"step": 8,').replace('_sha256": "', '_sha256": "0'))
    assert difference(tmp_path, finished).startswith({"result.json": "state_sha256"}.get(name, name))


def test_what_is_left_behind_is_seen(finished, tmp_path):
    for file in ("result.json", "metrics.jsonl"):
        (tmp_path / file).write_text((finished / file).read_text())
    (tmp_path / "checkpoints" / ".7.tmp").mkdir(parents=True)
    assert difference(tmp_path, finished) == ".7.tmp left behind"


LOST = "error: worker 0 of 2 was lost; start all of them again\n"
ALONE = "error: worker 1, localhost:1, could not join the 2 workers of --worker_hosts: gone\n"


@pytest.mark.parametrize(
    ("status", "errors", "fine"),
    [
        # What is right when all had come together, when they had not, when the run was done, when none was killed.
        (1, f"epoch 1\n{LOST}", "joined apart done"),
        (1, ALONE, "apart"),
        (1, "Traceback (most recent call last):\nInternalError: connection reset\n", ""),
        (1, f"{LOST}Segmentation fault\n", ""),
        (2, LOST, ""),
        (-6, "", ""),
        (0, "", "done unhurt"),
        (None, "", "apart"),
    ],
)
def test_how_a_survivor_may_end(status, errors, fine):
    cases = {
        "joined": {"killed": True, "joined": True, "done": False},
        "apart": {"killed": True, "joined": False, "done": False},
        "done": {"killed": True, "joined": True, "done": True},
        "unhurt": {"killed": False, "joined": True, "done": True},
    }
    right = {name for name, case in cases.items() if not wrong(End(status, "", errors), **case)}
    assert right == set(fine.split())
