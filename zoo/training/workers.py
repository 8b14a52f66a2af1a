"""What the processes of one job agree on, and what only the first of them, the chief, does: write."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.errors import RequestError, RunError
from zoo.training.checkpoints import Checkpoints, State
from zoo.training.files import write_atomically
from zoo.training.strategy import first_line
from zoo.training.workdir import Workdir

# What the operations that join the workers raise when one is gone.
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


class Workers:
    """The processes of a job; most jobs have one, for which nothing here costs anything.

    Args:
        strategy: under which they train.

    Attributes:
        count: how many there are.
        index: which of them this is.
        is_chief: whether it is the one that writes.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.count, self.index = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            self.count, self.index = resolver.cluster_spec().num_tasks("worker"), resolver.task_id
        self.is_chief = self.index == 0
        self._sum = tf.function(self._sum_of, autograph=False)

    def gather(self, number: int) -> list[int]:
        """The numbers of all workers, in their order. Every worker must call it, in the same order of calls.

        Args:
            number: from 0 to 2**62.

        Raises:
            RunError: a worker was lost.
        """
        if self.count == 1:
            return [number]
        with self.losses_named():
            numbers = np.zeros(self.count, np.int64)
            numbers[self.index] = number
            return self._sum(tf.constant(numbers)).numpy().tolist()

    def odd_one(self, text: str, kind: str = "") -> int | None:
        """The first worker whose text is not that of worker 0; None where all have the same. See `gather`.

        Args:
            text: what is compared.
            kind: a text of another kind than that of worker 0 cannot be compared with it, and is left out.
        """
        kinds, texts = self.gather(_digest(kind)), self.gather(_digest(text))
        return next((i for i in range(self.count) if kinds[i] == kinds[0] and texts[i] != texts[0]), None)

    @contextlib.contextmanager
    def chief_first(self, what: str) -> Iterator[None]:
        """Lets the others begin a block of statements when the chief has left it.

        Args:
            what: the chief does in it, as `prepare the data`.

        Raises:
            RunError: the chief failed in it, so the others do not begin it.
        """
        if not self.is_chief:
            if self.gather(0)[0]:
                raise _chief_failed(what)
            yield
            return
        failed = True
        try:
            yield
            failed = False
        finally:
            self.gather(int(failed))

    @contextlib.contextmanager
    def losses_named(self) -> Iterator[None]:
        """Makes a `RunError` of what TensorFlow raises when another worker is gone.

        It raises the same where this worker failed by itself, so where it names no other the message holds its words.
        """
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            others = {int(task) for task in re.findall(r"task:(\d+)", error.message)} - {self.index}
            if not others and self.index and "CoordinationService" in error.message:
                # That is where worker 0 hears from the others.
                others = {0}
            who = f"worker {min(others)}" if len(others) == 1 else "another worker"
            own = "" if others else f", or worker {self.index} failed by itself: {first_line(error)}"
            raise RunError(
                f"{who} of {self.count} was lost{own}; start all of them again with the same commands, and they go on "
                "from the last checkpoint"
            ) from error

    def _sum_of(self, numbers: tf.Tensor) -> tf.Tensor:
        def once_per_worker(numbers):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            first = self.index * (self._strategy.num_replicas_in_sync // self.count)
            return tf.where(replica == first, numbers, 0)

        return self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, self._strategy.run(once_per_worker, args=(numbers,)), axis=None
        )


def _digest(text: str) -> int:
    """A number that `Workers.gather` takes, another one for another text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def _chief_failed(what: str) -> RunError:
    return RunError(f"worker 0 could not {what}; its own message says why")


class SharedWorkdir(Workdir):
    """The folder of a run of several processes, in which only the chief writes.

    Args:
        path: as each process sees it.
        workers: the processes.
    """

    def __init__(self, path: str | os.PathLike[str], workers: Workers):
        super().__init__(path)
        self._workers = workers

    @contextlib.contextmanager
    def open(self, config: ExperimentConfig) -> Iterator[None]:
        """The chief's `Workdir.open`; the others make sure that they see the chief's folder.

        Raises:
            ValueError: as `Workdir.open`, or a worker does not see the folder.
            RunError: as `Workdir.open`, or the chief could not open it, and says why.
        """
        if self._workers.count == 1:
            with super().open(config):
                yield
            return
        with contextlib.ExitStack() as stack:
            token, failure = time.time_ns(), None
            if self._workers.is_chief:
                try:
                    stack.enter_context(super().open(config))
                    write_atomically(self.path / ".job", f"{token}".encode())
                except (RequestError, RunError) as error:
                    failure = error
            opened, *_ = self._workers.gather(0 if failure else token)
            if failure is not None:
                raise failure
            if not opened:
                raise _chief_failed("open the workdir")
            self._check_seen(opened)
            yield

    def _check_seen(self, token: int) -> None:
        try:
            seen = (self.path / ".job").read_text() == str(token)
        except OSError:
            seen = False
        blind = [index for index, sees in enumerate(self._workers.gather(int(seen))) if not sees]
        if blind:
            raise RequestError(
                f"worker {blind[0]} does not see what worker 0 writes to workdir {self.path}; it must be a folder that "
                "all workers share"
            )

    def write_run(self, **values: Any) -> None:
        """As in `Workdir`."""
        if self._workers.is_chief:
            super().write_run(**values)

    def write_result(self, result: dict[str, Any]) -> None:
        """As in `Workdir`."""
        if self._workers.is_chief:
            super().write_result(result)

    def write_evaluation(self, *evaluation: Any) -> None:
        """As in `Workdir`."""
        if self._workers.is_chief:
            super().write_evaluation(*evaluation)

    def truncate_metrics(self, *place: Any) -> None:
        """As in `Workdir`."""
        if self._workers.is_chief:
            super().truncate_metrics(*place)


class SharedCheckpoints(Checkpoints):
    """The checkpoints of a run of several processes: the chief writes them, and all go on from the same one.

    Args:
        folder: as in `Checkpoints`.
        workers: the processes.
        options: as in `Checkpoints`; only the chief warns.
    """

    def __init__(self, folder: Path, workers: Workers, **options: Any):
        super().__init__(folder, **options if workers.is_chief else {})
        self._workers = workers

    def save(self, step: int, state: State, progress: dict[str, Any]) -> None:
        """As in `Checkpoints`."""
        if self._workers.is_chief:
            super().save(step, state, progress)

    def mark_best(self, step: int | None) -> None:
        """As in `Checkpoints`."""
        if self._workers.is_chief:
            super().mark_best(step)

    def restore(self) -> tuple[int, State, dict[str, Any]] | None:
        """As in `Checkpoints`.

        Raises:
            ValueError: every checkpoint is damaged, or the workers did not read the same one.
        """
        restored, failure = None, None
        try:
            restored = super().restore()
        except RequestError as error:
            failure = error
        # Nobody writes before all have read.
        steps = self._workers.gather(0 if restored is None else restored[0])
        if failure is not None:
            raise failure
        other = [index for index, step in enumerate(steps) if step != steps[0]]
        if other:
            raise RequestError(
                f"worker {other[0]} finds the checkpoint of step {steps[other[0]]} in {self._folder}, worker 0 that of "
                f"step {steps[0]}; it must be a folder that all workers share"
            )
        return restored
