"""What every task is made of: its interface and that of its objective, labels, and what logits say of an example."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import keras
import numpy as np

from zoo import metrics, registry
from zoo.config import ExperimentConfig
from zoo.data.batches import MIXED, OWN_SHARE, EvaluationBatches, TrainBatches
from zoo.data.sources import ExampleSource
from zoo.data.transform import ImageTransform

Tensors = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Label:
    """What a model learns of an example.

    Attributes:
        name: in a batch, and of the head that learns it where a model has several.
        num_classes: 0 for numbers, which are learned by regression.
        weight: of its loss.
    """

    name: str
    num_classes: int
    weight: float = 1.0


class Objective(Protocol):
    """What the engine and the loop ask of a task for a model: how to call it, what to minimise, what to measure.

    Attributes:
        metric_names: of what `metrics` gives in training.
        answer_types: the dtypes of what `answers` gives, by name.
        summary_names: of what `summary` gives.
    """

    metric_names: tuple[str, ...]
    answer_types: Mapping[str, str]
    summary_names: tuple[str, ...]

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """The model's outputs for a batch."""

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """What training minimises, float32 (n,); classes are weighted in it where the config says so."""

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """One number per example for each of `metric_names`, float32 (n,)."""

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """What `summary` needs of each example, (n,) each; `loss` is among them."""

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """The metrics of a split from the answers to all its examples, in order."""

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A confusion matrix by the label's name, see `zoo.metrics.confusion_matrix`."""


class Task(Protocol):
    """What a kind of learning makes of a config and its two splits; see `zoo.tasks.known.register_task`.

    Args:
        config: of the run.
        train: the training split.
        evaluation: the evaluation split, its images of one size.

    Attributes:
        name: as `ExperimentConfig.task` and `ModelInfo.task` have it.
        mixes_images: whether training may mix images with their neighbours, as mixup does.
        labels: what is learned.
        warnings: what a person should know of the splits before a run, a line each.

    Raises:
        RequestError: the config and the splits do not fit this task; the message says what to change.
    """

    name: ClassVar[str]
    mixes_images: ClassVar[bool]
    labels: tuple[Label, ...]
    warnings: tuple[str, ...]

    def __init__(self, config: ExperimentConfig, train: ExampleSource, evaluation: ExampleSource): ...

    def builder_arguments(self, hyperparameters: Collection[str]) -> dict[str, Any]:
        """What the data decide of the model, such as `num_classes`.

        Args:
            hyperparameters: what the model's builder takes.

        Raises:
            RequestError: the builder does not take what it needs.
        """

    def check_ends(self, inputs: Collection[str], outputs: Collection[str]) -> None:
        """Raises a `RequestError` unless these are the names of inputs and outputs that the task can use."""

    def train_batches(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], inputs: Collection[str]
    ) -> TrainBatches:
        """What training batches of a model with these inputs are made of."""

    def evaluation_batches(self, transform: ImageTransform, image_shape: tuple[int, ...]) -> EvaluationBatches:
        """What batches of the evaluation split are made of."""

    def objective(self, outputs: Collection[str], loss_weights: Mapping[str, float]) -> Objective:
        """The objective of a model with these outputs; `loss_weights`: see `ModelInfo`."""

    def caption(self, example: dict[str, np.ndarray]) -> str:
        """How a person reads what a batch says of one of its examples, in a line or more."""

    def reading(self, answers: dict[str, np.ndarray]) -> str:
        """How a person reads the answers about one example, each a scalar, in a line or more."""


def builder_arguments(task: Task, config: ExperimentConfig) -> dict[str, Any]:
    """What the builder of a config's model is given beside the shape of an image; `model_args` go before the task."""
    return {**task.builder_arguments(registry.model_info(config.model).hyperparameters), **config.model_args}


def class_names(task: Task, source: ExampleSource) -> dict[str, tuple[str, ...]]:
    """The names of the classes that are learned, by label, in the order of their numbers."""
    return {
        label.name: source.features[label.name].class_names[: label.num_classes] if label.num_classes else ()
        for label in task.labels
    }


def and_list(names: Collection[str]) -> str:
    """Names in a sentence."""
    return " and ".join(sorted(names))


def label_caption(example: dict[str, np.ndarray], label: Label, names: Sequence[str]) -> str:
    """A label of an example; of a mixed one both, with the share of its own."""
    value = example[label.name]
    text = names[value] if names else np.array2string(value, precision=3)
    if OWN_SHARE in example and example[OWN_SHARE] < 1:
        other = example[MIXED + label.name]
        text = f"{example[OWN_SHARE]:.2f} {text} + {names[other] if names else other}"
    return text


def class_reading(answers: dict[str, np.ndarray], names: Sequence[str]) -> str:
    """The predicted class and its probability."""
    return f"{names[int(answers['predicted'])]} {float(answers['confidence']):.2f}"


def cross_entropy(logits: Any, batch: Tensors, label: str, smoothing: float) -> Any:
    """Cross-entropy in nats, float32 (n,), of logits (n, classes) with a label, or with the two of a mixed image.

    Smoothing is the weight s of the uniform distribution in the target (Szegedy et al. 2015, arXiv:1512.00567,
    section 7): (1 - s) for the label plus s / classes for every class.
    """
    losses = _cross_entropy(logits, batch[label])
    if OWN_SHARE in batch:
        share = batch[OWN_SHARE]
        losses = share * losses + (1 - share) * _cross_entropy(logits, batch[MIXED + label])
    if smoothing:
        uniform = -keras.ops.mean(keras.ops.log_softmax(logits), axis=-1)
        losses = (1 - smoothing) * losses + smoothing * uniform
    return losses


def weighted_cross_entropy(
    logits: Any, batch: Tensors, label: str, smoothing: float, weights: np.ndarray | None
) -> Any:
    """`cross_entropy`, multiplied by the weight of the label's class, float32 (n,); None: not multiplied.

    Of a mixed image each of the two labels has its own weight, within its share:
    share * w[own] * loss(own) + (1 - share) * w[other] * loss(other). Smoothing belongs to a label's loss, so its
    weight is the label's too. The sum is not divided by the weights but, as everywhere, by the size of the batch (as
    Keras does with `class_weight`; PyTorch divides by the weights of the batch).
    """
    if weights is None:
        return cross_entropy(logits, batch, label, smoothing)

    def weighted(labels):
        weight = keras.ops.take(weights, keras.ops.cast(labels, "int32"))
        return weight * cross_entropy(logits, {label: labels}, label, smoothing)

    losses = weighted(batch[label])
    if OWN_SHARE in batch:
        share = batch[OWN_SHARE]
        losses = share * losses + (1 - share) * weighted(batch[MIXED + label])
    return losses


def hits(logits: Any, labels: Any) -> Any:
    """1 where the largest logit is the label's, else 0; float32 (n,)."""
    predicted = keras.ops.argmax(logits, axis=-1)
    return as_float(keras.ops.equal(predicted, keras.ops.cast(labels, predicted.dtype)))


CLASS_ANSWER_TYPES = {"label": "int32", "predicted": "int32", "confidence": "float32", "rank": "int32"}


def class_answers(logits: Any, labels: Any) -> Tensors:
    """What logits (n, classes) say of each example.

    Returns:
        `label` and `predicted` int32, `confidence` float32, the probability of the predicted class, and `rank`
        int32, how many classes score above the label's. All (n,).
    """
    ops = keras.ops
    labels = ops.cast(labels, "int32")
    of_label = ops.take_along_axis(logits, ops.expand_dims(labels, 1), axis=1)
    before = ops.expand_dims(ops.arange(logits.shape[-1], dtype="int32"), 0) < ops.expand_dims(labels, 1)
    # Of equal logits the first one leads, as for argmax; what is no number does not stand below anything.
    below = ops.logical_or(logits < of_label, ops.logical_and(logits == of_label, ops.logical_not(before)))
    return {
        "label": labels,
        "predicted": ops.cast(ops.argmax(logits, axis=-1), "int32"),
        "confidence": ops.max(ops.softmax(logits), axis=-1),
        "rank": ops.sum(ops.cast(ops.logical_not(below), "int32"), axis=-1),
    }


def class_summary_names(num_classes: int) -> tuple[str, ...]:
    """Of what `class_summary` gives."""
    return ("accuracy", *(("top5_accuracy",) if num_classes > 5 else ()), "calibration_error")


def class_summary(answers: dict[str, np.ndarray], num_classes: int) -> dict[str, float]:
    """`accuracy`, `top5_accuracy` where there are more than five classes, and `calibration_error`."""
    right = answers["predicted"] == answers["label"]
    result = {"accuracy": float(right.mean())}
    if num_classes > 5:
        result["top5_accuracy"] = float((answers["rank"] < 5).mean())
    result["calibration_error"] = metrics.expected_calibration_error(answers["confidence"], right)
    return result


def confusion(answers: dict[str, np.ndarray], num_classes: int) -> np.ndarray:
    """Of what `class_answers` gave, see `zoo.metrics.confusion_matrix`."""
    return metrics.confusion_matrix(answers["label"], answers["predicted"], num_classes)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def as_float(condition: Any) -> Any:
    """1.0 where it holds, else 0.0."""
    return keras.ops.cast(condition, "float32")
