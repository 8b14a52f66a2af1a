"""What workers agree on, with threads in the place of processes."""

import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.errors import RequestError, RunError
from zoo.places.workers import Workers
from zoo.runs import provenance
from zoo.runs.checkpoints import Checkpoints, DamagedError
from zoo.training import experiment, shared
from zoo.training.data import Data, open_data
from zoo.training.engines.tensorflow import backend
from zoo.training.saving import Saver
from zoo.training.shared import SharedCheckpoints, SharedWorkdir


class Together(Workers):
    """A worker that gathers over threads."""

    def __init__(self, index, numbers, barrier):
        super().__init__(tf.distribute.get_strategy())
        self.count, self.index, self.is_chief = len(numbers), index, index == 0
        self._numbers, self._barrier = numbers, barrier

    def gather(self, number):
        self._barrier.wait(60)
        self._numbers[self.index] = number
        self._barrier.wait(60)
        return [*self._numbers]


def each(function, count=2):
    """What a function of a worker returns or raises, by worker."""

    def result(worker):
        try:
            return function(worker)
        except (RequestError, RunError) as error:
            return f"{type(error).__name__}: {error}"

    numbers, barrier = [0] * count, threading.Barrier(count)
    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(result, [Together(index, numbers, barrier) for index in range(count)]))


def test_the_first_worker_that_is_not_as_worker_0():
    assert each(lambda worker: worker.first_different("same"), 3) == [None] * 3
    assert each(lambda worker: worker.first_different(str(min(worker.index, 2))), 4) == [1] * 4
    # What cannot be compared is not compared.
    assert each(lambda worker: worker.first_different(str(worker.index), "files" * (worker.index == 1)), 3) == [2] * 3


def test_the_others_do_not_begin_what_the_chief_failed_in():
    order = []

    def prepare(worker):
        with worker.chief_first("prepare the data"):
            order.append(worker.index)
            if worker.count == 3:
                raise RequestError("there is no such dataset")
        return "prepared"

    assert each(prepare) == ["prepared"] * 2
    assert order == [0, 1]
    order.clear()
    others = "RunError: worker 0 could not prepare the data; its own message says why"
    assert each(prepare, 3) == ["RequestError: there is no such dataset", others, others]
    assert order == [0]


def test_where_the_chief_cannot_write_the_others_hear_of_it(tmp_path, monkeypatch):
    def refused(path, content):
        raise RunError(f"{path} cannot be written: No space left on device")

    def run(worker):
        with SharedWorkdir(tmp_path / "run", worker).open(ExperimentConfig()):
            return "opened"

    assert each(run) == ["opened"] * 2
    monkeypatch.setattr(shared, "write_atomically", refused)
    chief, other = each(run)
    assert chief.endswith(".job cannot be written: No space left on device")
    assert other == "RunError: worker 0 could not open the workdir; its own message says why"


def test_a_checkpoint_that_one_cannot_read_is_refused_by_all(tmp_path):
    Checkpoints(tmp_path).save(3, {"w": np.ones(4)}, {})

    def read(worker):
        checkpoints = SharedCheckpoints(tmp_path, worker)
        if worker.index == 1:
            checkpoints.load = damaged
        return checkpoints.restore(3)[0]

    def damaged(step):
        raise DamagedError("checkpoint 3 is damaged")

    assert each(read) == [
        f"RequestError: worker 1 cannot read the checkpoint in {tmp_path} that this one reads; its own message says "
        "why",
        "RequestError: checkpoint 3 is damaged",
    ]


def test_workers_that_have_gone_apart_save_nothing(tmp_path):
    """Otherwise the next start would take up the chief's checkpoint everywhere, and nobody could tell any more."""
    written, gone = [], 2.0

    def save(worker):
        engine = types.SimpleNamespace(state=lambda: {"w": np.full(4, gone if worker.index == 2 else 1.0)})
        backend = types.SimpleNamespace(workers=worker)
        made = types.SimpleNamespace(config=ExperimentConfig(), backend=backend, engine=engine)
        saver = Saver(made, SharedWorkdir(tmp_path, worker), 0.0)
        saver._checkpoints.save = lambda *arguments: written.append(arguments)
        saver.step = 7
        saver.save()
        return "saved"

    assert each(save) == ["saved"] * 2
    assert len(written) == 2
    refusals = each(save, 3)
    assert len(written) == 2
    assert all(refusal.startswith("RunError: worker 2 has other variables than worker 0 at ") for refusal in refusals)
    # One of them has no numbers any more: it says what the others say, and does not leave them waiting.
    gone = float("nan")
    refusals = each(save, 3)
    assert all(refusal.startswith("RunError: worker 2 has other variables than worker 0 at ") for refusal in refusals)


@pytest.mark.parametrize(
    ("record", "changes", "message"),
    [
        ("examples", {"train_sha256": "other"}, "another train_sha256 of digits than worker 0, worker 1 has other; "),
        ("examples", {"class_names": {"label": []}}, "another class_names of digits than worker 0; give all workers "),
        ("examples", {"train_sha256": "files:other"}, None),
        ("versions", {"keras": "3.0"}, "another keras than worker 0, worker 1 has 3.0; give all workers the same "),
        ("versions", {"zoo_commit": "other"}, "another zoo_commit than worker 0, worker 1 has other; "),
        ("versions", {"zoo_commit": "one+changes"}, None),
        ("versions", {"zoo_commit": None}, None),
    ],
)
def test_workers_with_other_data_or_versions_are_refused(data_dir, monkeypatch, record, changes, message):
    data = open_data(ExperimentConfig(), data_dir=data_dir)
    versions = {**provenance.versions(), "zoo_commit": "one"}
    found = {"examples": data.record(), "versions": versions}
    records = threading.local()
    for owner, name, what in ((Data, "record", "examples"), (provenance, "versions", "versions")):
        monkeypatch.setattr(owner, name, lambda *_, what=what: {**found[what], **records.changes.get(what, {})})

    def check(worker):
        records.changes = {record: changes} if worker.index == 1 else {}
        experiment._check_workers(worker, data)

    refusals = each(check, 3)
    if message is None:
        assert refusals == [None] * 3
    else:
        assert all(refusal.startswith("RequestError: worker 1 has ") for refusal in refusals)
        assert message in refusals[1]


TRACE = (
    'Graph execution error:\n\nDetected at node add defined at (most recent call last):\n  File "train.py", line 1\n\n'
)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("/job:worker/replica:0/task:2 is gone", "worker 2 of 3 was lost; start all"),
        (
            f"{TRACE}Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat",
            "worker 0 of 3 was lost; start",
        ),
        ("/job:worker/task:0 and /job:worker/task:2 are gone", "another worker of 3 was lost; start all"),
        (
            f"{TRACE}/job:worker/task:1/device:GPU:0 ran into an illegal address\nand more",
            "another worker of 3 was lost, or worker 1 failed by itself: /job:worker/task:1/device:GPU:0 ran into an "
            "illegal address; start all",
        ),
    ],
)
def test_a_failure_of_its_own_is_not_hidden(message, said):
    worker = Together(1, [0] * 3, threading.Barrier(1))
    with pytest.raises(RunError) as raised, worker.worker_loss_named():
        raise tf.errors.InternalError(None, None, message)
    assert str(raised.value).startswith(said)


def test_the_building_of_an_experiment_names_losses_too(data_dir, monkeypatch):
    worker = Together(0, [0] * 2, threading.Barrier(1))
    monkeypatch.setattr(worker, "gather", lambda number: [number] * 2)
    monkeypatch.setattr(backend, "join", lambda place: (tf.distribute.get_strategy(), worker))

    def lost(*_, **__):
        raise tf.errors.UnavailableError(None, None, "/job:worker/replica:0/task:1 is gone")

    monkeypatch.setattr(experiment, "make_optimizer", lost)
    with pytest.raises(RunError, match="worker 1 of 2 was lost"):
        experiment.make_experiment(ExperimentConfig(model="mlp"), data_dir=data_dir)
