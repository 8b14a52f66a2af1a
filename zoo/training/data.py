"""From a config to the data of a run: the splits, what is learned of them, and how batches are made."""

import contextlib
import dataclasses
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from zoo.config import MEMORY_GIB, ExperimentConfig
from zoo.data import augment
from zoo.data.batches import EvaluationBatches, TrainBatches
from zoo.data.sources import ExampleSource, folder, load_source
from zoo.data.sources.example_source import first_damaged
from zoo.data.transform import (
    ImageTransform,
    Normalization,
    Sizing,
    Statistics,
    UnreadableChunkError,
    make_normalization,
    sized,
)
from zoo.errors import RequestError
from zoo.tasks.base import Task, class_names
from zoo.tasks.known import task_of
from zoo.tasks.labels import label_options


@dataclasses.dataclass(frozen=True)
class Data:
    """The data of a run.

    Attributes:
        train: the training split; its images are as stored where training crops them at random, else sized.
        evaluation: the evaluation split, sized.
        sizing: how images come to one size.
        transform: of training images.
        normalization: of all images.
        image_shape: of an image as the model takes it.
        task: what is learned of them.
    """

    train: ExampleSource
    evaluation: ExampleSource
    sizing: Sizing
    transform: ImageTransform
    normalization: Normalization
    image_shape: tuple[int, ...]
    task: Task

    def class_names(self) -> dict[str, tuple[str, ...]]:
        """By label, in the order of the class numbers."""
        return class_names(self.task, self.train)

    def record(self) -> dict[str, Any]:
        """Of which examples a result is, as `run.json` has it."""
        train, evaluation = self.train, self.evaluation
        return {
            "name": train.name,
            "version": train.version,
            "train_examples": train.num_examples,
            "train_sha256": train.fingerprint,
            "eval_examples": evaluation.num_examples,
            "eval_sha256": evaluation.fingerprint,
            "class_names": {label: list(names) for label, names in self.class_names().items()},
        }

    def train_batches(self, inputs: Collection[str] = ("image",)) -> TrainBatches:
        """What training batches of a model with these inputs are made of."""
        return self.task.train_batches(self.train, self.transform, self.image_shape, inputs)

    def evaluation_batches(self) -> EvaluationBatches:
        """What evaluation batches are made of."""
        return self.task.evaluation_batches(self.transform, self.image_shape)


def open_data(
    config: ExperimentConfig,
    *,
    data_dir: str | None = None,
    memory_gib: float = MEMORY_GIB,
    statistics: Statistics | None = None,
) -> Data:
    """Opens the splits of a config and decides what is learned of them.

    Args:
        config: the description.
        data_dir: see `load_source`.
        memory_gib: splits that take less are held decoded in memory; the result does not depend on it.
        statistics: mean and deviation where they are known already, as of a run that goes on.

    Raises:
        RequestError: a name is unknown, or values do not fit together; the message says what to change.
    """
    if not 0 <= memory_gib < math.inf:
        raise RequestError(f"memory_gib is {memory_gib}; it must be a number of GiB, at least 0")
    task = task_of(config)
    _check_augmentation(config, task)
    memory = {"memory_bytes": int(memory_gib * 2**30)}
    options = {**memory, **label_options(config), "skip_corrupt": config.skip_corrupt_images}
    train = load_source(config.dataset, config.train_split, data_dir, **options)
    evaluation = load_source(config.dataset, config.eval_split, data_dir, **options)
    sizing = Sizing.of(config)
    crops = augment.random_crop_area(config.augment) is not None
    with _corrupt_named(evaluation):
        evaluation = sized(evaluation, sizing, memory["memory_bytes"])
    # Labels that cannot be learned are refused before all training images are gone through.
    learned = task(config, train, evaluation)
    with _corrupt_named(train):
        # Training that crops at random needs the images as they are stored.
        whole = sized(train, sizing, 0 if crops else memory["memory_bytes"])
        normalization = make_normalization(whole, config.normalize, statistics)
    image_shape = whole.features["image"].shape
    if evaluation.features["image"].shape != image_shape:
        raise RequestError(
            f"images of {config.train_split} are {image_shape}, those of {config.eval_split} "
            f"{evaluation.features['image'].shape}; set image_size"
        )
    augment.check_augmentations(config.augment, image_shape)
    return Data(
        train=train if crops else whole,
        evaluation=evaluation,
        sizing=sizing,
        transform=ImageTransform(
            config.augment, normalization.mean, sizing.suited(train.features["image"]) if crops else None
        ),
        normalization=normalization,
        image_shape=image_shape,
        task=learned,
    )


def _check_augmentation(config: ExperimentConfig, task: type[Task]) -> None:
    """Refuses to mix images where a task cannot, before they are read."""
    if augment.make_mixing(config.augment) is not None and (not task.mixes_images or config.condition):
        raise RequestError(
            f"augment is {config.augment!r}; images are mixed where the image is the only input; leave mixing out"
        )


def corrupt_image(source: ExampleSource, indices: np.ndarray) -> str | None:
    """What to say of the first of some examples whose file cannot be decoded; None where all can, or are no files."""
    damaged = first_damaged(source, indices)
    return None if damaged is None else str(folder.corrupt_image(damaged))


@contextlib.contextmanager
def _corrupt_named(source: ExampleSource) -> Iterator[None]:
    """Names the image where going through all of a source comes upon one that cannot be decoded."""
    try:
        yield
    except UnreadableChunkError as error:
        culprit = corrupt_image(source, error.indices)
        raise RequestError(culprit or f"{source.name} cannot be read: {error}") from error
