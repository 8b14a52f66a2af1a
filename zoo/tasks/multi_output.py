"""Several labels per example, each learned by a head of its own."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from zoo.tasks.base import (
    CLASS_ANSWER_TYPES,
    MIXED,
    OWN_SHARE,
    Label,
    Tensors,
    class_answers,
    class_summary,
    class_summary_names,
    confusion,
    cross_entropy,
    hits,
)


class MultiOutput:
    """A head for each label: logits for classes, numbers for regression.

    Args:
        labels: a head for each, of the same name; the loss is the weighted sum of theirs. That of numbers, (n,) or
            (n, k), is the squared error, its mean over k.
        label_smoothing: see `cross_entropy`.
    """

    def __init__(self, labels: Sequence[Label], *, label_smoothing: float = 0.0):
        self._labels = tuple(labels)
        self._smoothing = label_smoothing
        self.metric_names = tuple(
            f"{label.name}_{'accuracy' if label.num_classes else 'absolute_error'}" for label in self._labels
        )
        self.summary_names = ("loss",)
        self.answer_types = {"loss": "float32"}
        for label in self._labels:
            own = class_summary_names(label.num_classes) if label.num_classes else ("absolute_error",)
            self.summary_names += tuple(f"{label.name}_{name}" for name in ("loss", *own))
            types = CLASS_ANSWER_TYPES if label.num_classes else {"error": "float32"}
            self.answer_types |= {f"{label.name}/{name}": dtype for name, dtype in {"loss": "float32", **types}.items()}

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """See `Task`."""
        return model(batch["image"], training=training)

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """The weighted sum of the heads' losses."""
        return sum(label.weight * self._head_losses(label, outputs, batch) for label in self._labels)

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`<head>_accuracy`, or `<head>_absolute_error`."""
        return {
            name: (hits if label.num_classes else _absolute_errors)(outputs[label.name], batch[label.name])
            for label, name in zip(self._labels, self.metric_names, strict=True)
        }

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """The loss of all heads, and by `<head>/<name>` the loss and the answer of each."""
        result = {"loss": self.losses(outputs, batch)}
        for label in self._labels:
            output, value = outputs[label.name], batch[label.name]
            own = class_answers(output, value) if label.num_classes else {"error": _absolute_errors(output, value)}
            own["loss"] = self._head_losses(label, outputs, batch)
            result |= {f"{label.name}/{name}": values for name, values in own.items()}
        return result

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """`loss`, and for each head `<head>_loss` and its metrics."""
        result = {"loss": float(answers["loss"].mean(dtype=np.float64))}
        for label in self._labels:
            own = _answers_of(label, answers)
            result[f"{label.name}_loss"] = float(own["loss"].mean(dtype=np.float64))
            if label.num_classes:
                summary = class_summary(own, label.num_classes)
            else:
                summary = {"absolute_error": float(own["error"].mean(dtype=np.float64))}
            result |= {f"{label.name}_{name}": value for name, value in summary.items()}
        return result

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A matrix for each head that sorts into classes."""
        return {
            label.name: confusion(_answers_of(label, answers), label.num_classes)
            for label in self._labels
            if label.num_classes
        }

    def _head_losses(self, label: Label, outputs: Any, batch: Tensors) -> Any:
        output = outputs[label.name]
        if label.num_classes:
            return cross_entropy(output, batch, label.name, self._smoothing)
        losses = _squared_errors(output, batch[label.name])
        if OWN_SHARE in batch:
            share = batch[OWN_SHARE]
            losses = share * losses + (1 - share) * _squared_errors(output, batch[MIXED + label.name])
        return losses


def _answers_of(label: Label, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    prefix = f"{label.name}/"
    return {name.removeprefix(prefix): value for name, value in answers.items() if name.startswith(prefix)}


def _squared_errors(outputs: Any, values: Any) -> Any:
    return keras.ops.mean(keras.ops.square(_differences(outputs, values)), axis=-1)


def _absolute_errors(outputs: Any, values: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(_differences(outputs, values)), axis=-1)


def _differences(outputs: Any, values: Any) -> Any:
    return outputs - keras.ops.reshape(keras.ops.cast(values, "float32"), keras.ops.shape(outputs))
