import numpy as np
import pytest

from zoo.tasks import Classification

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 5, (7, 4)).astype("float32")
LABELS = np.array([0, 3, 1, 1, 2, 0, 3])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_is_cross_entropy_in_float64(smoothing):
    logits = LOGITS.astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    losses = Classification(smoothing).losses(LOGITS, {"label": LABELS})
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, -(target * log_p).sum(1), rtol=1e-5, atol=1e-6)


def test_large_logits_do_not_overflow():
    losses = Classification(0.1).losses(np.array([[1e4, -1e4]], "float32"), {"label": np.array([1])})
    np.testing.assert_allclose(losses, [0.9 * 2e4 + 0.1 * 1e4], rtol=1e-5)


def test_accuracy_is_that_of_the_largest_logit():
    hits = Classification().metrics(LOGITS, {"label": LABELS})["accuracy"]
    np.testing.assert_array_equal(hits, (LOGITS.argmax(1) == LABELS).astype("float32"))
    assert set(Classification.metric_names) == {"accuracy"}
