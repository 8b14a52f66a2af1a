"""Training and evaluation from Python, as `train.py` does them: the same runs, to the bit.

    import zoo
    result = zoo.train(zoo.ExperimentConfig(model="resnet20", dataset="digits", epochs=2), workdir="runs/mine")
    zoo.evaluate("runs/mine", eval_split="train[:100]")

TensorFlow is imported when one of them is called.
"""

from typing import Any

from zoo import frameworks
from zoo.config import MEMORY_GIB, ExperimentConfig, with_fields
from zoo.errors import RequestError
from zoo.places.joining import refused_together
from zoo.places.place import Place
from zoo.runs.workdir import Workdir, default_workdir


def train(
    config: ExperimentConfig,
    *,
    workdir: str | None = None,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    profile_steps: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Trains and evaluates, or goes on where an earlier call with the same workdir was stopped.

    Args:
        config: what to run.
        workdir: folder of the run; made if it is not there; default: runs/<model>_<dataset>-<digest>-<seed>, see
            `zoo.runs.workdir.default_workdir`.
        strategy: where it runs, as `--strategy` has it, `mirrored:2`; or a `zoo.Place`.
        data_dir: where datasets are prepared; default: that of tensorflow_datasets.
        memory_gib: a split that takes less is held in memory; the result does not depend on it.
        profile_steps: first step and end of a trace for TensorBoard; whole blocks are traced.

    Returns:
        What `result.json` holds. A finished run is not run again.

    Raises:
        RequestError: the request is wrong; nothing was written to the workdir.
        RunError: the run cannot go on.
        Interrupted: SIGINT or SIGTERM came; the state was saved.
    """
    frameworks.import_keras()
    from zoo.training.loop import train_and_evaluate

    if profile_steps is not None and not 0 <= profile_steps[0] < profile_steps[1]:
        raise RequestError(f"profile_steps is {profile_steps}; give the first step and the end, as (10, 20)")
    place = Place.of(strategy)
    return train_and_evaluate(
        config,
        workdir or default_workdir(config, strategy=place.name),
        strategy=place,
        data_dir=data_dir,
        memory_gib=memory_gib,
        profile_steps=profile_steps,
    )


def evaluate(
    workdir: str,
    *,
    checkpoint: int | str | None = None,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    **fields: Any,
) -> dict[str, Any]:
    """Evaluates a checkpoint of a run; writes nothing.

    Args:
        workdir: folder of the run.
        checkpoint: its step; `best`: the one that was kept as the best; default: the newest whole one.
        strategy: as in `train`.
        data_dir: as in `train`.
        memory_gib: as in `train`.
        **fields: of the run's config that shall be others, such as `eval_split` or `batch_size`.

    Returns:
        `step`, and `metrics` as in `result.json`.

    Raises:
        RequestError: there is no such run or checkpoint, or it is not one of this model.
    """
    frameworks.import_keras()
    from zoo.training.evaluation import evaluate as evaluate_checkpoint

    place = Place.of(strategy)
    with refused_together(place):
        recorded = Workdir(workdir).recorded_config()
    return evaluate_checkpoint(
        with_fields(recorded, fields),
        workdir,
        step=int(checkpoint) if isinstance(checkpoint, str) and checkpoint.isdecimal() else checkpoint,
        strategy=place,
        data_dir=data_dir,
        memory_gib=memory_gib,
    )
