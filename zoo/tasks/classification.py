"""One label per example, one logit per class."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from zoo.tasks.base import (
    CLASS_ANSWER_TYPES,
    Label,
    Tensors,
    class_answers,
    class_summary,
    class_summary_names,
    confusion,
    cross_entropy,
    hits,
)


class Classification:
    """Which class is it?

    A model with auxiliary heads gives a dictionary of logits: the head named `logits` is what the model
    answers, and the others are trained on the same label. They count in training only.

    Args:
        label: what is learned.
        label_smoothing: see `cross_entropy`.
        loss_weights: weight in the loss by the head's name, for heads that do not weigh 1.
        condition: for a model of two inputs, the second one's name and the feature that goes into it.
    """

    metric_names = ("accuracy",)
    answer_types = MappingProxyType({"loss": "float32", **CLASS_ANSWER_TYPES})

    def __init__(
        self,
        label: Label,
        *,
        label_smoothing: float = 0.0,
        loss_weights: Mapping[str, float] | None = None,
        condition: tuple[str, str] | None = None,
    ):
        self.summary_names = ("loss", *class_summary_names(label.num_classes))
        self._label = label
        self._smoothing = label_smoothing
        self._loss_weights = dict(loss_weights or {})
        self._condition = condition

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """See `Task`."""
        if self._condition is None:
            return model(batch["image"], training=training)
        name, feature = self._condition
        values = batch[feature]
        if name == "category":
            second = keras.ops.cast(values, "int32")
        else:
            second = keras.ops.reshape(keras.ops.cast(values, "float32"), (-1, math.prod(values.shape[1:])))
        return model({"image": batch["image"], name: second}, training=training)

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """Cross-entropy in nats, float32 (n,), of logits (n, classes); of several heads the weighted sum."""
        heads = outputs if isinstance(outputs, dict) else {"logits": outputs}
        return sum(
            self._loss_weights.get(name, 1.0) * cross_entropy(logits, batch, self._label.name, self._smoothing)
            for name, logits in heads.items()
        )

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: 1 where the largest logit is the label's, else 0."""
        return {"accuracy": hits(_main(outputs), batch[self._label.name])}

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """Loss (with label smoothing, without auxiliary heads) and what was answered, see `class_answers`."""
        logits = _main(outputs)
        losses = cross_entropy(logits, batch, self._label.name, self._smoothing)
        return {"loss": losses, **class_answers(logits, batch[self._label.name])}

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """`loss`, `accuracy`, `top5_accuracy` (of more than five classes), `calibration_error`."""
        return {
            "loss": float(answers["loss"].mean(dtype=np.float64)),
            **class_summary(answers, self._label.num_classes),
        }

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One matrix, of the label."""
        return {self._label.name: confusion(answers, self._label.num_classes)}


def _main(outputs: Any) -> Any:
    return outputs["logits"] if isinstance(outputs, dict) else outputs
