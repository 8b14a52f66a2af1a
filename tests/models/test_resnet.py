"""The residual nets for ImageNet: post-activation, squeeze and excitation, groups, pre-activation."""

import functools

import keras
import numpy as np
import pytest
import weightless

import zoo
from zoo.models.functional import resnet, seresnet


def test_published_sizes_after_each_stage():
    """He et al. 2015, table 1, for 50 layers."""
    model = weightless.build("resnet50")
    lasts = ["stem_relu", "stage1_block3_relu", "stage2_block4_relu", "stage3_block6_relu", "stage4_block3_relu"]
    sizes = [tuple(model.get_layer(last).output.shape[1:]) for last in lasts]
    assert sizes == [(112, 112, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)]


@pytest.mark.parametrize(
    ("name", "first", "second"), [("resnet50", (56, 56), (28, 28)), ("resnet50_v1", (28, 28), (28, 28))]
)
def test_where_a_bottleneck_halves_the_image(name, first, second):
    model = weightless.build(name)
    assert model.get_layer("stage2_block1_1_conv").output.shape[1:3] == first
    assert model.get_layer("stage2_block1_2_conv").output.shape[1:3] == second


@pytest.mark.parametrize(
    ("name", "groups", "width"),
    [("resnext50_32x4d", 32, 128), ("resnext101_32x8d", 32, 256), ("wide_resnet50_2", 1, 128)],
)
def test_width_and_groups_of_the_first_stage(name, groups, width):
    layer = weightless.build(name).get_layer("stage1_block1_2_conv")
    assert (layer.groups, layer.filters) == (groups, width)


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v2", "densenet121"])
def test_small_stem_keeps_small_images_large(name):
    model = weightless.build(name, input_shape=(32, 32, 3), small_stem=True, features=True)
    assert list(model.output) == ["stride2", "stride4", "stride8"]
    assert model.output["stride8"].shape[1:3] == (4, 4)


def test_zero_gamma_starts_every_block_as_the_identity():
    x = keras.Input((6, 6, 64))
    last = functools.partial(resnet.conv_bn, gamma="zeros")
    block = resnet.residual_block(x, 64, 1, design=resnet.Design(18), conv=resnet.conv_bn, last=last, name="block")
    images = np.random.default_rng(0).standard_normal((2, 6, 6, 64)).astype("float32")
    np.testing.assert_array_equal(keras.Model(x, block)(images), np.maximum(images, 0))
    scales = {
        flag: [
            layer.gamma.numpy().max()
            for layer in zoo.build_model("resnet18", (32, 32, 3), 10, zero_gamma=flag).layers
            if layer.name.endswith("block2_2_bn")
        ]
        for flag in (True, False)
    }
    assert scales == {True: [0.0] * 4, False: [1.0] * 4}


def test_squeeze_and_excitation_is_the_formula():
    """Hu et al. 2017, equations 2 to 4, in float64."""
    x = keras.Input((5, 4, 32))
    model = keras.Model(x, seresnet.squeeze_excite(x, name="se"))
    w1, b1, w2, b2 = (
        np.random.default_rng(i).standard_normal(weight.shape).astype("float32")
        for i, weight in enumerate(model.get_weights())
    )
    model.set_weights([w1, b1, w2, b2])
    images = np.random.default_rng(9).standard_normal((3, 5, 4, 32)).astype("float32")
    hidden = np.maximum(images.mean((1, 2), dtype="float64") @ w1 + b1, 0)
    gate = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
    np.testing.assert_allclose(model(images), images * gate[:, None, None], rtol=1e-4, atol=1e-5)
    assert w1.shape == (32, 2)
