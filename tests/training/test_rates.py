"""Rates by variable, and variables that begin late: against the optimizers' formulas in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.config import ExperimentConfig
from zoo.training.engines.tensorflow.momentum import MomentumSGD
from zoo.training.optimizers import LearningRate, make_optimizer
from zoo.training.rates import rate_factors, with_rates

SHAPES = [(3, 4), (4,), (4, 5), (5,), (5, 2)]
FACTORS = [0.1, 0.1, 0.5, 0.5, 1.0]
RNG = np.random.default_rng(0)
START = [RNG.standard_normal(shape).astype("float32") for shape in SHAPES]
GRADIENTS = [[RNG.standard_normal(shape).astype("float32") for shape in SHAPES] for _ in range(8)]
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "momentum": 0.0},
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd", "nesterov": True},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop", "momentum": 0.0},
    "rmsprop with momentum": {"optimizer": "rmsprop"},
}


def config(name, **fields):
    return ExperimentConfig(
        **OPTIMIZERS[name], **{"learning_rate": 0.02, "schedule": "cosine", "epochs": 2, "weight_decay": 0.1, **fields}
    )


def make(settings, factors=(), late=()):
    """Variables and the optimizer of them."""
    variables = [keras.Variable(value) for value in START]
    return variables, make_optimizer(settings, 4, variables, MomentumSGD, factors=factors, late=late)


def updated(settings, factors=(), late=(), begin=0):
    """The variables after all updates, the first `begin` of them without the late ones."""
    variables, optimizer = make(settings, factors, late)
    for number, gradients in enumerate(GRADIENTS):
        given = [i for i in range(len(SHAPES)) if number >= begin or not late[i]]
        optimizer.apply([tf.constant(gradients[i]) for i in given], [variables[i] for i in given])
    return [variable.numpy() for variable in variables]


def written_out(settings, factors, begin=None):
    """The same in NumPy's float64; only Adam's powers are float32, as Keras has them, which is what their bits mean."""
    rate = LearningRate(settings, 4)
    weights = [value.astype("float64") for value in START]
    first, second = ([np.zeros(shape) for shape in SHAPES] for _ in range(2))
    for number, gradients in enumerate(GRADIENTS):
        for i, gradient in enumerate(g.astype("float64") for g in gradients):
            own = number + 1 - (begin[i] if begin else 0)
            if own < 1:
                continue
            lr = float(rate(number)) * factors[i]
            if len(SHAPES[i]) > 1:
                weights[i] -= weights[i] * settings.weight_decay * lr
            if settings.optimizer in ("adam", "adamw"):
                powers = [np.float64(1 - np.float32(beta) ** np.float32(own)) for beta in (0.9, 0.999)]
                first[i] += (gradient - first[i]) * (1 - 0.9)
                second[i] += (gradient**2 - second[i]) * (1 - 0.999)
                step = lr * np.sqrt(powers[1]) / powers[0] * first[i] / (np.sqrt(second[i]) + 1e-7)
            elif settings.optimizer == "rmsprop":
                second[i] = 0.9 * second[i] + 0.1 * gradient**2
                step = lr * gradient / np.sqrt(second[i] + 1e-7)
                if settings.momentum:
                    first[i] = step = settings.momentum * first[i] + step
            else:
                first[i] = settings.momentum * first[i] - lr * gradient
                step = -first[i] if not settings.nesterov else lr * gradient - settings.momentum * first[i]
            weights[i] -= step
    return weights


@pytest.mark.gpu
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_variable_has_its_rate_and_its_decay(name):
    expected = written_out(config(name), FACTORS)
    for one, other in zip(updated(config(name), FACTORS), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_the_whole_rate_for_all_they_are_the_formulas_too(name):
    expected = written_out(config(name), [1.0] * len(SHAPES))
    for one, other in zip(updated(config(name)), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "adamw" else pytest.mark.slow) for name in OPTIMIZERS]
)
def test_half_the_rate_has_the_bits_of_an_optimizer_with_half_the_rate(name):
    halves = updated(config(name), [0.5] * 4 + [1.0])
    plain, half = updated(config(name)), updated(config(name, learning_rate=0.01))
    for one, other in zip(halves, [*half[:4], plain[4]], strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_all_have_the_whole_rate_the_optimizer_is_the_very_same():
    for kind in (keras.optimizers.SGD, MomentumSGD, keras.optimizers.Adam, keras.optimizers.RMSprop):
        assert with_rates(kind, [1.0, 1.0], [False, False]) is kind
    # These have nothing that counts updates.
    assert with_rates(MomentumSGD, [1.0, 1.0], [True, False]) is MomentumSGD
    variables, optimizer = make(config("adam"), [1.0] * 5, [False] * 5)
    assert type(optimizer) is keras.optimizers.Adam
    assert len(optimizer.variables) == 1 + 2 * len(variables)


@pytest.mark.parametrize("factors", [[1.0] * 5, FACTORS], ids=["one rate", "rates"])
@pytest.mark.parametrize(
    "name", ["adamw", *(pytest.param(name, marks=pytest.mark.slow) for name in OPTIMIZERS if name != "adamw")]
)
def test_a_variable_that_begins_late_counts_from_its_own_first_update(name, factors):
    late, begin = [True, True, False, False, False], [3, 3, 0, 0, 0]
    expected = written_out(config(name), factors, begin)
    for one, other in zip(updated(config(name), factors, late, 3), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


def test_without_that_the_first_updates_of_adam_would_be_three_times_too_large():
    late = [True] * 4 + [False]

    def first_step(**options):
        variables, optimizer = make(config("adam", schedule="constant", weight_decay=0.0), **options)
        optimizer.apply([tf.ones(SHAPES[4])], variables[4:])
        # As after two thousand of these.
        for counter in (optimizer.iterations, getattr(optimizer, "updates_without_late", optimizer.iterations)):
            counter.assign(2000)
        optimizer.apply([tf.ones(shape) for shape in SHAPES], variables)
        return np.abs(START[0] - variables[0].numpy()).max()

    assert first_step(late=late) == pytest.approx(0.02, rel=1e-3)
    assert first_step() > 2.5 * 0.02


def test_a_scaled_loss_that_overflows_is_no_update_of_anybody():
    """Updates that are skipped count for nothing, neither for the late variables nor for the others."""
    late, settings = [True] * 4 + [False], config("adamw", schedule="constant")
    plain, optimizer = make(settings, FACTORS, late)
    scaled, scaling = make(ExperimentConfig(**{**vars(settings), "precision": "float16"}), FACTORS, late)
    huge = [tf.fill(shape, np.inf) for shape in SHAPES]
    for number, gradients in enumerate(GRADIENTS):
        given = slice(None) if number >= 3 else slice(4, None)
        optimizer.apply(gradients[given], plain[given])
        if number in (1, 5):
            scaling.apply(huge[given], scaled[given])
        scale = float(scaling.dynamic_scale.numpy())
        scaling.apply([gradient * scale for gradient in gradients[given]], scaled[given])
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert (int(scaling.iterations), int(scaling.steps_taken)) == (8, 10)


def test_factors_are_powers_by_part():
    model = zoo.build_model("simple_cnn", (8, 8, 1))
    factors = rate_factors(ExperimentConfig(layer_decay=0.5), model)
    factor_of = {id(v): factor for v, factor in zip(model.trainable_variables, factors, strict=True)}
    by_layer = {layer.name: {factor_of[id(v)] for v in layer.trainable_variables} for layer in model.layers}
    order = [layer.name for layer in model.layers if layer.trainable_variables]
    convolutions = [name for name in order if name.startswith("conv") and not name.endswith("bn")]
    assert by_layer["logits"] == {1.0}
    assert by_layer["hidden"] == {0.5}
    assert [by_layer[name] for name in convolutions] == [{0.125}, {0.25}]
    assert [by_layer[f"{name}_bn"] for name in convolutions] == [{0.125}, {0.25}]
    trunk = rate_factors(ExperimentConfig(trunk_rate=0.1), model)
    assert trunk == [0.1] * (len(trunk) - 2) + [1.0] * 2
    assert rate_factors(ExperimentConfig(), model) == [1.0] * len(trunk)
