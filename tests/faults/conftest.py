"""Shared by the tests of faults: runs of a few seconds, in this process, and what they left."""

import pytest
from kills import result, rows

import train
from zoo import console

# 11 steps an epoch, 22 in all; checkpoints at 6, 11, 17 and 22.
RUN = (
    "--model=mlp", "--model_args=hidden_sizes=[16],dropout=0.2,batch_norm=true", "--augment=pad_crop:1",
    "--batch_size=128", "--epochs=2", "--checkpoint_every_steps=6", "--log_every_steps=1", "--jit=off",
)  # fmt: skip


@pytest.fixture(scope="session")
def start(data_dir):
    """Runs train.py in this process: workdir and further flags to its exit status."""

    def run(workdir, *argv):
        return console.run(train.main, [f"--data_dir={data_dir}", f"--workdir={workdir}", *RUN, *argv])

    return run


@pytest.fixture(scope="session")
def uninterrupted(start, tmp_path_factory):
    """The result and the rows of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(workdir) == 0
    return result(workdir), rows(workdir)
