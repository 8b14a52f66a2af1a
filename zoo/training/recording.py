"""What a run writes while it goes on: where it comes from, rows of metrics, and in the end its result."""

import contextlib
from typing import Any

import numpy as np

from zoo.config import image_folder
from zoo.data.sources.example_source import fingerprint_kind
from zoo.errors import RequestError, RunError, warn
from zoo.runs.answers import write_answers
from zoo.runs.checkpoints import state_sha256
from zoo.runs.files import replacing
from zoo.runs.provenance import kind
from zoo.runs.rows import truncate_rows
from zoo.runs.workdir import now
from zoo.training.console import Console, Silent
from zoo.training.experiment import Experiment
from zoo.training.saving import Saver
from zoo.training.shared import SharedWorkdir
from zoo.training.summary import introduction
from zoo.training.writers import JsonLines, TensorBoard, Writer


class Recorder:
    """The records of a run in its folder, which the chief alone writes.

    Args:
        experiment: what is run.
        workdir: the folder.
        started: `time.monotonic` when the run began.

    Attributes:
        folder: the run's folder, in which the chief alone writes.
        saver: saves the run's variables and its progress.
        console: shows the run to a person.
    """

    def __init__(self, experiment: Experiment, workdir: str, started: float):
        self._experiment = experiment
        self._config = experiment.config
        self._workers = experiment.backend.workers
        self.folder = SharedWorkdir(workdir, self._workers)
        self.saver = Saver(experiment, self.folder, started)
        self.console: Console | Silent = Silent()
        self._writers: list[Writer] = []

    def restore(self) -> int:
        """Takes up the newest whole checkpoint and returns its step; 0 where there is none.

        Raises:
            RequestError: it does not fit the model, or the run began with other data.
        """
        self.saver.restore()
        self._record_provenance()
        if self._workers.is_chief:
            split_to_come = self._config.eval_split if self.saver.progress.evaluation_due else ""
            truncate_rows(self.folder.metrics, self.saver.step, split_to_come)
        self.saver.mark_best()
        return self.saver.step

    def open_writers(self, closing: contextlib.ExitStack) -> None:
        """Opens the console and all writers; of several workers only the chief has any."""
        if not self._workers.is_chief:
            return

        def opened(writer):
            return closing.enter_context(contextlib.closing(writer))

        config, first_step = self._config, self.saver.step
        self.console = opened(Console(first_step, self._experiment.total_steps, config.batch_size, config.epochs))
        rows = opened(JsonLines(self.folder.metrics))
        events = opened(TensorBoard(self.folder.tensorboard, first_step, warn=warn))
        self._writers = [rows, events, self.console]
        for line in introduction(self._experiment, str(self.folder.path)):
            self.console.note(line)
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
        good_end = step + int(bad[0]) if bad.size else end
        progress = self.saver.progress
        for name, values in metrics.items():
            good = values[: good_end - step]
            progress.sums[name] = progress.sums.get(name, 0.0) + float(good.sum(dtype=np.float64))
        progress.train_seconds += seconds
        if compiled:
            progress.timed_steps += end - step
            progress.timed_seconds += seconds
        self.saver.step = good_end
        if bad.size:
            self._fail({name: float(values[good_end - step]) for name, values in metrics.items()})

    def _fail(self, metrics: dict[str, float]) -> None:
        """Ends the run at a step whose loss is no number: its curve up to there is what one will look at."""
        if self.saver.step > self.saver.progress.logged_step:
            self.write_training_row()
        self.saver.step += 1
        self._write("train", metrics)
        raise RunError(
            f"the loss became {metrics['loss']} at step {self.saver.step}; the last good state is that of "
            f"{self.saver.last_good()}; a lower learning_rate or grad_clip_norm may help"
        )

    def write_training_row(self) -> None:
        """Writes the means over the steps since the last such row."""
        progress, end = self.saver.progress, self.saver.step
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
                self.saver.progress.note(metric, summary[metric], self.saver.step)
        if self.saver.progress.best.get(self._config.keep_best, {}).get("step") == self.saver.step:
            self.saver.save()
            self.saver.mark_best()

    def finish(self, answers: dict[str, np.ndarray]) -> dict[str, Any]:
        """Writes model, evaluation and result of a run whose last step is saved; returns the result."""
        experiment = self._experiment
        with experiment.engine.averaged(), experiment.freezing.lifted():
            if self._workers.is_chief:
                with self.console.busy("saving the model"), replacing(self.folder.model) as temporary:
                    experiment.model.save(temporary)
        if self._workers.is_chief:
            confusions = experiment.objective.confusions(answers)
            answers = {**answers, **experiment.examples_evaluated()}
            write_answers(self.folder.path, answers, confusions, experiment.data.class_names())
        result = self._result()
        self.folder.write_run(ended=now())
        self.folder.write_result(result)
        # Nobody leaves before the chief has written.
        self._workers.gather(0)
        return result

    def _result(self) -> dict[str, Any]:
        """What `result.json` holds."""
        experiment, config, progress = self._experiment, self._config, self.saver.progress
        rate = progress.timed_steps * config.batch_size / progress.timed_seconds if progress.timed_steps else None
        return {
            "model": config.model,
            "dataset": config.dataset,
            "steps": self.saver.saved_step,
            "stopped_early": self.saver.saved_step < experiment.total_steps,
            "best": progress.best,
            "epochs": config.epochs,
            "seed": config.seed,
            "metrics": progress.metrics,
            "wall_seconds": round(self.saver.wall_seconds(), 3),
            "train_seconds": round(progress.train_seconds, 3),
            "images_per_second": rate and round(rate, 1),
            "state_sha256": state_sha256(experiment.engine.state()),
        }

    def _write(self, split: str, metrics: dict[str, float], **more: float) -> None:
        self.saver.progress.metrics.update({f"{split}/{name}": value for name, value in metrics.items()})
        epoch = round(self.saver.step / self._experiment.steps_per_epoch, 4)
        row = {"step": self.saver.step, "epoch": epoch, "split": split, **metrics, **more}
        for writer in self._writers:
            writer.write(row)

    def _record_provenance(self) -> None:
        """Writes where the run comes from; refuses to go on with other data than those it began with."""
        here, before = self._experiment.provenance(), self.folder.run()
        one_kind = _of_one_kind(before, here, self._config.cpu_threads)
        if self.saver.step:
            if not _same_examples(before.get("dataset", here["dataset"]), here["dataset"]):
                of_folder = image_folder(self._config.dataset) is not None
                remedy = "put back what was there" if of_folder else "name the --data_dir it began with"
                raise RequestError(
                    f"the run in {self.folder.path} began with other examples of {self._config.dataset}; {remedy}, or "
                    "name another --workdir"
                )
            names = ["versions", "replicas", "strategy", *([] if one_kind else ["hardware"])]
            changed = [name for name in names if before.get(name) != here[name]]
            if changed and self._workers.is_chief:
                warn(
                    f"the run began with other {' and '.join(changed)} (see run.json): it is no longer exactly "
                    "repeatable"
                )
        self.folder.begin(self._config)
        before = self.folder.run()
        # Of the bits of a run that was made on two kinds of machines nobody can say of which they are.
        here["mixed_kinds"] = bool(self.saver.step) and not one_kind
        self.folder.write_run(**here, started=[*before.get("started", []), now()])


def _of_one_kind(before: dict[str, Any], here: dict[str, Any], cpu_threads: int) -> bool:
    """Whether all parts of a run were made, as far as is known, on one kind of machine."""
    began, goes_on = (kind(run, cpu_threads) for run in (before, here))
    if began is None:
        # Where the kind is unknown, all that was written of the machine must be the same.
        return not before.get("mixed_kinds") and before.get("hardware") == here["hardware"]
    return began == goes_on


def _same_examples(recorded: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether two records are of the same examples, as far as they can be compared.

    A split that was read by index has another kind of fingerprint than one held in memory.
    """

    def comparable(name):
        one, other = (fingerprint_kind(str(record.get(name))) for record in (recorded, found))
        return not name.endswith("sha256") or one == other

    return all(recorded.get(name) == found.get(name) for name in {*recorded, *found} if comparable(name))
