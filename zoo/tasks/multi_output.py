"""Several labels per example, each learned by a head of its own."""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from zoo.config import ExperimentConfig, parse_labels
from zoo.data.batches import MIXED, OWN_SHARE, Singles
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
    hits,
    label_caption,
    weighted_cross_entropy,
)
from zoo.tasks.known import register_task


@register_task
class MultiOutput:
    """What are its labels? A head for each: classes, or numbers, which are learned by regression. See `Task`."""

    name = "multi_output"
    mixes_images = True

    def __init__(self, config: ExperimentConfig, train: ExampleSource, evaluation: ExampleSource):
        weights = parse_labels(config.labels)
        if not weights:
            weights = {name: 1.0 for name, feature in train.features.items() if feature.class_names}
        heads = config.model_args.get("heads")
        self.labels = tuple(
            _head_label(train, name, weight, heads if isinstance(heads, dict) else {})
            for name, weight in labels.checked_choice(weights, train).items()
        )
        labels.check_weighted(config, self.labels, self.name)
        labels.check_classes(config, self.labels, train, evaluation)
        self.warnings = labels.absent_classes(config, self.labels, evaluation)
        self._config, self._train, self._evaluation = config, train, evaluation
        self._names = class_names(self, train)

    def builder_arguments(self, hyperparameters: Collection[str]) -> dict[str, Any]:
        """`heads`: the number of classes of each, or `regression:` and how many numbers."""
        if self._config.condition:
            raise labels.no_second_input(self._config)
        shapes = {label.name: self._train.features[label.name].shape for label in self.labels}
        return {
            "heads": {
                label.name: label.num_classes or f"regression:{math.prod(shapes[label.name])}" for label in self.labels
            }
        }

    def check_ends(self, inputs: Collection[str], outputs: Collection[str]) -> None:
        """One input, and an output of the name of each label."""
        if len(inputs) != 1:
            raise RequestError(
                f"model is {self._config.model!r}, which takes {and_list(inputs)}; {self.name} of this config gives "
                "image; condition names the feature that is a second input"
            )
        needed = {label.name for label in self.labels}
        if {*outputs} != needed:
            raise RequestError(
                f"the heads of {self._config.model} are {and_list(outputs)}; labels has {and_list(needed)}"
            )

    def train_batches(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], inputs: Collection[str]
    ) -> Singles:
        """An image with its labels."""
        source = labels.checked(self._config, "train_split", source, self.labels)
        return Singles(source, transform, image_shape, [label.name for label in self.labels])

    def evaluation_batches(self, transform: ImageTransform, image_shape: tuple[int, ...]) -> Singles:
        """As in training."""
        evaluation = labels.checked(self._config, "eval_split", self._evaluation, self.labels)
        return Singles(evaluation, transform, image_shape, [label.name for label in self.labels])

    def objective(self, outputs: Collection[str], loss_weights: Mapping[str, float]) -> "MultiOutputObjective":
        """See `MultiOutputObjective`."""
        weights = {label.name: labels.class_weights(self._config, self._train, label) for label in self.labels}
        return MultiOutputObjective(self.labels, label_smoothing=self._config.label_smoothing, class_weights=weights)

    def caption(self, example: dict[str, np.ndarray]) -> str:
        """A label a line: the name of its class, or its numbers."""
        return "\n".join(label_caption(example, label, self._names[label.name]) for label in self.labels)

    def reading(self, answers: dict[str, np.ndarray]) -> str:
        """A head a line: the predicted class and its probability, or how far off its numbers are."""
        lines = []
        for label in self.labels:
            head = _answers_of(label, answers)
            text = (
                class_reading(head, self._names[label.name]) if label.num_classes else f"{float(head['error']):.4g} off"
            )
            lines.append(f"{label.name}: {text}")
        return "\n".join(lines)


def _head_label(source: ExampleSource, name: str, weight: float, heads: Mapping[str, Any]) -> Label:
    """The label of a head; `heads`: what `model_args` says of them."""
    feature = labels.find_feature(source, "labels", name)
    if not feature.class_names and feature.dtype.startswith("float"):
        return Label(name, 0, weight)
    return labels.class_label(source, name, weight, heads, name)


class MultiOutputObjective:
    """A head for each label: logits for classes, numbers for regression.

    Args:
        labels: a head for each, of the same name; the loss is the weighted sum of theirs. That of numbers, (n,) or
            (n, k), is the squared error, its mean over k.
        label_smoothing: see `cross_entropy`.
        class_weights: by label, see `weighted_cross_entropy`; they count in training only.
    """

    def __init__(
        self,
        labels: Sequence[Label],
        *,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, np.ndarray | None] = MappingProxyType({}),
    ):
        self._labels = tuple(labels)
        self._smoothing = label_smoothing
        self._class_weights = dict(class_weights)
        self.metric_names = tuple(
            f"{label.name}_{'accuracy' if label.num_classes else 'absolute_error'}" for label in self._labels
        )
        self.summary_names = ("loss",)
        self.answer_types = {"loss": "float32"}
        for label in self._labels:
            names = class_summary_names(label.num_classes) if label.num_classes else ("absolute_error",)
            self.summary_names += tuple(f"{label.name}_{name}" for name in ("loss", *names))
            types = CLASS_ANSWER_TYPES if label.num_classes else {"error": "float32"}
            self.answer_types |= {f"{label.name}/{name}": dtype for name, dtype in {"loss": "float32", **types}.items()}

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """See `Objective`."""
        return model(batch["image"], training=training)

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """The weighted sum of the heads' losses."""
        return self._sum_of_losses(outputs, batch, self._class_weights)

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`<head>_accuracy`, or `<head>_absolute_error`."""
        return {
            name: (hits if label.num_classes else _absolute_errors)(outputs[label.name], batch[label.name])
            for label, name in zip(self._labels, self.metric_names, strict=True)
        }

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """The loss of all heads, and by `<head>/<name>` the loss and the answer of each."""
        result = {"loss": self._sum_of_losses(outputs, batch, {})}
        for label in self._labels:
            output, value = outputs[label.name], batch[label.name]
            head = class_answers(output, value) if label.num_classes else {"error": _absolute_errors(output, value)}
            head["loss"] = self._head_losses(label, outputs, batch, None)
            result |= {f"{label.name}/{name}": values for name, values in head.items()}
        return result

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """`loss`, and for each head `<head>_loss` and its metrics."""
        result = {"loss": float(answers["loss"].mean(dtype=np.float64))}
        for label in self._labels:
            head = _answers_of(label, answers)
            result[f"{label.name}_loss"] = float(head["loss"].mean(dtype=np.float64))
            if label.num_classes:
                summary = class_summary(head, label.num_classes)
            else:
                summary = {"absolute_error": float(head["error"].mean(dtype=np.float64))}
            result |= {f"{label.name}_{name}": value for name, value in summary.items()}
        return result

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A matrix for each head that sorts into classes."""
        return {
            label.name: confusion(_answers_of(label, answers), label.num_classes)
            for label in self._labels
            if label.num_classes
        }

    def _sum_of_losses(self, outputs: Any, batch: Tensors, weights: Mapping[str, np.ndarray | None]) -> Any:
        return sum(
            label.weight * self._head_losses(label, outputs, batch, weights.get(label.name)) for label in self._labels
        )

    def _head_losses(self, label: Label, outputs: Any, batch: Tensors, weights: np.ndarray | None) -> Any:
        output = outputs[label.name]
        if label.num_classes:
            return weighted_cross_entropy(output, batch, label.name, self._smoothing, weights)
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
