"""Losses in NumPy's float64, as the definitions have them."""

import numpy as np


def cross_entropy(logits, labels, smoothing=0.0, mixed=None, own_share=1.0):
    """Of a target that is spread out over the label, the one that was mixed in, and all classes."""
    logits = np.asarray(logits, "float64")
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    one_hot = np.eye(logits.shape[1])
    target = one_hot[labels]
    if mixed is not None:
        share = np.asarray(own_share, "float64")[:, None]
        target = share * target + (1 - share) * one_hot[mixed]
    target = (1 - smoothing) * target + smoothing / logits.shape[1]
    return -(target * log_p).sum(1)


def softmax(logits):
    """Probabilities in float64."""
    exponentials = np.exp(np.asarray(logits, "float64") - np.max(logits, 1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def calibration_error(confidence, hits, bins=15):
    """Over bins that hold their upper ends."""
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = [abs((hits[bin_of == b] - confidence[bin_of == b]).sum()) for b in range(bins)]
    return sum(gaps) / len(confidence)
