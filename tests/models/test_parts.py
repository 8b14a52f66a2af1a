"""The parts of every net, and of small ones that show each rule."""

import keras
import pytest
import weightless

import zoo
from zoo.errors import RequestError
from zoo.layers import all_layers
from zoo.training.parts import parts_of

# Stem, blocks or modules, and classifier, counted by hand from the papers' tables. Of VGG and its like each layer with
# a kernel is one, of DenseNet each dense layer and each transition: 2 + 6 + 12 + 24 + 16 + 3 for DenseNet-121.
NUMBERS = {
    "lenet5": 5,
    "alexnet": 8,
    "vgg16": 16,
    "vgg19_bn": 19,
    "nin": 9,
    "resnet18": 10,
    "resnet50": 18,
    "resnet50_v2": 18,
    "seresnet50": 18,
    "resnext50_32x4d": 18,
    "resnet101": 35,
    "resnet152": 52,
    "resnet20": 11,
    "resnet110": 56,
    "wrn_28_10": 14,
    "densenet121": 63,
    "densenet201": 103,
    "googlenet": 3 + 9 + 1,
    "inception_v3": 5 + 11 + 1,
    "siamese": 4,
}
# Building one takes up to a second.
DEEP = {
    *("resnet101", "resnet110", "resnet152", "densenet121", "densenet201"),
    *("densenet_bc_100_12", "inception_v3", "inception_v4", "inception_resnet_v2", "resnext50_32x4d"),
    *("seresnet18", "seresnet50", "resnet18", "resnet50_v2", "xception", "googlenet"),
}
# The layers that give the answers, where they are not called logits.
CLASSIFIERS = {
    "all_cnn_c": {"conv9"},
    "nin": {"cccp6"},
    "multi_output": {"character", "typeface"},
    "triplet": {"embedding"},
}


def names(part):
    return [layer.name for layer in part.layers]


@pytest.mark.parametrize("name", weightless.slow_unless(zoo.list_models(), {*weightless.ONE_OF_EACH, *NUMBERS} - DEEP))
def test_each_layer_with_weights_is_in_one_part_and_the_last_one_is_the_classifier(name):
    model = weightless.build(name)
    parts = parts_of(model)
    found = [id(layer) for part in parts for layer in part.layers]
    assert sorted(found) == sorted(id(layer) for layer in all_layers(model) if layer.weights)
    heads = {layer for part in parts if part.is_classifier for layer in names(part)}
    assert heads == CLASSIFIERS.get(name, {"logits"})
    assert all(any(len(v.shape) > 1 for layer in part.layers for v in layer.weights) for part in parts)
    # On the longest way to the classifier each number of parts after a part is there.
    assert {part.parts_after for part in parts} == {*range(parts[0].parts_after + 1)}
    assert all(part.parts_after == 0 for part in parts if part.is_classifier)
    if name in NUMBERS:
        assert len(parts) == NUMBERS[name]


def test_a_residual_block_is_one_part_with_its_shortcut():
    parts = parts_of(weightless.build("resnet50"))
    assert names(parts[0]) == ["stem_conv", "stem_bn"]
    block = names(parts[1])
    assert all(layer.startswith("stage1_block1_") for layer in block)
    assert len(block) == 8
    assert [part.parts_after for part in parts] == [*range(17, -1, -1)]


def test_a_batch_normalisation_is_with_its_convolution_and_a_last_one_with_the_last_block():
    parts = parts_of(weightless.build("vgg11_bn"))
    assert len(names(parts[0])) == 2
    last, classifier = parts_of(weightless.build("resnet50_v2"))[-2:]
    assert names(last)[-1].endswith("_bn")
    assert names(last)[0].startswith("stage4_block3")
    assert names(classifier) == ["logits"]


def dense(name, size=4):
    return keras.layers.Dense(size, name=name)


def test_what_is_normalised_first_joins_what_comes_after():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(name="bn"), dense("one"), dense("two")]
    )
    assert [names(part) for part in parts_of(model)] == [["bn", "one"], ["two"]]


def test_an_auxiliary_head_has_a_classifier_and_counts_its_own_parts():
    inputs = keras.Input((4,))
    stem = dense("stem")(inputs)
    aux = dense("aux_logits")(dense("aux_hidden")(stem))
    x = stem
    for number in range(4):
        x = keras.layers.add([x, dense(f"block{number}")(x)])
    model = keras.Model(inputs, {"logits": dense("logits")(x), "aux": aux})
    parts = {names(part)[0]: (part.parts_after, part.is_classifier) for part in parts_of(model)}
    blocks = {f"block{number}": (4 - number, False) for number in range(4)}
    heads = {"logits": (0, True), "aux_logits": (0, True), "aux_hidden": (1, False)}
    assert parts == {"stem": (5, False), **blocks, **heads}
    parts = parts_of(weightless.build("googlenet", aux_heads=True))
    assert {tuple(names(part)) for part in parts if part.is_classifier} == {("logits",), ("aux1",), ("aux2",)}
    assert len(parts) == NUMBERS["googlenet"] + 2 * 3


def test_layers_that_are_shared_are_one_and_a_scale_of_the_distance_joins_the_tower():
    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(1,), name="scale")

        def call(self, inputs):
            return inputs * self.scale

    tower = keras.Sequential(
        [keras.Input((4,)), dense("one"), keras.layers.ReLU(), dense("two"), keras.layers.ReLU(), dense("embedding")],
        name="tower",
    )
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    distance = keras.ops.norm(tower(left) - tower(right), axis=1, keepdims=True)
    for outputs, last in ((distance, ["embedding"]), (Scale(name="scale")(distance), ["embedding", "scale"])):
        parts = parts_of(keras.Model([left, right], outputs))
        assert [names(part) for part in parts] == [["one"], ["two"], last]
        assert [part.is_classifier for part in parts] == [False, False, True]


def test_two_towers_have_parts_of_their_own_and_one_activation_may_serve_all_layers():
    relu = keras.layers.ReLU()
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    one = relu(dense("left2")(relu(dense("left1")(left))))
    other = relu(dense("right2")(relu(dense("right1")(right))))
    model = keras.Model([left, right], dense("logits")(keras.layers.concatenate([one, other])))
    found = {names(part)[0]: part.parts_after for part in parts_of(model)}
    assert found == {"left1": 2, "left2": 1, "right1": 2, "right2": 1, "logits": 0}


def test_a_layer_that_is_called_on_what_it_gave():
    inputs = keras.Input((4,))
    loop, between = dense("loop"), dense("between")
    x = loop(between(loop(dense("stem")(inputs))))
    parts = parts_of(keras.Model(inputs, x))
    assert [names(part) for part in parts] == [["stem"], ["loop", "between"]]
    parts = parts_of(keras.Model(inputs, dense("logits")(x)))
    assert [names(part) for part in parts] == [["stem"], ["loop", "between"], ["logits"]]


def test_a_model_that_is_python_code_or_has_no_kernel_has_no_parts():
    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = dense("inner")

        def call(self, inputs):
            return self.inner(inputs)

    with pytest.raises(RequestError, match="its forward pass is Python code; name the layers to freeze"):
        parts_of(Own(name="own"))
    with pytest.raises(RequestError, match="no layer with a kernel"):
        parts_of(keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()]))
    # As one part among others it is a layer like any other.
    inputs = keras.Input((4,))
    model = keras.Model(inputs, dense("logits")(Own(name="own")(inputs)))
    assert [names(part) for part in parts_of(model)] == [["own"], ["logits"]]
