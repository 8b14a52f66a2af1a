"""The compiled steps against the same steps written out."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.config import ExperimentConfig
from zoo.layers import all_layers, has_convolutions, synchronizes
from zoo.places.place import Place
from zoo.places.strategy import make_strategy
from zoo.runs.checkpoints import state_sha256
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective
from zoo.training.engines.tensorflow.engine import Engine, uses_xla
from zoo.training.engines.tensorflow.variables import ranked
from zoo.training.optimizers import decayed, make_optimizer

RNG = np.random.default_rng(0)
K, BATCH = 3, 8
IMAGES = RNG.standard_normal((K, BATCH, 8, 8, 1)).astype("float32")
LABELS = RNG.integers(0, 10, (K, BATCH))
BLOCK = {"image": tf.constant(IMAGES), "label": tf.constant(LABELS)}


def make_engine(name="mlp", *, strategy=None, model_args=None, jit="auto", sync=False, **kwargs):
    config = ExperimentConfig(**{"optimizer": "sgd", "learning_rate": 0.1, "batch_size": BATCH, **kwargs})
    strategy = strategy or tf.distribute.get_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = zoo.build_model(name, (8, 8, 1), 10, **(model_args or {}))
        for layer in all_layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = sync
        optimizer = make_optimizer(config, 10, model.trainable_variables)
    engine = Engine(
        model,
        optimizer,
        ClassificationObjective(Label("label", 10), label_smoothing=config.label_smoothing),
        strategy=strategy,
        batch_size=BATCH,
        jit=jit,
        l2=config.l2,
        decayed=tuple(v for v in model.trainable_variables if decayed(v, config)),
        clip_norm=config.grad_clip_norm,
    )
    return engine, model


def written_out(model, *, l2=0.0, clip=0.0, rate=0.1, momentum=0.9):
    """The same K steps, eagerly; returns the loss and accuracy of each."""
    velocity = [0.0] * len(model.trainable_variables)
    rows = []
    for images, labels in zip(IMAGES, LABELS, strict=True):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            loss = tf.reduce_mean(losses)
        gradients = [np.array(g, "float64") for g in tape.gradient(loss, model.trainable_variables)]
        rows.append((float(loss), float(np.mean(np.argmax(logits, -1) == labels))))
        if clip:
            norm = np.sqrt(sum((g**2).sum() for g in gradients))
            gradients = [g * min(1, clip / norm) for g in gradients]
        for i, (variable, gradient) in enumerate(zip(model.trainable_variables, gradients, strict=True)):
            if len(variable.shape) > 1:
                gradient = gradient + l2 * variable.numpy()
            velocity[i] = momentum * velocity[i] - rate * gradient
            variable.assign(variable.numpy() + velocity[i])
    return rows


@pytest.mark.gpu
@pytest.mark.parametrize("jit", ["on", "off"])
@pytest.mark.parametrize(
    ("name", "kwargs", "reference"),
    [
        ("mlp", {}, {}),
        ("mlp", {"l2": 0.1}, {"l2": 0.1}),
        ("mlp", {"grad_clip_norm": 0.3}, {"clip": 0.3}),
        ("mlp", {"grad_clip_norm": 0.3, "l2": 0.1}, {"clip": 0.3, "l2": 0.1}),
        ("simple_cnn", {}, {}),
    ],
    ids=["plain", "l2", "clip", "clip and l2", "batch norm"],
)
def test_a_block_is_its_steps_one_after_the_other(name, kwargs, reference, jit):
    engine, model = make_engine(name, jit=jit, **kwargs)
    _, same = make_engine(name, **kwargs)
    rows = written_out(same, **reference)
    metrics = engine.train_block(BLOCK)
    np.testing.assert_allclose(metrics["loss"], [loss for loss, _ in rows], rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], [accuracy for _, accuracy in rows])
    for one, other in zip(model.weights, same.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5, err_msg=one.path)


@pytest.mark.parametrize("name", [pytest.param("mlp", marks=pytest.mark.slow), "simple_cnn"])
def test_the_split_into_blocks_changes_no_bit(name):
    digests = set()
    for cuts in ([0, 3], [0, 1, 3], [0, 1, 2, 3]):
        engine, _ = make_engine(name, model_args={"dropout": 0.5})
        for start, end in itertools.pairwise(cuts):
            engine.train_block({name: value[start:end] for name, value in BLOCK.items()})
        digests.add(state_sha256(engine.state()))
    assert len(digests) == 1


@pytest.mark.gpu
def test_state_holds_every_variable_and_restores():
    engine, _ = make_engine("mlp", model_args={"dropout": 0.5, "batch_norm": True})
    engine.train_block(BLOCK)
    state = engine.state()
    paths = " ".join(state)
    assert all(part in paths for part in ("kernel", "moving_mean", "seed_generator_state", "momentum", "iteration"))
    engine.train_block(BLOCK)
    after = engine.state()
    engine.restore(state)
    engine.train_block(BLOCK)
    for name, value in engine.state().items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)
    other, _ = make_engine("mlp")
    with pytest.raises(ValueError, match="not those of this model and optimizer"):
        other.restore(state)


@pytest.mark.parametrize(("jit", "least_weight"), [("on", 0), ("off", 0), ("off", 1)])
def test_evaluation_answers_what_has_weight_in_order(jit, least_weight):
    engine, model = make_engine("simple_cnn", jit=jit)
    weight = RNG.integers(least_weight, 2, (K, BATCH)).astype("float32")
    answers = engine.evaluate_block({**BLOCK, "weight": tf.constant(weight)})
    counts = weight.ravel() == 1
    logits = np.array(model(IMAGES.reshape(-1, 8, 8, 1))).astype("float64")[counts]
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    labels = LABELS.ravel()[counts]
    np.testing.assert_array_equal(answers["label"], labels)
    np.testing.assert_array_equal(answers["predicted"], logits.argmax(1))
    np.testing.assert_allclose(answers["loss"], -log_p[np.arange(len(labels)), labels], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers["confidence"], np.exp(log_p).max(1), rtol=1e-4)


def test_xla_is_for_nets_without_convolutions_on_cpu():
    assert uses_xla(zoo.build_model("mlp"), "auto")
    assert not uses_xla(zoo.build_model("simple_cnn"), "auto")
    assert uses_xla(zoo.build_model("simple_cnn"), "on")
    assert not uses_xla(zoo.build_model("mlp"), "off")


def test_patches_without_overlap_are_no_convolutions():
    """Their kernel has rank 4 as that of a convolution has, but each patch is a dense layer's input."""

    def net(**arguments):
        return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, **arguments)])

    assert not has_convolutions(net(kernel_size=4, strides=4))
    assert has_convolutions(net(kernel_size=4, strides=2))
    assert has_convolutions(keras.Sequential([keras.Input((8, 8, 1)), net(kernel_size=3), keras.layers.Flatten()]))
    assert not has_convolutions(zoo.build_model("mlp"))


def test_names_are_compared_whatever_number_keras_gave_them():
    here, there = ["dense_3/kernel", "dense_4/kernel", "a/bias"], ["dense/kernel", "dense_1/kernel", "a/bias"]
    assert ranked(here) == ranked(there)
    assert ranked(here) != ranked(["dense_1/kernel", "dense/kernel", "a/bias"])
    assert ranked(here) != ranked([*here[:2], "b/bias"])


def test_variables_of_one_shape_that_changed_places_are_refused():
    """As where a later version builds two equal layers in the other order."""

    def net(*names):
        layers = [keras.layers.Dense(8, name=name) for name in names]
        model = keras.Sequential([keras.Input((8,)), *layers], name="net")
        optimizer = keras.optimizers.SGD()
        optimizer.build(model.trainable_variables)
        objective = ClassificationObjective(Label("label", 8))
        return Engine(model, optimizer, objective, strategy=tf.distribute.get_strategy(), batch_size=2)

    state = net("query", "key").state()
    net("query", "key").restore(state)
    with pytest.raises(ValueError, match="net/query/kernel was saved where this model has net/key/kernel"):
        net("key", "query").restore(state)


def on_two_devices(engine, strategy, block, method):
    """Runs a block of which each replica gets one half of every batch."""
    halves = [{name: value[:, half] for name, value in block.items()} for half in (slice(0, 4), slice(4, 8))]
    distributed = {
        name: strategy.experimental_distribute_values_from_function(
            lambda context, name=name: halves[context.replica_id_in_sync_group][name]
        )
        for name in block
    }
    return getattr(engine, method)(distributed)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("mlp", {}),
        pytest.param("mlp", {"jit": "off"}, marks=pytest.mark.slow),
        ("mlp", {"grad_clip_norm": 0.3, "l2": 0.1}),
        pytest.param("mlp", {"optimizer": "adamw", "weight_decay": 0.1}, marks=pytest.mark.slow),
        ("simple_cnn", {"sync": True}),
    ],
    ids=str,
)
def test_two_replicas_take_the_step_of_one(name, kwargs):
    strategy = make_strategy(Place.parse("mirrored:2"))
    engine, model = make_engine(name, strategy=strategy, **kwargs)
    single, same = make_engine(name, **{**kwargs, "sync": False})
    metrics = on_two_devices(engine, strategy, BLOCK, "train_block")
    expected = single.train_block(BLOCK)
    for key in expected:
        np.testing.assert_allclose(metrics[key], expected[key], rtol=1e-4)
    one, other = (np.concatenate([np.ravel(v.numpy()) for v in m.weights]) for m in (model, same))
    assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other)
    evaluation = {**BLOCK, "weight": tf.ones([K, BATCH])}
    answers = on_two_devices(engine, strategy, evaluation, "evaluate_block")
    for key, expected in single.evaluate_block(evaluation).items():
        np.testing.assert_allclose(answers[key], expected, rtol=1e-3, atol=1e-4)


def test_an_engine_knows_whether_it_compiles():
    strategy = make_strategy(Place.parse("mirrored:2"))
    assert make_engine("simple_cnn", strategy=strategy, jit="on")[0].jit
    assert not make_engine("simple_cnn", strategy=strategy, jit="on", sync=True)[0].jit
    assert make_engine("simple_cnn", jit="on", sync=True)[0].jit


def test_statistics_that_each_replica_gathers_alone_are_averaged():
    """The mean over the batch is that of the means over its halves; so one device is the reference."""
    strategy = make_strategy(Place.parse("mirrored:2"))
    engine, model = make_engine("simple_cnn", strategy=strategy)
    single, same = make_engine("simple_cnn")
    block = {name: value[:1] for name, value in BLOCK.items()}
    on_two_devices(engine, strategy, block, "train_block")
    single.train_block(block)
    # The first layer's inputs do not depend on how later ones normalise.
    mean, expected = model.non_trainable_variables[0], same.non_trainable_variables[0]
    assert "moving_mean" in mean.path
    np.testing.assert_allclose(mean.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
    for variable in model.non_trainable_variables:
        first, second = strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first.numpy(), second.numpy(), err_msg=variable.path)


def test_synchronizes_looks_into_nested_models():
    inner = zoo.build_model("simple_cnn")
    outer = keras.Sequential([keras.Input((28, 28, 1)), inner])
    assert not synchronizes(outer)
    next(x for x in inner.layers if isinstance(x, keras.layers.BatchNormalization)).synchronized = True
    assert synchronizes(outer)
