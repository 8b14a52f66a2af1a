import keras
import numpy as np
import pytest
import tensorflow as tf
import weightless

import zoo
from zoo.analysis.nets import complexity, graph
from zoo.models.functional import resnet_cifar


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_depth_counts_the_layers_with_weights(depth):
    model = weightless.build(f"resnet{depth}")
    weighted = [x for x in model.layers if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(weighted) == depth
    assert complexity.depth(graph.calls(model)) == depth


def test_stage_sizes_are_the_papers():
    model = weightless.build("resnet20")
    sizes = [tuple(model.get_layer(f"stage{stage}_block3_relu").output.shape[1:]) for stage in (1, 2, 3)]
    assert sizes == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]


def test_option_a_takes_every_second_pixel_and_adds_zero_channels():
    x = tf.constant(np.random.default_rng(0).standard_normal((2, 6, 6, 3)), tf.float32)
    y = resnet_cifar.shortcut_path(x, filters=5, strides=2, option="A", name="a")
    np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., 3:], np.zeros((2, 3, 3, 2)))


def test_option_b_is_a_convolution_where_the_size_changes():
    a, b = weightless.build("resnet20"), weightless.build("resnet20", shortcut="B")
    # 16 -> 32 and 32 -> 64 channels, 1x1, with batch norm's scale and offset.
    assert b.count_params() - a.count_params() == 16 * 32 + 32 * 64 + 4 * 32 + 4 * 64


def test_block_is_the_identity_plus_a_residual():
    """With the last scale at 0 the residual vanishes and the block is relu(x)."""
    inputs = keras.Input((8, 8, 16))
    block = keras.Model(inputs, resnet_cifar.residual_block(inputs, filters=16, strides=1, option="A", name="b"))
    block.get_layer("b_2_bn").gamma.assign(np.zeros(16))
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 16)).astype("float32")
    np.testing.assert_array_equal(block(x), np.maximum(x, 0))


def test_bad_input():
    with pytest.raises(ValueError, match="shortcut is 'C'; it must be one of 'A', 'B'"):
        zoo.build_model("resnet20", shortcut="C")
    with pytest.raises(ValueError, match=r"input_shape of resnet20 is \(10,\)"):
        zoo.build_model("resnet20", input_shape=(10,))
    with pytest.raises(ValueError, match="at least 4"):
        zoo.build_model("resnet20", input_shape=(3, 32, 3))
