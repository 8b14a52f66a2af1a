"""The folder and the checkpoints of a run of several processes, of which only the chief writes."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.config import ExperimentConfig
from zoo.errors import RequestError, RunError
from zoo.places.workers import Workers, chief_failed
from zoo.runs.checkpoints import Checkpoints, State
from zoo.runs.files import write_atomically
from zoo.runs.workdir import Workdir


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
            RequestError: as `Workdir.open`, or a worker does not see the folder.
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
                raise chief_failed("open the workdir")
            self._check_seen(opened)
            yield

    def begin(self, config: ExperimentConfig) -> None:
        """As in `Workdir`; the others wait for the chief.

        Raises:
            RunError: as in `Workdir`, or the chief could not write, and says why.
        """
        with self._workers.chief_first("write to the workdir"):
            if self._workers.is_chief:
                super().begin(config)

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


# In place of a step: a worker could not read what the others read.
_UNREAD = 2**61


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

    def restore(self, step: int | None = None) -> tuple[int, State, dict[str, Any]] | None:
        """As in `Checkpoints`.

        Raises:
            RequestError: as in `Checkpoints`, or another worker could not read what this one did.
        """
        restored, failure = None, None
        try:
            restored = super().restore(step)
        except RequestError as error:
            failure = error
        # Nobody writes before all have read.
        steps = self._workers.gather(_UNREAD if failure else 0 if restored is None else restored[0])
        if failure is not None:
            raise failure
        blind = [index for index, step in enumerate(steps) if step == _UNREAD]
        if blind:
            raise RequestError(
                f"worker {blind[0]} cannot read the checkpoint in {self._folder} that this one reads; its own message "
                "says why"
            )
        other = [index for index, step in enumerate(steps) if step != steps[0]]
        if other:
            raise RequestError(
                f"worker {other[0]} finds the checkpoint of step {steps[other[0]]} in {self._folder}, worker 0 that of "
                f"step {steps[0]}; it must be a folder that all workers share"
            )
        return restored
