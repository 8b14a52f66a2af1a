"""Arrays of PyTorch and Keras give in a layer what their publisher's layer computes, as PyTorch defines it."""

import keras
import numpy as np
import pytest

from zoo.layers import GroupedConv2D
from zoo.models.published import Published
from zoo.pretrained.loading import pair

RNG = np.random.default_rng(0)
SAME = {r"(.*)": "{0}"}


def normal(*shape):
    return RNG.standard_normal(shape, dtype="float32")


def torch_conv(image, weight, groups=1):
    """`torch.nn.Conv2d`, zeros around it: `(channels, height, width)`, `(out, in / groups, rows, columns)`."""
    outputs, inputs, rows, columns = weight.shape
    channels, height, width = image.shape
    assert channels == inputs * groups
    padded = np.pad(image, [(0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2)])
    result = np.zeros((outputs, height, width))
    for out in range(outputs):
        first = out // (outputs // groups) * inputs
        for row in range(height):
            for column in range(width):
                window = padded[first : first + inputs, row : row + rows, column : column + columns]
                result[out, row, column] = (window * weight[out]).sum()
    return result


def loaded(layers, arrays, *, image=(4, 5, 6), style="torch", **settings):
    """A net of one image through some layers, with the arrays in it."""
    table = {key: settings.pop(key) for key in list(settings) if key in Published.__dataclass_fields__}
    model = keras.Sequential([keras.Input(image), *layers])
    pair(model, Published(SAME, style=style, **table), arrays, **settings).assign()
    return model


def outputs(model, image):
    """Of a net for one image `(channels, height, width)`, in that order too."""
    (result,) = np.asarray(model(image.transpose(1, 2, 0)[None], training=False))
    return result.transpose(2, 0, 1) if result.ndim == 3 else result


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_in_groups(groups):
    arrays = {"conv.weight": normal(8, 6 // groups, 3, 3), "conv.bias": normal(8)}
    kind = keras.layers.Conv2D if groups == 1 else GroupedConv2D
    model = loaded([kind(8, 3, groups=groups, padding="same", name="conv")], arrays)
    image = normal(6, 4, 5)
    expected = torch_conv(image, arrays["conv.weight"], groups) + arrays["conv.bias"][:, None, None]
    assert_close(outputs(model, image), expected)


def test_a_kernel_that_is_no_square():
    arrays = {"conv.weight": normal(8, 6, 1, 3)}
    model = loaded([keras.layers.Conv2D(8, (1, 3), padding="same", use_bias=False, name="conv")], arrays)
    image = normal(6, 4, 5)
    assert_close(outputs(model, image), torch_conv(image, arrays["conv.weight"]))


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_convolution_of_each_channel(multiplier):
    arrays = {"conv.weight": normal(6 * multiplier, 1, 3, 3)}
    layer = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=multiplier, use_bias=False, name="conv")
    image = normal(6, 4, 5)
    assert_close(outputs(loaded([layer], arrays), image), torch_conv(image, arrays["conv.weight"], groups=6))


def test_a_separable_convolution_is_two():
    arrays = {"conv.conv1.weight": normal(12, 1, 3, 3), "conv.pointwise.weight": normal(8, 12, 1, 1)}
    layer = keras.layers.SeparableConv2D(8, 3, depth_multiplier=2, padding="same", use_bias=False, name="conv")
    model = loaded([layer], arrays, parts={"depthwise_kernel": "conv1.weight", "pointwise_kernel": "pointwise.weight"})
    image = normal(6, 4, 5)
    middle = torch_conv(image, arrays["conv.conv1.weight"], groups=6)
    assert_close(outputs(model, image), torch_conv(middle, arrays["conv.pointwise.weight"]))


def test_batch_normalization():
    arrays = {"bn.weight": normal(6), "bn.bias": normal(6), "bn.running_mean": normal(6)}
    arrays |= {"bn.running_var": RNG.uniform(1, 2, 6).astype("float32"), "bn.num_batches_tracked": np.int64(7)}
    model = loaded([keras.layers.BatchNormalization(epsilon=1e-5, name="bn")], arrays)
    image = normal(6, 4, 5)
    weight, bias, mean, variance = (array[:, None, None] for array in list(arrays.values())[:4])
    assert_close(outputs(model, image), (image - mean) / np.sqrt(variance + 1e-5) * weight + bias)


@pytest.mark.parametrize("published_as", ["dense", "convolution"])
def test_a_dense_layer_after_a_flattened_image(published_as):
    """PyTorch flattens the channels first; timm's VGG has a convolution of the whole image in its place."""
    weight = normal(7, 6, 4, 5)
    stored = weight if published_as == "convolution" else weight.reshape(7, -1)
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(7, name="fc")]
    bias = normal(7)
    model = loaded(layers, {"fc.weight": stored, "fc.bias": bias})
    image = normal(6, 4, 5)
    assert_close(outputs(model, image), np.einsum("ochw,chw->o", weight, image) + bias)


def test_a_dense_layer_after_another_dense_layer():
    first, second = normal(6, 120), normal(3, 6)
    layers = [keras.layers.Flatten(), *(keras.layers.Dense(n, use_bias=False, name=f"fc{n}") for n in (6, 3))]
    model = loaded(layers, {"fc6.weight": first, "fc3.weight": second})
    image = normal(6, 4, 5)
    assert_close(outputs(model, image), second @ (first @ image.ravel()))


@pytest.mark.parametrize("is_dense", [True, False], ids=["dense", "convolution"])
@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1, 1)], ids=["of a dense", "of a convolution"])
def test_a_dense_layer_and_a_convolution_of_one_pixel_are_the_same(is_dense, shape):
    """Either gate of squeeze-and-excitation is published as the other."""
    weight, image = normal(8, 6), normal(6, 4, 5)
    settings = {"use_bias": False, "name": "gate"}
    layer = keras.layers.Dense(8, **settings) if is_dense else keras.layers.Conv2D(8, 1, **settings)
    model = loaded([layer], {"gate.weight": weight.reshape(shape)})
    assert_close(outputs(model, image), np.einsum("oc,chw->ohw", weight, image))


@pytest.mark.parametrize("style", ["torch", "keras"])
def test_a_smaller_kernel_gets_a_rim_where_the_table_says_so(style):
    weight, image = normal(8, 6, 3, 3), normal(6, 4, 5)
    name, stored = ("conv.weight", weight) if style == "torch" else ("conv/kernel", weight.transpose(2, 3, 1, 0))
    layer = keras.layers.Conv2D(8, 5, padding="same", use_bias=False, name="conv")
    model = loaded([layer], {name: stored}, style=style, widened="conv")
    assert_close(outputs(model, image), torch_conv(image, weight))
    with pytest.raises(ValueError, match=r"conv.* is \(8, 6, 3, 3\) where conv takes \(8, 6, 5, 5\)|\(5, 5, 6, 8\)"):
        loaded([layer], {name: stored}, style=style)


@pytest.mark.parametrize("shape", [(8, 6, 7, 7), (8, 6, 4, 4), (8, 6, 3, 5), (6, 8, 3, 3)])
def test_no_other_kernel_gets_a_rim(shape):
    layer = keras.layers.Conv2D(8, 5, padding="same", use_bias=False, name="conv")
    with pytest.raises(ValueError, match="where conv takes"):
        loaded([layer], {"conv.weight": normal(*shape)}, widened="conv")


@pytest.mark.parametrize("style", ["torch", "keras"])
def test_the_first_kernel_takes_channels_in_reverse_order_or_their_sum(style):
    weight, second = normal(8, 3, 3, 3), normal(4, 8, 1, 1)
    arrays = {"first.weight": weight, "second.weight": second}
    if style == "keras":
        arrays = {
            name.replace(".weight", "/kernel"): array.transpose(2, 3, 1, 0).copy() for name, array in arrays.items()
        }

    def layers():
        return [
            keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="first"),
            keras.layers.Conv2D(4, 1, use_bias=False, name="second"),
        ]

    image = normal(3, 4, 5)
    reversed_model = loaded(layers(), arrays, image=(4, 5, 3), style=style, reversed_channels=True)
    expected = torch_conv(torch_conv(image[::-1], weight), second)
    assert_close(outputs(reversed_model, image), expected)
    for reverse in (False, True):
        settings = {"style": style, "reversed_channels": reverse, "sum_channels": True}
        grey_model = loaded(layers(), arrays, image=(4, 5, 1), **settings)
        expected = torch_conv(torch_conv(np.repeat(image[:1], 3, axis=0), weight), second)
        assert_close(outputs(grey_model, image[:1]), expected)
    # An image that has its three channels keeps them.
    colour_model = loaded(layers(), arrays, image=(4, 5, 3), style=style, sum_channels=True)
    assert_close(outputs(colour_model, image), torch_conv(torch_conv(image, weight), second))
