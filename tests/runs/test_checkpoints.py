import os
import shutil
import subprocess
import tracemalloc

import numpy as np
import pytest

from zoo.runs.checkpoints import Checkpoints, DamagedError, state_sha256

STATE = {
    "0000/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0001/seed": np.array([7, 0], np.uint32),
    "0002/iteration": np.array(12),
}


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def checkpoints(tmp_path, warnings):
    return Checkpoints(tmp_path / "checkpoints", keep=2, warn=warnings.append)


def test_round_trip_keeps_names_order_dtypes_and_progress(checkpoints):
    progress = {"wall_seconds": 0.1 + 0.2, "sums": {"loss": 1 / 3}}
    checkpoints.save(5, STATE, progress)
    step, state, restored = checkpoints.restore()
    assert step == 5
    assert list(state) == list(STATE)
    assert restored == progress
    for name, value in STATE.items():
        assert state[name].dtype == value.dtype
        assert state[name].shape == value.shape
        np.testing.assert_array_equal(state[name], value)
    assert state_sha256(state) == state_sha256(STATE)


def test_nothing_written_is_nothing_restored(checkpoints):
    assert checkpoints.restore() is None
    assert checkpoints.steps() == []


def test_only_the_last_ones_stay(checkpoints):
    for step in (1, 2, 30):
        checkpoints.save(step, STATE, {})
    assert checkpoints.steps() == [2, 30]


def test_sums_are_those_of_sha256sum(checkpoints, tmp_path):
    checkpoints.save(1, STATE, {})
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "checkpoints/step-00000001", check=False)
    assert done.returncode == 0


def truncate(folder):
    with open(folder / "state.npz", "r+b") as file:
        file.truncate(os.path.getsize(folder / "state.npz") // 2)


def empty(folder):
    (folder / "state.npz").write_bytes(b"")


def flip_a_bit(folder):
    content = bytearray((folder / "state.npz").read_bytes())
    content[len(content) // 3] ^= 1
    (folder / "state.npz").write_bytes(content)


def flip_a_bit_of_the_sum(folder):
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().translate({ord("a"): "b"}))


def remove_state(folder):
    (folder / "state.npz").unlink()


def remove_sum(folder):
    (folder / "SHA256SUMS").unlink()


def garble_the_sum(folder):
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "damage", [truncate, empty, flip_a_bit, flip_a_bit_of_the_sum, remove_state, remove_sum, garble_the_sum]
)
def test_damage_is_named_and_the_one_before_is_taken(checkpoints, warnings, tmp_path, damage):
    checkpoints.save(1, STATE, {"step": 1})
    checkpoints.save(2, STATE, {"step": 2})
    damage(tmp_path / "checkpoints/step-00000002")
    step, _, progress = checkpoints.restore()
    assert (step, progress) == (1, {"step": 1})
    assert len(warnings) == 1
    assert "step-00000002 is damaged" in warnings[0]
    with pytest.raises(DamagedError):
        checkpoints.load(2)
    # Training on from step 1 writes step 2 anew.
    checkpoints.save(2, STATE, {"step": 2})
    assert checkpoints.restore()[0] == 2


def test_fails_only_when_none_is_whole(checkpoints, warnings, tmp_path):
    for step in (1, 2):
        checkpoints.save(step, STATE, {})
        truncate(tmp_path / f"checkpoints/step-{step:08d}")
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged; remove the folder to start over"):
        checkpoints.restore()
    assert len(warnings) == 2


def test_what_a_killed_process_left_is_no_checkpoint(checkpoints, tmp_path):
    half = tmp_path / "checkpoints/.123.tmp"
    half.mkdir(parents=True)
    (half / "state.npz").write_bytes(b"half")
    assert checkpoints.restore() is None
    checkpoints.save(1, STATE, {})
    assert os.listdir(tmp_path / "checkpoints") == ["step-00000001"]


def test_digest_sees_every_bit_dtype_shape_and_the_order():
    base = {"a": np.zeros(4, np.float32), "b": np.ones(2, np.float32)}
    others = [
        {"a": base["a"] + np.float32(1e-45), "b": base["b"]},
        {"a": -base["a"], "b": base["b"]},
        {"a": base["a"].astype(np.int32), "b": base["b"]},
        {"a": base["a"].reshape(2, 2), "b": base["b"]},
        {"b": base["b"], "a": base["a"]},
    ]
    assert len({state_sha256(state) for state in [base, *others]}) == 6
    assert state_sha256({"x": base["a"], "y": base["b"]}) == state_sha256(base)


def test_damaged_ones_that_the_run_went_back_from_do_not_count_as_the_last(checkpoints, tmp_path):
    for step in (10, 20, 30):
        checkpoints.save(step, STATE, {})
    checkpoints.mark_best(30)
    for step in (20, 30):
        truncate(tmp_path / f"checkpoints/step-{step:08d}")
    checkpoints.save(10, STATE, {})
    checkpoints.save(11, STATE, {})
    assert checkpoints.steps() == [10, 11]
    assert checkpoints.restore()[0] == 11


def test_reading_writes_nothing(checkpoints, tmp_path):
    for step in (1, 2):
        checkpoints.save(step, STATE, {})
    truncate(tmp_path / "checkpoints/step-00000002")
    before = sorted(tmp_path.rglob("*"))
    assert checkpoints.restore()[0] == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mark_can_be_taken_back(checkpoints):
    checkpoints.save(1, STATE, {})
    checkpoints.mark_best(1)
    assert checkpoints.best() == 1
    for _ in range(2):
        checkpoints.mark_best(None)
        assert checkpoints.best() is None


def test_a_checkpoint_that_a_run_removes_meanwhile_is_not_called_damaged(tmp_path, monkeypatch):
    """A run that goes on keeps the last few, and may remove one between its listing and its reading."""
    warnings = []
    checkpoints = Checkpoints(tmp_path, warn=warnings.append)
    for step in (1, 2):
        checkpoints.save(step, {"w": np.full(3, step)}, {})
    load = Checkpoints.load

    def removed_first(self, step):
        if step == 2:
            shutil.rmtree(tmp_path / "step-00000002")
        return load(self, step)

    monkeypatch.setattr(Checkpoints, "load", removed_first)
    step, state, _ = checkpoints.restore()
    assert (step, state["w"].tolist(), warnings) == (1, [1, 1, 1], [])


def test_loading_holds_a_checkpoint_once(tmp_path):
    size = 2**24
    Checkpoints(tmp_path).save(1, {str(part): np.zeros(size // 4, np.uint8) for part in range(4)}, {})
    tracemalloc.start()
    try:
        Checkpoints(tmp_path).load(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size <= peak < 1.5 * size
