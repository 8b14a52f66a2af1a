"""The evaluation split through a model: answers to every example, and the metrics of a checkpoint."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from zoo import frameworks
from zoo.config import ExperimentConfig
from zoo.errors import RequestError, RunError, warn
from zoo.places.joining import refused_together
from zoo.places.place import Place
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.workdir import Workdir
from zoo.training.data import MEMORY_GIB
from zoo.training.engines import Block
from zoo.training.experiment import Experiment, make_experiment
from zoo.training.shared import SharedCheckpoints

# Blocks that take less are made once for all evaluations of a run.
MAX_KEPT_BYTES = 2**30


@frameworks.default_settings()
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
        strategy: as in `zoo.train`.
        data_dir: as in `zoo.train`.
        memory_gib: as in `zoo.train`.

    Returns:
        `step` and `metrics`, as in `result.json`.

    Raises:
        RequestError: there is no such checkpoint, or it is not one of this model.
    """
    folder, place = Workdir(workdir), Place.of(strategy)
    with refused_together(place):
        step = _step_of(Checkpoints(folder.checkpoints), step, workdir)
        known = folder.known()
    experiment = make_experiment(config, place=place, data_dir=data_dir, memory_gib=memory_gib, **known)
    backend = experiment.backend
    checkpoints = SharedCheckpoints(folder.checkpoints, backend.workers, warn=warn)
    with backend.workers.worker_loss_named(), backend.memory_shortage_named(config):
        # Each looked for itself: of a run that goes on, one may have found a newer best than another.
        step = backend.workers.gather(0 if step is None else step + 1)[0] - 1
        restored = checkpoints.restore(None if step < 0 else step)
        if restored is None:
            raise RequestError(f"there is no checkpoint in {workdir}; train first")
        step, state, _ = restored
        try:
            experiment.engine.restore(state)
        except ValueError as error:
            raise RequestError(f"the checkpoint of step {step} in {workdir} does not fit: {error}") from error
        metrics = experiment.objective.summary(answers_to(experiment, experiment.evaluation_blocks()))
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


class KeptBlocks:
    """Blocks that are the same each time, which are kept for the next time where they are small.

    Args:
        make: makes them.
        size: the bytes that they take.
    """

    def __init__(self, make: Callable[[], Iterator[Block]], size: int):
        self._make = make
        self._is_small = size <= MAX_KEPT_BYTES
        self._kept: list[Block] | None = None

    def __iter__(self) -> Iterator[Block]:
        if self._kept is not None:
            yield from self._kept
            return
        blocks = []
        for block in self._make():
            if self._is_small:
                blocks.append(block)
            yield block
        self._kept = blocks or None


def answers_to(
    experiment: Experiment, blocks: Iterable[Block], between_blocks: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray]:
    """The objective's answers to every example of the evaluation split, in order.

    Args:
        experiment: model and objective.
        blocks: those of the evaluation split.
        between_blocks: is called after each block but the last, with how many examples are done; what it raises ends
            the evaluation.

    Returns:
        By name, (n,).
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
