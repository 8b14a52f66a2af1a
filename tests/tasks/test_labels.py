"""Labels that cannot be learned, classes that are missing, and how classes are counted and weighted."""

import dataclasses

import numpy as np
import pytest
import reference
import tensorflow as tf
import tensorflow_datasets as tfds
from sklearn.utils.class_weight import compute_class_weight
from tfds_made import draw, pictures

from zoo.config import ExperimentConfig
from zoo.data.batches import MIXED, OWN_SHARE
from zoo.data.sources import InMemorySource, checked, load_source
from zoo.data.sources.tfds_source import ArrayRecordSource
from zoo.errors import RequestError, RunError
from zoo.places.place import Place
from zoo.tasks import labels
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective
from zoo.tasks.multi_output import MultiOutputObjective
from zoo.training import data
from zoo.training.data import open_data
from zoo.training.experiment import make_experiment
from zoo.training.loop import train_and_evaluate

F = tfds.features
NAMES = {"kind": tuple("abc"), "group": ("x", "y"), "view": ("l", "r")}


@pytest.fixture
def made(monkeypatch):
    """Stands for whatever dataset is asked for; gives its columns by split, to be changed."""
    columns = {
        split: {
            "kind": np.arange(count) % 3,
            "group": np.zeros(count, np.int64),
            "view": np.arange(count) % 2,
            "angle": np.zeros((count, 2), np.float32),
        }
        for split, count in (("train", 36), ("test", 24))
    }

    def load_source(name, split, data_dir=None, **options):
        images = np.zeros((len(columns[split]["kind"]), 8, 8, 1), np.uint8)
        return InMemorySource({"image": images, **columns[split]}, name=name, class_names=NAMES, default_label="kind")

    monkeypatch.setattr(data, "load_source", load_source)
    return columns


def config(**fields):
    # Compiles faster than with XLA.
    return ExperimentConfig(**{"model": "mlp", "dataset": "made", "batch_size": 8, "jit": "off", **fields})


# Labels that cannot be learned.

MULTI_OUTPUT = {"model": "multi_output", "labels": "kind,angle"}
PAIRS = {"model": "siamese", "ways": 2}


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("fields", "column", "wrong", "message"),
    [
        ({}, "kind", -1, "kind is -1 in 2 of {} examples of {}; classes are 0 to 2"),
        ({}, "kind", 3, "kind is 3 in 2 of {} examples of {}; classes are 0 to 2"),
        ({"model": "multi_input", "condition": "group"}, "group", -1, "group is -1 in 2 of {} examples of {}; cl"),
        (
            {"model": "multi_input", "condition": "angle"},
            "angle",
            np.inf,
            "angle is inf in 2 of {} examples of {}; num",
        ),
        (MULTI_OUTPUT, "kind", -1, "kind is -1 in 2 of {} examples of {}; classes are 0 to 2"),
        (MULTI_OUTPUT, "angle", np.nan, "angle is nan in 2 of {} examples of {}; numbers must be finite"),
        (MULTI_OUTPUT, "angle", -np.inf, "angle is -inf in 2 of {} examples of {}; numbers must be finite"),
        (PAIRS, "kind", -1, "kind is -1 in 2 of {} examples of {}; classes are 0 to 2"),
    ],
)
def test_a_label_that_cannot_be_learned_is_refused(made, split, fields, column, wrong, message):
    made[split][column][[3, 5]] = wrong
    message = message.format(len(made[split][column]), split)
    with pytest.raises(RequestError, match=message) as caught:
        open_data(config(**fields))
    assert str(caught.value).endswith(f"choose another {'train' if split == 'train' else 'eval'}_split")
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize(("field", "column"), [("episode_group", "group"), ("episode_view", "view")])
def test_what_episodes_are_made_by_is_looked_at_too(made, field, column):
    made["test"][column][7] = -1
    open_data(config(**PAIRS))
    with pytest.raises(RequestError, match=f"{column} is -1 in 1 of 24 examples of test; classes are 0 to 1"):
        open_data(config(**PAIRS, **{field: column}))


def test_a_feature_that_is_not_learned_may_hold_anything(made):
    made["test"]["group"][:] = -1
    made["train"]["angle"][:] = np.nan
    assert open_data(config()).task.warnings == ()


def test_both_splits_may_be_the_same(made):
    made["test"] = made["train"]
    assert open_data(config(train_split="test")).task.labels == (Label("kind", 3),)


def unlabelled(monkeypatch, tmp_path, **wrong):
    """A dataset that is read by index, with -1 for the label of some examples; 360 and 40 examples."""
    examples = {
        split: [
            {"image": image, "label": -1 if number in wrong.get(split, ()) else number % 3}
            for number, image in enumerate(pictures(count))
        ]
        for split, count in (("train", 360), ("test", 40))
    }
    name = draw(monkeypatch, {"image": F.Image(shape=(8, 8, 1)), "label": F.ClassLabel(num_classes=3)}, examples)
    assert isinstance(load_source(name, "test", str(tmp_path), memory_bytes=0), ArrayRecordSource)
    return config(dataset=name, batch_size=40, normalize="unit", epochs=1)


@pytest.mark.parametrize("memory_gib", [0, 1])
def test_a_split_without_labels_is_refused_before_the_first_step(monkeypatch, tmp_path, memory_gib):
    run = unlabelled(monkeypatch, tmp_path, test=range(40))
    message = "label is -1 in 40 of 40 examples of test; classes are 0 to 2; choose another eval_split"
    with pytest.raises(RequestError, match=message):
        train_and_evaluate(run, str(tmp_path / "run"), data_dir=str(tmp_path), memory_gib=memory_gib)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("split", "strategy"), [("train", "one_device"), ("train", "mirrored:2"), ("test", "one_device")]
)
def test_what_was_not_looked_at_is_named_when_a_batch_is_made_of_it(monkeypatch, tmp_path, split, strategy):
    monkeypatch.setattr(checked, "MOST_LOOKED_AT", 3)
    run = unlabelled(monkeypatch, tmp_path, **{split: [18]})
    looked_at = checked.values_looked_at(load_source(run.dataset, split, str(tmp_path), memory_bytes=0), "label")
    assert -1 not in looked_at
    with pytest.raises(RunError, match=rf"^label is -1 in an example of {split}$"):
        train_and_evaluate(run, str(tmp_path / "run"), data_dir=str(tmp_path), memory_gib=0, strategy=strategy)


def test_verification_looks_at_every_label(monkeypatch, tmp_path):
    monkeypatch.setattr(checked, "MOST_LOOKED_AT", 3)
    run = dataclasses.replace(unlabelled(monkeypatch, tmp_path, train=[18]), model="siamese", ways=0)
    with pytest.raises(RequestError, match="label is -1 in 1 of 360 examples of train"):
        make_experiment(run, data_dir=str(tmp_path), memory_gib=0)


# Classes that are missing.


def test_a_class_that_the_evaluation_split_lacks_is_a_warning(made, tmp_path):
    made["test"]["kind"][:] = 1
    opened = open_data(config())
    assert opened.task.warnings == ("test has no example of 2 of 3 classes of kind: a, c",)
    result = train_and_evaluate(config(epochs=1), str(tmp_path / "run"))
    assert np.isfinite(list(result["metrics"].values())).all()
    assert open_data(config(model="multi_output", labels="kind,view")).task.warnings == opened.task.warnings


def test_verification_may_be_of_other_classes(made):
    made["test"]["kind"] = np.arange(24) % 2
    assert open_data(config(**PAIRS)).task.warnings == ()


def test_many_absent_classes_are_one_line(made, monkeypatch):
    monkeypatch.setitem(NAMES, "kind", tuple(f"class {number}" for number in range(100)))
    (warning,) = open_data(config()).task.warnings
    assert warning == "test has no example of 97 of 100 classes of kind: class 3, class 4, class 5 and 94 more"


@pytest.mark.parametrize(("names", "message"), [("abd", "c, d are in one only"), ("acb", "their order is another")])
def test_other_classes_are_refused(made, monkeypatch, names, message):
    whole = data.load_source

    def load_source(name, split, data_dir=None, **options):
        monkeypatch.setitem(NAMES, "kind", tuple(names if split == "test" else "abc"))
        return whole(name, split)

    monkeypatch.setattr(data, "load_source", load_source)
    with pytest.raises(RequestError, match=f"the classes of train and test differ: {message}"):
        open_data(config())


# Counts and weights.


def test_class_counts(made, monkeypatch, tmp_path):
    made["train"]["kind"][:] = [0] * 30 + [2] * 6
    opened = open_data(config())
    counts = labels.class_counts(opened.train, "kind", 4)
    np.testing.assert_array_equal(counts, [30, 0, 6, 0])
    assert counts.dtype == np.int64
    assert labels.class_counts(opened.train, "angle", 0) is None
    monkeypatch.undo()
    run = unlabelled(monkeypatch, tmp_path)
    assert labels.class_counts(load_source(run.dataset, "train", str(tmp_path), memory_bytes=0), "label", 3) is None
    assert labels.class_counts(load_source("synthetic:2x2x1,examples=1000000000", "train"), "label", 10) is None


def test_balanced_weights_are_scikit_learns(made):
    kinds = np.random.default_rng(0).choice(3, 36, p=[0.7, 0.2, 0.1])
    made["train"]["kind"][:] = kinds
    source = open_data(config()).train
    weights = labels.class_weights(config(class_weights="balanced"), source, Label("kind", 3))
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=kinds), rtol=1e-6)
    assert weights[kinds].mean(dtype=np.float64) == pytest.approx(1, rel=1e-6)
    assert labels.class_weights(config(), source, Label("kind", 3)) is None


def test_a_class_without_examples_weighs_nothing_and_the_others_as_if_it_were_not_there(made):
    made["train"]["kind"][:] = [0] * 27 + [2] * 9
    weights = labels.class_weights(config(class_weights="balanced"), open_data(config()).train, Label("kind", 3))
    np.testing.assert_allclose(weights, [36 / (2 * 27), 0, 36 / (2 * 9)], rtol=1e-6)


def test_labels_in_files_are_counted_in_a_pass(monkeypatch, tmp_path):
    monkeypatch.setattr(checked, "MOST_LOOKED_AT", 3)
    run = dataclasses.replace(unlabelled(monkeypatch, tmp_path), class_weights="balanced")
    by_index = load_source(run.dataset, "train[:100]", str(tmp_path), memory_bytes=0)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=by_index.column("label"))
    np.testing.assert_allclose(labels.class_weights(run, by_index, Label("label", 3)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (PAIRS, "class_weights is 'balanced'; verification learns no classes; leave class_weights out"),
        (MULTI_OUTPUT, "class_weights is 'balanced'; multi_output of this config learns numbers, angle; leave"),
    ],
)
def test_where_there_are_no_classes_there_are_no_weights(made, fields, message):
    with pytest.raises(RequestError, match=message):
        open_data(config(class_weights="balanced", **fields))


RNG = np.random.default_rng(0)
N, CLASSES = 60, 4
LOGITS = RNG.normal(0, 2, (N, CLASSES)).astype("float32")
LABELS, OTHERS = RNG.integers(0, CLASSES, (2, N))
SHARES = RNG.random(N).astype("float32")
WEIGHTS = np.array([0.25, 0.0, 1.5, 3.0], "float32")


def weighted(logits, labels, smoothing, mixed=None, shares=None):
    """In float64: each label's loss, smoothed, times its weight, in its share."""
    own = WEIGHTS[labels].astype("float64") * reference.cross_entropy(logits, labels, smoothing)
    if mixed is None:
        return own
    other = WEIGHTS[mixed].astype("float64") * reference.cross_entropy(logits, mixed, smoothing)
    shares = shares.astype("float64")
    return shares * own + (1 - shares) * other


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_weighted_losses_in_float64(smoothing, mixed):
    batch, arguments = {"letter": LABELS.astype("uint8")}, ()
    if mixed:
        batch |= {f"{MIXED}letter": OTHERS.astype("uint8"), OWN_SHARE: SHARES}
        arguments = OTHERS, SHARES
    options = {"label_smoothing": smoothing, "loss_weights": {"aux": 0.3}, "class_weights": WEIGHTS}
    objective = ClassificationObjective(Label("letter", CLASSES), **options)
    expected = weighted(LOGITS, LABELS, smoothing, *arguments)
    losses = objective.losses(LOGITS, batch)
    assert losses.dtype == "float32"
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    heads = objective.losses({"logits": LOGITS, "aux": LOGITS[::-1]}, batch)
    expected = expected + 0.3 * weighted(LOGITS[::-1], LABELS, smoothing, *arguments)
    np.testing.assert_allclose(heads, expected, rtol=1e-5, atol=1e-6)


def test_evaluation_is_not_weighted():
    batch = {"letter": LABELS, "digit": OTHERS}
    plain, balanced = (
        ClassificationObjective(Label("letter", CLASSES), class_weights=weights) for weights in (None, WEIGHTS)
    )
    one, other = (objective.answers(tf.constant(LOGITS), batch) for objective in (plain, balanced))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    heads = (Label("letter", CLASSES), Label("digit", CLASSES, 0.5))
    outputs = {"letter": tf.constant(LOGITS), "digit": tf.constant(LOGITS[::-1])}
    plain, balanced = (
        MultiOutputObjective(heads, class_weights=weights) for weights in ({}, {"letter": WEIGHTS, "digit": None})
    )
    one, other = (objective.answers(outputs, batch) for objective in (plain, balanced))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    expected = weighted(LOGITS, LABELS, 0.0) + 0.5 * reference.cross_entropy(LOGITS[::-1], OTHERS)
    np.testing.assert_allclose(balanced.losses(outputs, batch), expected, rtol=1e-5, atol=1e-6)


def test_the_driver_weights_the_training_loss_on_two_replicas_as_on_one(made):
    made["train"]["kind"][:] = [0] * 24 + [1] * 8 + [2] * 4
    run = config(class_weights="balanced", model_args={"hidden_sizes": [4]}, epochs=1, log_every_steps=2)
    one, two = (make_experiment(run, place=Place.of(strategy)) for strategy in ("one_device", "mirrored:2"))
    block = next(iter(one.training_blocks(one.block_plan(), 0)))
    kinds = block["kind"][0].numpy()
    logits = one.model(one.data.normalization(block["image"][0]))
    weights = compute_class_weight("balanced", classes=np.arange(3), y=made["train"]["kind"])
    expected = (weights[kinds] * reference.cross_entropy(logits, kinds)).sum() / len(kinds)
    losses = one.engine.train_block(block)["loss"]
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    block = next(iter(two.training_blocks(two.block_plan(), 0)))
    np.testing.assert_allclose(two.engine.train_block(block)["loss"], losses, rtol=1e-4)
