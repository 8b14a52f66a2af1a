"""What a model is trained for: which part of a batch goes in, the loss, and the metrics.

A task speaks of single examples: losses and metrics come as one number per example, so that whoever sums
them can weight, mask and distribute as it likes and still count every example exactly once.
"""

from typing import Any

import keras

Tensors = dict[str, Any]


class Classification:
    """One label per example, one logit per class.

    Args:
        label_smoothing: weight s of the uniform distribution in the target (Szegedy et al. 2015,
            arXiv:1512.00567, section 7): (1 - s) for the label plus s / classes for every class.
    """

    metric_names = ("accuracy",)

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = label_smoothing

    def inputs(self, batch: Tensors) -> Any:
        """What the model is called with."""
        return batch["image"]

    def losses(self, outputs: Any, batch: Tensors) -> Any:
        """Cross-entropy in nats, float32 (n,), of logits (n, classes) and `batch["label"]` (n,)."""
        losses = keras.ops.sparse_categorical_crossentropy(batch["label"], outputs, from_logits=True)
        if self.label_smoothing:
            uniform = -keras.ops.mean(keras.ops.log_softmax(outputs), axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * uniform
        return losses

    def metrics(self, outputs: Any, batch: Tensors) -> Tensors:
        """`accuracy`: 1 where the largest logit is the label's, else 0; float32 (n,)."""
        predicted = keras.ops.argmax(outputs, axis=-1)
        hits = keras.ops.equal(predicted, keras.ops.cast(batch["label"], predicted.dtype))
        return {"accuracy": keras.ops.cast(hits, "float32")}
