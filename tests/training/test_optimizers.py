"""Schedules and decay against their formulas in NumPy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.training.engines.tensorflow.momentum import MomentumSGD
from zoo.training.optimizers import LearningRate, decayed, make_optimizer

STEPS_PER_EPOCH = 10


def rates(**kwargs):
    config = ExperimentConfig(epochs=8, learning_rate=0.5, **kwargs)
    schedule = LearningRate(config, STEPS_PER_EPOCH)
    return np.array([float(schedule(step)) for step in range(80)])


STEPS = np.arange(80)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", np.full(80, 0.5)),
        ("cosine", 0.5 * 0.5 * (1 + np.cos(math.pi * STEPS / 80))),
        ("linear", 0.5 * (1 - STEPS / 80)),
        ("step:2,5", 0.5 * np.where(STEPS < 20, 1, np.where(STEPS < 50, 0.1, 0.01))),
        ("step:3.5:0.2", 0.5 * np.where(STEPS < 35, 1, 0.2)),
    ],
)
def test_schedules(schedule, expected):
    np.testing.assert_allclose(rates(schedule=schedule), expected, rtol=1e-5, atol=1e-7)


def test_warmup_rises_linearly_and_then_the_schedule_begins():
    warm = rates(schedule="cosine", warmup_epochs=2)
    np.testing.assert_allclose(warm[:20], 0.5 * (STEPS[:20] + 1) / 20, rtol=1e-5)
    np.testing.assert_allclose(warm[20:], 0.25 * (1 + np.cos(math.pi * (STEPS[20:] - 20) / 60)), rtol=1e-5, atol=1e-7)


def test_drops_are_counted_from_the_first_step_with_warmup_too():
    assert rates(schedule="step:4", warmup_epochs=1)[[39, 40]] == pytest.approx([0.5, 0.05])


def test_a_schedule_comes_back_from_its_config():
    config = ExperimentConfig(epochs=8, schedule="step:2,5:0.2", warmup_epochs=1)
    rate = LearningRate(config, STEPS_PER_EPOCH)
    again = LearningRate.from_config(rate.get_config())
    assert [float(again(step)) for step in range(80)] == [float(rate(step)) for step in range(80)]
    assert again.get_config() == rate.get_config()


def variables():
    kernel = keras.Variable(np.array([[1.0, -2.0], [3.0, 4.0]], "float32"), name="kernel")
    bias = keras.Variable(np.array([5.0, -6.0], "float32"), name="bias")
    return [kernel, bias]


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_in_one_pass_has_the_bits_of_keras(nesterov):
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 17, 33), (1001,), (7,), (64, 1000)]
    values = [rng.standard_normal(shape, "float32") for shape in shapes]
    ours, theirs = ([keras.Variable(value) for value in values] for _ in range(2))
    config = ExperimentConfig(optimizer="sgd", learning_rate=0.037, momentum=0.9, nesterov=nesterov)
    fused = make_optimizer(config, STEPS_PER_EPOCH, ours, MomentumSGD)
    keras_own = keras.optimizers.SGD(0.037, momentum=0.9, nesterov=nesterov)
    keras_own.build(theirs)
    for _ in range(5):
        gradients = [rng.standard_normal(shape, "float32") for shape in shapes]
        fused.apply([tf.constant(gradient) for gradient in gradients], ours)
        keras_own.apply([tf.constant(gradient) for gradient in gradients], theirs)
    for one, other in zip([*ours, *fused.variables], [*theirs, *keras_own.variables], strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_weight_decay_is_decoupled_and_leaves_biases_alone(optimizer):
    config = ExperimentConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5)
    kernel, bias = variables()
    before = kernel.numpy(), bias.numpy()
    made = make_optimizer(config, STEPS_PER_EPOCH, [kernel, bias])
    made.apply([np.zeros((2, 2), "float32"), np.zeros(2, "float32")])
    np.testing.assert_allclose(kernel.numpy(), before[0] * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(bias.numpy(), before[1])


def test_decay_all_parameters():
    config = ExperimentConfig(optimizer="sgd", learning_rate=0.1, weight_decay=0.5, decay_all_parameters=True)
    kernel, bias = variables()
    made = make_optimizer(config, STEPS_PER_EPOCH, [kernel, bias])
    made.apply([np.zeros((2, 2), "float32"), np.zeros(2, "float32")])
    np.testing.assert_allclose(bias.numpy(), [5 * 0.95, -6 * 0.95], rtol=1e-6)
    assert decayed(bias, config)
    assert not decayed(bias, ExperimentConfig())
    assert decayed(kernel, ExperimentConfig())


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_momentum_as_written_down(nesterov):
    config = ExperimentConfig(optimizer="sgd", learning_rate=0.1, momentum=0.9, nesterov=nesterov)
    (kernel, bias), gradient = variables(), np.array([[0.1, 0.2], [-0.3, 0.4]], "float32")
    made = make_optimizer(config, STEPS_PER_EPOCH, [kernel, bias])
    w, velocity = kernel.numpy().astype("float64"), 0.0
    for _ in range(3):
        made.apply([gradient, np.zeros(2, "float32")])
        velocity = 0.9 * velocity - 0.1 * gradient
        w += 0.9 * velocity - 0.1 * gradient if nesterov else velocity
    np.testing.assert_allclose(kernel.numpy(), w, rtol=1e-5)


def test_rate_follows_the_schedule_step_by_step():
    config = ExperimentConfig(optimizer="sgd", momentum=0.0, learning_rate=1.0, schedule="step:1", epochs=3)
    kernel, bias = variables()
    made = make_optimizer(config, 2, [kernel, bias])
    ones = [np.ones((2, 2), "float32"), np.ones(2, "float32")]
    moves = []
    for _ in range(6):
        before = kernel.numpy()
        made.apply(ones)
        moves.append(float((before - kernel.numpy())[0, 0]))
    np.testing.assert_allclose(moves, [1, 1, 0.1, 0.1, 0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "cls"), [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW"), ("rmsprop", "RMSprop")]
)
def test_optimizers_are_keras_own(name, cls):
    made = make_optimizer(ExperimentConfig(optimizer=name, momentum=0.0), 1, variables())
    assert type(made) is getattr(keras.optimizers, cls)
