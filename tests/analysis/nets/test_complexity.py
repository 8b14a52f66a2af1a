"""Costs of small nets, counted on paper."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.analysis.nets.complexity import activations, depth, macs, uncounted_layers
from zoo.analysis.nets.facts import facts
from zoo.analysis.nets.graph import calls
from zoo.layers import GroupedConv2D, LocalResponseNormalization


def one_layer(shape, *steps):
    x = inputs = keras.Input(shape, name="x")
    for step in steps:
        x = step(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("shape", "layer", "counted"),  # MACs, activations
    [
        ((8, 8, 4), layers.Conv2D(5, 3, padding="same"), (64 * 9 * 4 * 5, 64 * 5)),
        ((9, 9, 4), layers.Conv2D(5, 3, strides=2), (16 * 9 * 4 * 5, 16 * 5)),
        ((4, 9, 9), layers.Conv2D(5, 3, strides=2, data_format="channels_first"), (16 * 9 * 4 * 5, 16 * 5)),
        ((8, 8, 4), layers.Conv2D(6, 3, groups=2), (36 * 9 * 2 * 6, 36 * 6)),
        ((8, 8, 4), GroupedConv2D(6, 3, groups=2), (36 * 9 * 2 * 6, 36 * 6)),
        ((10, 3), layers.Conv1D(4, 3), (8 * 3 * 3 * 4, 8 * 4)),
        ((4, 4, 4, 2), layers.Conv3D(3, 3), (8 * 27 * 2 * 3, 8 * 3)),
        ((8, 8, 4), layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), (64 * 9 * 4 * 2, 64 * 8)),
        ((8, 8, 4), layers.SeparableConv2D(5, 3, padding="same"), (64 * 9 * 4 + 64 * 4 * 5, 64 * 4 + 64 * 5)),
        ((4, 4, 2), layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (16 * 9 * 2 * 5, 64 * 5)),
        ((2, 4, 4), layers.Conv2DTranspose(5, 3, strides=2, data_format="channels_first"), (16 * 9 * 2 * 5, 81 * 5)),
        ((6,), layers.Dense(5), (6 * 5, 5)),
        ((7, 3), layers.Dense(5), (7 * 3 * 5, 7 * 5)),
        ((7, 3), layers.EinsumDense("abc,cd->abd", (7, 5)), (7 * 3 * 5, 7 * 5)),
        ((7, 3), layers.EinsumDense("abc,cde->abde", (7, 2, 4)), (7 * 3 * 2 * 4, 7 * 8)),
        ((7, 6, 3), layers.EinsumDense("...x,xy->...y", 5), (7 * 6 * 3 * 5, 7 * 6 * 5)),
        ((8, 8, 4), layers.MaxPooling2D(), (0, 0)),
        ((8, 8, 4), layers.BatchNormalization(), (0, 0)),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else None,
)
def test_counted_on_paper(shape, layer, counted):
    found = calls(one_layer(shape, layer))
    assert (macs(found), activations(found)) == counted
    assert uncounted_layers(found) == []


def test_a_shared_layer_costs_once_per_call():
    layer = layers.Dense(4)
    found = facts(one_layer((4,), layer, layer, layer))
    assert (found["macs"], found["activations"], found["depth"]) == (3 * 16, 3 * 4, 3)
    assert found["trainable_parameters"] == 20


def test_an_open_size_leaves_the_costs_open():
    found = calls(one_layer((None, None, 3), layers.Conv2D(4, 3)))
    assert (macs(found), activations(found), depth(found)) == (None, None, 1)
    found = calls(one_layer((None, None, 3), layers.GlobalAveragePooling2D(), layers.Dense(4)))
    assert (macs(found), activations(found)) == (12, 4)


def test_what_cannot_be_counted_is_named_and_has_depth_one():
    model = one_layer((7,), layers.Embedding(10, 3), layers.LSTM(4, name="memory"), layers.Dense(2))
    found = calls(model)
    assert uncounted_layers(found) == ["memory"]
    assert depth(found) == 3
    assert macs(found) == 8


@pytest.mark.parametrize(
    "step",
    [
        lambda x: ops.conv(x, np.ones((3, 3, 4, 2))),
        lambda x: ops.depthwise_conv(x, np.ones((3, 3, 4, 1))),
        lambda x: ops.separable_conv(x, np.ones((3, 3, 4, 1)), np.ones((1, 1, 4, 2))),
        lambda x: ops.conv_transpose(x, np.ones((3, 3, 2, 4)), strides=2),
        lambda x: ops.matmul(x, np.ones((4, 2))),
        lambda x: x @ np.ones((4, 2)),
        lambda x: ops.dot(x, np.ones((4, 2))),
        lambda x: ops.tensordot(x, np.ones((4, 2)), 1),
        lambda x: ops.einsum("nhwc,cd->nhwd", x, np.ones((4, 2))),
        lambda x: ops.inner(x, np.ones((2, 4))),
        lambda x: ops.dot_product_attention(x, x, x),
        lambda x: layers.Dot(-1)([rows(x), rows(x)]),
        lambda x: layers.Attention()([rows(x), rows(x)]),
        lambda x: layers.AdditiveAttention()([rows(x), rows(x)]),
        lambda x: layers.MultiHeadAttention(2, 3)(x, x),
        lambda x: layers.GroupQueryAttention(2, 4, 2)(rows(x), rows(x)),
        lambda x: layers.ReversibleEmbedding(9, 4)(x, reverse=True),
        lambda x: layers.TimeDistributed(layers.Dense(2))(rows(x)),
        lambda x: Opaque()(x),
    ],
)
def test_what_multiplies_matrices_is_counted_or_named(step):
    x = keras.Input((8, 8, 4))
    found = calls(keras.Model(x, step(x)))
    assert uncounted_layers(found) == [found[-1].name]
    assert (macs(found), activations(found)) == (0, 0)


def rows(x):
    return layers.Reshape((64, 4))(x)


class Opaque(layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2))

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 2)


def test_what_normalises_or_looks_up_is_not_named():
    steps = [LocalResponseNormalization(), layers.UnitNormalization(), layers.PReLU(), ops.relu]
    assert uncounted_layers(calls(one_layer((8, 8, 4), *steps))) == []
    assert uncounted_layers(calls(one_layer((7,), layers.Embedding(10, 3)))) == []


def test_depth_is_the_longest_path_in_layers_with_kernels():
    inputs = keras.Input((8, 8, 4))
    long = inputs
    for _ in range(3):
        long = layers.PReLU()(layers.LayerNormalization(axis=(1, 2, 3))(layers.Conv2D(4, 3, padding="same")(long)))
    x = layers.Add()([long, layers.SeparableConv2D(4, 1)(inputs)])
    x = layers.Dense(2)(layers.Flatten()(x))
    assert depth(calls(keras.Model(inputs, x))) == 4
