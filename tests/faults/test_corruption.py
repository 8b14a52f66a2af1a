"""Twenty ways to damage the newest checkpoint: each is noticed, named and passed over."""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from kills import result, rows
from moments import INTRODUCTION

from zoo.runs.checkpoints import Checkpoints, state_sha256

FILES = ("state.npz", "SHA256SUMS")


def truncate(file: Path, chance: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: chance.randrange(file.stat().st_size)])


def flip_bits(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    # Different bits, so that none is flipped back.
    for bit in chance.sample(range(8 * len(content)), chance.randint(1, 8)):
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def delete(file: Path, chance: random.Random) -> None:
    file.unlink()


def damage(checkpoint: Path, seed: int) -> str:
    """Damages one file of a checkpoint and says how."""
    chance = random.Random(seed)
    harm = (truncate, flip_bits, delete)[seed % 3]
    # The state is nearly all there is to hit.
    name = FILES[seed % 4 == 3]
    harm(checkpoint / name, chance)
    return f"{harm.__name__} {name}"


@pytest.fixture(scope="module")
def cut(start, tmp_path_factory):
    """A run that was cut short after its checkpoints of steps 12 and 18."""
    workdir = tmp_path_factory.mktemp("cut") / "run"
    assert start(workdir) == 0
    (workdir / "result.json").unlink()
    shutil.rmtree(workdir / "checkpoints" / "step-00000022")
    return workdir


@pytest.mark.parametrize("seed", range(20))
def test_it_is_noticed_and_the_one_before_is_taken(cut, tmp_path, seed):
    folder = shutil.copytree(cut / "checkpoints", tmp_path / "checkpoints")
    warnings = []
    checkpoints = Checkpoints(folder, warn=warnings.append)
    before, newest = checkpoints.steps()[-2:]
    expected = checkpoints.load(before)
    harm = damage(folder / f"step-{newest:08d}", seed)
    step, state, progress = checkpoints.restore()
    assert (step, progress) == (before, expected[1]), harm
    assert state_sha256(state) == state_sha256(expected[0])
    assert len(warnings) == 1
    assert f"checkpoint {folder}/step-{newest:08d} is damaged" in warnings[0]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2, 3, 4, 5))])
def test_the_run_ends_with_the_same_bits(start, cut, uninterrupted, tmp_path, capsys, seed):
    workdir = shutil.copytree(cut, tmp_path / "run")
    damage(workdir / "checkpoints" / "step-00000018", seed)
    assert start(workdir) == 0
    named, going_on, *_ = [line for line in capsys.readouterr().err.splitlines() if not re.match(INTRODUCTION, line)]
    assert named.startswith(f"warning: checkpoint {workdir}/checkpoints/step-00000018 is damaged: ")
    assert going_on.startswith("going on from the checkpoint of step 12")
    assert result(workdir)["state_sha256"] == uninterrupted[0]["state_sha256"]
    assert rows(workdir) == uninterrupted[1]


def test_the_twenty_are_of_every_kind(tmp_path):
    kinds = set()
    for seed in range(20):
        folder = tmp_path / str(seed)
        Checkpoints(folder).save(1, {"a": np.arange(1000)}, {})
        kinds.add(damage(folder / "step-00000001", seed))
    assert kinds == {f"{harm} {name}" for harm in ("truncate", "flip_bits", "delete") for name in FILES}
