"""Shared by the tests of faults: runs of a few seconds, in this process, and what they left."""

import pytest
from kills import result, rows
from moments import RUN

from zoo.cli import console
from zoo.cli.commands import run_train


@pytest.fixture(scope="session")
def start(data_dir):
    """Runs train.py in this process: workdir and further flags to its exit status."""

    def run(workdir, *argv):
        return console.run(run_train, [f"--data_dir={data_dir}", f"--workdir={workdir}", *RUN, *argv])

    return run


@pytest.fixture(scope="session")
def uninterrupted(start, tmp_path_factory):
    """The result and the rows of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(workdir) == 0
    return result(workdir), rows(workdir)
