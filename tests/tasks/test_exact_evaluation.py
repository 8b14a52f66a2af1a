"""What a split scores does not depend on how it is cut into batches, blocks and replicas."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.data import pipeline
from zoo.data.batches import FixedPairs, Singles
from zoo.data.pairs import fixed_pairs, make_episodes
from zoo.data.sources.example_source import InMemorySource
from zoo.data.transform import ImageTransform, make_normalization
from zoo.places.place import Place
from zoo.places.strategy import make_strategy
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective
from zoo.tasks.multi_output import MultiOutputObjective
from zoo.tasks.verification import TripletObjective, VerificationObjective
from zoo.training.engines.tensorflow import Engine

RNG = np.random.default_rng(0)
EXAMPLES, SHAPE = 90, (6, 6, 1)
SOURCE = InMemorySource(
    {
        "image": RNG.integers(0, 256, (EXAMPLES, *SHAPE), dtype=np.uint8),
        "fine": np.arange(EXAMPLES) % 9,
        "coarse": np.arange(EXAMPLES) % 9 // 3,
        "angle": RNG.random(EXAMPLES, "float32"),
    },
    name="made",
)
FINE = SOURCE.arrays["fine"]
EPISODES = make_episodes(FINE, FINE // 3, None, ways=3, shots=2, count=11, what="made")
PAIRS = [fixed_pairs(FINE, "made"), EPISODES.pairs()]
NORMALIZATION = make_normalization(SOURCE, "standardize")
LABELS = (Label("fine", 9), Label("coarse", 3, 0.5), Label("angle", 0))


def singles(names):
    return Singles(SOURCE, ImageTransform(), SHAPE, names)


def evaluation():
    return {
        "num_pairs": EXAMPLES,
        "episodes": EPISODES.supports.shape,
        "episode_answers": EPISODES.answers,
        "pixel_accuracy": 0.5,
    }


@functools.cache
def case(kind):
    """Task, batches, and model by name, input shape and hyperparameters."""
    if kind == "classification":
        task = ClassificationObjective(LABELS[0], label_smoothing=0.1)
        return task, singles(["fine"]), ("mlp", 9, {"hidden_sizes": (16,)})
    if kind == "multi_output":
        heads = {"fine": 9, "coarse": 3, "angle": "regression:1"}
        return (
            MultiOutputObjective(LABELS),
            singles(list(heads)),
            ("multi_output", None, {"heads": heads, "trunk": "mlp"}),
        )
    batches = FixedPairs(SOURCE, ImageTransform(), SHAPE, PAIRS)
    if kind == "triplets":
        return TripletObjective(**evaluation()), batches, ("triplet", None, {"tower": "mlp", "embedding_size": 8})
    head = "logit" if kind == "pairs" else "distance"
    loss = "binary" if kind == "pairs" else "contrastive"
    return VerificationObjective(loss, **evaluation()), batches, ("siamese", None, {"tower": "mlp", "head": head})


def answers(kind, batch_size, replicas=1):
    """Of the whole split, as the loop gathers them, and the metrics."""
    task, batches, (name, classes, arguments) = case(kind)
    strategy = make_strategy(Place.parse("one_device" if replicas == 1 else f"mirrored:{replicas}"))
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = zoo.build_model(name, SHAPE, classes, **arguments)
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    engine = Engine(
        model,
        optimizer,
        task,
        strategy=strategy,
        batch_size=batch_size,
        normalize=NORMALIZATION,
        image_names=batches.image_names,
        jit="off",
    )

    def dataset(context=None):
        return pipeline.evaluation_blocks(batches, batch_size=batch_size, replicas=replicas)

    blocks = dataset() if replicas == 1 else strategy.distribute_datasets_from_function(dataset)
    parts = [engine.evaluate_block(block) for block in blocks]
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return whole, task.summary(whole)


@functools.cache
def one_by_one(kind):
    return answers(kind, 1)


QUICK = [(7, 1), (32, 2)]
KINDS = ["classification", "multi_output", "pairs", "contrastive", "triplets"]


def cut(kinds, cuts, marks=()):
    return [pytest.param(kind, *sizes, marks=marks) for kind in kinds for sizes in cuts]


@pytest.mark.parametrize(
    ("kind", "batch_size", "replicas"),
    [
        *cut(["classification", "pairs"], QUICK),
        *cut(["multi_output"], QUICK[:1]),
        *cut(["multi_output"], QUICK[1:], pytest.mark.slow),
        *cut(["contrastive", "triplets"], QUICK, pytest.mark.slow),
        *cut(KINDS, [(50, 1), (32, 1), (50, 2), (2, 2), (8, 2), (500, 1)], pytest.mark.slow),
    ],
)
def test_batches_and_replicas_leave_no_trace(kind, batch_size, replicas):
    expected, expected_summary = one_by_one(kind)
    found, summary = answers(kind, batch_size, replicas)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape == (case(kind)[1].num_examples,)
        assert found[name].dtype == value.dtype
        if value.dtype.kind == "i":
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        else:
            # Matrix products of other shapes sum up in another order.
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    assert summary.keys() == expected_summary.keys()
    for name, value in expected_summary.items():
        # What is counted is exactly the same; losses, distances and probabilities are so to their rounding.
        counted = "loss" not in name and "error" not in name
        assert summary[name] == (value if counted else pytest.approx(value, rel=1e-5)), name


@pytest.mark.parametrize("kind", ["classification", "pairs"])
def test_the_answers_are_in_the_order_of_the_examples(kind):
    found, summary = one_by_one(kind)
    if kind == "classification":
        np.testing.assert_array_equal(found["label"], FINE)
    else:
        np.testing.assert_array_equal(found["same"], np.concatenate([pairs.same for pairs in PAIRS]))
        assert {"one_shot_accuracy", "roc_auc", "accuracy", "loss"} < summary.keys()
    assert all(np.isfinite(value) for value in summary.values())


def test_the_metrics_are_those_of_the_model_called_at_once():
    found, summary = answers("classification", 7)
    keras.utils.set_random_seed(0)
    model = zoo.build_model("mlp", SHAPE, 9, hidden_sizes=(16,))
    logits = np.array(model(NORMALIZATION(tf.constant(SOURCE.arrays["image"]))), "float64")
    np.testing.assert_array_equal(found["predicted"], logits.argmax(1))
    assert summary["accuracy"] == (logits.argmax(1) == FINE).mean()
    top5 = np.argsort(-logits, 1)[:, :5]
    assert summary["top5_accuracy"] == (top5 == FINE[:, None]).any(1).mean()
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(0.9 * log_p[np.arange(EXAMPLES), FINE] + 0.1 * log_p.mean(1)).mean()
    assert summary["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_a_summary_are_known_beforehand(kind):
    task, _, _ = case(kind)
    _, summary = one_by_one(kind)
    assert task.summary_names == tuple(summary)
