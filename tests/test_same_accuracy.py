"""benchmarks.same_accuracy: both sides train alike, the interval is Welch's, the document is that of the results."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import rounding
import tensorflow as tf

from benchmarks import plain_keras, same_accuracy
from benchmarks.same_accuracy import RECIPES, welch
from zoo.cli import console
from zoo.config import load_config
from zoo.data.augment import make_augmentation
from zoo.data.randomness import example_keys
from zoo.errors import RequestError, RunError
from zoo.training.data import open_data
from zoo.training.experiment import make_experiment
from zoo.training.optimizers import LearningRate

# The number of threads can be chosen before TensorFlow is first used only.
CONFIGS = {name: dataclasses.replace(load_config(str(path)), cpu_threads=0) for name, path in RECIPES.items()}
each_recipe = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
# Of each size of image one recipe.
each_size = pytest.mark.parametrize("config", {config.image_size: config for config in CONFIGS.values()}.values())


def calm(config):
    """The recipe without dropout, and so that what three steps do to weights exceeds rounding where it should.

    At its own learning rate ResNet-20 amplifies rounding: with each batch turned round, which is the same mathematics,
    weights differ by 7e-4 after three steps. What its l2 of 1e-4 does to weights in three steps is below 1e-6.
    """
    arguments = {name: 0.0 if name == "dropout" else value for name, value in config.model_args.items()}
    strengths = {"learning_rate": config.learning_rate / 100, "l2": 1.0} if config.l2 else {}
    return dataclasses.replace(config, model_args=arguments, **strengths)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(calm(config), id=name, marks=[pytest.mark.slow] * (name != "mlp_digits"))
        for name, config in CONFIGS.items()
    ],
)
def test_both_take_the_same_steps(config, data_dir):
    experiment = make_experiment(config, data_dir=data_dir)
    block = {name: value[:3] for name, value in next(experiment.training_blocks(experiment.block_plan(), 0)).items()}
    (images, _), _ = plain_keras.digits(config.image_size)
    plain = plain_keras.make_model(config, images.shape[1:])
    before = experiment.model.get_weights()
    plain.set_weights(before)
    standardize = plain_keras.Standardize(images)
    for batch, labels in zip(block["image"], block["label"], strict=True):
        plain.train_on_batch(standardize(batch), labels)
    experiment.engine.train_block(block)
    after = experiment.model.get_weights()
    assert max(np.abs(one - other).max() for one, other in zip(after, before, strict=True)) > 1e-3
    for one, other in zip(after, plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@each_size
def test_both_have_the_same_data(config, data_dir):
    data = open_data(config, data_dir=data_dir)
    for source, (images, labels) in zip(
        (data.train, data.evaluation), plain_keras.digits(config.image_size), strict=True
    ):
        everything = source.fetch(tf.range(source.num_examples))
        np.testing.assert_array_equal(everything["image"], images)
        np.testing.assert_array_equal(everything["label"], labels)
    (images, _), _ = plain_keras.digits(config.image_size)
    ours, theirs = data.normalization(tf.constant(images)), plain_keras.Standardize(images)(images)
    # A difference and a quotient, or a product and a sum; nothing on the way is larger than the range of the results.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rounding.of_a_sum(8) * np.ptp(theirs))


@each_recipe
def test_both_have_the_same_learning_rate_throughout(config):
    steps_per_epoch = plain_keras.TRAIN_EXAMPLES // config.batch_size
    ours, theirs = LearningRate(config, steps_per_epoch), plain_keras.learning_rate(config, steps_per_epoch)
    steps = tf.range(config.epochs * steps_per_epoch)
    np.testing.assert_allclose(ours(steps), theirs(steps), rtol=0, atol=1e-6 * config.learning_rate)


def test_both_crop_alike():
    config = CONFIGS["lenet5_digits"]
    image = np.arange(1, 65, dtype=np.uint8).reshape(8, 8, 1)
    images = np.tile(image, (4000, 1, 1, 1))
    keys = example_keys(0, tf.constant(0, tf.int64), tf.range(4000, dtype=tf.int64))
    ours = make_augmentation(config.augment, (0.0,))(tf.constant(images), keys).numpy()
    data = plain_keras.training_data((images, np.arange(4000)), dataclasses.replace(config, batch_size=4000))
    theirs = next(iter(data))[0].numpy()
    # Every shift by up to 4 pixels each way, as often as any other: of 81 each one 49 times, give or take.
    counts = [np.unique(crops, axis=0, return_counts=True) for crops in (ours, theirs)]
    np.testing.assert_array_equal(counts[0][0], counts[1][0])
    for _, times in counts:
        assert len(times) == 81
        # The 0.9999 quantile of chi-squared with 80 degrees of freedom is 134.
        assert ((times - 4000 / 81) ** 2 / (4000 / 81)).sum() < 134


def test_an_epoch_of_plain_keras_is_another_order_and_other_crops_without_the_last_batch():
    config = CONFIGS["simple_cnn_digits"]
    images = np.random.default_rng(0).integers(1, 256, (100, 8, 8, 1), np.uint8)
    data = plain_keras.training_data((images, np.arange(100)), config)
    epochs = [list(data.as_numpy_iterator()) for _ in range(2)]
    for epoch in epochs:
        assert [len(labels) for _, labels in epoch] == [32] * 3
        assert len(np.unique(np.concatenate([labels for _, labels in epoch]))) == 96
    cropped = [
        {label: crop for batch, labels in epoch for label, crop in zip(labels, batch, strict=True)} for epoch in epochs
    ]
    assert list(cropped[0]) != list(cropped[1])
    both = cropped[0].keys() & cropped[1].keys()
    # One crop in nine is the same one by chance.
    assert np.mean([(cropped[0][label] == cropped[1][label]).all() for label in both]) < 0.3


def test_plain_keras_learns():
    config = dataclasses.replace(CONFIGS["mlp_digits"], epochs=3)
    assert 0.7 < plain_keras.accuracy(config) < 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"label_smoothing": 0.1}, "label_smoothing is 0.1"),
        ({"augment": "pad_crop:1,flip"}, "augment is 'pad_crop:1,flip'"),
        ({"optimizer": "adamw"}, "optimizer is 'adamw'"),
        ({"schedule": "constant"}, "schedule is 'constant'"),
        ({"dataset": "glyphs"}, "dataset is 'glyphs'"),
    ],
)
def test_refuses_what_plain_keras_would_leave_out(change, word):
    with pytest.raises(RequestError, match=word):
        plain_keras.check_known(dataclasses.replace(CONFIGS["mlp_digits"], **change))


@each_recipe
def test_nothing_of_the_recipes_is_left_out(config):
    plain_keras.check_known(config)


# Worked by hand; the quantiles are those of any printed table of Student's t, two-sided 5 %.
@pytest.mark.parametrize(
    ("one", "other", "mean", "half_width"),
    [
        # Variances 3.5 each, 10 degrees of freedom: 2.228 * sqrt(3.5 / 6 + 3.5 / 6).
        ([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], -1.0, 2.228 * math.sqrt(7 / 6)),
        # Variances 2 and 12, over n 1 and 3: (1 + 3)**2 / (1 / 1 + 9 / 3) = 4 degrees of freedom.
        ([0, 2], [0, 0, 6, 6], -2.0, 2.776 * 2),
        # Only one of them varies: 1 degree of freedom.
        ([0, 2], [5, 5, 5], -4.0, 12.706),
        ([1, 1], [1, 1, 1], 0.0, 0.0),
    ],
)
def test_the_interval_is_welch_s(one, other, mean, half_width):
    difference = welch(one, other)
    assert difference.mean == pytest.approx(mean)
    assert difference.half_width == pytest.approx(half_width, rel=5e-4)


@pytest.mark.parametrize(
    ("mean", "half_width", "within", "real"),
    [(0.004, 0.005, True, False), (-0.004, 0.003, True, True), (-0.006, 0.005, False, True), (0, 0.011, False, False)],
)
def test_what_an_interval_says(mean, half_width, within, real):
    difference = same_accuracy.Difference(mean, half_width)
    assert (difference.within, difference.real) == (within, real)


class Training:
    """In place of `same_accuracy.train`: counts the runs, ends with Ctrl-C after `limit` of them.

    Accuracies are 0.9 and 0.91 in turns.
    """

    def __init__(self):
        self.runs, self.limit = [], math.inf

    def __call__(self, recipe, seeds, data_dir):
        for side, seed in ((side, seed) for side, numbers in seeds.items() for seed in numbers):
            if len(self.runs) == self.limit:
                raise KeyboardInterrupt
            self.runs.append((recipe, side, seed))
            yield side, seed, 0.9 + seed % 2 / 100


@pytest.fixture
def training(tmp_path, monkeypatch):
    monkeypatch.setattr(same_accuracy, "RESULTS", tmp_path / "results" / "same_accuracy.json")
    training = Training()
    monkeypatch.setattr(same_accuracy, "train", training)
    return training


def run(*arguments):
    return console.run(same_accuracy.main, list(arguments))


def test_goes_on_where_it_was_stopped(training):
    arguments = ("--seeds=3", "mlp_digits", "lenet5_digits")
    training.limit = 5
    assert run(*arguments) == console.STOPPED_BY_KEYBOARD
    training.limit = math.inf
    assert run(*arguments) == 0
    wanted = set(itertools.product(("mlp_digits", "lenet5_digits"), same_accuracy.SIDES, range(3)))
    assert len(training.runs) == len(wanted)
    assert set(training.runs) == wanted
    # All have their first seeds early.
    assert {name for name, _, _ in training.runs[:8]} == {"mlp_digits", "lenet5_digits"}
    assert same_accuracy.read_results()["mlp_digits"]["keras"] == {0: 0.9, 1: 0.91, 2: 0.9}


def test_runs_again_what_is_asked_for_and_what_has_changed(training):
    assert run("--seeds=1", "mlp_digits", "lenet5_digits") == 0
    results = same_accuracy.read_results()
    results["mlp_digits"]["setting"]["recipe"]["epochs"] = 1
    same_accuracy.write_results(results)
    training.runs.clear()
    assert run("--seeds=1", "mlp_digits", "lenet5_digits") == 0
    assert {name for name, _, _ in training.runs} == {"mlp_digits"}
    assert run("--seeds=1", "lenet5_digits", "--again") == 0
    assert {name for name, _, _ in training.runs} == {"mlp_digits", "lenet5_digits"}


def test_the_document_says_what_is_shown_and_what_is_not(training, tmp_path, capsys):
    assert run(f"--seeds={same_accuracy.SEEDS}", "mlp_digits") == run("--seeds=3", "lenet5_digits") == 0
    capsys.readouterr()
    assert run("--seeds=0", f"--output={tmp_path / 'same.md'}") == 0
    assert run("--seeds=0") == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "same.md").read_text()
    rows = {name: next(line for line in text.splitlines() if line.startswith(f"| `{name}`")) for name in RECIPES}
    # Ten times 0.90 and ten times 0.91: deviation 0.01 / 2 * sqrt(20 / 19), 38 degrees of freedom, whose quantile is
    # 2.024.
    assert (
        "| 0.9050 +- 0.0051 (20) | 0.9050 +- 0.0051 (20) | +0.0000 | -0.0033 to +0.0033 | yes | no |"
        in rows["mlp_digits"]
    )
    assert f"not yet {same_accuracy.SEEDS} seeds" in rows["lenet5_digits"]
    assert "not yet run here" in rows["resnet20_digits"]


@pytest.mark.parametrize(("arguments", "word"), [(["mlp_digit"], "mlp_digits"), (["--seeds=-1"], "at least 0")])
def test_a_wrong_request_writes_nothing(arguments, word, training, capsys):
    assert run(*arguments) == console.WRONG_REQUEST
    assert word in capsys.readouterr().err
    assert not training.runs
    assert not same_accuracy.RESULTS.exists()


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RunError, match="seed 3"):
        list(same_accuracy.train("no such recipe", {"zoo": [3]}, None))


def test_the_document_is_that_of_the_results_and_these_of_the_recipes():
    results = same_accuracy.read_results()
    assert (same_accuracy.ROOT / "docs" / "same_accuracy.md").read_text() == same_accuracy.document(results)
    for name, recipe in results.items():
        assert recipe["setting"]["recipe"] == same_accuracy.setting(load_config(str(RECIPES[name])))["recipe"]
        # Each is a number of the 360 digits.
        accuracies = np.array([value for side in same_accuracy.SIDES for value in recipe[side].values()])
        np.testing.assert_allclose(accuracies * 360, np.round(accuracies * 360), atol=1e-3)
