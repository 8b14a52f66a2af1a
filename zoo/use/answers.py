"""What a trained model answers to the examples of a split."""

from typing import Any

import numpy as np

from zoo.config import with_fields
from zoo.errors import RequestError
from zoo.places.place import Place
from zoo.runs.trained import Trained
from zoo.training.data import MEMORY_GIB
from zoo.training.evaluation import answers_to
from zoo.training.experiment import make_experiment


def answers(
    trained: Trained,
    *,
    strategy: Place | str = "one_device",
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    **fields: Any,
) -> dict[str, np.ndarray]:
    """The answers to every example of the evaluation split, in order, and which example each is of.

    On the machine of the run, and under its strategy, they are those of `evaluation.npz` to the bit.

    Args:
        trained: the model.
        strategy: as in `zoo.train`.
        data_dir: as in `zoo.train`.
        memory_gib: as in `zoo.train`.
        **fields: of the run's config that shall be others, such as `eval_split`.

    Returns:
        By name, see the objective of the task and `Experiment.examples_evaluated`; (n,) each.

    Raises:
        RequestError: the data are not there, or are none for this model.
    """
    experiment = make_experiment(
        with_fields(trained.config, fields),
        place=Place.of(strategy),
        data_dir=data_dir,
        memory_gib=memory_gib,
        statistics=trained.preprocessing.statistics,
        model=trained.model,
    )
    known = experiment.data.class_names()
    if known != trained.class_names:
        label = next(
            label for label in {**known, **trained.class_names} if known.get(label) != trained.class_names.get(label)
        )
        raise RequestError(f"the model was trained for other classes of {label} than {experiment.data.train.name} has")
    backend = experiment.backend
    with backend.workers.worker_loss_named(), backend.memory_shortage_named(experiment.config):
        found = answers_to(experiment, experiment.evaluation_blocks())
    return {**found, **experiment.examples_evaluated()}
