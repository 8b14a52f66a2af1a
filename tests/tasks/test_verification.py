import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, roc_auc_score

import zoo
from zoo import metrics
from zoo.tasks.verification import TripletObjective, VerificationObjective

RNG = np.random.default_rng(0)
SCORES = RNG.normal(0, 3, 120).astype("float32")
SAME = RNG.integers(0, 2, 120).astype("int32")
PAIRS = {"same": SAME}


def numbers(tensors):
    return {name: np.array(value) for name, value in tensors.items()}


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype("float32")


# Two inputs.


@pytest.mark.parametrize("same", [0, 1])
def test_binary_loss_is_cross_entropy_in_float64_for_logits_of_any_size(same):
    logits = np.array([0, 1e-3, 0.7, -0.7, 5, -5, 20, -20, 90, -90, 1e4, -1e4, 3e38, -3e38], "float32")
    variable, batch = tf.constant(logits), {"same": np.full(len(logits), same, "int32")}
    with tf.GradientTape() as tape:
        tape.watch(variable)
        losses = VerificationObjective().losses(variable, batch)
    x = logits.astype("float64") * (1 - 2 * same)
    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, np.logaddexp(0, x), rtol=1e-5, atol=1e-37)
    # The derivative is the error of the probability.
    expected = (1 - 2 * same) * np.exp(-np.logaddexp(0, -x))
    np.testing.assert_allclose(tape.gradient(losses, variable), expected, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_contrastive_loss(margin):
    distances = np.abs(SCORES)
    losses = VerificationObjective("contrastive", margin=margin).losses(distances, PAIRS)
    d = distances.astype("float64")
    expected = [x**2 if same else max(0.0, margin - x) ** 2 for x, same in zip(d, SAME, strict=True)]
    assert np.count_nonzero(np.equal(expected, 0)) > 5
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("task", "outputs", "alike"),
    [
        (VerificationObjective(), SCORES, SCORES > 0),
        (VerificationObjective("contrastive"), np.abs(SCORES), np.abs(SCORES) < 0.5),
        (VerificationObjective("contrastive", margin=4.0), np.abs(SCORES), np.abs(SCORES) < 2),
    ],
    ids=["binary", "contrastive", "margin"],
)
def test_accuracy_in_training(task, outputs, alike):
    found = task.metrics(tf.constant(outputs), PAIRS)["accuracy"]
    assert found.dtype == tf.float32
    assert np.mean(found) == pytest.approx(accuracy_score(SAME == 1, alike))
    assert task.metric_names == ("accuracy",)


@pytest.mark.parametrize("loss", ["binary", "contrastive"])
def test_the_summary_of_pairs_is_what_scikit_learn_says(loss):
    # Whole numbers: there are ties, and 20 less one of them is exact.
    score = np.round(SCORES + 2 * SAME).astype("float32")
    outputs = score if loss == "binary" else 20 - score
    task = VerificationObjective(loss, num_pairs=len(SAME))
    found = numbers(task.answers(tf.constant(outputs), PAIRS))
    summary = task.summary(found)
    assert summary.keys() == {"loss", "accuracy", "roc_auc"}
    assert summary["roc_auc"] == pytest.approx(roc_auc_score(SAME, score), rel=1e-12)
    assert 0.5 < summary["roc_auc"] < 1
    if loss == "binary":
        assert summary["accuracy"] == accuracy_score(SAME == 1, score > 0)
        expected = np.logaddexp(0, np.where(SAME, -1.0, 1.0) * score).mean()
    else:
        assert summary["accuracy"] == metrics.threshold_accuracy(-outputs, SAME == 1)
        d = outputs.astype("float64")
        expected = np.where(SAME, d**2, np.maximum(0, 1 - d) ** 2).mean()
    assert summary["loss"] == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in summary.values())
    assert task.confusions(found) == {}


@pytest.mark.parametrize("loss", ["binary", "contrastive"])
def test_the_pairs_of_episodes_do_not_count_as_pairs(loss):
    episodes, ways, shots = 3, 4, 2
    scores = np.random.default_rng(1).normal(size=(episodes, ways, shots)).astype("float32")
    right = scores.mean(2).argmax(1)
    right[0] = (right[0] + 1) % ways
    same = np.zeros((episodes, ways, shots), "int32")
    same[np.arange(3), right] = 1
    score = np.concatenate([SCORES, scores.ravel()])
    outputs = score if loss == "binary" else 100 - score
    batch = {"same": np.concatenate([SAME, same.ravel()])}
    shape = (episodes, ways, shots)
    task = VerificationObjective(loss, num_pairs=120, episodes=shape, episode_answers=right, pixel_accuracy=0.3)
    summary = task.summary(numbers(task.answers(tf.constant(outputs), batch)))
    alone = VerificationObjective(loss, num_pairs=120)
    expected = alone.summary(numbers(alone.answers(tf.constant(outputs[:120]), PAIRS)))
    assert summary == {**expected, "one_shot_accuracy": 2 / 3, "one_shot_pixel_accuracy": 0.3}


@pytest.mark.parametrize("head", ["logit", "distance"])
def test_the_models_output_comes_as_one_number_per_pair(head):
    keras.utils.set_random_seed(0)
    model = zoo.build_model("siamese", (8, 8, 1), tower="mlp", head=head)
    left, right = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 1)).astype("float32")
    outputs = VerificationObjective().call(model, {"left": left, "right": right, "same": SAME[:3]}, training=False)
    expected = model({"left": left, "right": right})
    assert outputs.shape == (3,)
    np.testing.assert_array_equal(outputs, np.ravel(expected))


def test_equal_images_have_a_finite_gradient():
    keras.utils.set_random_seed(0)
    model = zoo.build_model("siamese", (8, 8, 1), tower="mlp", distance="l2", head="distance")
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    task, batch = (
        VerificationObjective("contrastive"),
        {"left": images, "right": images, "same": np.array([0, 1, 0, 1])},
    )
    with tf.GradientTape() as tape:
        losses = task.losses(task.call(model, batch, training=True), batch)
    gradients = tape.gradient(losses, model.trainable_variables)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


# Three inputs.


def triplet_batch(size, classes):
    rng = np.random.default_rng(size)
    own = rng.integers(0, classes, size)
    drawn = (own + rng.integers(1, classes, size)) % classes
    outputs = {name: unit(rng, size, 6) for name in ("anchor", "positive", "negative")}
    # Positives near their anchors, so that most anchors have a farther negative.
    near = outputs["anchor"] + 0.7 * outputs["positive"]
    outputs["positive"] = near / np.linalg.norm(near, axis=1, keepdims=True)
    return outputs, {"anchor_label": own, "negative_label": drawn}


def semi_hard_losses(outputs, batch, margin):
    """Anchor by anchor, candidate by candidate, in float64; also how many anchors had no semi-hard negative."""
    anchors, positives, negatives = (outputs[k].astype("float64") for k in ("anchor", "positive", "negative"))
    own, drawn = batch["anchor_label"], batch["negative_label"]
    images, labels = np.concatenate([anchors, positives, negatives]), np.concatenate([own, own, drawn])
    losses, fallbacks = [], 0
    for anchor, positive, label in zip(anchors, positives, own, strict=True):
        to_positive = ((anchor - positive) ** 2).sum()
        distances = [((anchor - x) ** 2).sum() for x, other in zip(images, labels, strict=True) if other != label]
        farther = [d for d in distances if d > to_positive]
        fallbacks += not farther
        losses.append(max(0.0, to_positive - (min(farther) if farther else max(distances)) + margin))
    return np.array(losses), fallbacks


@pytest.mark.parametrize(("size", "classes"), [(24, 4), (24, 2), (7, 5), (1, 2)])
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_semi_hard_negatives_are_those_of_a_loop(size, classes, margin):
    outputs, batch = triplet_batch(size, classes)
    losses = TripletObjective(margin=margin).losses(outputs, batch)
    expected, _ = semi_hard_losses(outputs, batch, margin)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, expected, atol=1e-5)


def test_where_no_negative_is_farther_the_farthest_counts():
    outputs, batch = triplet_batch(16, 3)
    outputs["positive"] = -outputs["anchor"]  # nothing is farther than the antipode
    expected, fallbacks = semi_hard_losses(outputs, batch, 0.2)
    assert fallbacks > 4
    assert (expected > 0.2).all()
    np.testing.assert_allclose(TripletObjective().losses(outputs, batch), expected, atol=1e-5)


def test_the_margin_is_that_of_the_paper():
    outputs, batch = triplet_batch(16, 3)
    np.testing.assert_array_equal(
        TripletObjective().losses(outputs, batch), TripletObjective(margin=0.2).losses(outputs, batch)
    )


@pytest.mark.parametrize("case", ["at random", "all equal", "no farther negative", "positive equal", "negative equal"])
def test_the_gradient_of_triplets_is_finite(case):
    outputs, batch = triplet_batch(12, 3)
    if case == "all equal":
        outputs = dict.fromkeys(outputs, np.tile(outputs["anchor"][:1], (12, 1)))
    elif case == "no farther negative":
        outputs["positive"] = -outputs["anchor"]
    elif case == "positive equal":
        outputs["positive"] = outputs["anchor"]
    elif case == "negative equal":
        outputs["negative"] = outputs["anchor"]
    tensors = {name: tf.constant(value) for name, value in outputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses = TripletObjective().losses(tensors, batch)
    assert np.isfinite(losses).all()
    gradients = tape.gradient(losses, tensors)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_the_gradient_of_triplets_is_that_of_differences():
    outputs, batch = triplet_batch(10, 3)
    task, step = TripletObjective(margin=1.0), 1e-6
    rng, tangent = np.random.default_rng(1), {}
    for name, value in outputs.items():
        direction = rng.normal(size=value.shape)
        # Embeddings have length 1, so they move along the sphere.
        tangent[name] = direction - (direction * value).sum(1, keepdims=True) * value
    tensors = {name: tf.constant(value) for name, value in outputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(task.losses(tensors, batch))
    gradients = tape.gradient(total, tensors)
    slope = sum((gradients[name].numpy() * tangent[name]).sum() for name in outputs)

    def moved(sign):
        there = {name: value + sign * step * tangent[name] for name, value in outputs.items()}
        there = {name: value / np.linalg.norm(value, axis=1, keepdims=True) for name, value in there.items()}
        return semi_hard_losses(there, batch, 1.0)[0].sum()

    assert slope == pytest.approx((moved(1) - moved(-1)) / (2 * step), rel=1e-4)


def test_accuracy_of_triplets_is_of_the_negatives_drawn():
    outputs, batch = triplet_batch(40, 3)
    outputs["positive"] = outputs["positive"][::-1]
    found = TripletObjective().metrics(outputs, batch)["accuracy"]
    a, p, n = (outputs[name].astype("float64") for name in ("anchor", "positive", "negative"))
    nearer = np.linalg.norm(a - p, axis=1) < np.linalg.norm(a - n, axis=1)
    assert 0 < nearer.mean() < 1
    np.testing.assert_array_equal(found, nearer)


def test_triplets_are_evaluated_by_the_distance_of_two_embeddings():
    keras.utils.set_random_seed(0)
    model = zoo.build_model("triplet", (8, 8, 1), tower="mlp")
    a, b, c = np.random.default_rng(0).normal(size=(3, 5, 8, 8, 1)).astype("float32")
    task = TripletObjective(num_pairs=5)
    embeddings = task.call(model, {"anchor": a, "positive": b, "negative": c}, training=True)
    assert set(embeddings) == {"anchor", "positive", "negative"}
    batch = {"left": a, "right": b, "same": np.array([0, 1, 1, 0, 1])}
    distances = task.call(model, batch, training=False)
    tower = model.get_layer("tower")
    expected = np.linalg.norm(np.float64(tower(a)) - np.float64(tower(b)), axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings["anchor"], axis=1), 1, rtol=1e-5)
    summary = task.summary(numbers(task.answers(distances, batch)))
    assert summary["roc_auc"] == pytest.approx(roc_auc_score(batch["same"], -expected))
    contrastive = np.where(batch["same"], expected**2, np.maximum(0, 0.2 - expected) ** 2)
    assert summary["loss"] == pytest.approx(contrastive.mean(), rel=1e-5)
