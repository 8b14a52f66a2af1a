"""What a person sees of a run."""

import errno
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios

import pytest
from test_signs_of_life import read_to_end, wait_for

from zoo import waiting
from zoo.training.console import Console

ROW = {"step": 44, "epoch": 1.0, "split": "train", "loss": 0.5, "accuracy": 0.25, "images_per_second": 1234.5}
EVALUATION = {"step": 44, "epoch": 1.0, "split": "test", "loss": 0.75, "accuracy": 0.125}


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


def show_two_epochs():
    console = Console(0, 88, 32, 2)
    console.advance(44, 1)
    console.write(ROW)
    console.write(EVALUATION)
    console.advance(44, 2)
    console.close()


def shown(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    show_two_epochs()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    line = "epoch 1/2  train loss 0.5000 accuracy 0.2500  test loss 0.7500 accuracy 0.1250  1,234 images/s\n"
    assert shown(monkeypatch, io.StringIO()) == line


def drawn_on_80_columns(monkeypatch):
    """The lines that are drawn where standard error is a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    monkeypatch.delenv("COLUMNS", raising=False)
    with open(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        show_two_epochs()
    drawn = read_to_end(ours).decode()
    os.close(ours)
    return re.split(r"[\r\n]", drawn)


def test_on_a_terminal_the_bar_keeps_what_counts_and_a_line_stays_of_each_evaluation(monkeypatch):
    drawn = drawn_on_80_columns(monkeypatch)
    assert max(map(len, drawn)) <= 80
    last = [line for line in drawn if "%|" in line][-1]
    assert re.match(r"epoch 2/2 100%\|█{10}\| 0:00:00 left  loss 0\.5000  accuracy 0\.2500 *$", last)
    (evaluated,) = [line for line in drawn if "test" in line]
    assert evaluated == "epoch 1  train loss 0.5000 accuracy 0.2500  test loss 0.7500 accuracy 0.1250"


def test_what_is_too_long_for_a_terminal_is_left_out_from_the_less_important_end(monkeypatch):
    metrics = {"loss": 0.0590, "accuracy": 0.9806, "top5_accuracy": 1.0, "calibration_error": 0.0131}
    lines = {}
    for columns in (200, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "stderr", Terminal())
        console = Console(0, 88, 32, 1000)
        console.write({**ROW, "epoch": 1000.0})
        console.write({"step": 44, "epoch": 1000.0, "split": "validation", **metrics})
        console.close()
        lines[columns] = [line for line in re.split(r"[\r\n]", sys.stderr.getvalue()) if "validation" in line]
    trained = "epoch 1000  train loss 0.5000 accuracy 0.2500  validation loss 0.0590 accuracy 0.9806"
    assert lines[200] == [f"{trained} top5_accuracy 1.0000 calibration_error 0.0131"]
    assert lines[80] == [trained.replace("accuracy", "acc")]


def test_training_comes_first_also_after_an_evaluation_was_made_up_for(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console(44, 88, 32, 2)
    for row in (EVALUATION, ROW, EVALUATION):
        console.write(row)
    console.close()
    assert [re.findall("train|test", line) for line in stream.getvalue().splitlines()] == [["test"], ["train", "test"]]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_takes_long_is_said_while_it_is_done(monkeypatch, stream):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    monkeypatch.setattr(waiting, "SECOND", 0.01)
    monkeypatch.setattr(sys, "stderr", stream())
    console = Console(0, 88, 32, 2)
    for _ in range(2):
        with console.busy("compiling"):
            wait_for(lambda: ("compiling ... 0 s" if stream is Terminal else "compiling ...") in sys.stderr.getvalue())
    printed = sys.stderr.getvalue()
    console.close()
    # A bar is drawn anew each second, a line stays.
    assert printed.count("compiling ...") == 1 if stream is io.StringIO else "compiling ... 0 s" in printed


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
