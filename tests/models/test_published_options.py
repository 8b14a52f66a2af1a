"""Options by which a net computes what a publisher's net of the same weights computes."""

import keras
import numpy as np
import pytest
import weightless

import zoo
from zoo.analysis.nets import graph
from zoo.models import blocks
from zoo.models.functional.inception_v3 import ConvBn

# Model and options -> the layers that these add to the net, or take the place of others.
OPTIONS = {
    ("resnet50_v2", "zero_padded_pool"): (False, {"stem_pool_largest"}),
    ("resnet18", "caffe_layout"): (True, set()),
    ("inception_v3", "count_padding"): (
        True,
        {f"mixed_{m}_pool_pad" for m in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c")},
    ),
    ("googlenet", "torchvision_pools"): (True, set()),
    ("xception", "symmetric_pool"): (True, {f"block{n}_pool_largest" for n in (2, 3, 4, 13)}),
    ("xception", "bn_epsilon"): (1e-5, set()),
}


def largest_around(image, centres):
    """The largest of 3x3 around each of some rows and columns of an image `(height, width)`; outside is nothing."""
    padded = np.pad(image, 1, constant_values=-np.inf)
    return np.array([[padded[row : row + 3, column : column + 3].max() for column in centres] for row in centres])


@pytest.mark.parametrize("side", [6, 7])
def test_pools_of_stride_two(side):
    """PyTorch pads with minus infinity on both sides, Caffe and TensorFlow at the end where a window hangs over."""
    negative = -1 - np.random.default_rng(0).random((side, side)).astype("float32")

    def pooled(pool, image):
        return np.asarray(pool(image[None, :, :, None], name="pool"))[0, :, :, 0]

    from_first = largest_around(negative, range(0, side, 2))
    np.testing.assert_array_equal(pooled(blocks.unpadded_pool, negative), from_first)
    # Zeros are larger than what is negative.
    assert pooled(blocks.padded_pool, negative)[0].tolist() == [0] * len(from_first)
    positive = -negative
    np.testing.assert_array_equal(pooled(blocks.padded_pool, positive), largest_around(positive, range(0, side, 2)))
    # With 7 pixels three windows end with the last; with 6 the third hangs over.
    np.testing.assert_array_equal(
        pooled(blocks.overhanging_pool, positive), largest_around(positive, range(1, side, 2))
    )


def test_means_that_count_padding():
    image = np.ones((1, 3, 3, 1), "float32")
    means = {}
    for counts in (False, True):
        x = keras.Input((3, 3, 1))
        net = keras.Model(x, ConvBn(count_padding=counts).pool(x, 2, name="pool"))
        (layer,) = [layer for layer in net.layers if layer.name == "pool_average"]
        means[counts] = np.asarray(keras.Model(x, layer.output)(image))[0, :, :, 0]
    np.testing.assert_allclose(means[False], np.ones((3, 3)))
    np.testing.assert_allclose(means[True], np.array([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / 9, rtol=1e-6)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id="-".join(case), marks=() if case[0] in ("resnet18", "googlenet") else pytest.mark.slow)
        for case in OPTIONS
    ],
)
def test_options_change_no_weights_and_need_no_layers_of_their_own(case):
    name, option = case
    value, added = OPTIONS[case]
    plain, other = weightless.build(name), weightless.build(name, **{option: value})
    assert [(x.path, x.shape) for x in other.weights] == [(x.path, x.shape) for x in plain.weights]
    assert graph.count_parameters(other.trainable_variables) == zoo.model_info(name).parameters
    assert added <= {layer.name for layer in other.layers} - {layer.name for layer in plain.layers}
    assert {type(layer) for layer in other.layers} <= {type(layer) for layer in plain.layers} | {
        keras.layers.ZeroPadding2D,
        keras.layers.MaxPooling2D,
    }
    assert other.get_config() != plain.get_config()


def test_caffes_layout_halves_in_the_first_convolution_of_a_bottleneck():
    caffe, plain = weightless.build("seresnet50", caffe_layout=True), weightless.build("seresnet50")
    strides = [(net.get_layer(f"stage2_block1_{n}_conv").strides[0]) for net in (caffe, plain) for n in (1, 2)]
    assert strides == [2, 1, 1, 2]
    assert caffe.get_layer("stem_pool_pad").padding == ((0, 1), (0, 1))
    assert plain.get_layer("stem_pool_pad").padding == ((1, 1), (1, 1))
    assert caffe.get_layer("stem_pool").output.shape == plain.get_layer("stem_pool").output.shape


def test_torchvisions_heads_average_four_by_four_parts():
    """Of 14 pixels 0 to 3, 3 to 6, 7 to 10 and 10 to 13."""
    model = weightless.build("googlenet", aux_heads=True, torchvision_pools=True)
    pool = model.get_layer("aux1_pool")
    assert type(pool) is keras.layers.AdaptiveAveragePooling2D
    image = np.random.default_rng(0).random((1, 14, 14, 512)).astype("float32")
    parts = [slice(0, 4), slice(3, 7), slice(7, 11), slice(10, 14)]
    expected = [[image[0, rows, columns].mean(axis=(0, 1)) for columns in parts] for rows in parts]
    np.testing.assert_allclose(np.asarray(pool(image))[0], expected, rtol=1e-5)
    assert model.get_layer("stage4_pool").pool_size == (2, 2)
    assert model.get_layer("stage4_pool").output.shape[1:3] == (7, 7)


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("xception", {"bn_epsilon": 0}, "bn_epsilon of xception is 0; it must be positive"),
        ("xception", {"bn_epsilon": 2}, "bn_epsilon of xception is 2; it must be a fraction"),
    ],
)
def test_wrong_values_are_refused(name, option, message):
    with pytest.raises(zoo.RequestError, match=message):
        zoo.build_model(name, **option)


@pytest.mark.slow
def test_a_net_with_options_is_saved_and_loaded(tmp_path):
    options = {"torchvision_pools": True, "aux_heads": True, "batch_norm": True}
    model = zoo.build_model("googlenet", (65, 65, 3), 3, **options)
    model.save(tmp_path / "model.keras")
    image = np.random.default_rng(0).standard_normal((1, 65, 65, 3)).astype("float32")
    loaded = zoo.load_model(tmp_path / "model.keras")
    for found, expected in zip(keras.tree.flatten(loaded(image)), keras.tree.flatten(model(image)), strict=True):
        np.testing.assert_array_equal(found, expected)
