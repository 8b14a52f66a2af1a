"""Functional: residual blocks as in `resnet.py`, and within each a second path that computes a gate per channel.

Hu, Shen, Albanie, Sun and Wu 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507, on the ResNets of
`resnet.py` (v1.5), with the paper's reduction ratio of 16. The squeeze is a mean over the image, the excitation
two dense layers, as in section 3.

Deviations: those of `resnet.py`, v1.5 included; and the dense layers of the excitation have biases, as in timm,
which the paper's equations leave out, and start by Glorot's rule. (timm rounds the reduced channels up to a
multiple of 8, which gives other counts for depths 18 and 34.)
"""

import functools

import keras

from zoo.models.functional.resnet import Design, image_resnet
from zoo.models.names import resnet as names
from zoo.models.published import Published
from zoo.registry import register_variant

PAPER = "Hu, Shen, Albanie, Sun and Wu 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507"
REDUCTION = 16


def squeeze_excite(x, *, name: str):
    """Scales each channel by a gate computed from all channels' means."""
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    gate = keras.layers.Dense(channels // REDUCTION, activation="relu", name=f"{name}_reduce")(gate)
    gate = keras.layers.Dense(channels, activation="sigmoid", name=f"{name}_expand")(gate)
    return keras.layers.Multiply(name=f"{name}_excite")([x, gate])


imagenet_variant = functools.partial(
    register_variant, image_resnet, paper=PAPER, input_shape=(224, 224, 3), num_classes=1000
)


@imagenet_variant(Design(18, gate=squeeze_excite), parameters=11_778_592, macs=1_814_160_384)
def seresnet18():
    """SE-ResNet-18."""


@imagenet_variant(Design(34, gate=squeeze_excite), parameters=21_958_868, macs=3_663_918_592)
def seresnet34():
    """SE-ResNet-34."""


@imagenet_variant(Design(50, gate=squeeze_excite), parameters=28_088_024, macs=4_091_699_200)
def seresnet50():
    """SE-ResNet-50."""


@imagenet_variant(Design(101, gate=squeeze_excite), parameters=49_326_872, macs=7_806_148_608)
def seresnet101():
    """SE-ResNet-101."""


@imagenet_variant(Design(152, gate=squeeze_excite), parameters=66_821_848, macs=11_520_204_800)
def seresnet152():
    """SE-ResNet-152."""


# Of depths 18 and 34 timm's gates are wider than these, and follow a ReLU in its legacy nets: weights of other nets.
_DEEP = ("seresnet50", "seresnet101", "seresnet152")
PUBLISHED = {
    "timm": Published(
        {
            r"stage(\d)_block(\d+)_se_reduce": "layer{0}.{1:-1}.se.fc1",
            r"stage(\d)_block(\d+)_se_expand": "layer{0}.{1:-1}.se.fc2",
            **names.TORCH,
        },
        models=_DEEP,
    ),
    # The authors' Caffe models, by way of Cadene's pretrained-models.pytorch.
    "timm_legacy": Published(
        {
            **names.TORCH,
            r"stem_(conv|bn)": "layer0.{0}1",
            r"stage(\d)_block(\d+)_se_reduce": "layer{0}.{1:-1}.se_module.fc1",
            r"stage(\d)_block(\d+)_se_expand": "layer{0}.{1:-1}.se_module.fc2",
            r"logits": "last_linear",
        },
        arguments={"caffe_layout": True},
        models=_DEEP,
    ),
}
