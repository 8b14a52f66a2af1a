"""A trained model with all that it needs to be used: preprocessing, class names, task."""

import dataclasses
import os
from typing import TYPE_CHECKING

from zoo import registry
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.runs.preprocessing import Preprocessing
from zoo.runs.workdir import Workdir
from zoo.tasks.known import task_name

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model that was trained.

    Attributes:
        model: with its final weights, the averaged ones where the run averaged them; it takes images as they come out
            of `preprocessing`.
        preprocessing: what an image goes through first.
        class_names: by label, in the order of the class numbers; none of a label that is a number.
        task: what it was trained for, see `zoo.tasks`.
        config: of the run.
    """

    model: "keras.Model"
    preprocessing: Preprocessing
    class_names: dict[str, tuple[str, ...]]
    task: str
    config: ExperimentConfig


def load_trained(run: str | os.PathLike[str]) -> Trained:
    """Loads the model of a finished run.

    Args:
        run: the folder of the run.

    Raises:
        RequestError: there is no run, it is not finished, or its folder lacks what the model needs.
    """
    folder = Workdir(run)
    config = folder.recorded_config()
    if folder.finished(config) is None:
        raise RequestError(f"the run in {run} is not finished; start its command again, which goes on")
    preprocessing, recorded = folder.preprocessing(), folder.run()
    if preprocessing is None or "dataset" not in recorded:
        raise RequestError(f"{folder.path / 'run.json'} does not say what images go through; train again")
    if not folder.model.is_file():
        raise RequestError(f"there is no {folder.model}; start the run's command again with more epochs")
    try:
        model = registry.load_model(os.fspath(folder.model))
    except Exception as error:  # Keras raises what comes its way
        raise RequestError(f"{folder.model} cannot be read as a Keras model: {' '.join(str(error).split())}") from error
    return Trained(
        model=model,
        preprocessing=preprocessing,
        class_names={label: tuple(names) for label, names in recorded["dataset"]["class_names"].items()},
        task=task_name(config),
        config=config,
    )
