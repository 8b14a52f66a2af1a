"""What is worth looking at, against NumPy and loops."""

import numpy as np
import pytest

from zoo.analysis.runs import answers


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_worst_are_the_wrong_ones_by_confidence(rng):
    label, predicted = rng.integers(5, size=(2, 200))
    confidence = rng.choice([0.25, 0.5, 0.75], 200).astype("float32")
    found = answers.worst({"label": label, "predicted": predicted, "confidence": confidence}, 30)
    wrong = sorted((-confidence[i], i) for i in range(200) if label[i] != predicted[i])
    assert found.tolist() == [i for _, i in wrong][:30]


def test_the_worst_numbers_are_those_with_the_largest_error():
    assert answers.worst({"error": np.array([1.0, 3.0, 2.0, 3.0])}, 3).tolist() == [1, 3, 2]


def test_nothing_is_wrong():
    same = np.arange(4)
    assert answers.worst({"label": same, "predicted": same, "confidence": np.ones(4)}, 3).tolist() == []
    assert answers.confused(np.diag([3, 4]), 5) == []


def test_confused_classes():
    counts = np.array([[9, 2, 0], [3, 8, 0], [0, 2, 7]])
    assert answers.confused(counts, 9) == [(1, 0, 3), (0, 1, 2), (2, 1, 2)]
    assert answers.confused(counts, 1) == [(1, 0, 3)]


def test_heads():
    several = {"loss": 0, "a/b.loss": 1, "a/b.rank": 2, "ab.loss": 3}
    several = {name.replace("/", "."): value for name, value in several.items()}
    assert answers.heads(several, ["a/b", "ab"]) == {"a/b": {"loss": 1, "rank": 2}, "ab": {"loss": 3}}
    single = {"loss": 0, "label": 1}
    assert answers.heads(single, ["digit"]) == {"digit": single}


def test_extreme_pairs():
    score, same = np.array([0.1, 0.9, 0.5, 0.7, 0.3]), np.array([True, False, True, False, True])
    different, alike = answers.extreme_pairs(score, same, 2)
    assert (different.tolist(), alike.tolist()) == ([1, 3], [0, 4])


def test_episodes():
    # Two episodes of three classes with two images each; the second class is right in the first, the third in the next.
    score = np.array([0, 2, 5, 5, 9, 0, 1, 1, 8, 8, 3, 3], "float32")
    same = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1], bool)
    by_class, right, taken = answers.episodes(score, same, 3, 2)
    assert by_class.tolist() == [[1, 5, 4.5], [1, 8, 3]]
    assert (right.tolist(), taken.tolist()) == ([1, 2], [1, 1])
