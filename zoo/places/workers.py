"""What the processes of one job agree on, and what only the first of them, the chief, does: write."""

import contextlib
import hashlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from zoo.errors import RunError
from zoo.places.strategy import first_line

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
        with self.worker_loss_named():
            numbers = np.zeros(self.count, np.int64)
            numbers[self.index] = number
            return self._sum(tf.constant(numbers)).numpy().tolist()

    def first_different(self, text: str, kind: str = "") -> int | None:
        """The first worker whose text is not that of worker 0; None where all have the same. See `gather`.

        Args:
            text: what is compared.
            kind: a text of another kind than that of worker 0 cannot be compared with it, and is left out.
        """
        kinds, texts = self.gather(_digest(kind)), self.gather(_digest(text))
        return next((i for i in range(self.count) if kinds[i] == kinds[0] and texts[i] != texts[0]), None)

    @contextlib.contextmanager
    def chief_first(self, what: str) -> Iterator[None]:
        """Runs the block in the chief first; the other workers run it when the chief has left it.

        Args:
            what: what the chief does in the block, for messages, as `prepare the data`.

        Raises:
            RunError: in the other workers, where the chief failed; they do not run the block.
        """
        if not self.is_chief:
            if self.gather(0)[0]:
                raise chief_failed(what)
            yield
            return
        failed = True
        try:
            yield
            failed = False
        finally:
            self.gather(int(failed))

    @contextlib.contextmanager
    def worker_loss_named(self) -> Iterator[None]:
        """Turns what TensorFlow raises when another worker is gone into a `RunError`.

        TensorFlow raises the same when this worker itself failed. So where its message names no other worker, that
        message is quoted.
        """
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            others = {int(task) for task in re.findall(r"task:(\d+)", error.message)} - {self.index}
            if not others and self.index and "CoordinationService" in error.message:
                # The coordination service runs in worker 0, so it is worker 0 that does not answer.
                others = {0}
            who = f"worker {min(others)}" if len(others) == 1 else "another worker"
            quoted = "" if others else f", or worker {self.index} failed by itself: {first_line(error)}"
            raise RunError(
                f"{who} of {self.count} was lost{quoted}; start all of them again with the same commands, and they go "
                "on from the last checkpoint"
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
    """A hash of a text, small enough for `Workers.gather`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def chief_failed(what: str) -> RunError:
    """The error of a worker that waited for the chief to do something, which it could not."""
    return RunError(f"worker 0 could not {what}; its own message says why")
