"""Are two images of one class? Pairs and triplets for training; pairs and one-shot episodes for evaluation."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from zoo import metrics
from zoo.config import EPISODES, ExperimentConfig
from zoo.data.batches import FixedPairs, Pairs, TripletBatches
from zoo.data.pairs import Episodes, PartnerDraw, fixed_pairs, make_episodes, pixel_scores
from zoo.data.sources import ExampleSource
from zoo.data.transform import ImageTransform
from zoo.errors import RequestError
from zoo.tasks import labels
from zoo.tasks.base import Tensors, and_list, as_float, class_names
from zoo.tasks.known import register_task

TRIPLET = frozenset({"anchor", "positive", "negative"})


@register_task
class Verification:
    """Are two images of one class? See `Task`.

    The loss follows from the model's outputs: a `logit` is trained by the binary cross-entropy, a `distance` by the
    contrastive loss, embeddings of a triplet by the triplet loss.
    """

    name = "verification"
    mixes_images = False
    # Pairs are often made of classes that training has not seen.
    warnings = ()

    def __init__(self, config: ExperimentConfig, train: ExampleSource, evaluation: ExampleSource):
        label, weight = labels.one_label(config, train, self.name)
        self.labels = (labels.class_label(train, label, weight),)
        if config.class_weights:
            raise RequestError(
                f"class_weights is {config.class_weights!r}; {self.name} learns no classes; leave class_weights out"
            )
        labels.check_classes(config, self.labels, train, evaluation)
        self._config, self._train, self._evaluation = config, train, evaluation
        self._episodes = _episodes(config, label, evaluation) if config.ways else None
        self._names = class_names(self, train)[label]

    def builder_arguments(self, hyperparameters: Collection[str]) -> dict[str, Any]:
        """Nothing: the model does not learn the classes themselves."""
        if self._config.condition:
            raise labels.no_second_input(self._config)
        return {}

    def check_ends(self, inputs: Collection[str], outputs: Collection[str]) -> None:
        """Two images and a logit or distance, or the three of a triplet and their embeddings."""
        known = {*outputs} in ({"logits"}, {"distance"}, TRIPLET)
        if not known or {*inputs} not in ({"left", "right"}, TRIPLET):
            raise RequestError(
                f"model is {self._config.model!r}, which gives {and_list(outputs)} of {and_list(inputs)}; {self.name} "
                "needs logits or distance of left and right, or embeddings of a triplet"
            )

    def train_batches(
        self, source: ExampleSource, transform: ImageTransform, image_shape: tuple[int, ...], inputs: Collection[str]
    ) -> Pairs | TripletBatches:
        """Pairs, or triplets for a model that takes them."""
        label = self.labels[0].name
        classes = labels.checked_column(self._config, "train_split", source, label)
        draw = PartnerDraw(classes, f"{label} in the training split of {source.name}")
        if {*inputs} == TRIPLET:
            return TripletBatches(source, transform, image_shape, draw, label)
        return Pairs(source, transform, image_shape, draw)

    def evaluation_batches(self, transform: ImageTransform, image_shape: tuple[int, ...]) -> FixedPairs:
        """A fixed list of pairs, and behind them those of the one-shot episodes."""
        label = self.labels[0].name
        what = f"{label} in the evaluation split of {self._evaluation.name}"
        lists = [fixed_pairs(labels.checked_column(self._config, "eval_split", self._evaluation, label), what)]
        if self._episodes is not None:
            lists.append(self._episodes.pairs())
        return FixedPairs(self._evaluation, transform, image_shape, lists)

    def objective(self, outputs: Collection[str], loss_weights: Mapping[str, float]) -> "VerificationObjective":
        """See `VerificationObjective` and `TripletObjective`."""
        evaluation: dict[str, Any] = {"num_pairs": self._evaluation.num_examples}
        if self._episodes is not None:
            pixels = metrics.episode_accuracy(pixel_scores(self._evaluation, self._episodes), self._episodes.answers)
            evaluation |= {
                "episodes": self._episodes.supports.shape,
                "episode_answers": self._episodes.answers,
                "pixel_accuracy": pixels,
            }
        if "anchor" in outputs:
            return TripletObjective(margin=self._config.margin or 0.2, **evaluation)
        loss = "contrastive" if "distance" in outputs else "binary"
        return VerificationObjective(loss, margin=self._config.margin or 1.0, **evaluation)

    def caption(self, example: dict[str, np.ndarray]) -> str:
        """Whether both are of one class; of a triplet the classes."""
        if "same" in example:
            return "same" if example["same"] else "different"
        return f"{self._names[example['anchor_label']]}, negative {self._names[example['negative_label']]}"

    def reading(self, answers: dict[str, np.ndarray]) -> str:
        """The score: the higher, the more alike the model finds both images."""
        return f"score {float(answers['score']):.4g}"


def _episodes(config: ExperimentConfig, label: str, source: ExampleSource) -> Episodes:
    """The fixed episodes of the evaluation split."""
    columns = []
    for field in ("episode_group", "episode_view"):
        name = getattr(config, field)
        if name:
            labels.find_feature(source, field, name)
        columns.append(labels.checked_column(config, "eval_split", source, name) if name else None)
    what = f"{config.eval_split} of {source.name}"
    classes = labels.checked_column(config, "eval_split", source, label)
    return make_episodes(classes, *columns, ways=config.ways, shots=config.shots, count=EPISODES, what=what)


class VerificationObjective:
    """Are `left` and `right` of one class? A batch holds both images and `same`, 1 or 0.

    Evaluation answers every pair of a fixed list; those behind the first `num_pairs` belong to the one-shot episodes.

    Args:
        loss: `binary`: the model gives a logit (n, 1), its loss is the binary cross-entropy. `contrastive`: it gives a
            distance d (n, 1), its loss is d^2 for a pair of one class, max(0, margin - d)^2 for another (Hadsell,
            Chopra and LeCun 2006, CVPR, equation 4, without the halves).
        margin: of the contrastive loss.
        num_pairs: how many pairs the fixed list begins with.
        episodes: (episodes, ways, shots); None: no one-shot classification.
        episode_answers: the right way of each episode, (episodes,).
        pixel_accuracy: of the episodes, by the distance of pixels: what is to be beaten.
    """

    metric_names = ("accuracy",)
    answer_types = MappingProxyType({"loss": "float32", "score": "float32", "same": "int32"})

    def __init__(
        self,
        loss: str = "binary",
        *,
        margin: float = 1.0,
        num_pairs: int = 0,
        episodes: tuple[int, int, int] | None = None,
        episode_answers: np.ndarray | None = None,
        pixel_accuracy: float | None = None,
    ):
        self.summary_names = ("loss", "accuracy", "roc_auc")
        if episodes:
            self.summary_names += ("one_shot_accuracy", "one_shot_pixel_accuracy")
        self._binary = loss == "binary"
        self._margin = margin
        self._num_pairs = num_pairs
        self._episodes = episodes
        self._episode_answers = episode_answers
        self._pixel_accuracy = pixel_accuracy

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """Logit or distance, (n,)."""
        return model({"left": batch["left"], "right": batch["right"]}, training=training)[:, 0]

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """Binary cross-entropy in nats, or the contrastive loss."""
        ops = keras.ops
        same = ops.cast(batch["same"], "float32")
        if self._binary:
            # log(1 + e^-x) of a pair of one class, log(1 + e^x) of another, for x of any size.
            return ops.softplus((1 - 2 * same) * outputs)
        return same * ops.square(outputs) + (1 - same) * ops.square(ops.relu(self._margin - outputs))

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: of a logit above 0, of a distance below half the margin."""
        alike = outputs > 0 if self._binary else outputs < self._margin / 2
        return {"accuracy": as_float(keras.ops.equal(alike, keras.ops.cast(batch["same"], "bool")))}

    def answers(self, outputs: Any, batch: Tensors) -> Tensors:
        """`loss`, `score` (the higher the more alike) and `same`."""
        score = outputs if self._binary else -outputs
        return {"loss": self.losses(outputs, batch), "score": score, "same": batch["same"]}

    def summary(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """Of the pairs `loss`, `accuracy`, `roc_auc`; of the episodes `one_shot_accuracy` and what pixels reach.

        The accuracy of logits is that at 0, the one of distances that of ten folds, see `metrics.threshold_accuracy`.
        """
        pairs = {name: values[: self._num_pairs] for name, values in answers.items()}
        score, same = pairs["score"], pairs["same"].astype(bool)
        result = {"loss": float(pairs["loss"].mean(dtype=np.float64))}
        result["accuracy"] = (
            float(((score > 0) == same).mean()) if self._binary else metrics.threshold_accuracy(score, same)
        )
        result["roc_auc"] = metrics.roc_auc(score, same)
        if self._episodes:
            scores = answers["score"][self._num_pairs :].reshape(self._episodes)
            result["one_shot_accuracy"] = metrics.episode_accuracy(scores, self._episode_answers)
            result["one_shot_pixel_accuracy"] = self._pixel_accuracy
        return result

    def confusions(self, answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """None: at which threshold would they be?"""
        return {}


class TripletObjective(VerificationObjective):
    """Embeddings in which an anchor is nearer to what is of its class than to anything else.

    A training batch holds `anchor`, `positive` and `negative` images with the labels `anchor_label` and
    `negative_label`. The negative of each anchor is found in the batch: of all its images of other classes, the nearest
    of those farther than the positive; where there is none, the farthest (Schroff, Kalenichenko and Philbin 2015,
    arXiv:1503.03832, section 3.2: semi-hard). The batch is that of one replica. The loss is
    max(0, d(a, p) - d(a, n) + margin) of squared Euclidean distances. Evaluation is that of
    `VerificationObjective`, by the Euclidean distance.

    Args:
        margin: the paper has 0.2.
        evaluation: num_pairs and what follows it, as in `VerificationObjective`.
    """

    def __init__(self, *, margin: float = 0.2, **evaluation: Any):
        super().__init__("contrastive", margin=margin, **evaluation)

    def call(self, model: keras.Model, batch: Tensors, training: bool) -> Any:
        """Embeddings of length 1, (n, size) each; in evaluation distances (n,)."""
        if "left" not in batch:
            return model({name: batch[name] for name in ("anchor", "positive", "negative")}, training=training)
        tower = model.get_layer("tower")
        difference = tower(batch["left"], training=training) - tower(batch["right"], training=training)
        return keras.ops.norm(difference, axis=-1)

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """The loss of each anchor; in evaluation the contrastive loss."""
        if not isinstance(outputs, dict):
            return super().losses(outputs, batch)
        positive, negative = self._distances(outputs, batch)
        return keras.ops.relu(positive - negative + self._margin)

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: whether the positive is nearer than the negative that the batch gave at random."""
        anchor, positive, negative = (outputs[name] for name in ("anchor", "positive", "negative"))
        nearer = _squared_distance(anchor, positive) < _squared_distance(anchor, negative)
        return {"accuracy": as_float(nearer)}

    def _distances(self, outputs: Any, batch: Tensors) -> tuple[Any, Any]:
        """Squared distances of each anchor to its positive and to its semi-hard negative, (n,)."""
        ops = keras.ops
        anchor = outputs["anchor"]
        images = ops.concatenate([outputs[name] for name in ("anchor", "positive", "negative")])
        own, drawn = batch["anchor_label"], batch["negative_label"]
        other = ops.expand_dims(own, 1) != ops.expand_dims(ops.concatenate([own, own, drawn]), 0)
        # Of vectors of length 1.
        distance = ops.maximum(2.0 - 2.0 * ops.matmul(anchor, ops.transpose(images)), 0.0)
        positive = _squared_distance(anchor, outputs["positive"])
        farther = ops.logical_and(other, distance > ops.expand_dims(positive, 1))
        semi_hard = ops.min(ops.where(farther, distance, np.inf), axis=1)
        farthest = ops.max(ops.where(other, distance, 0.0), axis=1)
        return positive, ops.where(ops.any(farther, axis=1), semi_hard, farthest)


def _squared_distance(one: Any, other: Any) -> Any:
    return keras.ops.sum(keras.ops.square(one - other), axis=-1)
