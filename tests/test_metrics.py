"""The metrics of a split against scikit-learn and against loops that follow the definitions."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score, roc_curve

from zoo import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def calibration_error_by_loop(confidence, hits, bins):
    """Guo et al. 2017, equations 2 to 5: bin m holds the confidences in ((m - 1) / bins, m / bins]."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = [i for i, c in enumerate(confidence) if (m - 1) / bins < c <= m / bins or (m == 1 and c == 0)]
        if inside:
            accuracy = sum(bool(hits[i]) for i in inside) / len(inside)
            mean = sum(float(confidence[i]) for i in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_error_is_that_of_a_loop_over_bins(rng, bins):
    confidence = rng.random(500).astype("float32")
    hits = rng.random(500) < confidence**2
    expected = calibration_error_by_loop(confidence, hits, bins)
    assert expected > 0.05
    assert metrics.expected_calibration_error(confidence, hits, bins) == pytest.approx(expected, rel=1e-12)


def test_fifteen_bins_unless_told_otherwise(rng):
    confidence, hits = rng.random(300), rng.random(300) < 0.5
    expected = calibration_error_by_loop(confidence, hits, 15)
    assert metrics.expected_calibration_error(confidence, hits) == pytest.approx(expected, rel=1e-12)


def test_a_bin_holds_its_upper_end():
    # 0.25 falls into the first of four bins, where it makes up for 0.125; in the second it would not.
    confidence, hits = np.array([0.125, 0.25]), np.array([0, 1])
    assert metrics.expected_calibration_error(confidence, hits, 4) == abs(0.5 - 0.1875)
    just_above = np.array([0.125, np.nextafter(0.25, 1)])
    assert metrics.expected_calibration_error(just_above, hits, 4) == pytest.approx((0.125 + 0.75) / 2)


@pytest.mark.parametrize(
    ("confidence", "hit", "expected"), [(0.0, 0, 0.0), (0.0, 1, 1.0), (1.0, 1, 0.0), (1.0, 0, 1.0)]
)
def test_confidences_of_0_and_1_have_a_bin(confidence, hit, expected):
    assert metrics.expected_calibration_error(np.array([confidence], "float32"), np.array([hit])) == expected


def test_calibration_error_of_many_examples_is_summed_in_float64():
    # The sum in float32 of two million times 0.9 is off in the third digit.
    confidence = np.full(2_000_000, 0.9, "float32")
    hits = np.arange(2_000_000) % 10 != 0
    assert metrics.expected_calibration_error(confidence, hits) == pytest.approx(0.9 - float(np.float32(0.9)), rel=1e-3)


def test_confusion_matrix_is_scikit_learns(rng):
    labels, predicted = rng.integers(0, 7, 400).astype("uint8"), rng.integers(0, 5, 400).astype("int32")
    ours = metrics.confusion_matrix(labels, predicted, 7)
    assert ours.dtype == "int64"
    np.testing.assert_array_equal(ours, confusion_matrix(labels, predicted, labels=range(7)))


def test_confusion_matrix_of_many_classes_does_not_overflow_small_integers():
    labels, predicted = np.array([255, 255, 0], "uint8"), np.array([254, 255, 1], "uint8")
    found = metrics.confusion_matrix(labels, predicted, 300)
    assert found.shape == (300, 300)
    assert (found[255, 254], found[255, 255], found[0, 1], found.sum()) == (1, 1, 1, 3)


@pytest.mark.parametrize("levels", [2, 5, 1000], ids="of {} levels".format)
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_roc_auc_with_ties_is_scikit_learns(rng, levels, share):
    positive = rng.random(600) < share
    scores = np.round(rng.normal(positive * 0.7, 1) * levels / 6).astype("float32")
    assert len(np.unique(scores)) < 600
    expected = roc_auc_score(positive, scores)
    assert metrics.roc_auc(scores, positive) == pytest.approx(expected, rel=1e-12)
    assert metrics.roc_auc(scores, positive.astype("int32")) == pytest.approx(expected, rel=1e-12)


def test_roc_auc_at_its_ends():
    kinds = np.array([0, 0, 1, 1])
    assert metrics.roc_auc(np.array([1.0, 2.0, 3.0, 4.0]), kinds) == 1.0
    assert metrics.roc_auc(np.array([4.0, 3.0, 2.0, 1.0]), kinds) == 0.0
    assert metrics.roc_auc(np.zeros(4), kinds) == 0.5
    for kind in (0, 1):
        assert np.isnan(metrics.roc_auc(np.arange(4.0), np.full(4, kind)))


def threshold_accuracy_by_loop(scores, positive, folds):
    """Every threshold between two scores is tried, for each fold on all other examples."""
    scores, positive = [float(s) for s in scores], [bool(p) for p in positive]
    distinct = sorted(set(scores))
    hits = 0
    for fold in range(folds):
        others = [i for i in range(len(scores)) if i % folds != fold]
        known = sorted({scores[i] for i in others})
        thresholds = [distinct[0] - 1, *((a + b) / 2 for a, b in itertools.pairwise(known)), distinct[-1] + 1]
        right = [sum((scores[i] > t) == positive[i] for i in others) for t in thresholds]
        best = thresholds[right.index(max(right))]
        hits += sum((scores[i] > best) == positive[i] for i in range(len(scores)) if i % folds == fold)
    return hits / len(scores)


@pytest.mark.parametrize("folds", [2, 10])
@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_threshold_accuracy_is_that_of_every_threshold_tried(rng, folds, decimals):
    positive = rng.random(230) < 0.4
    scores = np.round(rng.normal(positive * 1.5, 1), decimals).astype("float32")
    expected = threshold_accuracy_by_loop(scores, positive, folds)
    assert metrics.threshold_accuracy(scores, positive, folds) == pytest.approx(expected, rel=1e-12)


def test_a_fold_does_not_choose_its_own_threshold():
    # Each example alone contradicts what all others say.
    scores, positive = np.array([0.0, 1.0] * 2), np.array([0, 1, 1, 0], bool)
    assert metrics.threshold_accuracy(scores, positive, folds=4) == 0.0
    separable = np.concatenate([np.zeros(20), np.ones(20)])
    assert metrics.threshold_accuracy(separable, separable > 0) == 1.0
    assert metrics.threshold_accuracy(-separable, separable == 0) == 1.0


def test_ten_folds_unless_told_otherwise(rng):
    positive = rng.random(95) < 0.5
    scores = rng.normal(positive * 0.5, 1)
    assert metrics.threshold_accuracy(scores, positive) == threshold_accuracy_by_loop(scores, positive, 10)


def test_a_threshold_fits_between_neighbouring_floats():
    # Their middle is no float32, and rounded to one it would be the upper of the two.
    low = np.float32(1) + np.float32(2**-23)
    scores = np.tile(np.array([low, np.nextafter(low, np.float32(2))], "float32"), 20)
    assert metrics.threshold_accuracy(scores, scores > low) == 1.0


@pytest.mark.parametrize("kind", [0, 1])
def test_threshold_accuracy_of_one_kind_alone(kind):
    assert metrics.threshold_accuracy(np.zeros(12), np.full(12, kind, bool)) == 1.0


def test_fewer_examples_than_folds():
    assert 0 <= metrics.threshold_accuracy(np.array([0.0, 1.0, 2.0]), np.array([0, 1, 1], bool)) <= 1
    assert metrics.threshold_accuracy(np.array([1.0]), np.array([True])) == 1.0


def episode_accuracy_by_loop(scores, answers):
    total = 0.0
    for ways, answer in zip(scores, answers, strict=True):
        means = [sum(float(x) for x in shots) / len(shots) for shots in ways]
        best = [way for way, mean in enumerate(means) if mean == max(means)]
        total += (answer in best) / len(best)
    return total / len(answers)


@pytest.mark.parametrize("shots", [1, 4])
def test_episode_accuracy_is_that_of_a_loop(rng, shots):
    scores = rng.integers(0, 4, (200, 5, shots)).astype("float32")
    answers = rng.integers(0, 5, 200)
    expected = episode_accuracy_by_loop(scores, answers)
    assert metrics.episode_accuracy(scores, answers) == pytest.approx(expected, rel=1e-12)


def test_a_tied_episode_counts_by_chance():
    answers = np.array([0, 3])
    assert metrics.episode_accuracy(np.zeros((2, 4, 1)), answers) == 0.25
    scores = np.array([[1, 0, 1, 0], [0, 0, 0, 1]], float)[:, :, None]
    assert metrics.episode_accuracy(scores, answers) == (0.5 + 1) / 2
    assert metrics.episode_accuracy(-scores, answers) == 0.0


def test_shots_are_averaged():
    scores = np.array([[[0.9, 0.0], [0.5, 0.5]]])
    assert metrics.episode_accuracy(scores, np.array([1])) == 1.0
    assert metrics.episode_accuracy(scores, np.array([0])) == 0.0


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_roc_curve_is_scikit_learns(rng, levels):
    scores = (rng.integers(levels, size=300) / levels).astype("float32")
    positive = rng.random(300) < 0.4
    false, true = metrics.roc_curve(scores, positive)
    expected_false, expected_true, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(false, expected_false, atol=1e-12)
    np.testing.assert_allclose(true, expected_true, atol=1e-12)
    assert np.trapezoid(true, false) == pytest.approx(metrics.roc_auc(scores, positive), abs=1e-12)


def test_the_roc_curve_of_four_pairs():
    # One different pair scores above one of the two alike, and two tie.
    false, true = metrics.roc_curve(np.array([0.9, 0.8, 0.5, 0.5]), np.array([True, False, True, False]))
    assert false.tolist() == [0, 0, 0.5, 1]
    assert true.tolist() == [0, 0.5, 0.5, 1]


def test_reliability_is_what_the_calibration_error_is_made_of(rng):
    confidence = (rng.random(500) ** 0.3).astype("float32")
    hits = rng.random(500) < confidence
    counts, mean, accuracy = metrics.reliability(confidence, hits)
    assert counts.shape == mean.shape == accuracy.shape == (metrics.CALIBRATION_BINS,)
    assert counts.sum() == 500
    total = sum(n / 500 * abs(a - c) for n, c, a in zip(counts, mean, accuracy, strict=True) if n)
    assert total == pytest.approx(calibration_error_by_loop(confidence, hits, metrics.CALIBRATION_BINS), abs=1e-12)


def test_an_empty_bin_has_no_mean():
    counts, mean, accuracy = metrics.reliability(np.array([0.3, 0.9]), np.array([1, 0]), bins=3)
    assert counts.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(mean, [0.3, np.nan, 0.9])
    np.testing.assert_array_equal(accuracy, [1, np.nan, 0])


def test_precision_recall_and_support_of_each_class(rng):
    labels, predicted = rng.integers(0, 6, (2, 300))
    # A class without examples, one that is never predicted, and one that is neither.
    labels[labels == 4], predicted[predicted == 3] = 0, 1
    matrix = metrics.confusion_matrix(labels, predicted, 7)
    precision, recall, support = metrics.per_class(matrix)
    expected = precision_recall_fscore_support(labels, predicted, labels=np.arange(7), zero_division=0)
    for found, wanted in zip((precision, recall, support), (expected[0], expected[1], expected[3]), strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    assert support[4] == support[6] == precision[3] == recall[4] == 0
