"""What every registered model owes its user, held against all of them.

Counts and all else that shapes can tell are held by default, on nets without weights. Weights, outputs and gradients
of the smallest nets are tried by default too; the slow tests try those of all others. There a net for 224 pixels and
more gets a smaller image, which changes no kernel but those of dense layers right behind the maps.
"""

import gc
import importlib
import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import weightless
from weightless import ONE_OF_EACH, slow_unless

import zoo
from zoo.analysis.nets import complexity, graph
from zoo.training.engines.tensorflow import Engine

NAMES = zoo.list_models()
INFOS = {name: zoo.model_info(name) for name in NAMES}
LARGE = {name for name, info in INFOS.items() if info.parameters > 20e6 or max(info.input_shape) >= 224}
CLASSIFIERS = [name for name in NAMES if INFOS[name].task == "classification"]

# Trainable parameters, and all of them with the statistics of batch norm. Sources: He et al. 2015, LeCun et al. 1998,
# Lin et al. 2013, Springenberg et al. 2014, Zagoruyko and Komodakis 2016, Szegedy et al. 2014 and Koch et al. 2015 by
# hand from the papers' tables; the others as timm, torchvision and keras.applications count them.
PUBLISHED_PARAMETERS = {
    "lenet5": (61_706, 61_706),
    "alexnet": (61_100_840, 61_100_840),
    "vgg11": (132_863_336, 132_863_336),
    "vgg16": (138_357_544, 138_357_544),
    "vgg16_bn": (138_365_992, 138_374_440),
    "nin": (966_986, 966_986),
    "all_cnn_c": (1_369_738, 1_369_738),
    "resnet20": (269_722, 271_098),
    "resnet56": (853_018, 857_082),
    "resnet110": (1_727_962, 1_736_058),
    "wrn_28_10": (36_479_194, 36_497_146),
    "resnet18": (11_689_512, 11_699_112),
    "resnet34": (21_797_672, 21_814_696),
    "resnet50": (25_557_032, 25_610_152),
    "resnet50_v1": (25_557_032, 25_610_152),
    "resnet50_v2": (25_549_352, 25_594_792),
    "resnet101": (44_549_160, 44_654_504),
    "seresnet50": (28_088_024, 28_141_144),
    "resnext50_32x4d": (25_028_904, 25_097_128),
    "wide_resnet50_2": (68_883_240, 68_951_464),
    "densenet121": (7_978_856, 8_062_504),
    "densenet_bc_100_12": (769_162, None),
    "googlenet": (6_998_552, 6_998_552),
    "inception_v3": (23_834_568, 23_869_000),
    "inception_v4": (42_679_816, 42_742_984),
    "inception_resnet_v2": (55_843_464, 55_904_008),
    "xception": (22_855_952, 22_910_480),
    "siamese_koch": (38_951_745, 38_951_745),
}
# Multiply-accumulates as timm and torchvision count them: convolutions and dense layers, one image.
PUBLISHED_MACS = {
    "alexnet": 714_188_480,
    "vgg11": 7_609_090_048,
    "vgg16": 15_470_264_320,
    "vgg16_bn": 15_470_264_320,
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet50_v2": 4_089_184_256,
    "resnet101": 7_801_405_440,
    "seresnet50": 4_091_699_200,
    "resnext50_32x4d": 4_230_479_872,
    "wide_resnet50_2": 11_398_021_120,
    "densenet121": 2_834_161_664,
    "inception_v3": 5_713_216_096,
    "inception_v4": 12_253_974_624,
    "inception_resnet_v2": 13_155_794_016,
    "xception": 8_357_403_496,
}

# The same, computed by hand from the papers' tables to four digits; of siamese_koch for two twins.
COMPUTED_MACS = {
    "nin": 222.5e6,
    "all_cnn_c": 270.8e6,
    "resnet20": 40.55e6,
    "resnet56": 125.49e6,
    "resnet110": 252.89e6,
    "wrn_28_10": 5.243e9,
    "resnet50_v1": 3.858e9,
    "densenet_bc_100_12": 287.9e6,
    "googlenet": 1.583e9,
    "siamese_koch": 2 * 908.6e6,
}
# What the models that sort into no classes put out.
OTHER_OUTPUTS = {
    "siamese": {"logits": [1]},
    "siamese_koch": {"logits": [1]},
    "triplet": {"anchor": [128], "positive": [128], "negative": [128]},
    "multi_output": {"character": [170], "typeface": [12]},
}
# Name and switches -> the least height and width: the total stride, so that the last map has a pixel of its own.
STRIDE_IS_LEAST = {
    ("simple_cnn",): 4,
    ("vgg11",): 32,
    ("nin",): 4,
    ("resnet18",): 32,
    ("resnet18", "small_stem"): 8,
    ("resnet20",): 4,
    ("resnet50_v2",): 32,
    ("resnet50_v2", "small_stem"): 8,
    ("seresnet18",): 32,
    ("resnext50_32x4d",): 32,
    ("wide_resnet50_2",): 32,
    ("wrn_16_4",): 4,
    ("densenet121",): 32,
    ("densenet121", "small_stem"): 8,
    ("densenet_bc_100_12",): 4,
    ("googlenet",): 32,
    ("googlenet", "small_stem"): 4,
    ("xception",): 32,
}
# Here convolutions or poolings that are not padded need more, and with a pixel less there would be no net.
RIM_IS_LEAST = {
    ("lenet5",): 16,
    ("alexnet",): 63,
    ("all_cnn_c",): 9,
    ("googlenet", "aux_heads"): 65,
    ("googlenet", "aux_heads", "small_stem"): 9,
    ("inception_v3",): 75,
    ("inception_v3", "aux_heads"): 107,
    ("inception_v4",): 75,
    ("inception_resnet_v2",): 75,
    ("siamese_koch",): 65,
}
LEAST = STRIDE_IS_LEAST | RIM_IS_LEAST
# These take any size, or what their tower takes.
NO_LEAST = {"mlp", "multi_input", "multi_output", "siamese"}
# Their unpadded convolutions and poolings take off the rim.
LOSES_THE_RIM = {"lenet", "alexnet", "all_cnn", "inception_v3", "inception_v4", "inception_resnet_v2", "xception"}


def variants_slow_unless(variants, quick):
    marks = {variant: () if variant[0] in quick else pytest.mark.slow for variant in variants}
    return [pytest.param(variant, marks=marks[variant], id="-".join(variant)) for variant in variants]


SMALL = set(NAMES) - LARGE
# Small, but deep: to build one with weights takes seconds.
DEEP = {"resnet32", "resnet44", "resnet56", "resnet110", "wrn_40_4", "densenet_bc_100_12"}
# What takes a second or more of each net is tried by default on these.
QUICK = {"mlp", "simple_cnn", "lenet5", "resnet20", "siamese", "triplet", "multi_output", "multi_input"}
# Nets whose compiled step is tried: one of each family and more, so that every kind of call is in one of them.
LOWERED = sorted(ONE_OF_EACH | {"resnet50", "vgg11_bn", "triplet"})


def smaller_shape(name):
    """Of the images for what needs weights; None is the net's own."""
    return (96, 96, 3) if max(INFOS[name].input_shape) >= 224 else None


@pytest.fixture(scope="module", params=slow_unless(NAMES, SMALL - DEEP))
def model(request):
    if request.param in LARGE:
        gc.collect()  # a model is full of cycles, and the last one is garbage only now
    keras.utils.set_random_seed(0)
    return zoo.build_model(request.param, smaller_shape(request.param))


def examples_for(model, count=2, seed=0):
    """Random examples, by the names of the inputs where there are several."""
    rng = np.random.default_rng(seed)
    arrays = {x.name: rng.standard_normal((count, *x.shape[1:])).astype("float32") for x in model.inputs}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def outputs_of(model, examples, **kwargs):
    """The outputs as a list, in the order of their names."""
    return keras.tree.flatten(model(examples, **kwargs))


class AnyTask:
    """Pulls every output in a random direction, so that nothing cancels; stands in for losses of any kind."""

    metric_names = ()

    def call(self, model, batch, training):
        return model(batch if len(batch) > 1 else next(iter(batch.values())), training=training)

    def losses(self, outputs, batch):
        rng = np.random.default_rng(1)
        pulls = [y * rng.standard_normal(y.shape).astype("float32") for y in keras.tree.flatten(outputs)]
        return sum(tf.reduce_sum(tf.reshape(pull, [pull.shape[0], -1]), axis=1) for pull in pulls)

    def metrics(self, outputs, batch):
        return {}


@pytest.mark.parametrize("name", NAMES)
def test_counts_style_and_ends(name):
    info, model = INFOS[name], weightless.build(name)
    with graph.without_weights():
        calls = graph.calls(model)
        trainable, total = (graph.count_parameters(v) for v in (model.trainable_variables, model.weights))
        assert trainable == info.parameters
        assert (trainable, total) == tuple(
            published or counted
            for published, counted in zip(PUBLISHED_PARAMETERS.get(name, (None, None)), (trainable, total), strict=True)
        )
        macs = complexity.macs(calls)
        assert macs == info.macs
        assert macs == PUBLISHED_MACS.get(name, macs)
        assert macs == pytest.approx(COMPUTED_MACS.get(name, macs), rel=5e-4)
        assert isinstance(model, keras.Sequential) == (info.style == "sequential")
        assert (graph.why_not_sequential(model) is None) == (info.style == "sequential")
        assert isinstance(model, keras.Model)
        assert not model.compiled
        assert model.name == name
        if name in CLASSIFIERS:
            assert {x.name for x in model.inputs} <= {"image", "vector", "category"}
            assert "image" in [x.name for x in model.inputs]
            assert model.layers[-1].name == "logits"
            assert getattr(model.layers[-1], "activation", keras.activations.linear) is keras.activations.linear
            assert model.output_shape == (None, info.num_classes)


def test_published_figures_name_registered_models():
    assert set(PUBLISHED_PARAMETERS) | set(PUBLISHED_MACS) | set(COMPUTED_MACS) <= set(NAMES)
    assert not set(PUBLISHED_MACS) & set(COMPUTED_MACS)


def test_docstrings_say_which_api_and_why():
    for info in INFOS.values():
        module = sys.modules[info.builder.__module__]
        assert module.__doc__.startswith(f"{info.style.capitalize()}: ")
        assert info.builder.__doc__


@pytest.mark.parametrize("name", slow_unless(NAMES, ONE_OF_EACH & SMALL))
def test_takes_other_images_and_classes(name):
    height, width, _ = INFOS[name].input_shape
    shape = (height + 5, width + 18, 2)
    with graph.without_weights():
        if name not in CLASSIFIERS:
            model = zoo.build_model(name, shape)
            assert {tuple(x.shape[1:]) for x in model.inputs} == {shape}
            assert graph.shapes_by_name(model.output) == OTHER_OUTPUTS[name]
        else:
            model = zoo.build_model(name, shape, 7)
            assert [tuple(x.shape[1:]) for x in model.inputs if x.name == "image"] == [shape]
            assert model.output_shape == (None, 7)


def build(variant, side=None):
    """A model of the tables, for square images of one channel."""
    name, *switches = variant
    return zoo.build_model(name, side and (side, side, 1), **dict.fromkeys(switches, True))


def test_every_family_has_a_least_size():
    families = {info.family for info in INFOS.values()}
    assert {INFOS[name].family for name, *_ in LEAST} == families - NO_LEAST


@pytest.mark.parametrize("variant", LEAST, ids="-".join)
def test_the_least_size_is_stated(variant):
    name, least = variant[0], LEAST[variant]
    for shape in ((least - 1, least, 1), (least, least - 1, 1)):
        with pytest.raises(ValueError, match=rf"input_shape of {name} is \({shape[0]}, .*at least {least}$"):
            zoo.build_model(name, shape, **dict.fromkeys(variant[1:], True))


@pytest.mark.parametrize("variant", variants_slow_unless(LEAST, SMALL))
def test_the_least_size_is_enough(variant):
    with graph.without_weights():
        sizes = [size for call in graph.calls(build(variant, LEAST[variant])) for x in call.outputs for size in x.shape]
    assert min(size for size in sizes if size is not None) > 0


@pytest.mark.parametrize("variant", RIM_IS_LEAST, ids="-".join)
def test_below_the_least_size_there_is_no_net(variant, monkeypatch):
    module = importlib.import_module(INFOS[variant[0]].builder.__module__)
    monkeypatch.setattr(module, "check_image_shape", lambda *_, **__: None)
    with pytest.raises(ValueError, match=r"(?i)negative|must be|<= 0"), graph.without_weights():
        build(variant, RIM_IS_LEAST[variant] - 1)


@pytest.mark.parametrize(
    "name", slow_unless([n for n in CLASSIFIERS if "features" in INFOS[n].hyperparameters], ONE_OF_EACH)
)
def test_features_are_the_last_maps_of_each_stride(name):
    model = weightless.build(name, features=True)
    height = model.input_shape[1]
    strides = [int(key.removeprefix("stride")) for key in model.output]
    assert strides == sorted(strides)
    assert set(strides) <= {2, 4, 8, 16, 32}
    assert len(strides) >= 2
    for stride, maps in zip(strides, model.output.values(), strict=True):
        if INFOS[name].family in LOSES_THE_RIM:
            assert 0.6 * height / stride < maps.shape[1] <= math.ceil(height / stride)
        else:
            assert maps.shape[1] == math.ceil(height / stride)
    if INFOS[name].style == "sequential":
        ends = {key: maps._keras_history.operation.name for key, maps in model.output.items()}
        assert ends == last_maps(weightless.build(name, num_classes=0))


def last_maps(net):
    """For each stride above 1 of a Sequential the name of the last layer that gives maps of it."""
    stride, last = 1, {}
    for layer in net.layers:
        stride *= getattr(layer, "strides", (1,))[0]
        # The padding before a convolution belongs to the next map.
        if len(layer.output.shape) == 4 and stride > 1 and not isinstance(layer, keras.layers.ZeroPadding2D):
            last[f"stride{stride}"] = layer.name
    return last


@pytest.mark.parametrize(
    "name", slow_unless(["simple_cnn", "lenet5", "nin", "all_cnn_c", "resnet20", "densenet_bc_100_12"], SMALL - DEEP)
)
def test_features_come_from_an_image(name):
    """Without a warning, which Keras gives where a model of one input was made from a list."""
    model = zoo.build_model(name, features=True)
    for maps, symbol in zip(outputs_of(model, examples_for(model)), model.outputs, strict=True):
        assert maps.shape == (2, *symbol.shape[1:])
        assert np.ptp(maps) > 0


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "features" in INFOS[name].hyperparameters])
def test_a_vector_is_no_image(name):
    with pytest.raises(ValueError, match=rf"input_shape of {name} is \(299,\); it must be an image's"):
        zoo.build_model(name, (299,))


def test_every_image_classifier_gives_features():
    without = {name for name in CLASSIFIERS if "features" not in INFOS[name].hyperparameters}
    # The first has no feature maps, the second joins the pooled features of another model.
    assert without == {"mlp", "multi_input"}


def test_outputs_are_finite_and_those_of_a_saved_model_are_the_same(model, tmp_path):
    examples = examples_for(model)
    outputs = outputs_of(model, examples)
    for y, symbol in zip(outputs, model.outputs, strict=True):
        assert y.shape == (2, *symbol.shape[1:])
        assert y.dtype == "float32"
        assert np.isfinite(y).all()
    file = tmp_path / "model.keras"
    model.save(file)
    loaded = zoo.load_model(str(file))
    file.unlink()  # some are large
    for one, other in zip(outputs_of(loaded, examples), outputs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_trainable_variable_gets_a_gradient(model):
    task = AnyTask()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(task.losses(model(examples_for(model, count=4), training=True), {}))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.any(gradient), variable.path


@pytest.mark.parametrize(
    "model", slow_unless(LOWERED, {"simple_cnn", "resnet20", "triplet", "multi_input"}), indirect=True
)
def test_the_train_step_lowers_to_xla_with_static_shapes(model):
    """What a TPU needs. The step is the engine's own, in a block of two.

    TensorFlow keeps what was lowered, its variables included, for as long as the process lives. So there is no momentum
    here, and the nets are those of `LOWERED` alone.
    """
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    engine = Engine(model, optimizer, AnyTask(), strategy=tf.distribute.get_strategy(), batch_size=2, jit="on")
    block = {x.name: tf.zeros((2, 2, *x.shape[1:]), x.dtype) for x in model.inputs}
    hlo = engine._train_block.experimental_get_compiler_ir(block)(stage="hlo")
    assert hlo.startswith("HloModule")
    assert "while" in hlo
    # A size that is only bounded prints as <=.
    assert "<=" not in hlo


def kinds_of_calls(name):
    """What the calls of a net are, in all that XLA tells apart but their sizes."""
    settings = "strides", "padding", "dilation_rate", "data_format", "groups", "axis", "activation"
    operations = [call.operation for call in graph.calls(weightless.build(name))]
    return {(type(x).__name__, *(str(getattr(x, setting, None)) for setting in settings)) for x in operations}


def test_nets_that_are_not_lowered_call_nothing_else():
    lowered = set().union(*map(kinds_of_calls, LOWERED))
    left_out = {name: kinds_of_calls(name) - lowered for name in NAMES}
    assert not any(left_out.values()), {name: kinds for name, kinds in left_out.items() if kinds}


@pytest.mark.parametrize(
    "model",
    slow_unless(sorted(ONE_OF_EACH & set(CLASSIFIERS)), (QUICK | {"nin", "all_cnn_c"})),
    indirect=True,
)
def test_zero_classes_give_the_features_before_the_classifier(model):
    features = zoo.build_model(model.name, smaller_shape(model.name), 0)
    features.set_weights(model.get_weights()[: len(features.weights)])
    kernel, bias = model.get_weights()[-2:]
    examples = examples_for(model)
    # Where the classifier is a 1x1 convolution before an average, it may as well come after it.
    expected = features(examples) @ kernel.reshape(kernel.shape[-2:]) + bias
    np.testing.assert_allclose(expected, model(examples), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "variant",
    variants_slow_unless([*((name,) for name in sorted(ONE_OF_EACH)), ("googlenet", "aux_heads")], QUICK),
)
def test_logits_are_float32_under_mixed_precision(variant, policy, restore_dtype_policy):
    """In training: the statistics that batch norm begins with do not keep a deep net's values in float16's range."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    model = build(variant, LEAST.get(variant))
    for y in outputs_of(model, examples_for(model), training=True):
        assert y.dtype == "float32"
        assert np.isfinite(y).all()
    inner = next(call for call in graph.calls(model) if call.operation.weights)
    assert inner.operation(np.zeros((1, *inner.inputs[0].shape))).dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize("name", slow_unless(sorted(SMALL & ONE_OF_EACH & set(CLASSIFIERS)), QUICK))
def test_same_seed_same_weights(name):
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        weights.append(zoo.build_model(name).get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", slow_unless(sorted((SMALL - DEEP) & ONE_OF_EACH & set(CLASSIFIERS)), {"simple_cnn"}))
def test_compile_and_fit_work(name):
    keras.utils.set_random_seed(0)
    model = zoo.build_model(name, input_shape=(16, 16, 1), num_classes=3)
    images, labels = examples_for(model, count=32), np.arange(32) % 3
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    losses = model.fit(images, labels, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(images, verbose=0).shape == (32, 3)
