"""A file is paired with a net completely and both ways, or refused in a line with nothing set."""

import dataclasses
import re
import tracemalloc
import zlib

import keras
import numpy as np
import publishers
import pytest
import weightless
from checkpoints import empty, random, shapes_of

import zoo
from zoo.models.published import Published, numbered, own_names, translate
from zoo.pretrained.loading import classes_of, pair, published_names

RESNET18 = next(net for net in publishers.NETS if net.label == "torchvision-resnet18")
RESNET50 = next(net for net in publishers.NETS if net.label == "torchvision-resnet50")
TORCHVISION = published_names("resnet18")["torchvision"]


def digest(model):
    """Of all that a net's variables hold."""
    return [zlib.crc32(value.data) for value in model.get_weights()]


@pytest.fixture(scope="module")
def resnet18():
    return zoo.build_model("resnet18", (32, 32, 3))


def changed(**changes):
    """The arrays of ResNet-18 with some that are other ones, by their names with `_` for `.`; None takes one out."""
    arrays = empty(shapes_of(RESNET18))
    for name, array in changes.items():
        arrays.pop(name) if array is None else arrays.update({name: array})
    return arrays


def zeros(*shape):
    return np.zeros(shape, "float32")


FULL = changed()
# What is asked for, and what the message says: which array, both shapes, how many more.
REFUSED = {
    "an array is missing": (
        changed(**{"layer3.0.bn2.running_var": None}),
        r"lacks layer3\.0\.bn2\.running_var for stage3_block1_2_bn$",
    ),
    "an array is left over": (
        changed(**{"layer5.0.conv1.weight": zeros(1)}),
        r"resnet18 has no place for layer5\.0\.conv1\.weight$",
    ),
    "transposed as in Keras": (
        changed(**{"conv1.weight": zeros(7, 7, 3, 64)}),
        r"conv1\.weight is \(7, 7, 3, 64\) where stem_conv takes \(64, 3, 7, 7\)$",
    ),
    "a dense layer transposed": (
        changed(**{"fc.weight": zeros(512, 1000)}),
        r"fc\.weight is \(512, 1000\) where logits takes \(1000, 512\); build it with the file's number of classes",
    ),
    "kernel and norm swapped": (
        changed(**{"conv1.weight": FULL["bn1.weight"], "bn1.weight": FULL["conv1.weight"]}),
        r"conv1\.weight is \(64,\) where stem_conv takes \(64, 3, 7, 7\) and 1 more$",
    ),
    "layers swapped": (
        changed(
            **{
                "layer1.0.conv1.weight": FULL["layer2.0.conv1.weight"],
                "layer2.0.conv1.weight": FULL["layer1.0.conv1.weight"],
            }
        ),
        r"layer1\.0\.conv1\.weight is \(128, 64, 3, 3\) where stage1_block1_1_conv takes \(64, 64, 3, 3\) and 1 more$",
    ),
    "half a file": (
        dict(list(FULL.items())[:60]),
        r"lacks layer3\.0\.downsample\.0\.weight for stage3_block1_shortcut_conv and 51 more$",
    ),
    "a deeper net": (
        empty(shapes_of(next(net for net in publishers.NETS if net.label == "torchvision-resnet34"))),
        r"resnet18 has no place for layer1\.2\.conv1\.weight and \d+ more$",
    ),
    "a wider net": (
        empty(shapes_of(RESNET50)),
        r"the file's layer1\.0\.conv1\.weight is .* where .*; resnet18 has no place for layer1\.0\.conv3\.weight and",
    ),
    "another family": (
        {"features.conv0.weight": zeros(64, 3, 7, 7), "features.norm0.weight": zeros(64)},
        r"^the file has no array of resnet18, but features\.conv0\.weight and 1 more$",
    ),
    "whole numbers": (
        changed(**{"conv1.weight": np.zeros((64, 3, 7, 7), "int8")}),
        r"conv1\.weight holds int8 and no floating-point numbers$",
    ),
    "nothing": ({}, r"the file lacks conv1\.weight for stem_conv and 101 more$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused_and_nothing_is_set(case, resnet18):
    arrays, message = REFUSED[case]
    before = digest(resnet18)
    with pytest.raises(zoo.RequestError, match=message) as raised:
        pair(resnet18, TORCHVISION, arrays)
    assert "\n" not in str(raised.value)
    assert digest(resnet18) == before


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "resnet18",
            {"num_classes": 10},
            r"fc.weight is (1000, 512) where logits takes (10, 512) and 1 more; build it ",
        ),
        (
            "resnet18",
            {"input_shape": (32, 32, 1)},
            "where stem_conv takes (64, 1, 7, 7); sum the file's input channels",
        ),
        ("resnet18", {"small_stem": True}, "conv1.weight is (64, 3, 7, 7) where stem_conv takes (64, 3, 3, 3)"),
        ("resnet18", {"conv_bias": True}, "the file lacks conv1.bias for stem_conv and 19 more"),
        ("vgg11", {"input_shape": (96, 96, 3)}, "0.weight is (4096, 25088) where fc6 takes (4096, 4608)"),
        ("alexnet", {"input_shape": (96, 96, 3)}, "1.weight is (4096, 9216) where fc6 takes (4096, 1024)"),
        (
            "googlenet",
            {},
            "lacks conv1.conv.bias for stem1_conv and 56 more; googlenet has no place for conv1.bn.weight",
        ),
    ],
    ids=str,
)
def test_a_net_that_was_built_otherwise_is_refused(name, arguments, message):
    net = next(net for net in publishers.NETS if (net.model, net.table) == (name, "torchvision"))
    with pytest.raises(zoo.RequestError, match=re.escape(message)):
        pair(weightless.build(name, **arguments), published_names(name)["torchvision"], empty(shapes_of(net)))


def test_weights_of_another_net_of_the_same_shapes_are_refused():
    """Names and shapes of ResNet-50 v1 and v1.5 are the same, their outputs not."""
    with pytest.raises(zoo.RequestError, match=r"of resnet\?\?, resnet\?\?\?, which resnet50_v1 is not"):
        pair(weightless.build("resnet50_v1"), TORCHVISION, empty(shapes_of(RESNET50)))
    assert classes_of("resnet50_v1", TORCHVISION, empty(shapes_of(RESNET50))) is None


def test_only_what_follows_the_last_feature_map_may_be_left_over():
    net = next(net for net in publishers.NETS if net.label == "torchvision-vgg11")
    table, arrays = published_names("vgg11")["torchvision"], empty(shapes_of(net))
    model = weightless.build("vgg11", features=True)
    assert len(pair(model, table, arrays).values) == len(model.weights)
    with pytest.raises(zoo.RequestError, match=r"no place for features\.99\.weight$"):
        pair(model, table, arrays | {"features.99.weight": zeros(1)})
    # Without a classifier the hidden layers are there and are needed.
    model, cut = weightless.build("vgg11", num_classes=0), dict(arrays)
    assert len(pair(model, table, arrays).values) == len(model.weights)
    del cut["classifier.3.bias"]
    with pytest.raises(zoo.RequestError, match=r"lacks classifier\.3\.bias for fc7$"):
        pair(model, table, cut)


def test_a_file_without_classifier_fills_all_but_the_classifier(resnet18):
    arrays = {name: array for name, array in FULL.items() if not name.startswith("fc.")}
    assert classes_of("resnet18", TORCHVISION, arrays) is None
    with pytest.raises(zoo.RequestError, match=r"lacks fc\.weight for logits and 1 more$"):
        pair(resnet18, TORCHVISION, arrays)
    assert pair(resnet18, TORCHVISION, arrays, keep_head=False).left_new == ("logits",)


def test_what_is_set_is_what_the_file_holds(resnet18):
    model = resnet18
    head = model.get_layer("logits").get_weights()
    arrays = random(shapes_of(RESNET18))
    pairing = pair(model, TORCHVISION, arrays, keep_head=False)
    pairing.assign()
    assert pairing.layers["stage2_block1_shortcut_bn"] == "layer2.0.downsample.1"
    assert "logits" not in pairing.layers
    for found, expected in zip(model.get_layer("logits").get_weights(), head, strict=True):
        np.testing.assert_array_equal(found, expected)
    gamma, beta, mean, variance = model.get_layer("stage2_block1_shortcut_bn").get_weights()
    np.testing.assert_array_equal(gamma, arrays["layer2.0.downsample.1.weight"])
    np.testing.assert_array_equal(beta, arrays["layer2.0.downsample.1.bias"])
    np.testing.assert_array_equal(mean, arrays["layer2.0.downsample.1.running_mean"])
    np.testing.assert_array_equal(variance, arrays["layer2.0.downsample.1.running_var"])
    (kernel,) = model.get_layer("stem_conv").get_weights()
    np.testing.assert_array_equal(kernel, arrays["conv1.weight"].transpose(2, 3, 1, 0))


def test_arrays_are_converted_one_at_a_time(resnet18):
    """A file of 500 MB is not held twice."""
    arrays = random(shapes_of(RESNET18))
    pairing = pair(resnet18, TORCHVISION, arrays)
    tracemalloc.start()
    pairing.assign()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (
        most < 3 * max(array.nbytes for array in arrays.values()) < sum(array.nbytes for array in arrays.values()) / 1.5
    )
    arrays["conv1.weight"][:] = 5
    pairing.assign()
    assert np.all(resnet18.get_layer("stem_conv").get_weights()[0] == 5)


def own_arrays(model):
    """What the zoo's own files hold of a net: `layer/variable`, and of a net in a net `tower/layer/variable`."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= {f"{layer.name}/{name}": array for name, array in own_arrays(layer).items()}
        else:
            found |= {f"{layer.name}/{x.name}": np.broadcast_to(np.float32(0), x.shape) for x in layer.weights}
    return found


def random_own_arrays(model):
    return random({name: array.shape for name, array in own_arrays(model).items()})


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_net_in_half_precision_takes_the_same_numbers(policy, restore_dtype_policy):
    keras.config.set_dtype_policy(policy)
    model = zoo.build_model("simple_cnn", (8, 8, 1), 3)
    arrays = random_own_arrays(model)
    pair(model, published_names("simple_cnn")["zoo"], arrays).assign()
    for layer in model.layers:
        for variable, found in zip(layer.weights, layer.get_weights(), strict=True):
            assert found.dtype == "float32"
            np.testing.assert_array_equal(found, arrays[f"{layer.name}/{variable.name}"])


def test_every_replica_gets_the_same():
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = zoo.build_model("simple_cnn", (8, 8, 1), 3)
    arrays = random_own_arrays(model)
    pair(model, published_names("simple_cnn")["zoo"], arrays).assign()
    for layer in model.layers:
        for variable in layer.weights:
            replicas = strategy.experimental_local_results(variable.value)
            assert len(replicas) == 2
            for replica in replicas:
                np.testing.assert_array_equal(replica, arrays[f"{layer.name}/{variable.name}"])


# Sequential ones whose ends are others, nets in nets, and heads.
QUICK = {"all_cnn_c", "lenet5", "multi_input", "multi_output", "nin", "resnet20", "siamese", "simple_cnn", "vgg11"}


@pytest.mark.parametrize("name", weightless.slow_unless(sorted(weightless.INFOS), QUICK))
def test_every_net_takes_its_own_files(name):
    info, table = weightless.INFOS[name], published_names(name)["zoo"]
    model = weightless.build(name)
    arrays = own_arrays(model)
    assert len(pair(model, table, arrays).values) == len(model.weights) == len(arrays)
    with_heads = {"aux_heads": True} if "aux_heads" in info.hyperparameters else {}
    arrays = own_arrays(weightless.build(name, **with_heads))
    for arguments in ({"features": True}, {"num_classes": 0}):
        if info.num_classes and arguments.keys() <= {*info.hyperparameters, "num_classes"}:
            model = weightless.build(name, **arguments)
            assert len(pair(model, table, arrays).values) == len(model.weights)
            with pytest.raises(zoo.RequestError, match=f"{name} has no place for more/kernel"):
                pair(model, table, arrays | {"more/kernel": zeros(1)})
    if info.num_classes:
        assert classes_of(name, table, arrays) == info.num_classes
        new = pair(weightless.build(name, num_classes=7), table, arrays, keep_head=False).left_new
        assert translate(table.ends[-1], table.rules) in new


def test_heads_of_several_outputs_are_the_classifiers():
    model = weightless.build("multi_output")
    table = own_names()
    assert set(pair(model, table, own_arrays(model), keep_head=False).left_new) == {"character", "typeface"}


def older_torchvision_densenet(name):
    return re.sub(r"(denselayer\d+\.)(norm|conv)(\d)", r"\1\2.\3", name)


def older_keras_densenet(name):
    return re.sub("^predictions", "fc1000", re.sub("^conv1_", "conv1/", name))


OLDER = [
    (
        "torchvision-densenet121",
        "torchvision",
        older_torchvision_densenet,
        "features.denseblock1.denselayer1.norm.1.bias",
    ),
    ("timm-densenet121", "timm", older_torchvision_densenet, "features.denseblock4.denselayer16.conv.2.weight"),
    ("torchvision-vgg11", "timm", str, "classifier.6.weight"),
    ("torchvision-vgg11_bn", "timm", str, "classifier.0.weight"),
    ("keras-DenseNet121", "keras", older_keras_densenet, "conv1/conv/kernel"),
    ("keras-ResNet50", "keras", lambda name: re.sub("^predictions", "probs", name), "probs/bias"),
    ("keras-ResNet50V2", "keras", lambda name: re.sub("^predictions", "probs", name), "probs/bias"),
]


@pytest.mark.parametrize(
    ("label", "publisher", "rename", "example"), OLDER, ids=[f"{label}-{example}" for label, _, _, example in OLDER]
)
def test_older_names_are_known(label, publisher, rename, example):
    """Most files of torchvision and Keras are older than the names in their libraries, and timm took some over."""
    net = next(net for net in publishers.NETS if net.label == label)
    arrays = {rename(name): array for name, array in empty(shapes_of(net)).items()}
    assert example in arrays
    table = published_names(net.model)[publisher]
    model = weightless.build(net.model, **table.arguments)
    assert len(pair(model, table, arrays).values) == len(model.weights)
    assert classes_of(net.model, table, arrays) == 1000


def test_an_array_under_two_names_is_refused():
    arrays = empty(shapes_of(next(net for net in publishers.NETS if net.label == "keras-DenseNet121")))
    arrays |= {"conv1/conv/kernel": arrays["conv1_conv/kernel"]}
    with pytest.raises(zoo.RequestError, match="conv1_conv/kernel and conv1/conv/kernel, which are two names of one"):
        pair(weightless.build("densenet121"), published_names("densenet121")["keras"], arrays)


def test_rules_shift_numbers_and_letters_and_count():
    rules = {r"block(\d+)_(\w)": "part{0:-1}.{1:+3}", r"conv(\d)": "conv{0}", r".*": "features.#"}
    assert translate("block10_b", rules) == "part9.4"
    assert translate("conv0", rules) == "conv0"
    assert translate("else", rules) == "features.#"
    assert translate("else", {r"els": ""}) is None
    names = ["features.10", "features.2", "classifier.1", "features.2.0"]
    assert numbered("features.#", names) == ["features.2", "features.10"]
    assert numbered("conv2d_#", ["conv2d_10", "conv2d", "conv2d_9", "conv3d_1"]) == ["conv2d", "conv2d_9", "conv2d_10"]


@pytest.mark.parametrize("offset", [0, 94])
def test_numbers_that_say_nothing_may_begin_anywhere(offset):
    """Keras counts the layers of a process, not of a net, and files have been written by both."""
    image = keras.Input((4, 4, 3))
    layers = [keras.layers.Conv2D(size, 1, use_bias=False, name=f"step{size}_conv") for size in (2, 5, 4)]
    x = image
    for layer in layers:
        x = layer(x)
    model = keras.Model(image, x)
    table = Published({r".*_conv": "conv2d_#"}, style="keras")
    names = [f"conv2d_{offset + step}" if offset + step else "conv2d" for step in range(3)]
    arrays = {f"{name}/kernel": zeros(*layer.kernel.shape) for name, layer in zip(names, layers, strict=True)}
    backwards = dict(reversed(arrays.items()))
    assert pair(model, table, backwards).layers == {
        "step2_conv": names[0],
        "step5_conv": names[1],
        "step4_conv": names[2],
    }
    too_many = backwards | {f"conv2d_{offset + 3}/kernel": zeros(1, 1, 4, 4)}
    with pytest.raises(zoo.RequestError, match=f"no place for conv2d_{offset + 3}/kernel"):
        pair(model, table, too_many)
    too_few = {name: array for name, array in arrays.items() if not name.startswith(f"{names[2]}/")}
    with pytest.raises(zoo.RequestError, match="lacks conv2d_#/kernel for step4_conv"):
        pair(model, table, too_few)


def test_a_layer_without_a_rule_is_refused_whatever_the_file_has():
    table = dataclasses.replace(TORCHVISION, rules={k: v for k, v in TORCHVISION.rules.items() if k != "logits"})
    arrays = changed(**{"logits.weight": FULL["fc.weight"], "logits.bias": FULL["fc.bias"]})
    with pytest.raises(
        zoo.RequestError, match=r"lacks logits\.weight for logits and 1 more; resnet18 has no place for"
    ):
        pair(weightless.build("resnet18"), table, arrays)
