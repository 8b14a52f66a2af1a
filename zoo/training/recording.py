"""What a run writes while it goes on: rows of metrics, checkpoints, the best of them, and in the end its result."""

import contextlib
import dataclasses
import time
from typing import Any

import numpy as np

from zoo.errors import RequestError, RunError
from zoo.runs.checkpoints import state_sha256
from zoo.runs.files import replacing
from zoo.runs.provenance import kind
from zoo.runs.workdir import now
from zoo.training.experiment import Experiment
from zoo.training.progress import Progress
from zoo.training.shared import SharedCheckpoints, SharedWorkdir
from zoo.training.writers import Console, JsonLines, Silent, TensorBoard, Writer, warn


class Recorder:
    """The records of a run in its folder, which the chief alone writes.

    Args:
        experiment: what is run.
        workdir: the folder.
        started: `time.monotonic` when the run began.

    Attributes:
        folder: of the run.
        console: what a person sees of it.
        progress: what the run must remember beside its variables.
        step: that it is at.
    """

    def __init__(self, experiment: Experiment, workdir: str, started: float):
        self._experiment = experiment
        self._config = experiment.config
        self._workers = experiment.backend.workers
        self._started = started
        self.folder = SharedWorkdir(workdir, self._workers)
        self._checkpoints = SharedCheckpoints(
            self.folder.checkpoints, self._workers, keep=self._config.keep_checkpoints, warn=warn
        )
        self.console: Console | Silent = Silent()
        self._writers: list[Writer] = []
        self.progress = Progress()
        self.step = self._saved_step = 0

    def restore(self) -> int:
        """Takes up the newest whole checkpoint and returns its step; 0 where there is none.

        Raises:
            RequestError: it does not fit the model, or the run began with other data.
        """
        restored = self._checkpoints.restore()
        if restored is not None:
            step, state, progress = restored
            try:
                self._experiment.engine.restore(state)
                self.progress = Progress.from_json(progress)
            except ValueError as error:
                message = f"the checkpoint of step {step} in {self.folder.path} does not fit: {error}"
                raise RequestError(message) from error
            self.step = self._saved_step = step
        self._started -= self.progress.wall_seconds
        self._record_provenance()
        self.folder.truncate_metrics(self.step, self._config.eval_split if self.progress.evaluation_due else "")
        self._mark_best()
        return self.step

    def open_writers(self, closing: contextlib.ExitStack) -> None:
        """Opens the console and all writers; of several workers only the chief has any."""
        if not self._workers.is_chief:
            return

        def opened(writer):
            return closing.enter_context(contextlib.closing(writer))

        config, first_step = self._config, self.step
        self.console = opened(Console(first_step, self._experiment.total_steps, config.batch_size, config.epochs))
        rows = opened(JsonLines(self.folder.metrics))
        events = opened(TensorBoard(self.folder.tensorboard, first_step, warn=warn))
        self._writers = [rows, events, self.console]
        if first_step:
            self.console.note(f"going on from the checkpoint of step {first_step} in {self.folder.path}")
        for part in self.folder.run().get("extended", []):
            if part["to"] == config.epochs and first_step <= part["step"]:
                self.console.note(
                    f"the run had {part['from']} epochs; its schedule is that of {part['to']} from here on"
                )

    def add_block(self, step: int, end: int, metrics: dict[str, np.ndarray], seconds: float, *, compiled: bool) -> None:
        """Adds the steps from `step` up to `end` to the sums.

        Args:
            step: the first one.
            end: the step after the last one.
            metrics: of each step, float32 (end - step,).
            seconds: that they took, waiting for their input included.
            compiled: whether no part of that was spent on compiling.

        Raises:
            RunError: the loss is no number.
        """
        bad = np.flatnonzero(~np.isfinite(metrics["loss"]))
        if bad.size:
            raise RunError(
                f"the loss became {metrics['loss'][bad[0]]} at step {step + int(bad[0]) + 1}; the last good state is "
                f"that of {self.last_good()}; a lower learning_rate or grad_clip_norm may help"
            )
        progress = self.progress
        for name, values in metrics.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(values.sum(dtype=np.float64))
        progress.train_seconds += seconds
        if compiled:
            progress.timed_steps += end - step
            progress.timed_seconds += seconds
        self.step = end

    def write_training_row(self) -> None:
        """Writes the means over the steps since the last such row."""
        progress, end = self.progress, self.step
        steps = end - progress.logged_step
        self._write(
            "train",
            {name: value / steps for name, value in progress.sums.items()},
            learning_rate=float(self._experiment.learning_rate(end - 1)),
            images_per_second=steps * self._config.batch_size / (progress.train_seconds - progress.logged_seconds),
        )
        progress.sums = {}
        progress.logged_step, progress.logged_seconds = end, progress.train_seconds

    def write_evaluation_row(self, summary: dict[str, float]) -> None:
        """Writes an evaluation, and keeps the checkpoint if it is the best so far."""
        self._write(self._config.eval_split, summary)
        for metric in dict.fromkeys((self._config.keep_best, self._config.early_stop_metric)):
            if metric:
                self.progress.note(metric, summary[metric], self.step)
        if self.progress.best.get(self._config.keep_best, {}).get("step") == self.step:
            self.save()
            self._mark_best()

    def save(self) -> None:
        """Saves the step that the run is at, if it is not saved yet.

        Raises:
            RunError: a variable is no number, or several workers do not have the same variables.
        """
        if self.step == self._saved_step:
            return
        state = self._experiment.engine.state()
        broken = [name for name, value in state.items() if not np.isfinite(value).all()]
        if broken:
            raise RunError(
                f"{broken[0]} stopped being finite by step {self.step}; the last good state is that of "
                f"{self.last_good()}"
            )
        # Before anything is written: what the chief saves is what all workers go on from, so that afterwards nobody
        # could tell any more that they had gone apart.
        if self._workers.count > 1:
            different = self._workers.first_different(state_sha256(state))
            if different is not None:
                raise RunError(
                    f"worker {different} has other variables than worker 0 at step {self.step}; are the machines of "
                    f"one kind? The last state that all had is that of {self.last_good()}"
                )
        self.progress.wall_seconds = time.monotonic() - self._started
        self._checkpoints.save(self.step, state, dataclasses.asdict(self.progress))
        self._saved_step = self.step

    def finish(self, answers: dict[str, np.ndarray]) -> dict[str, Any]:
        """Writes model, evaluation and result of a run whose last step is saved; returns the result."""
        experiment, config, progress = self._experiment, self._config, self.progress
        with experiment.engine.averaged():
            if self._workers.is_chief:
                with replacing(self.folder.model) as temporary:
                    experiment.model.save(temporary)
        self.folder.write_evaluation(answers, experiment.objective.confusions(answers), experiment.data.class_names())
        rate = progress.timed_steps * config.batch_size / progress.timed_seconds if progress.timed_steps else None
        result = {
            "model": config.model,
            "dataset": config.dataset,
            "steps": self._saved_step,
            "stopped_early": self._saved_step < experiment.total_steps,
            "best": progress.best,
            "epochs": config.epochs,
            "seed": config.seed,
            "metrics": progress.metrics,
            "wall_seconds": round(time.monotonic() - self._started, 3),
            "train_seconds": round(progress.train_seconds, 3),
            "images_per_second": rate and round(rate, 1),
            "state_sha256": state_sha256(experiment.engine.state()),
        }
        self.folder.write_run(ended=now())
        self.folder.write_result(result)
        # Nobody leaves before the chief has written.
        self._workers.gather(0)
        return result

    def last_good(self) -> str:
        """Where the last state is that a run could go on from."""
        return f"step {self._saved_step} in {self.folder.checkpoints}" if self._saved_step else "the start"

    def _write(self, split: str, metrics: dict[str, float], **more: float) -> None:
        self.progress.metrics.update({f"{split}/{name}": value for name, value in metrics.items()})
        epoch = round(self.step / self._experiment.steps_per_epoch, 4)
        row = {"step": self.step, "epoch": epoch, "split": split, **metrics, **more}
        for writer in self._writers:
            writer.write(row)

    def _mark_best(self) -> None:
        """Marks the checkpoint that the progress says is the best.

        Also called when a run resumes: the previous process may have died between saving a checkpoint and marking it,
        or may have marked one later than the step that this one goes on from.
        """
        best = self.progress.best.get(self._config.keep_best, {}).get("step")
        marked = best if best in self._checkpoints.steps() else None
        if marked != self._checkpoints.best():
            self._checkpoints.mark_best(marked)

    def _record_provenance(self) -> None:
        """Writes where the run comes from; refuses to go on with other data than those it began with.

        It says so where the result will not be that of a run in one go.
        """
        now_here, before = self._experiment.provenance(), self.folder.run()
        one_kind = self._of_one_kind(before, now_here)
        if self.step:
            if not _same_examples(before.get("dataset", now_here["dataset"]), now_here["dataset"]):
                raise RequestError(
                    f"the run in {self.folder.path} began with other examples of {self._config.dataset}; "
                    "name the --data_dir it began with, or another --workdir"
                )
            names = ["versions", "replicas", "strategy", *([] if one_kind else ["hardware"])]
            changed = [name for name in names if before.get(name) != now_here[name]]
            if changed and self._workers.is_chief:
                warn(
                    f"the run began with other {' and '.join(changed)} (see run.json): it is no longer exactly "
                    "repeatable"
                )
        # Of the bits of a run that was made on two kinds of machines nobody can say of which they are.
        now_here["mixed_kinds"] = bool(self.step) and not one_kind
        self.folder.write_run(**now_here, started=[*before.get("started", []), now()])

    def _of_one_kind(self, before: dict[str, Any], now_here: dict[str, Any]) -> bool:
        """Whether all parts of the run were made, as far as is known, on one kind of machine."""
        began, goes_on = (kind(run, self._config.cpu_threads) for run in (before, now_here))
        if began is None:
            # Where the kind is unknown, all that was written of the machine must be the same.
            return not before.get("mixed_kinds") and before.get("hardware") == now_here["hardware"]
        return began == goes_on


def _same_examples(recorded: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether two records are of the same examples, as far as they can be compared.

    A split that was read by index has another kind of fingerprint than one held in memory: the part before a colon.
    """

    def comparable(name):
        one, other = (str(record.get(name)).rpartition(":")[0] for record in (recorded, found))
        return not name.endswith("sha256") or one == other

    return all(recorded.get(name) == found.get(name) for name in {*recorded, *found} if comparable(name))
