"""Functional: residual blocks as in `resnet.py`, whose 3x3 convolution is wider, or split into groups.

Xie, Girshick, Dollar, Tu and He 2016, Aggregated Residual Transformations for Deep Neural Networks,
arXiv:1611.05431: "32x4d" is 32 groups of 4 filters in the first stage. Zagoruyko and Komodakis 2016, Wide
Residual Networks, arXiv:1605.07146, table 8: ResNet-50 whose 3x3 convolutions have twice the filters.

Deviations: those of `resnet.py`.
"""

import functools

from zoo.models.functional.resnet import Design, image_resnet
from zoo.models.names import resnet as names
from zoo.models.published import Published
from zoo.registry import register_variant

PAPER = (
    "Xie, Girshick, Dollar, Tu and He 2016, Aggregated Residual Transformations for Deep Neural Networks, "
    "arXiv:1611.05431"
)
WIDE_PAPER = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146"

imagenet_variant = functools.partial(register_variant, image_resnet, input_shape=(224, 224, 3), num_classes=1000)


@imagenet_variant(Design(50, groups=32, group_width=4), paper=PAPER, parameters=25_028_904, macs=4_230_479_872)
def resnext50_32x4d():
    """ResNeXt-50, 32 groups of 4 filters."""


@imagenet_variant(Design(101, groups=32, group_width=8), paper=PAPER, parameters=88_791_336, macs=16_414_015_488)
def resnext101_32x8d():
    """ResNeXt-101, 32 groups of 8 filters."""


@imagenet_variant(Design(50, group_width=128), paper=WIDE_PAPER, parameters=68_883_240, macs=11_398_021_120)
def wide_resnet50_2():
    """Wide ResNet-50-2."""


_TORCH = Published(names.TORCH)
PUBLISHED = {"torchvision": _TORCH, "timm": _TORCH}
