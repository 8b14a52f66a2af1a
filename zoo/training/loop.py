"""The training loop: blocks of steps, with evaluations and checkpoints where they are due."""

import contextlib
import time
from typing import Any

import numpy as np

from zoo import frameworks
from zoo.config import ExperimentConfig
from zoo.errors import Interrupted, warn
from zoo.places.joining import refused_together
from zoo.places.place import Place
from zoo.runs.workdir import Workdir
from zoo.training.data import MEMORY_GIB
from zoo.training.evaluation import KeptBlocks, answers_to
from zoo.training.experiment import Experiment, make_experiment
from zoo.training.recording import Recorder
from zoo.training.signals import StopRequested, deferred_signals
from zoo.training.start import check_same_weights


@frameworks.default_settings()
def train_and_evaluate(
    config: ExperimentConfig,
    workdir: str,
    *,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    profile_steps: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """What `zoo.train` does, and where its arguments are described; the workdir has no default here."""
    started = time.monotonic()
    folder, place = Workdir(workdir), Place.of(strategy)
    with refused_together(place):
        folder.check(config)
        finished = folder.finished(config)
        if finished is not None:
            # It joins nobody: one of several that was lost at the very end is started again alone.
            return finished
        known = folder.known()
        check_same_weights(config, known["started_from"])
    experiment = make_experiment(config, place=place, data_dir=data_dir, memory_gib=memory_gib, **known)
    with experiment.backend.workers.worker_loss_named():
        return _Run(experiment, Recorder(experiment, workdir, started), profile_steps).execute()


class _Run:
    """One run in one folder."""

    def __init__(self, experiment: Experiment, recorder: Recorder, profile_steps: tuple[int, int] | None):
        self._experiment = experiment
        self._config = experiment.config
        self._engine = experiment.engine
        self._workers = experiment.backend.workers
        self._recorder = recorder
        self._profiler = experiment.backend.make_profiler(
            recorder.folder.tensorboard, *(profile_steps if self._workers.is_chief else None) or (0, 0), warn=warn
        )
        self._evaluation_blocks = KeptBlocks(experiment.evaluation_blocks, experiment.evaluation_bytes)
        self._statistics_blocks = KeptBlocks(experiment.statistics_blocks, experiment.statistics_bytes)
        self._signals: list[int] = []
        self._answers: dict[str, np.ndarray] | None = None

    def execute(self) -> dict[str, Any]:
        recorder, backend = self._recorder, self._experiment.backend
        with recorder.folder.open(self._config), backend.memory_shortage_named(self._config, recorder.saver.last_good):
            first_step = recorder.restore()
            # At that very step an evaluation may still be due; then the block after it begins with the thaw.
            if 0 < self._experiment.thaw_step < first_step:
                self._thaw()
            with contextlib.ExitStack() as closing:
                recorder.open_writers(closing)
                closing.callback(self._profiler.close)
                with deferred_signals() as self._signals:
                    self._train(first_step)
            # A run that was killed after its last checkpoint has no answers yet.
            answers = answers_to(self._experiment, self._evaluation_blocks) if self._answers is None else self._answers
            return recorder.finish(answers)

    def _train(self, first_step: int) -> None:
        """Takes the steps that are left. A signal to one worker stops all at the same step, which is saved."""
        recorder = self._recorder
        try:
            if recorder.saver.progress.evaluation_due:
                self._evaluate()
            self._train_blocks(first_step)
        except StopRequested as request:
            recorder.saver.save()
            # Nobody leaves before the chief has written.
            self._workers.gather(0)
            raise Interrupted(
                request.number,
                f"stopped at step {recorder.saver.step} of {self._experiment.total_steps}, which is saved; the same "
                "command goes on",
            ) from None

    def _train_blocks(self, first_step: int) -> None:
        recorder, experiment = self._recorder, self._experiment
        plan, lengths_seen = experiment.block_plan(), set()
        if self._stalled():
            # What was evaluated just now may not be saved yet.
            recorder.saver.save()
            return
        ready = time.perf_counter()
        # Strict, so that pipeline and loop cannot disagree on how many blocks there are.
        for end, block in zip(plan.ends(first_step), experiment.training_blocks(plan, first_step), strict=True):
            step, waited = recorder.saver.step, time.perf_counter() - ready
            if step == experiment.thaw_step > 0:
                self._thaw()
                lengths_seen.clear()
                trained = experiment.freezing.parameters()["trained_parameters"]
                recorder.console.note(f"step {step}: all {trained:,} parameters are trained from here on")
            self._profiler.before(step, end)
            began = time.perf_counter()
            if end - step in lengths_seen:
                metrics = self._engine.train_block(block)
            else:
                with recorder.console.busy("compiling the training step"):
                    metrics = self._engine.train_block(block)
            seconds = waited + time.perf_counter() - began
            # The first block of each length is compiled first.
            recorder.add_block(step, end, metrics, seconds, compiled=end - step in lengths_seen)
            lengths_seen.add(end - step)
            self._profiler.after(end)
            recorder.console.advance(end - step, (end - 1) // experiment.steps_per_epoch + 1)
            self._do_what_is_due(step, end)
            if self._stalled() and end < experiment.total_steps:
                recorder.console.note(f"stopped early at step {end}: {self._config.early_stop_metric} got no better")
                break
            self._stop_if_requested()
            ready = time.perf_counter()
        recorder.saver.save()

    def _thaw(self) -> None:
        """Has what was frozen trained from now on."""
        self._experiment.freezing.thaw()
        self._engine.retrace()

    def _do_what_is_due(self, step: int, end: int) -> None:
        """After the block of the steps from `step` up to `end`: a training row, an evaluation, a checkpoint."""
        evaluation_due = self._due(step, end, self._config.eval_every_epochs * self._experiment.steps_per_epoch)
        if evaluation_due or self._due(step, end, self._config.log_every_steps):
            self._recorder.write_training_row()
        if evaluation_due:
            self._evaluate()
        if self._due(step, end, self._config.checkpoint_every_steps):
            self._recorder.saver.save()

    def _due(self, step: int, end: int, every: int) -> bool:
        """Whether the steps after `step` up to `end` hold a multiple of `every`, or the run's last step."""
        return end // every > step // every or end == self._experiment.total_steps

    def _evaluate(self) -> None:
        """Evaluates and records it. A signal ends it before it is done; then the progress says that it is due."""
        recorder = self._recorder
        recorder.saver.progress.evaluation_due = True
        self._stop_if_requested()
        if self._config.recompute_batch_norm:
            with recorder.console.busy("taking the statistics of batch normalisation"):
                self._recompute_statistics()
        with recorder.console.busy("evaluating"):
            self._answers = answers_to(self._experiment, self._evaluation_blocks, self._between_evaluation_blocks)
        recorder.saver.progress.evaluation_due = False
        recorder.write_evaluation_row(self._experiment.objective.summary(self._answers))

    def _recompute_statistics(self) -> None:
        """Takes the statistics of batch normalisation anew, of the averaged weights where those are evaluated."""

        def with_stops():
            for block in self._statistics_blocks:
                yield block
                self._stop_if_requested()

        with self._experiment.engine.averaged():
            self._engine.recompute_statistics(with_stops())
        # This step may have been saved before: by a run that was stopped while it evaluated.
        self._recorder.saver.outdate()

    def _between_evaluation_blocks(self, done: int) -> None:
        self._recorder.console.evaluating(done, self._experiment.evaluation_batches.num_examples)
        self._stop_if_requested()

    def _stalled(self) -> bool:
        """Whether the run is to end early."""
        best = self._recorder.saver.progress.best.get(self._config.early_stop_metric)
        return bool(best) and best["evaluations_since"] >= self._config.early_stop_patience

    def _stop_if_requested(self) -> None:
        """Raises `StopRequested` in every worker where a signal has come to one of them."""
        number = max(self._workers.gather(self._signals[0] if self._signals else 0))
        if number:
            raise StopRequested(number)
