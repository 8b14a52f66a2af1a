"""Costs of small nets counted on paper, and of large ones against published counts."""

import keras
import pytest
from keras import layers

import zoo
from zoo.analysis.complexity import activations, depth, macs, uncounted_layers
from zoo.analysis.facts import facts
from zoo.analysis.graph import calls, without_weights
from zoo.layers import GroupedConv2D


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


def test_what_cannot_be_counted_is_named():
    model = one_layer((7,), layers.Embedding(10, 3), layers.LSTM(4, name="memory"), layers.Dense(2))
    found = calls(model)
    assert uncounted_layers(found) == ["memory"]
    assert depth(found) == 3
    assert macs(found) == 8


def test_depth_is_the_longest_path_in_layers_with_kernels():
    inputs = keras.Input((8, 8, 4))
    long = inputs
    for _ in range(3):
        long = layers.PReLU()(layers.LayerNormalization(axis=(1, 2, 3))(layers.Conv2D(4, 3, padding="same")(long)))
    x = layers.Add()([long, layers.SeparableConv2D(4, 1)(inputs)])
    x = layers.Dense(2)(layers.Flatten()(x))
    assert depth(calls(keras.Model(inputs, x))) == 4


@pytest.mark.parametrize(
    ("name", "deep", "multiplied", "millions_put_out"),
    # Depths are those of the names; MACs and activations are what timm counts, the latter rounded.
    [
        ("VGG16", 16, 15_470_264_320, 13.6),
        ("Xception", 37, 8_357_403_496, 35.8),
        ("DenseNet121", 121, 2_834_161_664, 6.9),
        ("InceptionV3", 48, 5_713_216_096, 9.0),
    ],
)
def test_keras_own_nets(name, deep, multiplied, millions_put_out):
    with without_weights():
        found = calls(getattr(keras.applications, name)(weights=None))
        assert (depth(found), macs(found)) == (deep, multiplied)
        assert round(activations(found) / 1e6, 1) == millions_put_out


# As timm and torchvision count them: trainable parameters, all parameters, MACs.
COUNTED = {
    "alexnet": (61_100_840, 61_100_840, 714_188_480),
    "vgg11": (132_863_336, 132_863_336, 7_609_090_048),
    "vgg16": (138_357_544, 138_357_544, 15_470_264_320),
    "vgg16_bn": (138_365_992, 138_374_440, 15_470_264_320),
    "resnet18": (11_689_512, 11_699_112, 1_814_073_344),
    "resnet34": (21_797_672, 21_814_696, 3_663_761_408),
    "resnet50": (25_557_032, 25_610_152, 4_089_184_256),
    "resnet50_v2": (25_549_352, 25_594_792, 4_089_184_256),
    "resnet101": (44_549_160, 44_654_504, 7_801_405_440),
    "seresnet50": (28_088_024, 28_141_144, 4_091_699_200),
    "resnext50_32x4d": (25_028_904, 25_097_128, 4_230_479_872),
    "wide_resnet50_2": (68_883_240, 68_951_464, 11_398_021_120),
    "densenet121": (7_978_856, 8_062_504, 2_834_161_664),
    "inception_v3": (23_834_568, 23_869_000, 5_713_216_096),
    "inception_v4": (42_679_816, 42_742_984, 12_253_974_624),
    "inception_resnet_v2": (55_843_464, 55_904_008, 13_155_794_016),
    "xception": (22_855_952, 22_910_480, 8_357_403_496),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_zoo_s_nets_are_as_large_as_published(name):
    with without_weights():
        found = facts(zoo.build_model(name))
    assert (found["trainable_parameters"], found["total_parameters"], found["macs"]) == COUNTED[name]
    assert found["uncounted_layers"] == []


def test_inception_v3_with_its_auxiliary_head():
    with without_weights():
        found = facts(zoo.build_model("inception_v3", aux_heads=True))
    assert (found["trainable_parameters"], found["total_parameters"]) == (27_161_264, 27_197_488)
    assert found["macs"] == 5_718_899_296
    assert found["outputs"] == {"logits": [1000], "aux1": [1000]}
