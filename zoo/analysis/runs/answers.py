"""What is worth looking at among a run's answers: the worst mistakes, what is confused, the extreme pairs.

Everything is of the arrays of `evaluation.npz`, see the tasks.
"""

from collections.abc import Iterable

import numpy as np

Answers = dict[str, np.ndarray]


def heads(answers: Answers, labels: Iterable[str]) -> dict[str, Answers]:
    """The answers about each label by themselves; of a single head those are all.

    Args:
        answers: by name, (n,).
        labels: what is learned.
    """
    by_label = {}
    for label in labels:
        prefix = f"{label.replace('/', '.')}."
        of_head = {name.removeprefix(prefix): values for name, values in answers.items() if name.startswith(prefix)}
        by_label[label] = of_head or answers
    return by_label


def worst(answers: Answers, count: int) -> np.ndarray:
    """Places of the worst answers, the worst first, int64 (at most count,).

    Of classes those are the wrong ones, by falling confidence; of numbers all, by falling error. Of equal ones the
    first comes first.
    """
    if "error" in answers:
        return np.argsort(-answers["error"], kind="stable")[:count]
    wrong = np.flatnonzero(answers["predicted"] != answers["label"])
    return wrong[np.argsort(-answers["confidence"][wrong], kind="stable")][:count]


def confused(counts: np.ndarray, limit: int) -> list[tuple[int, int, int]]:
    """True class, predicted class and how often, of the classes most often taken for another one.

    Args:
        counts: (classes, classes), rows true classes, see `zoo.metrics.confusion_matrix`.
        limit: of the list.
    """
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(row), int(column), int(wrong[row, column])) for row, column in places if wrong[row, column]]


def extreme_pairs(score: np.ndarray, same: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the pairs of two classes that look most alike, and of the pairs of one class that look least alike.

    Args:
        score: (n,), the higher the more alike.
        same: bool (n,).
        count: how many of each.
    """
    order = np.argsort(-score, kind="stable")
    return order[~same[order]][:count], order[same[order]][::-1][:count]


def episodes(score: np.ndarray, same: np.ndarray, ways: int, shots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The one-shot episodes of their pairs.

    Args:
        score: (episodes * ways * shots,).
        same: likewise.
        ways: classes of an episode.
        shots: images of a class.

    Returns:
        The score of each class, the mean over its images, float64 (episodes, ways); the right way and the chosen one,
        the first of equal ones, int64 (episodes,).
    """
    by_class = score.astype(np.float64).reshape(-1, ways, shots).mean(2)
    right = same.reshape(-1, ways, shots)[:, :, 0].argmax(1)
    return by_class, right, by_class.argmax(1)
