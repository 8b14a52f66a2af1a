import json
import os
import shutil
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo.training import writers
from zoo.training.writers import JsonLines, TensorBoard

ROW = {"step": 44, "epoch": 1.0, "split": "train", "loss": 0.5, "accuracy": 0.25, "images_per_second": 1234.5}
EVALUATION = {"step": 44, "epoch": 1.0, "split": "test", "loss": 0.75, "accuracy": 0.125}


def test_json_lines_stand_at_once(tmp_path):
    writer = JsonLines(tmp_path / "metrics.jsonl")
    writer.write(ROW)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [ROW]
    writer.close()


def test_tensorboard_reads_the_scalars_and_forgets_what_a_resumed_run_takes_back(tmp_path):
    first = TensorBoard(tmp_path, 0)
    for step in (10, 20, 30):
        first.write({**ROW, "step": step, "loss": float(step)})
    first.close()
    resumed = TensorBoard(tmp_path, 20)
    resumed.write({**ROW, "step": 30, "loss": -1.0})
    resumed.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "train/accuracy",
        "train/epoch",
        "train/images_per_second",
    }
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 10), (20, 20), (30, -1)]


def test_a_clock_that_was_set_back_does_not_mix_the_parts_of_a_run_up(tmp_path, monkeypatch):
    for first_step, now in ((0, 2e9), (20, 1e9), (20, 1e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        writer = TensorBoard(tmp_path, first_step)
        writer.write({**ROW, "step": first_step + 10, "loss": now})
        writer.close()
    assert [name.split(".")[3] for name in sorted(os.listdir(tmp_path))] == ["2000000000", "2000000001", "2000000002"]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 2e9), (30, 1e9)]


def write_and_close(folder, warnings):
    writer = TensorBoard(folder, 0, warn=warnings.append)
    writer.write(ROW)
    writer.write(EVALUATION)
    writer.close()


def test_where_events_cannot_be_written_it_is_said_once_and_the_run_goes_on(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    warnings = []
    write_and_close(tmp_path / "tensorboard", warnings)
    (warning,) = warnings
    assert warning == (
        f"{tmp_path}/tensorboard cannot be written: File exists; the run goes on without, and metrics.jsonl holds the "
        "same"
    )


def test_events_on_a_full_device(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_events_name", lambda folder: "/dev/full")
    warnings = []
    write_and_close(tmp_path, warnings)
    (warning,) = warnings
    assert "cannot be written: No space left on device; the run goes on without" in warning


def test_events_whose_folder_is_removed(tmp_path):
    writer = TensorBoard(tmp_path / "tensorboard", 0)
    shutil.rmtree(tmp_path / "tensorboard")
    writer.write(ROW)
    writer.close()
