import keras
import numpy as np
import pytest
import reference
import rounding
import tensorflow as tf
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, top_k_accuracy_score

from zoo.data.batches import MIXED, OWN_SHARE
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective

RNG = np.random.default_rng(0)
N, CLASSES = 200, 12
LOGITS = RNG.normal(0, 3, (N, CLASSES)).astype("float32")
LABELS = RNG.integers(0, CLASSES, N)
LOGITS[np.arange(N), LABELS] += 2
OTHERS = RNG.integers(0, CLASSES, N)
SHARES = RNG.random(N).astype("float32")
LABEL = Label("letter", CLASSES)
BATCH = {"letter": LABELS}


def answers(task, logits, batch=BATCH):
    return {name: np.array(value) for name, value in task.answers(tf.constant(logits), batch).items()}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_loss_is_cross_entropy_in_float64(smoothing):
    losses = ClassificationObjective(LABEL, label_smoothing=smoothing).losses(LOGITS, BATCH)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, reference.cross_entropy(LOGITS, LABELS, smoothing), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixed_image_has_two_labels_in_their_shares(smoothing):
    batch = {**BATCH, f"{MIXED}letter": OTHERS, OWN_SHARE: SHARES}
    task = ClassificationObjective(LABEL, label_smoothing=smoothing)
    expected = reference.cross_entropy(LOGITS, LABELS, smoothing, OTHERS, SHARES)
    losses = task.losses(LOGITS, batch)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    # The accuracy in training is that of the example's own label.
    np.testing.assert_array_equal(task.metrics(LOGITS, batch)["accuracy"], LOGITS.argmax(1) == LABELS)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_labels_of_any_whole_type(dtype):
    task = ClassificationObjective(LABEL)
    batch = {"letter": LABELS.astype(dtype)}
    np.testing.assert_array_equal(task.losses(LOGITS, batch), task.losses(LOGITS, BATCH))
    assert accuracy_score(LABELS, LOGITS.argmax(1)) == np.mean(task.metrics(LOGITS, batch)["accuracy"])
    assert task.summary(answers(task, LOGITS, batch)) == task.summary(answers(task, LOGITS))


def test_large_logits_do_not_overflow():
    task = ClassificationObjective(Label("letter", 2), label_smoothing=0.1)
    logits, batch = tf.constant([[1e4, -1e4], [3e38, 0.0]]), {"letter": np.array([1, 0])}
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = task.losses(logits, batch)
    np.testing.assert_allclose(losses, [0.9 * 2e4 + 0.1 * 1e4, 0.05 * 3e38], rtol=1e-5)
    assert np.isfinite(tape.gradient(losses, logits)).all()
    assert np.isfinite(answers(task, logits, batch)["confidence"]).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_probability_less_target(smoothing):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = ClassificationObjective(LABEL, label_smoothing=smoothing).losses(
            logits, {**BATCH, f"{MIXED}letter": OTHERS, OWN_SHARE: tf.constant(SHARES)}
        )
    share, one_hot = SHARES[:, None].astype("float64"), np.eye(CLASSES)
    target = (1 - smoothing) * (share * one_hot[LABELS] + (1 - share) * one_hot[OTHERS]) + smoothing / CLASSES
    atol = rounding.of_a_softmax(CLASSES, np.abs(LOGITS).max())
    np.testing.assert_allclose(tape.gradient(losses, logits), reference.softmax(LOGITS) - target, rtol=0, atol=atol)


def test_accuracy_in_training_is_that_of_the_largest_logit():
    hits = ClassificationObjective(LABEL).metrics(LOGITS, BATCH)["accuracy"]
    assert hits.dtype == "float32"
    np.testing.assert_array_equal(hits, LOGITS.argmax(1) == LABELS)
    assert ClassificationObjective.metric_names == ("accuracy",)


def test_auxiliary_heads_add_their_weighted_losses_in_training():
    outputs = {"aux1": LOGITS[::-1], "aux2": LOGITS * 0.5, "logits": LOGITS}
    task = ClassificationObjective(LABEL, label_smoothing=0.1, loss_weights={"aux1": 0.3, "absent": 7.0})
    one, two, main = (reference.cross_entropy(logits, LABELS, 0.1) for logits in outputs.values())
    losses = task.losses(outputs, BATCH)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, 0.3 * one + two + main, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(task.metrics(outputs, BATCH)["accuracy"], LOGITS.argmax(1) == LABELS)


def test_auxiliary_heads_count_in_training_only():
    task = ClassificationObjective(LABEL, label_smoothing=0.1, loss_weights={"aux1": 0.3})
    alone, with_heads = (
        {name: np.array(value) for name, value in task.answers(outputs, BATCH).items()}
        for outputs in (tf.constant(LOGITS), {"aux1": tf.constant(-LOGITS), "logits": tf.constant(LOGITS)})
    )
    assert alone.keys() == with_heads.keys()
    for name, value in alone.items():
        np.testing.assert_array_equal(with_heads[name], value, err_msg=name)
    np.testing.assert_allclose(alone["loss"], reference.cross_entropy(LOGITS, LABELS, 0.1), rtol=1e-5, atol=1e-6)


def test_the_rank_agrees_with_argmax_where_logits_are_equal():
    # Few levels: most examples have ties. A stable sort puts the first of equals first, as argmax does.
    logits = np.random.default_rng(1).integers(0, 4, (N, CLASSES)).astype("float32")
    found = answers(ClassificationObjective(LABEL), logits)
    order = np.argsort(-logits, axis=1, kind="stable")
    np.testing.assert_array_equal(found["predicted"], order[:, 0])
    np.testing.assert_array_equal(found["rank"], np.argmax(order == LABELS[:, None], axis=1))
    np.testing.assert_array_equal(found["rank"] == 0, found["predicted"] == LABELS)
    np.testing.assert_array_equal(found["label"], LABELS)
    rtol = rounding.of_a_softmax(CLASSES, 4)
    np.testing.assert_allclose(found["confidence"], reference.softmax(logits).max(1), rtol=rtol)


def test_a_net_that_says_nothing_has_the_top_5_accuracy_of_chance():
    labels = np.arange(CLASSES)
    task = ClassificationObjective(LABEL)
    summary = task.summary(answers(task, np.zeros((CLASSES, CLASSES), "float32"), {"letter": labels}))
    assert summary["accuracy"] == 1 / CLASSES
    assert summary["top5_accuracy"] == 5 / CLASSES
    assert summary["calibration_error"] == pytest.approx(0.0, abs=1e-7)
    assert summary["loss"] == pytest.approx(np.log(CLASSES))


def test_the_summary_is_what_scikit_learn_says():
    task = ClassificationObjective(LABEL)
    found = answers(task, LOGITS)
    summary = task.summary(found)
    p = reference.softmax(LOGITS)
    classes = np.arange(CLASSES)
    assert summary.keys() == {"loss", "accuracy", "top5_accuracy", "calibration_error"}
    assert summary["accuracy"] == accuracy_score(LABELS, LOGITS.argmax(1))
    assert summary["top5_accuracy"] == top_k_accuracy_score(LABELS, LOGITS, k=5, labels=classes)
    assert 0 < summary["accuracy"] < summary["top5_accuracy"] < 1
    assert summary["loss"] == pytest.approx(log_loss(LABELS, p, labels=classes), rel=1e-6)
    expected = reference.calibration_error(p.max(1), LOGITS.argmax(1) == LABELS)
    assert summary["calibration_error"] == pytest.approx(expected, rel=1e-4)
    assert all(type(value) is float for value in summary.values())
    (name,) = task.confusions(found)
    assert name == "letter"
    matrix = task.confusions(found)["letter"]
    np.testing.assert_array_equal(matrix, confusion_matrix(LABELS, LOGITS.argmax(1), labels=classes))


@pytest.mark.parametrize(("classes", "has_top5"), [(5, False), (6, True)])
def test_top_5_is_of_more_than_five_classes(classes, has_top5):
    task = ClassificationObjective(Label("letter", classes))
    logits, labels = LOGITS[:20, :classes], LABELS[:20] % classes
    summary = task.summary(answers(task, logits, {"letter": labels}))
    assert ("top5_accuracy" in summary) == has_top5


@pytest.mark.parametrize(
    ("name", "values", "dtype"),
    [("category", np.array([2, 0], "int64"), "int32"), ("vector", np.ones((2, 3), "float64"), "float32")],
    ids=["category", "vector"],
)
def test_a_second_input_is_fed_from_its_feature(name, values, dtype):
    calls = []

    def model(inputs, training):
        calls.append((inputs, training))
        return "logits"

    image = np.zeros((2, 4, 4, 1), "float32")
    batch = {"image": image, "alphabet": values, "letter": LABELS[:2]}
    assert ClassificationObjective(LABEL, condition=(name, "alphabet")).call(model, batch, training=True) == "logits"
    ((inputs, training),) = calls
    assert inputs.keys() == {"image", name}
    assert inputs["image"] is image
    assert training is True
    assert keras.backend.standardize_dtype(inputs[name].dtype) == dtype
    np.testing.assert_array_equal(inputs[name], values)
