"""What a model is trained for: which part of a batch goes in, the loss, and the metrics.

A task speaks of single examples: losses and metrics come as one number per example, so that whoever sums
them can weight, mask and distribute as it likes and still count every example exactly once.
"""

from collections.abc import Mapping
from typing import Any

import keras

Tensors = dict[str, Any]


class Classification:
    """One label per example, one logit per class.

    A model with auxiliary heads gives a dictionary of logits: the head named `logits` is what the model
    answers, and the others are trained on the same label.

    Args:
        label_smoothing: weight s of the uniform distribution in the target (Szegedy et al. 2015,
            arXiv:1512.00567, section 7): (1 - s) for the label plus s / classes for every class.
        loss_weights: weight in the loss by the head's name, for heads that do not weigh 1.
    """

    metric_names = ("accuracy",)

    def __init__(self, label_smoothing: float = 0.0, loss_weights: Mapping[str, float] | None = None):
        self.label_smoothing = label_smoothing
        self.loss_weights = dict(loss_weights or {})

    def inputs(self, batch: Tensors) -> Any:
        """What the model is called with."""
        return batch["image"]

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """Cross-entropy in nats, float32 (n,), of logits (n, classes) and `batch["label"]` (n,).

        Of a dictionary of logits: the weighted sum over all heads, in evaluation as in training, so that the
        losses of both can be compared.
        """
        if not isinstance(outputs, dict):
            return self._cross_entropy(outputs, batch["label"])
        return sum(
            self.loss_weights.get(name, 1.0) * self._cross_entropy(logits, batch["label"])
            for name, logits in outputs.items()
        )

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: 1 where the largest logit is the label's, else 0; float32 (n,). Auxiliary heads do not count."""
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs
        predicted = keras.ops.argmax(logits, axis=-1)
        hits = keras.ops.equal(predicted, keras.ops.cast(batch["label"], predicted.dtype))
        return {"accuracy": keras.ops.cast(hits, "float32")}

    def _cross_entropy(self, logits: Any, labels: Any) -> Any:
        losses = keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        if self.label_smoothing:
            uniform = -keras.ops.mean(keras.ops.log_softmax(logits), axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * uniform
        return losses
