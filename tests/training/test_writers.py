import io
import json
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_reader_that_left_does_not_stop_the_run(monkeypatch):
    assert shown(monkeypatch, Gone()) == ""


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
