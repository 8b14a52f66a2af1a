"""What is worth looking at among a run's answers: the worst mistakes, what is confused, the extreme pairs.

Everything is of the arrays of `evaluation.npz`, see the tasks.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Answers = dict[str, np.ndarray]
# Of up to so many classes five guesses say little.
FEW_CLASSES = 10


def heads(answers: Answers, labels: Iterable[str]) -> dict[str, Answers]:
    """The answers about each label by themselves; of a single head those are all.

    Args:
        answers: by name, (n,).
        labels: what is learned.
    """
    by_label, of_all = {}, {name: answers[name] for name in ("example",) if name in answers}
    for label in labels:
        prefix = f"{label.replace('/', '.')}."
        of_head = {name.removeprefix(prefix): values for name, values in answers.items() if name.startswith(prefix)}
        by_label[label] = of_all | of_head if of_head else answers
    return by_label


def is_telling(metric: str, class_names: Mapping[str, Sequence[str]]) -> bool:
    """Whether a metric is worth a look: the five likeliest classes are not where there are few.

    Args:
        metric: with or without its split.
        class_names: by label.
    """
    label = metric.rpartition("/")[2].removesuffix("top5_accuracy").rstrip("_")
    # The metrics of a single label do not name it.
    names = class_names.get(label) or (next(iter(class_names.values())) if len(class_names) == 1 else ())
    return not metric.endswith("top5_accuracy") or not 0 < len(names) <= FEW_CLASSES


def example_names(answers: Answers, places: np.ndarray, key: str = "example") -> list[str]:
    """What the examples at some places of the answers are called: by their files, else by their numbers in the split.

    Args:
        answers: by name, (n,); those of an older run do not name examples, and are in the order of the split.
        places: int64 (m,).
        key: of pairs `left_example` or `right_example`.
    """
    return [str(name) for name in (answers[key][places] if key in answers else places)]


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
