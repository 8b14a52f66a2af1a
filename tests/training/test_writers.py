import errno
import io
import json
import os
import shutil
import sys
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo.training import writers
from zoo.training.writers import Console, JsonLines, TensorBoard

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


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stream", [Gone, Full])
def test_lines_that_nobody_can_read_do_not_stop_the_run(monkeypatch, stream):
    assert shown(monkeypatch, stream()) == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console(0, 88, 32, 2)
    console.advance(44, 1)
    console.write(ROW)
    console.write(EVALUATION)
    console.advance(44, 2)
    console.close()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    line = (
        "epoch 1/2  train/loss 0.5000  train/accuracy 0.2500  test/loss 0.7500  test/accuracy 0.1250  1,234 images/s\n"
    )
    assert shown(monkeypatch, io.StringIO()) == line


@pytest.mark.parametrize("part", ["epoch 2/2", "100%", "train/loss 0.5000", "test/accuracy 0.1250", "left"])
def test_a_bar_on_a_terminal(monkeypatch, part):
    monkeypatch.setenv("COLUMNS", "200")
    assert part in shown(monkeypatch, Terminal())


def test_a_line_now_and_then_where_there_is_no_terminal(monkeypatch):
    stream, seconds = io.StringIO(), [100.0]
    monkeypatch.setattr(sys, "stderr", stream)
    # Half of the run is done before.
    console = Console(44, 88, 32, 2, clock=lambda: seconds[0])
    for _ in range(4):
        seconds[0] += 16
        console.advance(2, 2)
    console.close()
    lines = [
        f"epoch 2/2  step {step} of 88  4 images/s  {left} left\n" for step, left in ((48, "0:05:20"), (52, "0:04:48"))
    ]
    assert stream.getvalue() == "".join(lines)


def of_four_epochs(monkeypatch):
    """A console of four epochs of two blocks of 10 steps of 32 images, its clock, and what it said."""
    stream, seconds = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    return Console(0, 80, 32, 4, clock=lambda: seconds[0]), seconds, lambda: stream.getvalue().splitlines()


def test_time_left_is_without_the_first_block_and_with_the_evaluations(monkeypatch):
    console, seconds, lines = of_four_epochs(monkeypatch)
    seconds[0] = 1000.0  # compiling
    console.advance(10, 1)
    # An epoch: 20 s of training, of which 10 belong to the first block here, and 30 s of evaluation.
    seconds[0] += 10
    console.advance(10, 1)
    seconds[0] += 30
    console.write({**EVALUATION, "epoch": 1})
    for _ in range(2):
        seconds[0] += 10
        console.advance(10, 2)
    seconds[0] += 30
    console.write({**EVALUATION, "epoch": 2})
    first, *evaluated = [line.split("  ") for line in lines()]
    assert first == ["epoch 1/4", "step 10 of 80"]
    # 40 s for 10 steps, 60 steps to come; then 90 s for 30 steps, 40 to come.
    assert [line[-1] for line in evaluated] == ["0:04:00 left", "0:02:00 left"]


def test_a_long_evaluation_is_not_silent(monkeypatch):
    console, seconds, lines = of_four_epochs(monkeypatch)
    console.advance(10, 1)
    for done in range(1000, 6000, 1000):
        seconds[0] += 16
        console.evaluating(done, 10_000)
    console.close()
    assert lines() == [f"evaluating, {done} of 10,000 examples" for done in ("2,000", "4,000")]


def test_a_long_evaluation_shows_in_the_bar(monkeypatch):
    stream, seconds = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console(0, 80, 32, 4, clock=lambda: seconds[0])
    console.advance(10, 1)
    seconds[0] += 31
    console.evaluating(1000, 10_000)
    console.close()
    assert "evaluating, 1,000 of 10,000 examples" in stream.getvalue()
