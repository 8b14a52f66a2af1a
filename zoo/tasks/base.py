"""What every task is made of: its interface, its labels, and what logits say of an example."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import keras
import numpy as np

from zoo import metrics

Tensors = dict[str, Any]
# Where images were mixed with their neighbours', a batch holds the neighbours' labels too, under this prefix, and the
# share of each example's own label.
MIXED = "mixed/"
OWN_SHARE = "own_share"


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


class Task(Protocol):
    """What the engine and the loop ask of a task.

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
        """What training minimises, float32 (n,)."""

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """One number per example for each of `metric_names`, float32 (n,)."""

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """What `summary` needs of each example, (n,) each; `loss` is among them."""

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """The metrics of a split from the answers to all its examples, in order."""

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A confusion matrix by the label's name, see `zoo.metrics.confusion_matrix`."""


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
