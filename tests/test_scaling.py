"""docs/scaling.md: its tables are those that the command computes, and the formula is that of a ring."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from benchmarks import loopback, scaling

TEXT = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text()


def test_the_tables_are_those_of_the_command():
    shown = TEXT.partition("<!-- tables -->")[2].partition("<!-- end of tables -->")[0]
    assert shown.strip() == scaling.tables()


def test_a_socket_on_loopback_has_a_bandwidth_and_a_latency():
    assert min(loopback.bandwidth_and_latency(size=2**16, pings=3)) > 0


@pytest.mark.parametrize("replicas", [1, 2, 8, 13])
def test_all_reduce_takes_as_long_as_a_ring_that_is_played_through(replicas):
    link = scaling.Link("", bandwidth=1000.0, latency=0.25)
    size = 52.0 * replicas
    # held[r][c]: whose parts of chunk c replica r has summed up.
    held = [[{replica} for _ in range(replicas)] for replica in range(replicas)]
    seconds = 0.0
    for step in itertools.count():
        if all(chunk == set(range(replicas)) for row in held for chunk in row):
            break
        # All send at the same time, each one chunk to its right neighbour.
        sent = [(replica, (replica - step) % replicas) for replica in range(replicas)]
        messages = [(replica, chunk, set(held[replica][chunk])) for replica, chunk in sent]
        for replica, chunk, content in messages:
            held[(replica + 1) % replicas][chunk] |= content
        seconds += link.latency + size / replicas / link.bandwidth
    assert scaling.all_reduce(size, replicas, link) == pytest.approx(seconds)


def test_a_run_is_limited_by_what_is_short():
    setup = dataclasses.replace(scaling.setups()[-1], input_rate=797.5)
    assert scaling.limit(setup, 1, 256) == "computing"
    assert scaling.limit(setup, 512, 256) == "batch: does not divide"
    assert scaling.limit(setup, 64, 256) == "all-reduce"
    assert scaling.limit(setup, 64, 16384) == "batch: above 8,192"
    # Eight replicas at 909 images/s need nine cores at 797.
    few = dataclasses.replace(setup, cores=9)
    assert scaling.limit(few, 8, 2048) == "input"
    assert scaling.limit(dataclasses.replace(setup, cores=10), 8, 2048) == "computing"
