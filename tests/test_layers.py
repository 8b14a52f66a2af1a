"""The layers of the zoo hold against Keras' own, or against the formula in float64."""

import keras
import numpy as np
import pytest
import rounding
import tensorflow as tf

import zoo
from zoo import layers
from zoo.layers import BatchNormalization, GroupedConv2D, LocalResponseNormalization

pytestmark = pytest.mark.gpu
of_cpus = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="it is about kernels that CPUs lack")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(2.0, 3.0, (6, 5, 4, 7)).astype("float32")


def pair(**kwargs):
    """The zoo's layer and Keras', with the same random weights."""
    ours, theirs = BatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    ours.build(IMAGES.shape)
    theirs.build(IMAGES.shape)
    weights = [RNG.uniform(0.5, 1.5, w.shape) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def fused_calls(monkeypatch):
    calls = []
    fused = tf.raw_ops.FusedBatchNormV3
    monkeypatch.setattr(tf.raw_ops, "FusedBatchNormV3", lambda **kwargs: calls.append(1) or fused(**kwargs))
    return calls


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"epsilon": 1e-5, "momentum": 0.9},
        {"scale": False},
        {"center": False},
        {"scale": False, "center": False},
    ],
    ids=str,
)
def test_outputs_gradients_and_statistics_are_keras_own(kwargs, training, monkeypatch):
    calls = fused_calls(monkeypatch)
    ours, theirs = pair(**kwargs)
    results = []
    for layer in (ours, theirs):
        x = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * np.cos(IMAGES))
        results.append([y, *tape.gradient(loss, [x, *layer.trainable_variables]), *layer.get_weights()])
    assert len(calls) == 1
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def test_moving_variance_is_the_biased_one_in_float64():
    layer = BatchNormalization(momentum=0.75)
    layer(IMAGES, training=True)
    images = IMAGES.astype("float64")
    np.testing.assert_allclose(layer.moving_mean, 0.25 * images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * images.var((0, 1, 2)), rtol=1e-5)


def test_epsilon_is_not_rounded_up():
    """TensorFlow's own wrapper makes 1.001e-5 of 1e-5; where the variance is 0 that would show."""
    constant = np.full((2, 2, 2, 1), 3.0, "float32")
    layer = BatchNormalization(epsilon=1e-5)
    layer.build(constant.shape)
    layer.moving_variance.assign([0.0])
    np.testing.assert_allclose(layer(constant, training=False)[0, 0, 0, 0], 3 / np.sqrt(1e-5), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_statistics_in_float32(policy, monkeypatch):
    calls = fused_calls(monkeypatch)
    ours, theirs = pair(dtype=policy)
    half = tf.cast(IMAGES, ours.compute_dtype)
    outputs = [layer(half, training=True) for layer in (ours, theirs)]
    assert calls
    assert outputs[0].dtype == outputs[1].dtype == ours.compute_dtype
    assert {variable.dtype for variable in ours.variables} == {"float32"}
    tolerance = 0.02 if policy == "mixed_bfloat16" else 0.003
    np.testing.assert_allclose(*(tf.cast(y, "float32") for y in outputs), rtol=tolerance, atol=tolerance)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [
        ({}, (6, 7)),
        ({}, (6, 5, 7)),
        ({}, (2, 3, 4, 5, 7)),
        ({"axis": 1}, (6, 5, 4, 7)),
        ({"dtype": "float64"}, (6, 5, 4, 7)),
        ({"epsilon": 1e-7}, (6, 5, 4, 7)),
        ({"renorm": True}, (6, 5, 4, 7)),
    ],
    ids=str,
)
def test_falls_back_to_keras_where_fusion_does_not_apply(kwargs, shape, monkeypatch):
    calls = fused_calls(monkeypatch)
    x = RNG.standard_normal(shape)
    layers = BatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    outputs = [layer(x, training=True) for layer in layers]
    assert not calls
    np.testing.assert_array_equal(*outputs)


def test_falls_back_with_a_mask_and_when_synchronised(monkeypatch):
    calls = fused_calls(monkeypatch)
    mask = RNG.integers(0, 2, IMAGES.shape[:3]).astype(bool)
    ours, theirs = pair()
    np.testing.assert_array_equal(ours(IMAGES, training=True, mask=mask), theirs(IMAGES, training=True, mask=mask))
    ours, theirs = pair(synchronized=True)
    np.testing.assert_array_equal(ours(IMAGES, training=True), theirs(IMAGES, training=True))
    assert not calls


def test_falls_back_on_other_backends(monkeypatch):
    calls = fused_calls(monkeypatch)
    layer = BatchNormalization()
    layer.build(IMAGES.shape)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    layer(IMAGES, training=True)
    assert not calls


def test_frozen_layer_uses_its_moving_statistics():
    ours, theirs = pair()
    ours.trainable = theirs.trainable = False
    np.testing.assert_allclose(ours(IMAGES, training=True), theirs(IMAGES, training=True), rtol=1e-5, atol=1e-5)


def test_saved_model_keeps_the_layer(tmp_path):
    model = keras.Sequential([keras.Input((5, 4, 7)), BatchNormalization(momentum=0.5, epsilon=2e-5)])
    model.layers[0].set_weights([RNG.uniform(0.5, 1.5, 7) for _ in range(4)])
    model.save(tmp_path / "model.keras")
    loaded = zoo.load_model(str(tmp_path / "model.keras"))
    assert type(loaded.layers[0]) is BatchNormalization
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


def gradients(layer, images, *variables):
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * np.cos(np.arange(y.shape[-1], dtype="float32")))
    return [y, *tape.gradient(loss, [x, *variables])]


GROUPS = 4
SETTINGS = [
    {"strides": 1, "padding": "same"},
    {"strides": 2, "padding": "same"},
    {"strides": 1, "padding": "valid"},
    {"strides": (2, 1), "padding": "valid"},
    {"dilation_rate": 2, "padding": "same"},
    {"dilation_rate": (1, 2), "padding": "valid"},
]
UNITS = {"float32": "float32", "float64": "float64", "mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


def split_and_concatenate(images, kernel, strides=1, dilation_rate=1, padding="same"):
    """Each group is a convolution of its own channels; outputs stand side by side."""
    parts = zip(tf.split(images, GROUPS, axis=-1), tf.split(kernel, GROUPS, axis=-1), strict=True)
    settings = {"strides": strides, "dilations": dilation_rate, "padding": padding.upper()}
    return tf.concat([tf.nn.convolution(*pair, **settings) for pair in parts], -1)


def convolved(convolution, images, kernel, upstream):
    """The outputs, and the gradients of images and kernel where that of the outputs is `upstream`."""
    with tf.GradientTape() as tape:
        tape.watch([images, kernel])
        outputs = convolution(images)
    return [outputs, *tape.gradient(outputs, [images, kernel], output_gradients=tf.cast(upstream, outputs.dtype))]


def assert_is_split_and_concatenate(policy, settings, run):
    """Forward and backward, within the rounding of the policy's sums; `run` calls a function as a user would."""
    unit = UNITS[policy]
    layer = GroupedConv2D(8, 3, groups=GROUPS, use_bias=False, dtype=policy, **settings)
    layer.build((3, 9, 8, 12))
    images, kernel = (tf.cast(x, unit) for x in (RNG.standard_normal((3, 9, 8, 12)), layer.kernel.value))
    upstream = tf.cast(RNG.standard_normal(layer.compute_output_shape(images.shape)), unit)
    ours = run(lambda: convolved(layer, images, layer.kernel.value, upstream))
    assert ours[0].dtype == unit
    assert ours[0].shape == layer.compute_output_shape(images.shape)
    double = [tf.cast(x, "float64") for x in (images, kernel, upstream)]

    def reference(images, kernel, upstream):
        return convolved(lambda x: split_and_concatenate(x, kernel, **settings), images, kernel, upstream)

    exact, sums = reference(*double), reference(*map(tf.abs, double))
    # Products in an output, in the gradient of a pixel and in that of a weight. Half precision is summed in float32 and
    # rounded once, on the way out; the gradient of the kernel is the float32 variable's.
    counts = 9 * 12 // GROUPS, 9 * 8 // GROUPS, np.prod(upstream.shape[:3])
    summed = "float64" if policy == "float64" else "float32"
    for one, other, size, count in zip(ours, exact, sums, counts, strict=True):
        bound = rounding.of_a_sum(count, summed) * size
        if unit != summed:
            bound = rounding.of_a_cast(other, bound, unit)
        rounding.assert_within(tf.cast(one, "float64"), other, bound)


@pytest.mark.parametrize("policy", UNITS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_grouped_convolution_is_split_and_concatenate(settings, policy):
    assert_is_split_and_concatenate(policy, settings, lambda step: step())
    assert_is_split_and_concatenate(policy, settings, lambda step: tf.function(step, autograph=False)())


@of_cpus
@pytest.mark.parametrize("policy", UNITS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_grouped_convolution_where_no_kernel_has_its_gradient(settings, policy, monkeypatch):
    """As on CPUs without oneDNN, whatever this one is."""
    monkeypatch.setattr(layers, "_cpu_has_grouped_gradient", lambda dtype: False)
    monkeypatch.setattr(layers, "_gradient_of_one_convolution", None)
    assert_is_split_and_concatenate(policy, settings, lambda step: step())
    assert_is_split_and_concatenate(policy, settings, lambda step: tf.function(step, autograph=False)())


@pytest.mark.parametrize("kernel_has_gradient", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_grouped_convolution_under_xla(policy, kernel_has_gradient, monkeypatch):
    monkeypatch.setattr(layers, "_cpu_has_grouped_gradient", lambda dtype: kernel_has_gradient)
    for settings in (SETTINGS[1], SETTINGS[4]):
        assert_is_split_and_concatenate(
            policy, settings, lambda step: tf.function(step, autograph=False, jit_compile=True)()
        )


@of_cpus
def test_the_kernel_s_gradient_is_taken_where_there_is_one(monkeypatch):
    """It is the faster one. This asks TensorFlow's own gradient, which fails where the CPU has none."""
    images, kernel = tf.ones([1, 3, 3, 4]), tf.ones([3, 3, 2, 4])
    has = True
    try:
        convolved(lambda x: tf.nn.conv2d(x, kernel, 1, "SAME"), images, kernel, tf.ones([1, 3, 3, 4]))
    except tf.errors.InvalidArgumentError:
        has = False
    assert layers._cpu_has_grouped_gradient(tf.float32) == has
    monkeypatch.setattr(layers, "_gradient_of_split" if has else "_gradient_of_one_convolution", None)
    layer = GroupedConv2D(4, 3, groups=2)
    layer(images)
    convolved(layer, images, layer.kernel.value, tf.ones([1, 1, 1, 4]))


def test_what_follows_a_grouped_convolution_is_not_fused_with_it(tmp_path):
    """Without oneDNN the fused kernel takes no groups. A saved model may meet such a CPU: this looks at the graph."""
    image = keras.Input((6, 6, 8), batch_size=2)
    x = GroupedConv2D(8, 3, groups=4, use_bias=False)(image)
    x = keras.layers.ReLU()(BatchNormalization()(x))
    model = keras.Model(image, GroupedConv2D(8, 3, groups=4, activation="relu")(x))
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    images = RNG.standard_normal((2, 6, 6, 8)).astype("float32")
    size = np.abs(model(images)).max()
    # Both have the same kernels; only the optimiser's rewriting of the batch norm comes between.
    np.testing.assert_allclose(exported.serve(images), model(images), rtol=0, atol=size * rounding.of_a_sum(36))
    graph = exported.serve.get_concrete_function(tf.TensorSpec([2, 6, 6, 8])).graph
    convolutions = [x for g in (graph, *functions_in(graph)) for x in g.get_operations() if x.type == "Conv2D"]
    assert len(convolutions) == 2
    for convolution in convolutions:
        assert {consumer.type for consumer in convolution.outputs[0].consumers()} == {"EnsureShape"}


def functions_in(graph):
    """The graphs of the functions that a graph calls, and of those that they call."""
    for operation in graph.get_operations():
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            inner = graph._get_function(operation.get_attr("f").name).graph
            yield inner
            yield from functions_in(inner)


def test_grouped_convolution_is_keras_own():
    images = RNG.standard_normal((2, 5, 5, 6)).astype("float32")
    ours = GroupedConv2D(4, 3, groups=2, activation="relu", padding="same")
    theirs = keras.layers.Conv2D(4, 3, groups=2, activation="relu", padding="same")
    theirs.build(images.shape)
    ours.build(images.shape)
    ours.set_weights([*theirs.get_weights()[:1], RNG.standard_normal(4)])
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_grouped_convolution_takes_tensorflow_s_kernel(monkeypatch):
    """The point of the layer; Keras' own way is right too, but hundreds of times slower."""
    calls = []
    kernel = tf.nn.conv2d
    monkeypatch.setattr(tf.nn, "conv2d", lambda *args, **kwargs: calls.append(1) or kernel(*args, **kwargs))
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    GroupedConv2D(4, 3, groups=2)(tf.zeros([1, 5, 5, 4]))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "arguments",
    [{}, {"depth_radius": 2, "bias": 1.0, "alpha": 2e-5, "beta": 0.75}, {"depth_radius": 1, "bias": 2.0, "alpha": 0.5}],
    ids=str,
)
def test_local_response_normalisation_is_the_formula(arguments):
    values = {"depth_radius": 5, "bias": 1.0, "alpha": 1.0, "beta": 0.5, **arguments}
    expected = np.empty(IMAGES.shape)
    for channel in range(IMAGES.shape[-1]):
        near = slice(max(0, channel - values["depth_radius"]), channel + values["depth_radius"] + 1)
        squares = (IMAGES[..., near].astype("float64") ** 2).sum(-1)
        expected[..., channel] = IMAGES[..., channel] / (values["bias"] + values["alpha"] * squares) ** values["beta"]
    layer = LocalResponseNormalization(**arguments)
    np.testing.assert_allclose(layer(IMAGES), expected, rtol=1e-5, atol=1e-6)
    native = tf.nn.local_response_normalization(tf.constant(IMAGES), **values)
    np.testing.assert_allclose(layer(IMAGES), native, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_local_response_normalisation_of_large_values_in_half_precision(policy):
    """GoogLeNet's settings; the square of 300 is beyond float16, and their alpha has three significant digits in it."""
    arguments = {"depth_radius": 2, "bias": 1.0, "alpha": 1e-4 / 5, "beta": 0.75}
    images = tf.constant(RNG.choice([-300.0, 300.0], (2, 3, 3, 16)), policy.removeprefix("mixed_"))
    layer = LocalResponseNormalization(**arguments, dtype=policy)
    y, gradient = gradients(layer, images)
    assert y.dtype == gradient.dtype == images.dtype
    exact = tf.cast(images, "float64").numpy()
    squares = [(exact[..., max(0, c - 2) : c + 3] ** 2).sum(-1) for c in range(16)]
    expected = exact / (1 + 2e-5 * np.stack(squares, -1)) ** 0.75
    assert abs(expected / exact).max() < 0.3  # strong enough to be seen
    # One rounding at the end: half of the last bit.
    np.testing.assert_allclose(tf.cast(y, "float64"), expected, rtol=2**-8 if "bfloat16" in policy else 2**-11)
    assert np.isfinite(tf.cast(gradient, "float32")).all()


def test_new_layers_survive_saving(tmp_path):
    image = keras.Input((6, 6, 8))
    x = GroupedConv2D(8, 3, groups=4, name="grouped")(image)
    model = keras.Model(image, LocalResponseNormalization(depth_radius=2, alpha=2e-5, beta=0.75, name="lrn")(x))
    model.save(tmp_path / "model.keras")
    loaded = zoo.load_model(str(tmp_path / "model.keras"))
    assert isinstance(loaded.get_layer("grouped"), GroupedConv2D)
    assert loaded.get_layer("lrn").alpha == 2e-5
    images = RNG.standard_normal((2, 6, 6, 8)).astype("float32")
    np.testing.assert_array_equal(loaded(images), model(images))
