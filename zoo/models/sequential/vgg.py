"""Sequential: 3x3 convolutions and poolings, one after the other, then dense layers.

Simonyan and Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image Recognition,
arXiv:1409.1556, nets A, B, D and E; the `_bn` variants, with batch normalisation after each convolution, are
torchvision's (their convolutions keep the bias that batch norm cancels, and count it).

Initialisation, of the `_bn` nets too, is Glorot and Bengio 2010, by which the paper's section 3.1 replaces its
pre-training of net A; batch norm has momentum 0.9 and epsilon 1e-5, torchvision's. Deviation from torchvision:
an image of another size than 224 changes the first dense layer, where torchvision pools to 7 x 7.
"""

import functools

import keras

from zoo.layers import BatchNormalization
from zoo.models.arguments import check_fractions, check_image_shape
from zoo.models.ends import sequential_features
from zoo.models.published import Published, own_names
from zoo.registry import register_variant

PAPER = (
    "Simonyan and Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"
)
# Table 1: convolutions of the five stages.
STAGE_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
STAGE_FILTERS = (64, 128, 256, 512, 512)


def vgg(
    name: str,
    depth: int,
    batch_norm: bool,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    dropout: float = 0.5,
    features: bool = False,
) -> keras.Model:
    """The net of a depth. Sizes in the comments are those of 224x224.

    Args:
        name: of the model.
        depth: layers with weights: 11, 13, 16, 19.
        batch_norm: normalise after each convolution.
        input_shape: `(height, width, channels)`, at least 32x32.
        num_classes: logits; 0 ends the net after the second hidden dense layer, 4096 features.
        dropout: fraction dropped after each hidden dense layer.
        features: give the last feature map of each stride in place of the logits.

    Raises:
        RequestError: the shape is no image's of that size, or `dropout` is no fraction.
    """
    check_image_shape(name, input_shape, smallest=32, open_size=features)
    check_fractions(name, dropout=dropout)
    layers = [keras.Input(input_shape, name="image")]
    stages = {}
    for stage, (convolutions, filters) in enumerate(zip(STAGE_CONVOLUTIONS[depth], STAGE_FILTERS, strict=True), 1):
        for number in range(1, convolutions + 1):
            path = f"conv{stage}_{number}"
            layers.append(keras.layers.Conv2D(filters, 3, padding="same", name=path))
            if batch_norm:
                layers.append(BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{path}_bn"))
            layers.append(keras.layers.ReLU(name=f"{path}_relu"))
        stages[2 ** (stage - 1)] = layers[-1]
        # 112 x 112 x 64, 56 x 56 x 128, 28 x 28 x 256, 14 x 14 x 512, 7 x 7 x 512
        layers.append(keras.layers.MaxPooling2D(2, name=f"pool{stage}"))
    stages[32] = layers[-1]
    if features:
        return sequential_features(layers, stages, name)
    layers.append(keras.layers.Flatten(name="flatten"))
    for path in ("fc6", "fc7"):
        layers.append(keras.layers.Dense(4096, activation="relu", name=path))
        layers.append(keras.layers.Dropout(dropout, name=f"{path}_dropout"))
    if num_classes:
        layers.append(keras.layers.Dense(num_classes, dtype="float32", name="logits"))
    return keras.Sequential(layers, name=name)


# A variant's depth, and whether it has batch normalisation.
imagenet_variant = functools.partial(register_variant, vgg, paper=PAPER, input_shape=(224, 224, 3), num_classes=1000)


@imagenet_variant(11, False, parameters=132_863_336, macs=7_609_090_048)
def vgg11():
    """Net A."""


@imagenet_variant(13, False, parameters=133_047_848, macs=11_308_466_176)
def vgg13():
    """Net B."""


@imagenet_variant(16, False, parameters=138_357_544, macs=15_470_264_320)
def vgg16():
    """Net D: published ImageNet top-1 71.59 % (torchvision)."""


@imagenet_variant(19, False, parameters=143_667_240, macs=19_632_062_464)
def vgg19():
    """Net E."""


@imagenet_variant(11, True, parameters=132_868_840, macs=7_609_090_048)
def vgg11_bn():
    """Net A, with batch normalisation."""


@imagenet_variant(13, True, parameters=133_053_736, macs=11_308_466_176)
def vgg13_bn():
    """Net B, with batch normalisation."""


@imagenet_variant(16, True, parameters=138_365_992, macs=15_470_264_320)
def vgg16_bn():
    """Net D, with batch normalisation."""


@imagenet_variant(19, True, parameters=143_678_248, macs=19_632_062_464)
def vgg19_bn():
    """Net E, with batch normalisation."""


_ENDS = ("fc6", "fc7", "logits")
PUBLISHED = {
    # Convolutions and norms are numbered with the ReLUs and poolings between them.
    "torchvision": Published(
        {r"conv.*": "features.#", r"fc6": "classifier.0", r"fc7": "classifier.3", r"logits": "classifier.6"}, ends=_ENDS
    ),
    # Its hidden dense layers are convolutions of 7x7 and 1x1. The first files were torchvision's.
    "timm": Published(
        {r"conv.*": "features.#", r"fc6": "pre_logits.fc1", r"fc7": "pre_logits.fc2", r"logits": "head.fc"},
        renamed={r"classifier\.0": "pre_logits.fc1", r"classifier\.3": "pre_logits.fc2", r"classifier\.6": "head.fc"},
        ends=_ENDS,
    ),
    # Trained on images whose channels are blue, green and red.
    "keras": Published(
        {r"conv(\d)_(\d)": "block{0}_conv{1}", r"fc6": "fc1", r"fc7": "fc2", r"logits": "predictions"},
        style="keras",
        models=("vgg16", "vgg19"),
        reversed_channels=True,
        ends=_ENDS,
    ),
    "zoo": own_names(*_ENDS),
}
