"""One label per example, one logit per class."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from zoo.config import ExperimentConfig
from zoo.data.batches import Singles
from zoo.data.sources import ExampleSource
from zoo.data.transform import ImageTransform
from zoo.errors import RequestError
from zoo.tasks import labels
from zoo.tasks.base import (
    CLASS_ANSWER_TYPES,
    Label,
    Tensors,
    and_list,
    class_answers,
    class_names,
    class_reading,
    class_summary,
    class_summary_names,
    confusion,
    cross_entropy,
    hits,
    label_caption,
    weighted_cross_entropy,
)
from zoo.tasks.known import register_task


@register_task
class Classification:
    """Which class is it? See `Task`.

    With `condition` a feature of the dataset goes into a second input of the model, `category` or `vector`.
    """

    name = "classification"
    mixes_images = True

    def __init__(self, config: ExperimentConfig, train: ExampleSource, evaluation: ExampleSource):
        name, weight = labels.one_label(config, train, self.name)
        label = labels.class_label(train, name, weight, config.model_args, "num_classes")
        self.labels = (label,)
        self._condition = labels.find_condition(config, train)
        labels.check_classes(config, self.labels, train, evaluation)
        self.warnings = labels.absent_classes(config, self.labels, evaluation)
        self._config, self._train, self._evaluation = config, train, evaluation
        self._names = class_names(self, train)[label.name]

    def builder_arguments(self, hyperparameters: Collection[str]) -> dict[str, Any]:
        """`num_classes`, and the size of a second input."""
        arguments = {"num_classes": self.labels[0].num_classes}
        if self._condition is None:
            return arguments
        if not {"categories", "vector_size"} & {*hyperparameters}:
            raise labels.no_second_input(self._config)
        kind, feature = self._condition
        known = self._train.features[feature]
        if kind == "category":
            return arguments | {"categories": len(known.class_names)}
        return arguments | {"vector_size": math.prod(known.shape)}

    def check_ends(self, inputs: Collection[str], outputs: Collection[str]) -> None:
        """One input, whatever its name, or `image` and the second one; `logits` among the outputs."""
        config = self._config
        wanted = {"image"} if self._condition is None else {"image", self._condition[0]}
        if len(inputs) != len(wanted) or (self._condition is not None and {*inputs} != wanted):
            raise RequestError(
                f"model is {config.model!r}, which takes {and_list(inputs)}; {self.name} of this config gives "
                f"{and_list(wanted)}; condition names the feature that is a second input"
            )
        if len(outputs) > 1 and "logits" not in outputs:
            raise RequestError(
                f"model_args of {config.model} is {config.model_args}, which gives {and_list(outputs)}; {self.name} "
                "needs logits"
            )

    def train_batches(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], inputs: Collection[str]
    ) -> Singles:
        """An image with its label, and what goes into the second input."""
        source = labels.checked(self._config, "train_split", source, self.labels)
        return Singles(source, transform, image_shape, self._batch_names)

    def evaluation_batches(self, transform: ImageTransform, image_shape: tuple[int, ...]) -> Singles:
        """As in training."""
        evaluation = labels.checked(self._config, "eval_split", self._evaluation, self.labels)
        return Singles(evaluation, transform, image_shape, self._batch_names)

    def objective(self, outputs: Collection[str], loss_weights: Mapping[str, float]) -> "ClassificationObjective":
        """See `ClassificationObjective`."""
        return ClassificationObjective(
            self.labels[0],
            label_smoothing=self._config.label_smoothing,
            loss_weights=loss_weights,
            condition=self._condition,
            class_weights=labels.class_weights(self._config, self._train, self.labels[0]),
        )

    def caption(self, example: dict[str, np.ndarray]) -> str:
        """The name of the class."""
        return label_caption(example, self.labels[0], self._names)

    def reading(self, answers: dict[str, np.ndarray]) -> str:
        """The predicted class and its probability."""
        return class_reading(answers, self._names)

    @property
    def _batch_names(self) -> list[str]:
        return [self.labels[0].name, *([] if self._condition is None else [self._condition[1]])]


class ClassificationObjective:
    """The cross-entropy of the logits with the label.

    A model with auxiliary heads gives a dictionary of logits: the head named `logits` is what the model
    answers, and the others are trained on the same label. They count in training only.

    Args:
        label: what is learned.
        label_smoothing: see `cross_entropy`.
        loss_weights: weight in the loss by the head's name, for heads that do not weigh 1.
        condition: for a model of two inputs, the second one's name and the feature that goes into it.
        class_weights: see `weighted_cross_entropy`; they count in training only.
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
        class_weights: np.ndarray | None = None,
    ):
        self.summary_names = ("loss", *class_summary_names(label.num_classes))
        self._label = label
        self._smoothing = label_smoothing
        self._loss_weights = dict(loss_weights or {})
        self._condition = condition
        self._class_weights = class_weights

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """See `Objective`."""
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
        arguments = batch, self._label.name, self._smoothing, self._class_weights
        return sum(
            self._loss_weights.get(name, 1.0) * weighted_cross_entropy(logits, *arguments)
            for name, logits in heads.items()
        )

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: 1 where the largest logit is the label's, else 0."""
        return {"accuracy": hits(_main(outputs), batch[self._label.name])}

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """Loss (smoothed; without auxiliary heads and class weights) and what was answered, see `class_answers`."""
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
