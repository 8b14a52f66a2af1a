"""From a config to the data of a run: the splits, what is learned of them, and how batches are made."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import registry
from zoo.config import ExperimentConfig
from zoo.data import augment
from zoo.data.batches import EvaluationBatches, FixedPairs, Pairs, Singles, TrainBatches, TripletBatches
from zoo.data.pairs import Episodes, PartnerDraw, fixed_pairs
from zoo.data.sources import ExampleSource, folder, load_source
from zoo.data.transform import ImageTransform, Normalization, Sizing, Statistics, make_normalization, sized
from zoo.errors import RequestError
from zoo.tasks import Classification, Label, MultiOutput, Task, Triplets, Verification
from zoo.training.targets import check_classes, condition_of, episodes_of, labels_of, pixel_accuracy

MEMORY_GIB = 2.0


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
        kind: `classification`, `multi_output` or `verification`.
        labels: what is learned.
        condition: the second input's name and the feature that goes into it; None: the image is the only input.
        episodes: of one-shot classification, where there are any.
    """

    train: ExampleSource
    evaluation: ExampleSource
    sizing: Sizing
    transform: ImageTransform
    normalization: Normalization
    image_shape: tuple[int, ...]
    kind: str
    labels: tuple[Label, ...]
    condition: tuple[str, str] | None
    episodes: Episodes | None

    def class_names(self) -> dict[str, tuple[str, ...]]:
        """By label, in the order of the class numbers."""
        return {label.name: self.train.features[label.name].class_names[: label.num_classes] for label in self.labels}

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

    def builder_arguments(self) -> dict:
        """What the data decide of the model: `num_classes` or `heads`, and the size of a second input."""
        arguments = {}
        if self.kind == "classification":
            arguments["num_classes"] = self.labels[0].num_classes
        elif self.kind == "multi_output":
            shapes = {label.name: self.train.features[label.name].shape for label in self.labels}
            arguments["heads"] = {
                label.name: label.num_classes or f"regression:{int(np.prod(shapes[label.name]))}"
                for label in self.labels
            }
        if self.condition is not None:
            name, feature = self.condition
            known = self.train.features[feature]
            if name == "category":
                arguments["categories"] = len(known.class_names)
            else:
                arguments["vector_size"] = int(np.prod(known.shape))
        return arguments

    def task(self, config: ExperimentConfig, loss_weights: dict[str, float], output_names: list[str]) -> Task:
        """The task, for a model with these outputs."""
        if self.kind == "classification":
            return Classification(
                self.labels[0],
                label_smoothing=config.label_smoothing,
                loss_weights=loss_weights,
                condition=self.condition,
            )
        if self.kind == "multi_output":
            return MultiOutput(self.labels, label_smoothing=config.label_smoothing)
        evaluation = {"num_pairs": self.evaluation.num_examples}
        if self.episodes is not None:
            evaluation |= {
                "episodes": self.episodes.supports.shape,
                "episode_answers": self.episodes.answers,
                "pixel_accuracy": pixel_accuracy(self.evaluation, self.episodes),
            }
        if "anchor" in output_names:
            return Triplets(margin=config.margin or 0.2, **evaluation)
        loss = "contrastive" if "distance" in output_names else "binary"
        return Verification(loss, margin=config.margin or 1.0, **evaluation)

    def train_batches(self, *, triplets: bool = False) -> TrainBatches:
        """What training batches are made of; `triplets`: for a model that takes them."""
        if self.kind != "verification":
            return Singles(self.train, self.transform, self.image_shape, self._batch_names())
        label = self.labels[0].name
        draw = PartnerDraw(self.train.column(label), f"{label} in the training split of {self.train.name}")
        if triplets:
            return TripletBatches(self.train, self.transform, self.image_shape, draw, label)
        return Pairs(self.train, self.transform, self.image_shape, draw)

    def evaluation_batches(self) -> EvaluationBatches:
        """What evaluation batches are made of."""
        if self.kind != "verification":
            return Singles(self.evaluation, self.transform, self.image_shape, self._batch_names())
        label = self.labels[0].name
        what = f"{label} in the evaluation split of {self.evaluation.name}"
        lists = [fixed_pairs(self.evaluation.column(label), what)]
        if self.episodes is not None:
            lists.append(self.episodes.pairs())
        return FixedPairs(self.evaluation, self.transform, self.image_shape, lists)

    def _batch_names(self) -> list[str]:
        names = [label.name for label in self.labels]
        return names if self.condition is None else [*names, self.condition[1]]


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
        ValueError: a name is unknown, or values do not fit together; the message says what to change.
    """
    kind = config.task or registry.model_info(config.model).task
    _check_augmentation(config, kind)
    memory = {"memory_bytes": int(memory_gib * 2**30)}
    options = {**memory, "skip_corrupt": config.skip_corrupt_images}
    train = load_source(config.dataset, config.train_split, data_dir, **options)
    evaluation = load_source(config.dataset, config.eval_split, data_dir, **options)
    sizing = Sizing(config.image_size, config.center_crop, config.interpolation)
    crops = augment.random_crop_area(config.augment) is not None
    with _corrupt_named(evaluation):
        evaluation = sized(evaluation, sizing, memory["memory_bytes"])
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
    labels = labels_of(config, kind, train)
    check_classes(config, labels, train, evaluation)
    return Data(
        train=train if crops else whole,
        evaluation=evaluation,
        sizing=sizing,
        transform=ImageTransform(config.augment, normalization.mean, sizing if crops else None),
        normalization=normalization,
        image_shape=image_shape,
        kind=kind,
        labels=labels,
        condition=condition_of(config, train),
        episodes=episodes_of(config, labels[0].name, evaluation) if kind == "verification" and config.ways else None,
    )


def _check_augmentation(config: ExperimentConfig, kind: str) -> None:
    """Refuses what is wrong whatever the data are, before they are read."""
    if augment.random_crop_area(config.augment) is not None and not config.image_size:
        raise RequestError("augment has random_resized_crop, which needs image_size")
    if config.center_crop and not config.image_size:
        raise RequestError(f"center_crop is {config.center_crop}, which needs image_size")
    if augment.make_mixing(config.augment) is not None and (kind == "verification" or config.condition):
        raise RequestError(
            f"augment is {config.augment!r}; images are mixed where the image is the only input; leave mixing out"
        )


def corrupt_image(source: ExampleSource) -> str | None:
    """What to say of the first file of a source that cannot be decoded; None where there is none, or are no files."""
    stored = getattr(source, "stored", source)
    culprit = stored.first_corrupt(np.arange(stored.num_examples)) if hasattr(stored, "first_corrupt") else None
    return None if culprit is None else str(folder.corrupt_image(culprit))


@contextlib.contextmanager
def _corrupt_named(source: ExampleSource) -> Iterator[None]:
    """Names the image where reading all of a source comes upon one that cannot be decoded."""
    try:
        yield
    except tf.errors.OpError as error:
        raise RequestError(corrupt_image(source) or f"{source.name} cannot be read: {error.message}") from error
