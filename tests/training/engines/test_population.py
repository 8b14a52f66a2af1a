"""Statistics of batch normalisation taken anew, against the same written out in NumPy's float64."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_engine import BATCH, BLOCK, IMAGES, K, make_engine

import zoo
from zoo.layers import BatchNormalization, batch_normalizations
from zoo.places.place import Place
from zoo.places.strategy import make_strategy

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}  # of float32 sums over a few hundred pixels


def written_out(model, groups):
    """Mean and variance of every layer over groups of images that are normalised together, in float64."""
    layers = batch_normalizations(model)
    probe = keras.Model(model.inputs[0], [layer.input for layer in layers])
    before = [variable.numpy() for variable in model.non_trainable_variables]
    seen = [[np.asarray(x, np.float64) for x in probe(images, training=True)] for images in groups]
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        variable.assign(value)
    result = []
    for inputs in zip(*seen, strict=True):
        means = np.array([x.mean((0, 1, 2)) for x in inputs])
        variances = np.array([x.var((0, 1, 2)) for x in inputs])
        result.append((means.mean(0), variances.mean(0) + means.var(0)))
    return result


def check(model, expected):
    for layer, (mean, variance) in zip(batch_normalizations(model), expected, strict=True):
        np.testing.assert_allclose(layer.moving_mean.numpy(), mean, **TOLERANCE)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, **TOLERANCE)


@pytest.mark.gpu
@pytest.mark.parametrize("jit", ["on", "off"])
def test_they_are_those_over_all_batches_and_nothing_else_changes(jit):
    engine, model = make_engine("simple_cnn", model_args={"dropout": 0.5}, jit=jit)
    engine.train_block(BLOCK)
    before, expected = engine.state(), written_out(model, IMAGES)
    engine.recompute_statistics([BLOCK])
    check(model, expected)
    changed = {name for name, value in engine.state().items() if (value != before[name]).any()}
    paths = [variable.path for layer in batch_normalizations(model) for variable in layer.non_trainable_variables]
    assert {name.partition("/")[2] for name in changed} == {*paths}
    again = engine.state()
    engine.recompute_statistics([BLOCK])
    assert all((value == again[name]).all() for name, value in engine.state().items())


def test_the_split_into_blocks_changes_no_bit():
    engine, _ = make_engine("simple_cnn")
    states = []
    for cuts in ([0, 3], [0, 1, 3], [0, 1, 2, 3]):
        engine.recompute_statistics(
            {name: value[start:end] for name, value in BLOCK.items()} for start, end in itertools.pairwise(cuts)
        )
        states.append(engine.state())
    for state in states[1:]:
        assert all((value == states[0][name]).all() for name, value in state.items())


def test_blocks_that_end_in_an_error_leave_everything_as_it_was():
    engine, _ = make_engine("simple_cnn", model_args={"dropout": 0.5})
    before = engine.state()

    def broken():
        yield BLOCK
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.recompute_statistics(broken())
    assert all((value == before[name]).all() for name, value in engine.state().items())


@pytest.mark.parametrize("sync", [False, True], ids=["alone", "together"])
def test_on_two_replicas_each_normalises_its_share_and_both_end_with_the_same(sync):
    strategy = make_strategy(Place.of("mirrored:2"))
    engine, model = make_engine("simple_cnn", strategy=strategy, sync=sync)
    _, one = make_engine("simple_cnn")
    shares = iter(tf.data.Dataset.from_tensors(BLOCK))

    def share_of(context):
        block = next(shares)
        halves = [
            {name: value[:, i * BATCH // 2 : (i + 1) * BATCH // 2] for name, value in block.items()} for i in (0, 1)
        ]
        return tf.data.Dataset.from_generator(
            lambda: iter(halves),
            output_signature={name: tf.TensorSpec(v.shape, v.dtype) for name, v in halves[0].items()},
        )

    engine.recompute_statistics(strategy.distribute_datasets_from_function(share_of))
    groups = IMAGES if sync else IMAGES.reshape(2 * K, BATCH // 2, 8, 8, 1)
    check(model, written_out(one, groups))
    for layer in batch_normalizations(model):
        assert layer.momentum == 0.9
        for variable in layer.non_trainable_variables:
            replicas = [value.numpy() for value in strategy.experimental_local_results(variable.value)]
            np.testing.assert_array_equal(*replicas)


class ConvBn(keras.layers.Layer):
    """A layer made of others, as people write them."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.BatchNormalization(name="inner")

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


def test_a_shared_tower_a_frozen_layer_and_one_within_another():
    inputs = keras.Input((4,))
    assert [layer.name for layer in batch_normalizations(keras.Model(inputs, ConvBn()(inputs)))] == ["inner"]
    tower = keras.Sequential([keras.Input((4,)), BatchNormalization(name="one"), BatchNormalization(name="two")])
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    model = keras.Model([left, right], keras.ops.norm(tower(left) - tower(right), axis=1, keepdims=True))
    assert {layer.name for layer in batch_normalizations(model)} == {"one", "two"}
    tower.get_layer("two").trainable = False
    assert [layer.name for layer in batch_normalizations(model)] == ["one"]
    assert batch_normalizations(zoo.build_model("mlp", (8, 8, 1), 10)) == []
