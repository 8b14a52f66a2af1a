"""How weights start, how windows are padded, what is dropped, how batch norm averages: family by family, as published.

Counts, sizes and forward passes of trained weights show none of this, yet training from the start hangs on it. The
values are those of the sources, which the comments name; nets are built without their weights.
"""

import dataclasses

import keras
import pytest
import weightless

import zoo
from zoo.analysis.nets import graph


def variance_scaling(scale, mode, distribution):
    return f"{scale:g} / {mode}, {distribution}"


def normal(mean, deviation):
    return f"N({mean:g}, {deviation:g})"


HE = variance_scaling(2, "fan_in", "truncated_normal")  # He et al. 2015, as Keras and slim draw it
TORCH = variance_scaling(2, "fan_out", "untruncated_normal")  # He et al. 2015, as the Torch models have it
GLOROT = variance_scaling(1, "fan_avg", "uniform")  # Glorot and Bengio 2010, Keras' own
XAVIER = variance_scaling(1, "fan_in", "uniform")  # Caffe's filler of that name


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of one net.

    Attributes:
        convs: (kernel's initialiser, bias' initialiser) of convolutions; no bias is None.
        hidden: the same of dense layers before the outputs.
        outputs: the same of dense layers that make an output.
        norms: (momentum, epsilon) of batch norm.
        windows: of convolutions and poolings, but for convolutions of stride 1 with "same" padding. "pad 3" is
            3 zeros on every side.
        dropout: fractions, sorted.
    """

    convs: frozenset = frozenset()
    hidden: frozenset = frozenset()
    outputs: frozenset = frozenset()
    norms: frozenset = frozenset()
    windows: frozenset = frozenset()
    dropout: tuple = ()


def expected(*, dropout=(), **sets):
    return Facts(dropout=tuple(sorted(dropout)), **{name: frozenset(values) for name, values in sets.items()})


RESIDUAL_WINDOWS = {"conv 3x3/2 pad 1", "conv 1x1/2"}
IMAGENET_STEM = {"conv 7x7/2 pad 3", "max 3x3/2 pad 1"}
INCEPTION_WINDOWS = {"conv 3x3/2 valid", "conv 3x3 valid", "max 3x3/2 valid", "average 3x3 same"}
# The tower of the multi-input nets is `simple_cnn` without its logits.
TOWER = {
    "convs": [(GLOROT, None)],
    "hidden": [(GLOROT, "0")],
    "norms": [(0.9, 1e-3)],
    "windows": ["max 2x2/2 valid"],
}

FACTS = {
    # No paper: Keras' own initialisers and epsilon.
    ("mlp",): expected(hidden=[(GLOROT, "0")], outputs=[(GLOROT, "0")]),
    ("simple_cnn",): expected(**TOWER, outputs=[(GLOROT, "0")]),
    # LeCun et al. 1998, figure 2: nothing padded. How the paper's weights start goes with its scaled tanh.
    ("lenet5",): expected(
        convs=[(GLOROT, "0")],
        hidden=[(GLOROT, "0")],
        outputs=[(GLOROT, "0")],
        windows=["conv 5x5 valid", "average 2x2/2 valid"],
    ),
    # Krizhevsky et al. 2012, sections 3.4, 4.2 and 5; padding of the first layer: torchvision.
    ("alexnet",): expected(
        convs=[(normal(0, 0.01), "0"), (normal(0, 0.01), "1")],
        hidden=[(normal(0, 0.01), "1")],
        outputs=[(normal(0, 0.01), "0")],
        windows=["conv 11x11/4 pad 2", "max 3x3/2 valid"],
        dropout=[0.5, 0.5],
    ),
    # Simonyan and Zisserman 2014, sections 2.1 and 3.1; batch norm: torchvision, whose momentum is one minus this.
    ("vgg11",): expected(
        convs=[(GLOROT, "0")],
        hidden=[(GLOROT, "0")],
        outputs=[(GLOROT, "0")],
        windows=["max 2x2/2 valid"],
        dropout=[0.5, 0.5],
    ),
    ("vgg11_bn",): expected(
        convs=[(GLOROT, "0")],
        hidden=[(GLOROT, "0")],
        outputs=[(GLOROT, "0")],
        norms=[(0.9, 1e-5)],
        windows=["max 2x2/2 valid"],
        dropout=[0.5, 0.5],
    ),
    # The authors' Caffe definition for CIFAR-10; Caffe's windows that hang over the end are "same" at even sizes.
    ("nin",): expected(
        convs=[(normal(0, 0.05), "0")],
        windows=["max 3x3/2 same", "average 3x3/2 same"],
        dropout=[0.5, 0.5],
    ),
    # Springenberg et al. 2014: dropout of section 3; 6 x 6 after the last 3x3 from table 2. Start: He et al. 2015.
    ("all_cnn_c",): expected(
        convs=[(HE, "0")],
        windows=["conv 3x3/2 pad 1", "conv 3x3 valid"],
        dropout=[0.2, 0.5, 0.5],
    ),
    # He et al. 2015, sections 3.4 and 4.2: the start, no dropout; padding and epsilon of the authors' Caffe models;
    # momentum: Torch's default. The 1x1 pooling is option A's subsampling.
    ("resnet20",): expected(
        convs=[(HE, None)],
        outputs=[(HE, "0")],
        norms=[(0.9, 1e-5)],
        windows=["conv 3x3/2 pad 1", "max 1x1/2"],
    ),
    ("resnet20", "shortcut=B"): expected(
        convs=[(HE, None)],
        outputs=[(HE, "0")],
        norms=[(0.9, 1e-5)],
        windows=RESIDUAL_WINDOWS,
    ),
    # The same, for ImageNet; logits by Glorot's rule are a deviation.
    **dict.fromkeys(
        [("resnet18",), ("resnext50_32x4d",), ("wide_resnet50_2",)],
        expected(
            convs=[(HE, None)],
            outputs=[(GLOROT, "0")],
            norms=[(0.9, 1e-5)],
            windows=RESIDUAL_WINDOWS | IMAGENET_STEM,
        ),
    ),
    # As in the paper, no 3x3 convolution has a stride.
    ("resnet50_v1",): expected(
        convs=[(HE, None)],
        outputs=[(GLOROT, "0")],
        norms=[(0.9, 1e-5)],
        windows=IMAGENET_STEM | {"conv 1x1/2"},
    ),
    # Hu et al. 2017, section 3; the excitation has biases as in timm, and starts as Keras does.
    ("seresnet18",): expected(
        convs=[(HE, None)],
        hidden=[(GLOROT, "0")],
        outputs=[(GLOROT, "0")],
        norms=[(0.9, 1e-5)],
        windows=RESIDUAL_WINDOWS | IMAGENET_STEM,
    ),
    # The authors' Torch models: He et al. 2016, Zagoruyko and Komodakis 2016, Huang et al. 2016.
    ("resnet50_v2",): expected(
        convs=[(TORCH, None)],
        outputs=[(GLOROT, "0")],
        norms=[(0.9, 1e-5)],
        windows=RESIDUAL_WINDOWS | IMAGENET_STEM,
    ),
    ("wrn_16_4",): expected(
        convs=[(TORCH, None)], outputs=[(GLOROT, "0")], norms=[(0.9, 1e-5)], windows=RESIDUAL_WINDOWS
    ),
    ("densenet_bc_100_12",): expected(
        convs=[(TORCH, None)], outputs=[(GLOROT, "0")], norms=[(0.9, 1e-5)], windows=["average 2x2/2 valid"]
    ),
    ("densenet121",): expected(
        convs=[(TORCH, None)],
        outputs=[(GLOROT, "0")],
        norms=[(0.9, 1e-5)],
        windows=IMAGENET_STEM | {"average 2x2/2 valid"},
    ),
    # Caffe's bvlc_googlenet; 5x5/3 and 70 % of the auxiliary heads: Szegedy et al. 2014, section 5. The main logits
    # by Glorot's rule are a deviation.
    ("googlenet",): expected(
        convs=[(XAVIER, "0.2")],
        outputs=[(GLOROT, "0")],
        windows=["conv 7x7/2 pad 3", "max 3x3/2 same", "max 3x3 same"],
        dropout=[0.4],
    ),
    ("googlenet", "aux_heads", "batch_norm"): expected(
        convs=[(XAVIER, None)],
        hidden=[(XAVIER, "0.2")],
        outputs=[(GLOROT, "0"), (XAVIER, "0")],
        norms=[(0.9, 1e-3)],
        windows=["conv 7x7/2 pad 3", "max 3x3/2 same", "max 3x3 same", "average 5x5/3 valid"],
        dropout=[0.4, 0.7, 0.7],
    ),
    # The authors' slim code. Logits by Glorot's rule are a deviation; so is He's start of Inception-ResNet-v2.
    ("inception_v3", "aux_heads"): expected(
        convs=[(HE, None), (normal(0, 0.01) + ", truncated", None)],
        outputs=[(GLOROT, "0"), (normal(0, 0.001) + ", truncated", "0")],
        norms=[(0.9997, 1e-3)],
        windows=INCEPTION_WINDOWS | {"average 5x5/3 valid", "conv 5x5 valid"},
        dropout=[0.2],
    ),
    ("inception_v4",): expected(
        convs=[(HE, None)],
        outputs=[(GLOROT, "0")],
        norms=[(0.9997, 1e-3)],
        windows=INCEPTION_WINDOWS,
        dropout=[0.2],
    ),
    ("inception_resnet_v2",): expected(
        convs=[(HE, None), (HE, "0")],
        outputs=[(GLOROT, "0")],
        norms=[(0.9997, 1e-3)],
        windows=INCEPTION_WINDOWS,
        dropout=[0.2],
    ),
    # keras.applications, the author's code; dropout: Chollet 2016, section 4.3.
    ("xception",): expected(
        convs=[(GLOROT, None)],
        outputs=[(GLOROT, "0")],
        norms=[(0.99, 1e-3)],
        windows=["conv 3x3/2 valid", "conv 3x3 valid", "conv 1x1/2", "max 3x3/2 same"],
        dropout=[0.5],
    ),
    # Koch et al. 2015, section 3.2, and figure 4 for the windows.
    ("siamese_koch",): expected(
        convs=[(normal(0, 0.01), normal(0.5, 0.01))],
        hidden=[(normal(0, 0.2), normal(0.5, 0.01))],
        outputs=[(normal(0, 0.2), normal(0.5, 0.01))],
        windows=["conv 10x10 valid", "conv 7x7 valid", "conv 4x4 valid", "max 2x2/2 valid"],
    ),
    # Any tower; dense layers start as Keras does. FiLM's scale starts at 1: Perez et al. 2018, appendix.
    ("siamese",): expected(**TOWER, outputs=[(GLOROT, "0")]),
    ("multi_output",): expected(**TOWER, outputs=[(GLOROT, "0")]),
    ("multi_input",): expected(**TOWER, outputs=[(GLOROT, "0")]),
    ("multi_input", "join=film"): expected(
        **TOWER | {"hidden": [(GLOROT, "0"), (GLOROT, "1")]}, outputs=[(GLOROT, "0")]
    ),
}


def build(name, *switches):
    """A net without weights. A switch is `key`, which is then true, or `key=value`."""
    pairs = (switch.split("=") for switch in switches)
    return weightless.build(name, **{key: value[0] if value else True for key, *value in pairs})


def initialiser(x):
    """An initialiser in the words of the table."""
    kinds = keras.initializers
    if isinstance(x, kinds.VarianceScaling):  # HeNormal and its like are subclasses
        return variance_scaling(x.scale, x.mode, x.distribution)
    if isinstance(x, kinds.RandomNormal | kinds.TruncatedNormal):
        return normal(x.mean, x.stddev) + ", truncated" * isinstance(x, kinds.TruncatedNormal)
    if isinstance(x, kinds.Constant):
        return f"{x.value:g}"
    return {kinds.Zeros: "0", kinds.Ones: "1"}[type(x)]


def starts(layer):
    """(kernel's initialiser, bias' initialiser) of a layer, two of a separable convolution."""
    bias = initialiser(layer.bias_initializer) if layer.use_bias else None
    if isinstance(layer, keras.layers.SeparableConv2D):
        return {(initialiser(x), bias) for x in (layer.depthwise_initializer, layer.pointwise_initializer)}
    return {(initialiser(layer.kernel_initializer), bias)}


def window(call):
    """Kind, size, stride and padding of a convolution or pooling in words, None where there is nothing to tell."""
    layer, before = call.operation, call.inputs[0].source.operation
    kind = {"MaxPooling2D": "max", "AveragePooling2D": "average"}.get(type(layer).__name__, "conv")
    size = layer.kernel_size if kind == "conv" else layer.pool_size
    (stride,) = set(layer.strides)
    padding = layer.padding
    if isinstance(before, keras.layers.ZeroPadding2D):
        assert padding == "valid"
        sides = {side for sides in before.padding for side in sides}
        padding = f"pad {', '.join(map(str, sorted(sides)))}"
    if kind == "conv" and stride == 1 and (padding == "same" or size == (1, 1)):
        return None
    text = f"{kind} {size[0]}x{size[1]}" + (f"/{stride}" if stride > 1 else "")
    return text if size == (1, 1) else f"{text} {padding}"  # which a window of one pixel does not feel


def facts(model):
    """What the net is made of, in the words of the table."""
    layers = keras.layers
    sets = {"convs": set(), "hidden": set(), "outputs": set(), "norms": set(), "windows": set()}
    dropout = {}
    for call in graph.calls(model):
        layer = call.operation
        if isinstance(layer, layers.Conv2D | layers.SeparableConv2D):
            sets["convs"] |= starts(layer)
        if isinstance(layer, layers.Dense):
            sets["outputs" if call.outputs[0].is_output else "hidden"] |= starts(layer)
        if isinstance(layer, layers.BatchNormalization):
            sets["norms"].add((layer.momentum, layer.epsilon))
        if isinstance(layer, layers.Conv2D | layers.SeparableConv2D | layers.MaxPooling2D | layers.AveragePooling2D):
            sets["windows"] |= {window(call)} - {None}
        if isinstance(layer, layers.Dropout):
            dropout[layer.name] = layer.rate
    return expected(dropout=dropout.values(), **sets)


def test_every_family_has_a_row():
    families = {zoo.model_info(name).family for name in zoo.list_models()}
    assert {zoo.model_info(name).family for name, *_ in FACTS} == families


@pytest.mark.parametrize("variant", FACTS, ids="-".join)
def test_a_net_starts_pads_and_drops_as_published(variant):
    assert facts(build(*variant)) == FACTS[variant]


def test_biases_of_one_stand_where_alexnet_has_them():
    """Krizhevsky et al. 2012, section 5: in the second, fourth and fifth convolution."""
    found = {
        layer.name: starts(layer)
        for layer in build("alexnet").layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    }
    ones = {name for name, start in found.items() if start == {(normal(0, 0.01), "1")}}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}


def test_only_the_first_two_convolutions_of_xception_leave_the_rim():
    """`keras.applications`: its block1_conv1 and block1_conv2; all that follow are "same"."""
    convolutions = [layer for layer in build("xception").layers if hasattr(layer, "kernel_size")]
    assert [layer.name for layer in convolutions if layer.padding == "valid"] == ["stem1_conv", "stem2_conv"]
