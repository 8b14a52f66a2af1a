"""Exact metrics over a whole split: NumPy in float64, from one answer per example.

What is summed here was computed example by example, so each counts once whatever the batches and replicas.
"""

import numpy as np

# Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks, arXiv:1706.04599, section 5.
CALIBRATION_BINS = 15
# Huang, Ramesh, Berg and Learned-Miller 2007, Labeled faces in the wild: ten folds.
THRESHOLD_FOLDS = 10


def expected_calibration_error(confidence: np.ndarray, hits: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """How far confidence and accuracy lie apart: the mean of |accuracy - confidence| over bins, weighted by their size.

    Args:
        confidence: probability of the predicted class, (n,), from 0 to 1.
        hits: whether the prediction was right, (n,).
        bins: of equal width; each holds its upper end (Guo et al. 2017, section 2).
    """
    confidence = confidence.astype(np.float64)
    gaps = np.bincount(_bin_of(confidence, bins), hits.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def reliability(
    confidence: np.ndarray, hits: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `expected_calibration_error` is made of, for a reliability diagram.

    Args:
        confidence: likewise.
        hits: likewise.
        bins: likewise.

    Returns:
        Of each bin how many examples it holds, int64, their mean confidence and their accuracy, float64, NaN where it
        holds none. All (bins,).
    """
    confidence = confidence.astype(np.float64)
    bin_of = _bin_of(confidence, bins)
    counts = np.bincount(bin_of, minlength=bins)
    least = np.where(counts, counts, np.nan)
    sums = (np.bincount(bin_of, values.astype(np.float64), minlength=bins) for values in (confidence, hits))
    return counts, *(total / least for total in sums)


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts, int64 (num_classes, num_classes): rows are true classes, columns predicted ones."""
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and support of each class.

    Args:
        confusion: counts, see `confusion_matrix`.

    Returns:
        Which share of the examples that were predicted to be of the class are, float64; which share of its examples
        were, float64; how many examples it has, int64; (num_classes,) each. A share of no examples is 0.
    """
    hits, predicted, support = np.diagonal(confusion), confusion.sum(0), confusion.sum(1)
    precision, recall = (hits / np.maximum(counts, 1) for counts in (predicted, support))
    return precision, recall, support.astype(np.int64)


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the receiver operating characteristic.

    It is the probability that a positive example scores above a negative one; a tie counts one half (Hanley and
    McNeil 1982, Radiology 143:29-36). NaN where one kind is missing.

    Args:
        scores: (n,), the higher the more likely positive.
        positive: bool (n,).
    """
    positive = positive.astype(bool)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # of equal scores, from 1
    above = mean_rank[inverse][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The receiver operating characteristic, a point for each threshold between different scores.

    Args:
        scores: (n,), the higher the more likely positive.
        positive: bool (n,), both kinds.

    Returns:
        The share of negatives and the share of positives that score at least the threshold, float64, from (0, 0) to
        (1, 1). The area below, by trapezoids, is `roc_auc`: equal scores are one slanted piece.
    """
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    ordered, kind = scores[order], positive[order].astype(bool)
    ends = np.concatenate([np.flatnonzero(ordered[1:] != ordered[:-1]), [len(ordered) - 1]])
    true, false = (np.concatenate([[0], np.cumsum(which)[ends]]) for which in (kind, ~kind))
    return false / false[-1], true / true[-1]


def threshold_accuracy(scores: np.ndarray, positive: np.ndarray, folds: int = THRESHOLD_FOLDS) -> float:
    """Accuracy of `score above threshold`, each fold judged by the threshold that is best for the others.

    Args:
        scores: (n,), the higher the more likely positive.
        positive: bool (n,).
        folds: example i belongs to fold `i % folds`.
    """
    # Half-way between two neighbours in float32 there may be no other one.
    scores = scores.astype(np.float64)
    fold_of = np.arange(len(scores)) % folds
    hits = 0
    for fold in range(min(folds, len(scores))):
        inside = fold_of == fold
        threshold = _best_threshold(scores[~inside], positive[~inside])
        hits += int(((scores[inside] > threshold) == positive[inside].astype(bool)).sum())
    return hits / len(scores)


def _best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """Half-way between two neighbouring scores, where most are told apart."""
    if not len(scores):
        return 0.0
    order = np.argsort(scores, kind="stable")
    ordered, kind = scores[order], positive[order].astype(np.int64)
    # Hits when the first k are called negative: the negatives among them and the positives behind.
    hits = np.concatenate([[0], np.cumsum(1 - kind)]) + kind.sum() - np.concatenate([[0], np.cumsum(kind)])
    edges = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    # Equal scores cannot be told apart.
    possible = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    return float(edges[np.argmax(np.where(possible, hits, -1))])


def episode_accuracy(scores: np.ndarray, answers: np.ndarray) -> float:
    """The share of episodes in which the right class scores highest; where t classes tie for it, 1 / t counts.

    Args:
        scores: (episodes, ways, shots), how alike the query and each support image are; the mean over shots is
            the score of a class.
        answers: (episodes,), the right way.
    """
    by_class = scores.astype(np.float64).mean(2)
    best = by_class == by_class.max(1, keepdims=True)
    return float((best[np.arange(len(answers)), answers] / best.sum(1)).mean())
