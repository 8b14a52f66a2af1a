"""What is frozen stands still to the bit, costs nothing on the way down, and is trained from a chosen epoch on."""

import collections
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.layers import batch_normalizations, statistics, synchronizes
from zoo.places.place import Place
from zoo.training.experiment import make_experiment
from zoo.training.freezing import Freezing
from zoo.training.loop import train_and_evaluate
from zoo.training.summary import introduction

# 10 steps an epoch of a net with batch normalisation and dropout.
FIELDS = {
    "model": "mlp",
    "model_args": {"hidden_sizes": [16, 16], "batch_norm": True, "dropout": 0.5},
    "train_split": "train[:160]",
    "eval_split": "test[:32]",
    "batch_size": 16,
    "learning_rate": 0.01,
    "jit": "off",
}
STEADY = {"model_args": {"hidden_sizes": [16, 16], "batch_norm": True}}
# A net with convolutions, for what matters there.
CNN = {"model": "simple_cnn", "model_args": {}}


def made(data_dir, *, strategy="one_device", **fields):
    config = ExperimentConfig(**{**FIELDS, **fields})
    return make_experiment(config, place=Place.of(strategy), data_dir=data_dir)


def blocks(experiment, first=0, end=None):
    plan = experiment.block_plan()
    for _, block in zip(plan.ends(first), experiment.training_blocks(plan, first), strict=True):
        yield block


def train(experiment, epochs=1):
    """The losses of some epochs."""
    plan = experiment.block_plan()
    losses = []
    step = 0
    for end, block in zip(plan.ends(0), experiment.training_blocks(plan, 0), strict=False):
        if step == experiment.thaw_step > 0:
            experiment.freezing.thaw()
            experiment.engine.retrace()
        step = end
        losses += experiment.engine.train_block(block)["loss"].tolist()
        if end == epochs * experiment.steps_per_epoch:
            break
    return losses


def bits(variables):
    return [variable.numpy().tobytes() for variable in variables]


def split(model):
    """The variables of the classifier, and all others but the seeds of dropout, which go on."""
    head = model.get_layer("logits").variables
    own = {id(variable) for variable in head}
    return head, [v for v in model.variables if id(v) not in own and v.dtype.startswith("float")]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "adamw", "weight_decay": 0.1, "l2": 0.1, "grad_clip_norm": 0.1, "decay_all_parameters": True},
        pytest.param(
            {"optimizer": "sgd", "ema_decay": 0.9, "accumulate_steps": 2, "jit": "on"}, marks=pytest.mark.slow
        ),
        pytest.param({**CNN, "weight_decay": 0.1, "decay_all_parameters": True}, marks=pytest.mark.slow),
        pytest.param({"precision": "float16", "strategy": "mirrored:2"}, marks=pytest.mark.slow),
        pytest.param({**CNN, "sync_batch_norm": True, "strategy": "mirrored:2", "l2": 0.1}, marks=pytest.mark.slow),
    ],
    ids=["decayed", "averaged", "convolutions", "mirrored float16", "mirrored synchronised"],
)
def test_a_frozen_trunk_stands_still_and_the_classifier_moves(data_dir, fields):
    experiment = made(data_dir, **{"freeze": "trunk", "epochs": 5, **fields})
    head, trunk = split(experiment.model)
    assert any("moving_variance" in variable.path for variable in trunk)
    before = bits(head), bits(trunk)
    losses = train(experiment, 5)
    assert len(losses) == 50
    assert bits(trunk) == before[1]
    assert all(one != other for one, other in zip(bits(head), before[0], strict=True))
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    # Nothing is held for what never moves: neither momenta nor averages.
    held = [name.partition("/")[2] for name in experiment.engine.state()]
    per_weight = {"sgd": 1, "adam": 2, "adamw": 2}[experiment.config.optimizer] + bool(experiment.config.ema_decay)
    counters = [path for path in held if any(word in path for word in ("iteration", "learning_rate", "step", "scale"))]
    assert len(held) - len(counters) - len(experiment.model.variables) == per_weight * len(head)


def operations(experiment):
    """How many operations of each kind a training step has."""
    traced = experiment.engine._train_block.get_concrete_function(next(blocks(experiment)))
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return collections.Counter(node.op for node in nodes)


def test_nothing_is_differentiated_below_the_classifier(data_dir):
    def on_the_way_down(**fields):
        found = operations(made(data_dir, **CNN, **fields))
        assert found["Conv2D"] == 2
        return {
            kind: number
            for kind, number in found.items()
            if "Backprop" in kind or kind.endswith("Grad") or "GradV" in kind
        }

    # That of the classifier's own bias.
    assert on_the_way_down(freeze="trunk") == {"BiasAddGrad": 1}
    half = on_the_way_down(freeze="conv1*")
    assert (half["Conv2DBackpropFilter"], half["FusedBatchNormGradV3"], half["MaxPoolGrad"]) == (1, 1, 1)


@pytest.mark.slow
def test_layers_by_name_are_the_step_written_out(data_dir):
    """Against TensorFlow's own tape in a loop that knows only Keras' `trainable`, dropout left out."""
    fields = {**STEADY, "freeze": "hidden1*", "optimizer": "sgd", "l2": 0.1, "grad_clip_norm": 0.5}
    experiment, same = made(data_dir, **fields), made(data_dir, **{**fields, "freeze": ""}).model
    for layer in same.layers:
        layer.trainable = not layer.name.startswith("hidden1")
    velocity = [0.0] * len(same.trainable_variables)
    losses = []
    block = next(blocks(experiment))
    for images, labels in zip(block["image"], block["label"], strict=True):
        with tf.GradientTape() as tape:
            logits = same(experiment.data.normalization(images), training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        gradients = [np.array(gradient) for gradient in tape.gradient(loss, same.trainable_variables)]
        norm = np.sqrt(sum((gradient.astype("float64") ** 2).sum() for gradient in gradients))
        for i, variable in enumerate(same.trainable_variables):
            decayed = 0.1 * variable.numpy() if len(variable.shape) > 1 else 0
            velocity[i] = 0.9 * velocity[i] - 0.01 * (gradients[i] * min(1, 0.5 / norm) + decayed)
            variable.assign_add(velocity[i])
        losses.append(float(loss))
    np.testing.assert_allclose(experiment.engine.train_block(block)["loss"], losses, rtol=1e-4)
    for one, other in zip(experiment.model.weights, same.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5, err_msg=one.path)


@pytest.mark.parametrize(
    ("strategy", "rates", "trunk"),
    [
        ("one_device", {"layer_decay": 0.5}, (0.25, 0.5)),
        pytest.param("one_device", {"trunk_rate": 0.1, "jit": "on"}, (0.1, 0.1), marks=pytest.mark.slow),
        pytest.param("mirrored:2", {"layer_decay": 0.5}, (0.25, 0.5), marks=pytest.mark.slow),
    ],
)
def test_one_step_moves_each_variable_as_far_as_its_part_may(data_dir, strategy, rates, trunk):
    fields = {"accumulate_steps": 2, "grad_clip_norm": 0.1, "l2": 0.01}
    fields = {**STEADY, "optimizer": "sgd", "momentum": 0.0, "train_split": "train[:16]", "weight_decay": 0.1, **fields}

    def way(**rates):
        experiment = made(data_dir, strategy=strategy, **fields, **rates)
        start = [v.numpy().astype("float64") for v in experiment.model.trainable_variables]
        train(experiment)
        return {
            v.path: v.numpy() - before for v, before in zip(experiment.model.trainable_variables, start, strict=True)
        }

    whole = way()
    # Kernel, scale and offset of two layers and their normalisation, kernel and bias of the classifier.
    assert len(whole) == 3 + 3 + 2
    factors = [trunk[0]] * 3 + [trunk[1]] * 3 + [1.0] * 2
    for factor, (path, moved) in zip(factors, way(**rates).items(), strict=True):
        np.testing.assert_allclose(moved, factor * whole[path], rtol=1e-3, atol=3e-7, err_msg=path)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [STEADY, {"model_args": {"hidden_sizes": [16, 16]}, "unfreeze_epoch": 1, "layer_decay": 0.5, "ema_decay": 0.9}],
    ids=["frozen", "thawed"],
)
def test_two_devices_train_what_is_not_frozen_as_one_does(data_dir, fields):
    """Where no layer gathers anything of a batch, the shares of it add up to the whole."""
    fields = {"freeze": "trunk", "optimizer": "adamw", "weight_decay": 0.1, "epochs": 3, **fields}
    one, two = (made(data_dir, strategy=strategy, **fields) for strategy in ("one_device", "mirrored:2"))
    np.testing.assert_allclose(train(one, 3), train(two, 3), rtol=1e-4)
    states = one.engine.state(), two.engine.state()
    for name, other in zip(states[0], states[1].values(), strict=True):
        np.testing.assert_allclose(states[0][name], other, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["one_device", "mirrored:2"])
def test_statistics_are_gathered_and_taken_anew_of_what_is_trained_alone(data_dir, strategy):
    experiment = made(data_dir, strategy=strategy, freeze="hidden1*", recompute_batch_norm=4)
    trained, frozen = (experiment.model.get_layer(f"hidden{i}_bn").non_trainable_variables for i in (2, 1))
    assert [id(v) for v in statistics(experiment.model)] == [id(v) for v in trained]
    assert len(frozen) > 2  # its scale and offset among them
    before = bits(trained), bits(frozen)
    train(experiment)
    between = bits(trained)
    experiment.engine.recompute_statistics(experiment.statistics_blocks())
    assert before[1] == bits(frozen)
    assert all(len({*three}) == 3 for three in zip(before[0], between, bits(trained), strict=True))


def test_statistics_of_a_frozen_trunk_are_not_taken_anew(data_dir):
    with pytest.raises(RequestError, match="mlp has no batch normalisation but what freeze names, leave it out"):
        made(data_dir, freeze="trunk", recompute_batch_norm=4)
    # As long as it is frozen; there is something to take later.
    experiment = made(data_dir, freeze="trunk", recompute_batch_norm=4, unfreeze_epoch=1, epochs=2)
    before = experiment.engine.state()
    experiment.engine.recompute_statistics(experiment.statistics_blocks())
    assert all((value == before[name]).all() for name, value in experiment.engine.state().items())
    experiment.freezing.thaw()
    experiment.engine.retrace()
    experiment.engine.recompute_statistics(experiment.statistics_blocks())
    changed = {name for name, value in experiment.engine.state().items() if (value != before[name]).any()}
    assert {name.rpartition("/")[2] for name in changed} == {"moving_mean", "moving_variance"}
    assert len(changed) == 2 * len(batch_normalizations(experiment.model))


def test_frozen_batch_normalisation_does_not_synchronise(data_dir):
    fields = {**CNN, "strategy": "mirrored:2", "sync_batch_norm": True, "jit": "on"}
    with pytest.raises(RequestError, match="jit=on and sync_batch_norm do not go together"):
        made(data_dir, **fields)
    assert not synchronizes(made(data_dir, freeze="trunk", **fields).model)
    with pytest.raises(RequestError, match="jit=on and sync_batch_norm do not go together"):
        made(data_dir, freeze="trunk", unfreeze_epoch=1, **fields)


# What can be frozen, and what cannot.


def names(freezing):
    return [layer.name for layer in freezing.layers]


def nested():
    def tower(name):
        layers = [keras.layers.Dense(4, name="one"), keras.layers.Dense(4, name="two")]
        return keras.Sequential([keras.Input((4,)), *layers], name=name)

    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = keras.layers.concatenate([tower("a")(left), tower("b")(right)])
    return keras.Model([left, right], keras.layers.Dense(2, name="logits")(both))


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        ("one", ["one", "one"]),
        ("a", ["one", "two"]),
        ("a/one", ["one"]),
        ("b/*,a/two", ["one", "two", "two"]),
        ("*w*", ["two", "two"]),
        ("trunk", ["one", "two", "one", "two"]),
        ("", []),
    ],
)
def test_layers_of_nested_models_have_names_too(freeze, frozen):
    model = nested()
    freezing = Freezing.of(ExperimentConfig(freeze=freeze), model)
    assert names(freezing) == frozen
    freezing.freeze()
    assert len(model.trainable_variables) == 10 - 2 * len(frozen)
    with freezing.lifted():
        assert len(model.trainable_variables) == 10
    assert len(model.trainable_variables) == 10 - 2 * len(frozen)
    freezing.thaw()
    assert len(model.trainable_variables) == 10


class ConvBn(keras.layers.Layer):
    """A layer made of others, with a variable of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.bn = keras.layers.BatchNormalization(name="bn")

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), name="scale")
        self.bn.build(shape)

    def call(self, inputs, training=None):
        return self.bn(inputs * self.scale, training=training)


def test_a_layer_that_is_made_of_others_is_frozen_with_them_and_what_was_frozen_before_stays_so():
    own = ConvBn(name="own")
    model = keras.Sequential([keras.Input((4,)), own, keras.layers.Dense(2, name="logits")])
    assert names(Freezing.of(ExperimentConfig(freeze="bn"), model)) == ["bn"]
    own.bn.trainable = False
    freezing = Freezing.of(ExperimentConfig(freeze="own"), model)
    freezing.freeze()
    assert not own.trainable
    freezing.thaw()
    assert [v.name for v in model.trainable_variables] == ["scale", "kernel", "bias"]


@pytest.mark.parametrize(
    ("model", "freeze", "message"),
    [
        ("simple_cnn", "stem*", r"unknown layer with weights in freeze 'stem\*'; there is conv1, "),
        ("simple_cnn", "conv*,hiden", "unknown layer with weights in freeze 'hiden'; did you mean hidden"),
        ("simple_cnn", "trunkk", "unknown layer with weights in freeze 'trunkk'; did you mean trunk"),
        ("simple_cnn", "*", r"freeze is '\*', which is every layer of simple_cnn with weights; leave one to be"),
        ("mlp", "trunk", "freeze is 'trunk'; mlp is nothing but a classifier, leave freeze out"),
    ],
)
def test_what_cannot_be_frozen_is_refused_in_a_line_and_nothing_is_written(data_dir, tmp_path, model, freeze, message):
    config = ExperimentConfig(
        **{**FIELDS, "model": model, "model_args": {"hidden_sizes": []} if model == "mlp" else {}, "freeze": freeze}
    )
    with pytest.raises(RequestError, match=message) as raised:
        train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


# A whole run.

WARM = {"freeze": "trunk", "unfreeze_epoch": 1, "epochs": 3, "eval_every_epochs": 2, "checkpoint_every_steps": 7}


@pytest.mark.slow
def test_an_epoch_of_the_classifier_alone_is_one_of_a_frozen_trunk(data_dir):
    frozen, warm = made(data_dir, freeze="trunk", epochs=3), made(data_dir, **WARM)
    assert warm.thaw_step == 10
    # It ends a block, though there is no evaluation until step 20.
    assert {10, 20, 30} <= {*warm.block_plan().ends()}
    assert train(frozen) == train(warm)
    for one, other in zip(frozen.model.variables, warm.model.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.slow
def test_late_variables_are_counted_on_two_devices_with_a_scaled_loss(data_dir):
    experiment = made(data_dir, strategy="mirrored:2", **WARM, precision="float16", optimizer="adamw")
    before = bits(experiment.model.trainable_variables), bits(split(experiment.model)[1])
    losses = train(experiment, 3)
    assert np.mean(losses[20:]) < np.mean(losses[:10])
    assert all(one != other for one, other in zip(bits(split(experiment.model)[1]), before[1], strict=True))
    (counted,) = [value for name, value in experiment.engine.state().items() if "updates_without_late" in name]
    (updates,) = [value for name, value in experiment.engine.state().items() if re.search(r"adam_w\w*/iteration", name)]
    # A step whose gradient overflows is no update; there is at most one among these.
    assert 9 <= counted <= 10
    assert 29 <= updates <= 30


@pytest.mark.slow
def test_a_saved_model_of_a_frozen_run_can_be_trained_too(tmp_path, data_dir):
    config = ExperimentConfig(**{**FIELDS, "freeze": "hidden*", "epochs": 1, "train_split": "train[:16]"})
    train_and_evaluate(config, str(tmp_path / "run"), data_dir=data_dir)
    model = zoo.load_model(str(tmp_path / "run" / "model.keras"))
    assert all(layer.trainable for layer in model.layers)
    evaluated = zoo.evaluate(str(tmp_path / "run"), data_dir=data_dir)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert evaluated["metrics"]["test[:32]/loss"] == result["metrics"]["test[:32]/loss"]


def test_the_summary_says_what_is_trained(data_dir):
    def lines(**fields):
        return introduction(made(data_dir, **fields), "runs/x")

    warning = "warning: there are no init_weights, so what freeze names is frozen as it was drawn at random"
    found = lines(freeze="trunk")
    assert found[:2] == [
        "model      mlp, 1,514 trainable parameters",
        "trained    170 of 1,514 parameters",
    ]
    assert warning in found
    assert lines(**WARM)[1] == "trained    170 of 1,514 parameters, all after epoch 1"
    both = lines(**WARM, layer_decay=0.5)[1]
    assert both == "trained    170 of 1,514 parameters, all after epoch 1, at 0.25 to 1 of the learning rate"
    plain = lines(trunk_rate=0.1)
    assert plain[1] == "trained    at 0.1 to 1 of the learning rate"
    assert warning not in plain
    assert not any(line.startswith("trained") for line in lines())
