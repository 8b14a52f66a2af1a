"""What a run goes on from: its variables and its progress, taken up at the start and saved while it goes on."""

import dataclasses
import time

import numpy as np

from zoo.errors import RequestError, RunError, warn
from zoo.runs.checkpoints import state_sha256
from zoo.training.experiment import Experiment
from zoo.training.progress import Progress
from zoo.training.shared import SharedCheckpoints, SharedWorkdir


class Saver:
    """The checkpoints of a run, which the chief alone writes.

    Args:
        experiment: what is run.
        folder: of the run.
        started: `time.monotonic` when the run began.

    Attributes:
        progress: what the run must remember beside its variables.
        step: how many steps the run has taken.
        saved_step: the step of the last checkpoint; 0 where there is none.
    """

    def __init__(self, experiment: Experiment, folder: SharedWorkdir, started: float):
        self._config = experiment.config
        self._engine = experiment.engine
        self._workers = experiment.backend.workers
        self._folder = folder
        self._started = started
        self._checkpoints = SharedCheckpoints(
            folder.checkpoints, self._workers, keep=self._config.keep_checkpoints, warn=warn
        )
        self.progress = Progress()
        self.step = self.saved_step = 0
        self._outdated = False

    def restore(self) -> None:
        """Takes up the newest whole checkpoint, where there is one.

        Raises:
            RequestError: it does not fit the model, or all are damaged.
        """
        restored = self._checkpoints.restore()
        if restored is not None:
            step, state, progress = restored
            try:
                self._engine.restore(state)
                self.progress = Progress.from_json(progress)
            except ValueError as error:
                message = f"the checkpoint of step {step} in {self._folder.path} does not fit: {error}"
                raise RequestError(message) from error
            self.step = self.saved_step = step
        self._started -= self.progress.wall_seconds

    def save(self) -> None:
        """Saves the step that the run is at, if it is not saved yet.

        Raises:
            RunError: a variable is no number, or several workers do not have the same variables.
        """
        if self.step == self.saved_step and not self._outdated:
            return
        state = self._engine.state()
        # Before anything is written: what the chief saves is what all workers go on from, so that afterwards nobody
        # could tell any more that they had gone apart. Before any worker leaves, too, whatever only it has come to.
        different = self._workers.first_different(state_sha256(state)) if self._workers.count > 1 else None
        if different is not None:
            raise RunError(
                f"worker {different} has other variables than worker 0 at step {self.step}; are the machines of "
                f"one kind? The last state that all had is that of {self.last_good()}"
            )
        broken = [name for name, value in state.items() if not np.isfinite(value).all()]
        if broken:
            raise RunError(
                f"{broken[0]} stopped being finite by step {self.step}; the last good state is that of "
                f"{self.last_good()}"
            )
        self.progress.wall_seconds = self.wall_seconds()
        self._checkpoints.save(self.step, state, dataclasses.asdict(self.progress))
        self.saved_step, self._outdated = self.step, False

    def outdate(self) -> None:
        """Has this step saved again, since its variables are others now."""
        self._outdated = True

    def mark_best(self) -> None:
        """Marks the checkpoint that the progress says is the best.

        Also called when a run resumes: the previous process may have died between saving a checkpoint and marking it,
        or may have marked one later than the step that this one goes on from.
        """
        best = self.progress.best.get(self._config.keep_best, {}).get("step")
        marked = best if best in self._checkpoints.steps() else None
        if marked != self._checkpoints.best():
            self._checkpoints.mark_best(marked)

    def wall_seconds(self) -> float:
        """How long the run has taken, all its parts together."""
        return time.monotonic() - self._started

    def last_good(self) -> str:
        """Where the last state is that a run could go on from."""
        return f"step {self.saved_step} in {self._folder.checkpoints}" if self.saved_step else "the start"
