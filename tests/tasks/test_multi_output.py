import numpy as np
import pytest
import reference
import rounding
import tensorflow as tf
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, mean_absolute_error

from zoo.data.batches import MIXED, OWN_SHARE
from zoo.tasks.base import Label
from zoo.tasks.multi_output import MultiOutputObjective

RNG = np.random.default_rng(0)
N = 150
LABELS = (Label("fine", 8, 1.0), Label("coarse", 3, 0.25), Label("box", 0, 2.0), Label("angle", 0, 0.5))
OUTPUTS = {
    "fine": RNG.normal(0, 3, (N, 8)).astype("float32"),
    "coarse": RNG.normal(0, 3, (N, 3)).astype("float32"),
    "box": RNG.normal(0, 1, (N, 4)).astype("float32"),
    "angle": RNG.normal(0, 1, (N, 1)).astype("float32"),
}
BATCH = {
    "fine": RNG.integers(0, 8, N),
    "coarse": RNG.integers(0, 3, N).astype("uint8"),
    "box": RNG.normal(0, 1, (N, 2, 2)),  # float64, of another shape than the head gives
    "angle": RNG.normal(0, 1, N).astype("float32"),
}
TENSORS = {name: tf.constant(value) for name, value in OUTPUTS.items()}


def differences(batch=BATCH):
    return {name: OUTPUTS[name].astype("float64") - batch[name].reshape(N, -1) for name in ("box", "angle")}


def head_losses(smoothing=0.0):
    squared = {name: (difference**2).mean(1) for name, difference in differences().items()}
    classes = {name: reference.cross_entropy(OUTPUTS[name], BATCH[name], smoothing) for name in ("fine", "coarse")}
    return {**classes, **squared}


def weighted(losses):
    return sum(label.weight * losses[label.name] for label in LABELS)


def answers(task):
    return {name: np.array(value) for name, value in task.answers(TENSORS, BATCH).items()}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_weighted_sum_of_the_heads(smoothing):
    losses = MultiOutputObjective(LABELS, label_smoothing=smoothing).losses(OUTPUTS, BATCH)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, weighted(head_losses(smoothing)), rtol=1e-5, atol=1e-5)


def test_mixed_images_mix_every_label():
    others = {f"{MIXED}{name}": np.roll(value, 1, axis=0) for name, value in BATCH.items()}
    shares = np.random.default_rng(1).random(N).astype("float32")
    losses = MultiOutputObjective(LABELS).losses(OUTPUTS, {**BATCH, **others, OWN_SHARE: shares})
    rolled = {name: np.roll(value, 1, axis=0) for name, value in BATCH.items()}
    expected = {
        name: reference.cross_entropy(OUTPUTS[name], BATCH[name], 0.0, rolled[name], shares)
        for name in ("fine", "coarse")
    }
    for name, difference in differences(rolled).items():
        expected[name] = shares * head_losses()[name] + (1 - shares) * (difference**2).mean(1)
    np.testing.assert_allclose(losses, weighted(expected), rtol=1e-5, atol=1e-5)


def test_every_head_gets_its_weighted_gradient_and_no_other():
    with tf.GradientTape() as tape:
        tape.watch(TENSORS)
        losses = MultiOutputObjective(LABELS).losses(TENSORS, BATCH)
    gradients = tape.gradient(losses, TENSORS)
    for name, size in (("fine", 8), ("coarse", 3)):
        weight = {label.name: label.weight for label in LABELS}[name]
        expected = weight * (reference.softmax(OUTPUTS[name]) - np.eye(size)[BATCH[name]])
        atol = weight * rounding.of_a_softmax(size, np.abs(OUTPUTS[name]).max())
        np.testing.assert_allclose(gradients[name], expected, rtol=0, atol=atol, err_msg=name)
    np.testing.assert_allclose(gradients["box"], 2.0 * 2 * differences()["box"] / 4, atol=1e-5)
    np.testing.assert_allclose(gradients["angle"], 0.5 * 2 * differences()["angle"], atol=1e-5)


def test_metrics_in_training():
    task = MultiOutputObjective(LABELS)
    assert task.metric_names == ("fine_accuracy", "coarse_accuracy", "box_absolute_error", "angle_absolute_error")
    found = task.metrics(OUTPUTS, BATCH)
    assert tuple(found) == task.metric_names
    for name in ("fine", "coarse"):
        np.testing.assert_array_equal(found[f"{name}_accuracy"], OUTPUTS[name].argmax(1) == BATCH[name])
    for name, difference in differences().items():
        np.testing.assert_allclose(found[f"{name}_absolute_error"], np.abs(difference).mean(1), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_summary_is_what_scikit_learn_says(smoothing):
    task = MultiOutputObjective(LABELS, label_smoothing=smoothing)
    found = answers(task)
    summary = task.summary(found)
    expected = head_losses(smoothing)
    assert summary["loss"] == pytest.approx(weighted(expected).mean(), rel=1e-6)
    for label in LABELS:
        assert summary[f"{label.name}_loss"] == pytest.approx(expected[label.name].mean(), rel=1e-6)
    for name in ("fine", "coarse"):
        predicted, p = OUTPUTS[name].argmax(1), reference.softmax(OUTPUTS[name])
        assert summary[f"{name}_accuracy"] == accuracy_score(BATCH[name], predicted)
        hits = predicted == BATCH[name]
        calibration = reference.calibration_error(p.max(1), hits)
        assert summary[f"{name}_calibration_error"] == pytest.approx(calibration, rel=1e-4)
        if not smoothing:
            nats = log_loss(BATCH[name], p, labels=np.arange(p.shape[1]))
            assert summary[f"{name}_loss"] == pytest.approx(nats, rel=1e-6)
    for name in ("box", "angle"):
        error = mean_absolute_error(BATCH[name].reshape(N, -1), OUTPUTS[name])
        assert summary[f"{name}_absolute_error"] == pytest.approx(error, rel=1e-6)
    assert ("fine_top5_accuracy" in summary, "coarse_top5_accuracy" in summary) == (True, False)
    assert all(type(value) is float for value in summary.values())


def test_confusions_are_of_the_classes():
    task = MultiOutputObjective(LABELS)
    found = task.confusions(answers(task))
    assert set(found) == {"fine", "coarse"}
    for name, matrix in found.items():
        labels = np.arange(OUTPUTS[name].shape[1])
        np.testing.assert_array_equal(matrix, confusion_matrix(BATCH[name], OUTPUTS[name].argmax(1), labels=labels))


def test_heads_whose_names_begin_alike_are_told_apart():
    task = MultiOutputObjective((Label("type", 2), Label("type/face", 2)))
    logits = {"type": tf.constant([[1.0, 0.0]]), "type/face": tf.constant([[0.0, 1.0]])}
    found = task.answers(logits, {"type": np.array([0]), "type/face": np.array([0])})
    summary = task.summary({name: np.array(value) for name, value in found.items()})
    assert (summary["type_accuracy"], summary["type/face_accuracy"]) == (1.0, 0.0)
