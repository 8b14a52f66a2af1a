"""Traces that cannot be taken, and steps that no block held."""

import pytest
import tensorflow as tf

from zoo.training.engines.tensorflow.profiling import Profiler


class RefusedError(Exception):
    pass


@pytest.mark.parametrize("refused", ["start", "stop"])
def test_what_is_refused_is_said_once_and_the_run_goes_on(tmp_path, monkeypatch, refused):
    def refuse(*given):
        raise RefusedError("No space\nleft")

    for name in ("start", "stop"):
        monkeypatch.setattr(tf.profiler.experimental, name, refuse if name == refused else lambda *given: None)
    warnings = []
    profiler = Profiler(tmp_path, 2, 20, warnings.append)
    for step in range(0, 40, 10):
        profiler.before(step, step + 10)
        profiler.after(step + 10)
    profiler.close()
    assert warnings == [f"no trace in {tmp_path}: No space left; the run goes on without"]


@pytest.mark.parametrize(("first_step", "end"), [(0, 10), (40, 50)])
def test_steps_that_no_block_held_are_said(tmp_path, first_step, end):
    warnings = []
    profiler = Profiler(tmp_path, first_step, end, warnings.append)
    for step in (10, 20, 30):
        profiler.before(step, step + 10)
        profiler.after(step + 10)
    profiler.close()
    assert warnings == [f"nothing was traced: profile_steps {first_step}:{end} lie outside the steps that were run"]


def test_where_none_is_asked_for_nothing_is_said(tmp_path):
    warnings = []
    Profiler(tmp_path, 0, 0, warnings.append).close()
    assert warnings == []
