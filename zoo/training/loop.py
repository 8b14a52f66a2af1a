"""The training loop: blocks of steps, evaluation, checkpoints, records. It knows no `tf.function`."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from zoo.config import ExperimentConfig
from zoo.errors import Interrupted, RequestError, RunError
from zoo.places.joining import refused_together
from zoo.places.place import Place
from zoo.runs.checkpoints import Checkpoints, DamagedError, state_sha256
from zoo.runs.files import replacing
from zoo.runs.provenance import kind
from zoo.runs.workdir import Workdir, now
from zoo.training.data import MEMORY_GIB
from zoo.training.engines.memory import memory_shortage_named
from zoo.training.engines.profiling import Profiler
from zoo.training.experiment import Experiment, make_experiment
from zoo.training.progress import Progress
from zoo.training.shared import SharedCheckpoints, SharedWorkdir
from zoo.training.signals import StopRequested, deferred_signals
from zoo.training.writers import Console, JsonLines, Silent, TensorBoard, Writer


def train_and_evaluate(
    config: ExperimentConfig,
    workdir: str,
    *,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    profile_steps: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Trains and evaluates, or goes on where an earlier call with the same workdir was stopped.

    Args:
        config: what to run.
        workdir: folder of the run; made if it is not there.
        strategy: where it runs: a place, or what `--strategy` says of one, see `zoo.places.place`.
        data_dir: where datasets are prepared; default: TFDS' own.
        memory_gib: splits that take less are held in memory; the result does not depend on it.
        profile_steps: first step and end of what is traced for TensorBoard, rounded outwards to whole blocks.

    Returns:
        What `result.json` holds. A finished run is not run again.

    Raises:
        RequestError: the request is wrong; nothing was written to the workdir.
        RunError: the run cannot go on.
        Interrupted: SIGINT or SIGTERM came; the state was saved.
    """
    started = time.monotonic()
    if config.eval_split == "train":
        raise RequestError("eval_split is 'train', which is what the rows of training are called; write train[:100%]")
    folder, place = Workdir(workdir), Place.of(strategy)
    with refused_together(place):
        folder.check(config)
        finished = folder.finished(config)
        if finished is not None:
            # It joins nobody: one of several that was lost at the very end is started again alone.
            return finished
        statistics = folder.statistics()
    experiment = make_experiment(config, place=place, data_dir=data_dir, memory_gib=memory_gib, statistics=statistics)
    with experiment.workers.worker_loss_named():
        return _Run(experiment, workdir, started, profile_steps).execute()


def evaluate(
    config: ExperimentConfig,
    workdir: str,
    *,
    step: int | str | None = None,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
) -> dict[str, Any]:
    """Evaluates a checkpoint of a run on the config's evaluation split; writes nothing.

    Args:
        config: the run's, with another `eval_split` or `batch_size` if that is what is asked for.
        workdir: folder of the run.
        step: of the checkpoint; `best`: of the one that was kept as the best; default: the newest whole one.
        strategy: as in `train_and_evaluate`.
        data_dir: as in `train_and_evaluate`.
        memory_gib: as in `train_and_evaluate`.

    Returns:
        `step` and `metrics`, as in `result.json`.

    Raises:
        RequestError: there is no such checkpoint, or it is not one of this model.
    """
    folder = Workdir(workdir)
    checkpoints, place = Checkpoints(folder.checkpoints), Place.of(strategy)
    with refused_together(place):
        step, statistics = _step_of(checkpoints, step, workdir), folder.statistics()
    experiment = make_experiment(config, place=place, data_dir=data_dir, memory_gib=memory_gib, statistics=statistics)
    workers = experiment.workers
    if step is None:
        restored = SharedCheckpoints(folder.checkpoints, workers, warn=_warn).restore()
        if restored is None:
            raise RequestError(f"there is no checkpoint in {workdir}; train first")
        step, state, _ = restored
    else:
        try:
            state, _ = checkpoints.load(step)
        except DamagedError as error:
            raise RequestError(str(error)) from error
    try:
        experiment.engine.restore(state)
    except ValueError as error:
        raise RequestError(f"the checkpoint of step {step} in {workdir} does not fit: {error}") from error
    with workers.worker_loss_named(), memory_shortage_named(config):
        metrics = experiment.objective.summary(_answers_to(experiment, experiment.evaluation_blocks()))
    return {
        "step": step,
        "metrics": {f"{config.eval_split}/{name}": value for name, value in metrics.items()},
    }


def _step_of(checkpoints: Checkpoints, step: int | str | None, workdir: str) -> int | None:
    """The step of the checkpoint that is asked for, see `evaluate`."""
    if step == "best":
        step = checkpoints.best()
        if step is None:
            raise RequestError(f"there is no best checkpoint in {workdir}; keep_best names the metric to keep one by")
    if step is not None and step not in checkpoints.steps():
        known = ", ".join(map(str, checkpoints.steps())) or "none"
        raise RequestError(f"there is no checkpoint of step {step} in {workdir}; there is {known}")
    return step


# Evaluation blocks that take less are made once for all evaluations of a run.
MAX_KEPT_BYTES = 2**30


class _Run:
    """One run in one folder."""

    def __init__(self, experiment: Experiment, workdir: str, started: float, profile_steps: tuple[int, int] | None):
        self._started = started
        self._workers = experiment.workers
        self._experiment = experiment
        self._config = experiment.config
        self._engine = experiment.engine
        self._folder = SharedWorkdir(workdir, self._workers)
        self._checkpoints = SharedCheckpoints(
            self._folder.checkpoints, self._workers, keep=self._config.keep_checkpoints, warn=_warn
        )
        self._profiler = Profiler(
            self._folder.tensorboard, *(profile_steps if self._workers.is_chief else None) or (0, 0), warn=_warn
        )
        self._progress = Progress()
        self._step = self._saved_step = 0
        self._received: list[int] = []
        self._kept_blocks: list | None = None
        self._answers: dict[str, np.ndarray] | None = None

    def execute(self) -> dict[str, Any]:
        with self._folder.open(self._config), memory_shortage_named(self._config, self._last_good):
            return self._execute()

    def _execute(self) -> dict[str, Any]:
        first_step = self._restore()
        self._started -= self._progress.wall_seconds
        source, recorded = self._experiment.provenance(), self._folder.run()
        if first_step:
            self._check_provenance(recorded, source)
        # Of such a run's bits no kind of machine can tell.
        source["mixed_kinds"] = bool(first_step) and not self._of_one_kind(recorded, source)
        self._folder.write_run(**source, started=[*recorded.get("started", []), now()])
        self._folder.truncate_metrics(first_step, self._config.eval_split if self._progress.evaluation_due else "")
        self._mark_best()
        with contextlib.ExitStack() as closing:
            self._console, self._writers = self._open_writers(first_step, closing)
            closing.callback(self._profiler.close)
            if first_step:
                self._console.note(f"going on from the checkpoint of step {first_step} in {self._folder.path}")
            for part in recorded.get("extended", []):
                if part["to"] == self._config.epochs and first_step <= part["step"]:
                    self._console.note(
                        f"the run had {part['from']} epochs; its schedule is that of {part['to']} from here on"
                    )
            with deferred_signals() as self._received:
                self._train(first_step)
        return self._finish()

    def _open_writers(self, first_step: int, closing: contextlib.ExitStack) -> tuple[Console | Silent, list[Writer]]:
        """The console and all writers, it among them; of several workers only the chief has any."""
        if not self._workers.is_chief:
            return Silent(), []

        def opened(writer):
            return closing.enter_context(contextlib.closing(writer))

        console = opened(
            Console(first_step, self._experiment.total_steps, self._config.batch_size, self._config.epochs)
        )
        rows = opened(JsonLines(self._folder.metrics))
        events = opened(TensorBoard(self._folder.tensorboard, first_step, warn=_warn))
        return console, [rows, events, console]

    def _restore(self) -> int:
        """Takes up the newest whole checkpoint and returns its step; 0 where there is none."""
        restored = self._checkpoints.restore()
        if restored is None:
            return 0
        step, state, progress = restored
        try:
            self._engine.restore(state)
        except ValueError as error:
            raise RequestError(f"the checkpoint of step {step} in {self._folder.path} does not fit: {error}") from error
        self._progress = Progress(**progress)
        self._step = self._saved_step = step
        return step

    def _check_provenance(self, recorded: dict[str, Any], source: dict[str, Any]) -> None:
        """Refuses to go on with other data, and says so where the result will not be that of a run in one go."""
        if not _same_examples(recorded.get("dataset", source["dataset"]), source["dataset"]):
            raise RequestError(
                f"the run in {self._folder.path} began with other examples of {self._config.dataset}; "
                "name the --data_dir it began with, or another --workdir"
            )
        names = ["versions", "replicas", "strategy"]
        if not self._of_one_kind(recorded, source):
            names.append("hardware")
        changed = [name for name in names if recorded.get(name) != source[name]]
        if changed and self._workers.is_chief:
            _warn(
                f"the run began with other {' and '.join(changed)} (see run.json): it is no longer exactly repeatable"
            )

    def _of_one_kind(self, recorded: dict[str, Any], source: dict[str, Any]) -> bool:
        """Whether all parts of the run were made, as far as is known, on one kind of machine."""
        began, goes_on = (kind(run, self._config.cpu_threads) for run in (recorded, source))
        if began is None:
            # Where the kind is unknown, all that was written of the machine must be the same.
            return not recorded.get("mixed_kinds") and recorded.get("hardware") == source["hardware"]
        return began == goes_on

    def _train(self, first_step: int) -> None:
        """Takes the steps that are left. A signal to one worker stops all at the same step, which is saved."""
        try:
            if self._progress.evaluation_due:
                self._evaluate_now()
            self._train_blocks(first_step)
        except StopRequested as asked:
            self._save()
            # Nobody leaves before the chief has written.
            self._workers.gather(0)
            raise Interrupted(
                asked.number,
                f"stopped at step {self._step} of {self._experiment.total_steps}, which is saved; the same command "
                "goes on",
            ) from None

    def _train_blocks(self, first_step: int) -> None:
        plan, total_steps = self._experiment.block_plan(), self._experiment.total_steps
        lengths_seen: set[int] = set()
        if self._stalled():
            return
        ready = time.perf_counter()
        # Strict, so that pipeline and loop cannot disagree on how many blocks there are.
        for end, block in zip(plan.ends(first_step), self._experiment.training_blocks(plan, first_step), strict=True):
            step, waited = self._step, time.perf_counter() - ready
            self._profiler.before(step, end)
            began = time.perf_counter()
            metrics = self._engine.train_block(block)
            seconds = waited + time.perf_counter() - began
            self._count(step, end, metrics, seconds, compiled=end - step in lengths_seen)
            lengths_seen.add(end - step)
            self._step = end
            self._profiler.after(end)
            self._console.advance(end - step, self._epoch(step))
            self._record(step, end)
            if self._stalled() and end < total_steps:
                self._console.note(f"stopped early at step {end}: {self._config.early_stop_metric} got no better")
                break
            self._stop_if_asked()
            ready = time.perf_counter()
        self._save()

    def _stop_if_asked(self) -> None:
        """Raises `StopRequested` in every worker where a signal has come to one of them."""
        number = max(self._workers.gather(self._received[0] if self._received else 0))
        if number:
            raise StopRequested(number)

    def _count(self, step: int, end: int, metrics: dict[str, np.ndarray], seconds: float, *, compiled: bool) -> None:
        """Adds a block to the sums; a loss that is no number ends the run."""
        bad = np.flatnonzero(~np.isfinite(metrics["loss"]))
        if bad.size:
            raise RunError(
                f"the loss became {metrics['loss'][bad[0]]} at step {step + int(bad[0]) + 1}; the last good state is "
                f"that of {self._last_good()}; a lower learning_rate or grad_clip_norm may help"
            )
        progress = self._progress
        for name, values in metrics.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(values.sum(dtype=np.float64))
        progress.train_seconds += seconds
        if compiled:
            progress.timed_steps += end - step
            progress.timed_seconds += seconds

    def _record(self, step: int, end: int) -> None:
        """What is due after a block: a training row, an evaluation, a checkpoint."""
        evaluation_due = self._due(step, end, self._config.eval_every_epochs * self._experiment.steps_per_epoch)
        if evaluation_due or self._due(step, end, self._config.log_every_steps):
            progress = self._progress
            steps = end - progress.logged_step
            images = steps * self._config.batch_size
            self._write(
                "train",
                {name: value / steps for name, value in progress.sums.items()},
                learning_rate=float(self._experiment.learning_rate(end - 1)),
                images_per_second=images / (progress.train_seconds - progress.logged_seconds),
            )
            progress.sums = {}
            progress.logged_step, progress.logged_seconds = end, progress.train_seconds
        if evaluation_due:
            self._evaluate_now()
        if self._due(step, end, self._config.checkpoint_every_steps):
            self._save()

    def _evaluate_now(self) -> None:
        """Evaluates, writes the row, and keeps the checkpoint if it is the best.

        A signal ends it before it is done, and nothing is written: then the progress says that it is due.
        """
        self._progress.evaluation_due = True
        self._stop_if_asked()
        self._answers = self._evaluate(self._between_blocks)
        self._progress.evaluation_due = False
        summary = self._experiment.objective.summary(self._answers)
        self._write(self._config.eval_split, summary)
        for metric in dict.fromkeys((self._config.keep_best, self._config.early_stop_metric)):
            if metric:
                self._progress.note(metric, summary[metric], self._step)
        if self._progress.best.get(self._config.keep_best, {}).get("step") == self._step:
            self._save()
            self._mark_best()

    def _between_blocks(self, done: int) -> None:
        """Is called within an evaluation, of which so many examples are done."""
        self._console.evaluating(done, self._experiment.evaluation_batches.num_examples)
        self._stop_if_asked()

    def _mark_best(self) -> None:
        """Marks the checkpoint that the progress says is the best.

        At the start of a part of a run too: the one before may have ended between a checkpoint and its mark, or have
        marked one beyond the step that this part goes on from.
        """
        best = self._progress.best.get(self._config.keep_best, {}).get("step")
        marked = best if best in self._checkpoints.steps() else None
        if marked != self._checkpoints.best():
            self._checkpoints.mark_best(marked)

    def _stalled(self) -> bool:
        """Whether the run is to end early."""
        best = self._progress.best.get(self._config.early_stop_metric)
        return bool(best) and best["evaluations_since"] >= self._config.early_stop_patience

    def _evaluate(self, between_blocks: Callable[[int], None] = lambda done: None) -> dict[str, np.ndarray]:
        return _answers_to(self._experiment, self._evaluation_blocks(), between_blocks)

    def _evaluation_blocks(self) -> Iterator:
        """The blocks of the evaluation split, which are kept for the next time where they are small."""
        if self._kept_blocks is not None:
            yield from self._kept_blocks
            return
        blocks = []
        for block in self._experiment.evaluation_blocks():
            if self._experiment.evaluation_bytes <= MAX_KEPT_BYTES:
                blocks.append(block)
            yield block
        self._kept_blocks = blocks or None

    def _write(self, split: str, metrics: dict[str, float], **more: float) -> None:
        self._progress.metrics.update({f"{split}/{name}": value for name, value in metrics.items()})
        row = {"step": self._step, "epoch": self._epoch(self._step, exact=True), "split": split, **metrics, **more}
        for writer in self._writers:
            writer.write(row)

    def _save(self) -> None:
        """Saves the step that the run is at, if it is not saved yet."""
        step = self._step
        if step == self._saved_step:
            return
        state = self._engine.state()
        broken = [name for name, value in state.items() if not np.isfinite(value).all()]
        if broken:
            raise RunError(
                f"{broken[0]} stopped being finite by step {step}; the last good state is that of {self._last_good()}"
            )
        self._progress.wall_seconds = time.monotonic() - self._started
        self._checkpoints.save(step, state, dataclasses.asdict(self._progress))
        self._saved_step = step

    def _finish(self) -> dict[str, Any]:
        with self._engine.averaged():
            if self._workers.is_chief:
                with replacing(self._folder.model) as temporary:
                    self._experiment.model.save(temporary)
        # A run that was killed after its last checkpoint has no answers yet.
        answers = self._evaluate() if self._answers is None else self._answers
        self._folder.write_evaluation(
            answers, self._experiment.objective.confusions(answers), self._experiment.data.class_names()
        )
        progress = self._progress
        wall_seconds = time.monotonic() - self._started
        rate = progress.timed_steps * self._config.batch_size / progress.timed_seconds if progress.timed_steps else None
        result = {
            "model": self._config.model,
            "dataset": self._config.dataset,
            "steps": self._saved_step,
            "stopped_early": self._saved_step < self._experiment.total_steps,
            "best": progress.best,
            "epochs": self._config.epochs,
            "seed": self._config.seed,
            "metrics": progress.metrics,
            "wall_seconds": round(wall_seconds, 3),
            "train_seconds": round(progress.train_seconds, 3),
            "images_per_second": rate and round(rate, 1),
            "state_sha256": state_sha256(self._engine.state()),
        }
        odd = self._workers.first_different(result["state_sha256"])
        if odd is not None:
            raise RunError(f"worker {odd} ended with other variables than worker 0; are the machines of one kind?")
        self._folder.write_run(ended=now())
        self._folder.write_result(result)
        # Nobody leaves before the chief has written.
        self._workers.gather(0)
        return result

    def _due(self, step: int, end: int, every: int) -> bool:
        """Whether the steps after `step` up to `end` hold a multiple of `every`, or the run's last step."""
        return end // every > step // every or end == self._experiment.total_steps

    def _epoch(self, step: int, *, exact: bool = False) -> float:
        per_epoch = self._experiment.steps_per_epoch
        return round(step / per_epoch, 4) if exact else step // per_epoch + 1

    def _last_good(self) -> str:
        return f"step {self._saved_step} in {self._folder.checkpoints}" if self._saved_step else "the start"


def _same_examples(recorded: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether two records are of the same examples, as far as they can be compared.

    A split that was read by index has another kind of fingerprint than one held in memory: the part before a colon.
    """

    def comparable(name):
        one, other = (str(record.get(name)).rpartition(":")[0] for record in (recorded, found))
        return not name.endswith("sha256") or one == other

    return all(recorded.get(name) == found.get(name) for name in {*recorded, *found} if comparable(name))


def _answers_to(
    experiment: Experiment, blocks: Iterable, between_blocks: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray]:
    """The task's answers to every example of the evaluation split, in order.

    Args:
        experiment: model and objective.
        blocks: those of the evaluation split.
        between_blocks: is called after each block but the last, with how many examples are done; what it raises ends
            the evaluation.
    """
    parts, done, expected = [], 0, experiment.evaluation_batches.num_examples
    with experiment.engine.averaged():
        for block in blocks:
            parts.append(experiment.engine.evaluate_block(block))
            done += len(parts[-1]["loss"])
            if done < expected:
                between_blocks(done)
    if done != expected:
        raise RunError(f"evaluation counted {done} examples of {expected}")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _warn(message: str) -> None:
    # A warning that cannot be shown, as where a full disk holds the log, stops no run.
    with contextlib.suppress(OSError):
        print(f"warning: {message}", file=sys.stderr)
