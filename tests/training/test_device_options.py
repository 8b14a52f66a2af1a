"""Precision, accumulation and averaged weights: held against the same thing written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.config import ExperimentConfig
from zoo.places.place import Place
from zoo.places.strategy import make_strategy
from zoo.tasks.base import Label
from zoo.tasks.classification import ClassificationObjective
from zoo.training.engines.tensorflow import Engine
from zoo.training.engines.tensorflow.momentum import MomentumSGD
from zoo.training.experiment import computing_in, make_experiment
from zoo.training.optimizers import LearningRate, make_optimizer

BATCH, K = 12, 3
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(K, BATCH, 8, 8, 1)).astype("float32")
BLOCK = {"image": tf.constant(IMAGES), "label": tf.constant(RNG.integers(0, 10, (K, BATCH)))}


def make_engine(
    name="mlp",
    *,
    replicas=1,
    jit="off",
    l2=0.0,
    clip_norm=0.0,
    accumulate_steps=1,
    ema_decay=0.0,
    loss_scale=None,
    **fields,
):
    config = ExperimentConfig(**{"optimizer": "sgd", "learning_rate": 0.1, "batch_size": BATCH, **fields})
    strategy = make_strategy(Place.parse("one_device" if replicas == 1 else f"mirrored:{replicas}"))
    keras.utils.set_random_seed(0)
    with strategy.scope():
        with computing_in(config.precision):
            model = zoo.build_model(name, (8, 8, 1), 10, **({"dropout": 0.0} if name == "mlp" else {}))
        optimizer = make_optimizer(config, 10, model.trainable_variables, MomentumSGD)
        if loss_scale:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=loss_scale)
            optimizer.build(model.trainable_variables)
    engine = Engine(
        model,
        optimizer,
        ClassificationObjective(Label("label", 10)),
        strategy=strategy,
        batch_size=BATCH,
        jit=jit,
        l2=l2,
        decayed=tuple(v for v in model.trainable_variables if len(v.shape) > 1),
        clip_norm=clip_norm,
        accumulate_steps=accumulate_steps,
        ema_decay=ema_decay,
    )
    return engine, model, optimizer


def block(replicas=1):
    """The block as the strategy hands it out."""
    if replicas == 1:
        return BLOCK
    share = BATCH // replicas

    def parts(context=None):
        places = tf.data.Dataset.range(replicas)
        return places.map(
            lambda place: {name: value[:, place * share : (place + 1) * share] for name, value in BLOCK.items()}
        )

    return next(iter(make_strategy(Place.parse(f"mirrored:{replicas}")).distribute_datasets_from_function(parts)))


# Accumulation.


@pytest.mark.parametrize(
    ("replicas", "jit"),
    [pytest.param(1, "on", marks=pytest.mark.gpu), pytest.param(1, "off", marks=pytest.mark.slow), (2, "off")],
)
def test_a_batch_in_parts_is_the_batch(replicas, jit):
    whole, one, _ = make_engine(l2=0.1, clip_norm=0.5)
    parts, other, _ = make_engine(replicas=replicas, jit=jit, l2=0.1, clip_norm=0.5, accumulate_steps=3)
    expected, found = whole.train_block(BLOCK), parts.train_block(block(replicas))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)
    for variable, same in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(variable, same, rtol=1e-4, atol=1e-6, err_msg=variable.path)


@pytest.mark.gpu
def test_batch_norm_sees_a_part_at_a_time():
    engine, model, _ = make_engine("simple_cnn", accumulate_steps=3, learning_rate=1e-30)
    _, same, _ = make_engine("simple_cnn")
    engine.train_block({name: value[:1] for name, value in BLOCK.items()})
    for part in np.split(IMAGES[0], 3):
        same(part, training=True)
    moving = [i for i, v in enumerate(model.weights) if "moving" in v.path]
    assert moving
    for i in moving:
        np.testing.assert_allclose(model.weights[i], same.weights[i], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "strategy", "message"),
    [
        ({"batch_size": 30, "accumulate_steps": 4}, "one_device", "must divide the batch_size, 30"),
        ({"batch_size": 12, "accumulate_steps": 4}, "mirrored:2", "must divide each replica's share of the batch, 6"),
        (
            {"model": "simple_cnn", "jit": "on", "sync_batch_norm": True},
            "mirrored:2",
            "jit=on and sync_batch_norm do not",
        ),
        ({"accumulate_steps": 2, "sync_batch_norm": True}, "mirrored:2", "do not go together on several replicas"),
        ({"keep_best": "acuracy"}, "one_device", "'acuracy'.*did you mean accuracy"),
        ({"early_stop_metric": "top5"}, "one_device", "metric in early_stop_metric 'top5'"),
    ],
)
def test_what_does_not_fit_is_refused(data_dir, fields, strategy, message):
    with pytest.raises(ValueError, match=message):
        make_experiment(ExperimentConfig(**fields), place=Place.parse(strategy), data_dir=data_dir)


# Averages.


@pytest.mark.parametrize(
    ("replicas", "jit"),
    [pytest.param(1, "on", marks=pytest.mark.gpu), pytest.param(1, "off", marks=pytest.mark.slow), (2, "off")],
)
def test_averages_are_those_of_the_weights_after_each_step(replicas, jit):
    engine, model, _ = make_engine(replicas=replicas, jit=jit, ema_decay=0.2)
    plain, same, _ = make_engine()
    averages = [v.numpy().astype("float64") for v in same.trainable_variables]
    for number in range(K):
        plain.train_block({name: value[number : number + 1] for name, value in BLOCK.items()})
        decay = min(0.2, (2 + number) / (11 + number))
        weights = [v.numpy() for v in same.trainable_variables]
        averages = [decay * average + (1 - decay) * weight for average, weight in zip(averages, weights, strict=True)]
    engine.train_block(block(replicas))
    raw = [v.numpy() for v in model.trainable_variables]
    with engine.averaged():
        for variable, average in zip(model.trainable_variables, averages, strict=True):
            np.testing.assert_allclose(variable, average, rtol=1e-4, atol=1e-6)
    for variable, value, same_value in zip(model.trainable_variables, raw, same.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, value)
        np.testing.assert_allclose(variable, same_value, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
def test_averages_belong_to_the_state():
    engine, _, _ = make_engine(ema_decay=0.5)
    engine.train_block(BLOCK)
    state = engine.state()
    assert sum("average" in name for name in state) == len(state) - len(make_engine()[0].state())
    other, _, _ = make_engine(ema_decay=0.5)
    other.restore(state)
    with engine.averaged(), other.averaged():
        for one, two in zip(engine.state().values(), other.state().values(), strict=True):
            np.testing.assert_array_equal(one, two)


# Precision.


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("model", "precision"),
    [
        pytest.param("mlp", "float16", marks=pytest.mark.slow),
        ("simple_cnn", "bfloat16"),
        pytest.param("mlp", "bfloat16", marks=pytest.mark.slow),
        pytest.param("simple_cnn", "float16", marks=pytest.mark.slow),
    ],
)
def test_layers_compute_in_low_precision_and_variables_stay(data_dir, model, precision):
    config = ExperimentConfig(model=model, precision=precision, dataset="digits", train_split="train[:64]")
    made = make_experiment(config, data_dir=data_dir)
    assert keras.config.dtype_policy().name == "float32"
    dense = [layer for layer in made.model.layers if layer.weights]
    assert {layer.compute_dtype for layer in dense[:-1]} == {precision}
    assert {v.dtype for v in made.model.trainable_variables} == {"float32"}
    assert made.model.outputs[0].dtype == "float32"
    losses = made.engine.train_block(next(iter(made.training_blocks(made.block_plan(), 0))))["loss"]
    exact = make_experiment(ExperimentConfig(model=model, train_split="train[:64]"), data_dir=data_dir)
    expected = exact.engine.train_block(next(iter(exact.training_blocks(exact.block_plan(), 0))))["loss"]
    assert not np.array_equal(losses, expected)
    np.testing.assert_allclose(losses, expected, rtol=0.05)


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.gpu), 2])
def test_a_float16_gradient_that_is_not_finite_changes_nothing_but_the_scale(replicas):
    options = {"precision": "float16", "l2": 0.1, "clip_norm": 1.0, "schedule": "cosine", "epochs": 1}
    engine, model, optimizer = make_engine(replicas=replicas, **options)
    # Only the last replica's gradient overflows.
    bad = IMAGES[:1].copy()
    bad[:, -1] = 6e4
    before = [v.numpy() for v in model.trainable_variables]
    scale = optimizer.dynamic_scale.numpy()
    images = BLOCK["image"]
    try:
        BLOCK["image"] = tf.constant(np.concatenate([bad, bad, bad]))
        engine.train_block(block(replicas))
    finally:
        BLOCK["image"] = images
    assert optimizer.dynamic_scale.numpy() == scale / 8
    # The schedule goes on all the same: it ends with the run, and the log says what it is.
    assert (optimizer.iterations.numpy(), optimizer.steps_taken.numpy()) == (0, 3)
    config = ExperimentConfig(learning_rate=0.1, schedule="cosine", epochs=1)
    assert float(optimizer.learning_rate) == float(LearningRate(config, 10)(3))
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.gpu), pytest.param(2, marks=pytest.mark.slow)])
def test_scaling_the_loss_changes_no_update(replicas):
    plain, model, _ = make_engine(replicas=replicas, l2=0.1, clip_norm=0.5)
    scaled, same, _ = make_engine(replicas=replicas, l2=0.1, clip_norm=0.5, loss_scale=1024.0)
    plain.train_block(block(replicas))
    scaled.train_block(block(replicas))
    for variable, value in zip(model.trainable_variables, same.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)


def test_determinism_is_asked_of_tensorflow(data_dir, monkeypatch):
    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    for deterministic in (False, True):
        make_experiment(ExperimentConfig(model="mlp", deterministic=deterministic), data_dir=data_dir)
    assert asked == [True]


def test_a_deterministic_run_on_a_gpu_is_not_compiled_by_xla(data_dir, monkeypatch):
    """XLA has no deterministic gradient of max pooling there. A GPU is made up; nothing runs on it."""
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    listed = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: ["gpu"] if kind == "GPU" else listed(kind)
    )
    assert make_experiment(ExperimentConfig(), data_dir=data_dir).engine.jit
    assert not make_experiment(ExperimentConfig(deterministic=True), data_dir=data_dir).engine.jit
    with pytest.raises(ValueError, match="jit=on and deterministic do not go together on a GPU"):
        make_experiment(ExperimentConfig(deterministic=True, jit="on"), data_dir=data_dir)
