"""GoogLeNet, Inception-v3 and -v4, Inception-ResNet-v2, Xception: sizes by the papers, numbers by other authors.

Nets are built without their weights; what needs weights is marked slow or small.
"""

import functools
import math

import keras
import numpy as np
import pytest
import weightless

import zoo
from zoo.analysis.nets import complexity, graph
from zoo.models.functional import googlenet
from zoo.models.functional.inception_resnet_v2 import residual_module
from zoo.models.functional.inception_v3 import ConvBn

# Name and switches -> trainable parameters, these with the statistics of batch norm, MACs (None: not published).
# GoogLeNet by hand from the paper's table 1, Inception-v3 with its auxiliary head as torchvision counts it.
PUBLISHED = {
    ("googlenet", "batch_norm"): (7_005_832, 7_020_392, None),
    ("googlenet", "aux_heads"): (13_378_280, 13_378_280, None),
    ("inception_v3", "aux_heads"): (27_161_264, 27_197_488, 5_718_899_296),
}
NAMES = ["googlenet", "inception_resnet_v2", "inception_v3", "inception_v4", "xception"]

# The papers' tables and figures: layer -> its output.
SIZES = {
    "googlenet": {
        "stem1_relu": (112, 112, 64),
        "stem1_pool": (56, 56, 64),
        "stem2_relu": (56, 56, 192),
        "stem2_pool": (28, 28, 192),
        "inception_3a_concat": (28, 28, 256),
        "inception_3b_concat": (28, 28, 480),
        "stage3_pool": (14, 14, 480),
        "inception_4a_concat": (14, 14, 512),
        "inception_4b_concat": (14, 14, 512),
        "inception_4c_concat": (14, 14, 512),
        "inception_4d_concat": (14, 14, 528),
        "inception_4e_concat": (14, 14, 832),
        "stage4_pool": (7, 7, 832),
        "inception_5a_concat": (7, 7, 832),
        "inception_5b_concat": (7, 7, 1024),
    },
    "inception_v3": {
        "stem1_relu": (149, 149, 32),
        "stem2_relu": (147, 147, 32),
        "stem3_relu": (147, 147, 64),
        "stem3_pool": (73, 73, 64),
        "stem4_relu": (73, 73, 80),
        "stem5_relu": (71, 71, 192),
        "stem5_pool": (35, 35, 192),
        "mixed_5b_concat": (35, 35, 256),
        "mixed_5d_concat": (35, 35, 288),
        "mixed_6a_concat": (17, 17, 768),
        "mixed_6e_concat": (17, 17, 768),
        "mixed_7a_concat": (8, 8, 1280),
        "mixed_7c_concat": (8, 8, 2048),
    },
    "inception_v4": {
        "mixed_3a_concat": (73, 73, 160),
        "mixed_4a_concat": (71, 71, 192),
        "mixed_5a_concat": (35, 35, 384),
        "mixed_5e_concat": (35, 35, 384),
        "mixed_6a_concat": (17, 17, 1024),
        "mixed_6h_concat": (17, 17, 1024),
        "mixed_7a_concat": (8, 8, 1536),
        "mixed_7d_concat": (8, 8, 1536),
    },
    "inception_resnet_v2": {
        "mixed_5b_concat": (35, 35, 320),
        "block35_10_relu": (35, 35, 320),
        "mixed_6a_concat": (17, 17, 1088),
        "block17_20_relu": (17, 17, 1088),
        "mixed_7a_concat": (8, 8, 2080),
        "block8_10_add": (8, 8, 2080),
        "mixed_7b_relu": (8, 8, 1536),
    },
    "xception": {
        "stem2_relu": (147, 147, 64),
        "block2_add": (74, 74, 128),
        "block3_add": (37, 37, 256),
        "block4_add": (19, 19, 728),
        "block12_add": (19, 19, 728),
        "block13_add": (10, 10, 1024),
        "block14_2_relu": (10, 10, 2048),
    },
}

# Sides and channels of the last map of stride 2, 4, 8, 16, 32. Channels as timm's feature_info, but for Inception-v4,
# where timm takes the 160 of the first of two modules of stride 4.
FEATURES = {
    "googlenet": [(112, 64), (56, 192), (28, 480), (14, 832), (7, 1024)],
    "inception_v3": [(147, 64), (71, 192), (35, 288), (17, 768), (8, 2048)],
    "inception_v4": [(147, 64), (71, 192), (35, 384), (17, 1024), (8, 1536)],
    "inception_resnet_v2": [(147, 64), (71, 192), (35, 320), (17, 1088), (8, 1536)],
    "xception": [(147, 64), (74, 128), (37, 256), (19, 728), (10, 2048)],
}


def without_weights(name, *switches, **arguments):
    return weightless.build(name, **dict.fromkeys(switches, True), **arguments)


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("variant", PUBLISHED, ids="-".join)
def test_variants_have_the_published_counts(variant):
    trainable, total, macs = PUBLISHED[variant]
    model = without_weights(*variant)
    assert graph.count_parameters(model.trainable_variables) == trainable
    assert graph.count_parameters(model.weights) == total
    assert macs is None or complexity.macs(graph.calls(model)) == macs


@pytest.mark.parametrize("name", NAMES)
def test_modules_have_the_sizes_of_the_paper(name):
    model = without_weights(name)
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_last_of_each_stride(name):
    outputs = without_weights(name, "features").output
    assert {key: (x.shape[1], x.shape[2], x.shape[3]) for key, x in outputs.items()} == {
        f"stride{stride}": (side, side, channels)
        for stride, (side, channels) in zip((2, 4, 8, 16, 32), FEATURES[name], strict=True)
    }


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_named_by_their_place(name):
    """A net built later in the same process has the same names."""
    later = without_weights(name, "features").layers
    assert [layer.name for layer in later] == [layer.name for layer in without_weights(name).layers][: len(later)]


@pytest.mark.parametrize(("name", "heads"), [("googlenet", ["aux1", "aux2"]), ("inception_v3", ["aux1"])])
def test_auxiliary_heads_are_named_outputs(name, heads):
    model = without_weights(name, "aux_heads", num_classes=7)
    assert {key: x.shape for key, x in model.output.items()} == dict.fromkeys(["logits", *heads], (None, 7))
    for head in ["logits", *heads]:
        assert model.output[head]._keras_history.operation is model.get_layer(head)
        assert model.get_layer(head).dtype == "float32"
    assert list(zoo.model_info(name).loss_weights) == heads
    assert without_weights(name, "aux_heads", num_classes=0).output.shape == (None, FEATURES[name][-1][1])


def test_auxiliary_heads_stand_where_the_papers_have_them():
    model = without_weights("googlenet", "aux_heads")
    for head, module in (("aux1", "4a"), ("aux2", "4d")):
        pool = model.get_layer(f"{head}_pool")
        assert pool.input._keras_history.operation.name == f"inception_{module}_concat"
        assert pool.output.shape[1:3] == (4, 4)
    model = without_weights("inception_v3", "aux_heads")
    assert model.get_layer("aux1_average").input._keras_history.operation.name == "mixed_6e_concat"
    assert model.get_layer("aux1_1_relu").output.shape[1:] == (5, 5, 128)
    assert model.get_layer("aux1_2_relu").output.shape[1:] == (1, 1, 768)


def test_googlenet_has_response_norm_or_batch_norm():
    plain, normed = without_weights("googlenet"), without_weights("googlenet", "batch_norm")
    norms = zoo.layers.LocalResponseNormalization, zoo.layers.BatchNormalization
    assert [len(layers_of(plain, kind)) for kind in norms] == [2, 0]
    assert [len(layers_of(normed, kind)) for kind in norms] == [0, 57]
    assert {layer.use_bias for layer in layers_of(plain, keras.layers.Conv2D)} == {True}
    assert {layer.use_bias for layer in layers_of(normed, keras.layers.Conv2D)} == {False}


def test_googlenet_response_norm_is_caffes():
    x = 200 * np.random.default_rng(0).standard_normal((2, 3, 3, 7)).astype("float32")
    expected = np.empty_like(x)
    for channel in range(7):
        near = x[..., max(0, channel - 2) : channel + 3]
        expected[..., channel] = x[..., channel] / (1 + 1e-4 / 5 * (near**2).sum(-1)) ** 0.75
    assert abs(expected / x).min() < 0.5  # strong enough to be seen
    np.testing.assert_allclose(googlenet.response_norm(x, name="norm"), expected, rtol=1e-5)


def test_googlenet_starts_as_caffes():
    keras.utils.set_random_seed(0)
    model = zoo.build_model("googlenet", (32, 32, 1), 3)
    kernel, bias = model.get_layer("inception_5b_3x3_conv").get_weights()
    assert np.all(bias == np.float32(0.2))
    bound = math.sqrt(3 / (9 * 192))
    assert 0.99 * bound < abs(kernel).max() <= bound


def test_small_stem_keeps_a_glyph_large():
    model = without_weights("googlenet", "small_stem", "features", input_shape=(32, 32, 1))
    assert {key: x.shape[1:] for key, x in model.output.items()} == {"stride2": (16, 16, 832), "stride4": (8, 8, 1024)}
    model = without_weights("googlenet", "small_stem", input_shape=(32, 32, 1))
    assert model.get_layer("inception_3b_concat").output.shape[1:] == (32, 32, 480)


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4", "inception_resnet_v2"])
def test_batch_norm_is_slims_and_can_be_set_and_dropout_left_out(name):
    default = layers_of(without_weights(name), zoo.layers.BatchNormalization)
    assert {(x.scale, x.momentum, x.epsilon) for x in default} == {(True, 0.9997, 1e-3)}
    model = without_weights(name, bn_scale=False, bn_momentum=0.9, dropout=0.0)
    assert not layers_of(model, keras.layers.Dropout)
    other = layers_of(model, zoo.layers.BatchNormalization)
    assert {(x.scale, x.momentum, x.epsilon) for x in other} == {(False, 0.9, 1e-3)}
    assert len(default) == len(other)


def test_inception_resnet_scales_its_residuals():
    model = without_weights("inception_resnet_v2")
    scales = [layer.scale for layer in layers_of(model, keras.layers.Rescaling)]
    assert scales == [0.17] * 10 + [0.10] * 20 + [0.20] * 9
    x = keras.Input((4, 4, 6))
    module = functools.partial(residual_module, x, [(2, 1)], [(2, 1), (3, 3)], relu=False, conv=ConvBn(), name="b")
    block, full = keras.Model(x, module(scale=0.5)), keras.Model(x, module(scale=1))
    full.set_weights(block.get_weights())
    image = np.random.default_rng(0).standard_normal((2, 4, 4, 6)).astype("float32")
    np.testing.assert_allclose(2 * (block(image) - image), full(image) - image, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("variant", PUBLISHED, ids="-".join)
def test_outputs_are_finite(variant):
    keras.utils.set_random_seed(0)
    name, *switches = variant
    model = zoo.build_model(name, (107, 107, 3), **dict.fromkeys(switches, True))  # the least with auxiliary heads
    images = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype("float32")
    outputs = model(images)
    for x in outputs.values() if isinstance(outputs, dict) else [outputs]:
        assert x.dtype == "float32"
        assert np.isfinite(x).all()
        assert np.ptp(x, axis=0).max() > 0  # the image matters
