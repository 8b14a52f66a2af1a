"""Functional: residual blocks as in `resnet.py`, whose 3x3 convolution is wider, or split into groups.

Xie, Girshick, Dollar, Tu and He 2016, Aggregated Residual Transformations for Deep Neural Networks,
arXiv:1611.05431: "32x4d" is 32 groups of 4 filters in the first stage. Zagoruyko and Komodakis 2016, Wide
Residual Networks, arXiv:1605.07146, table 8: ResNet-50 whose 3x3 convolutions have twice the filters.

Deviations: those of `resnet.py`.
"""

import keras

from zoo.models.functional.resnet import Design, image_resnet, imagenet_model

PAPER = (
    "Xie, Girshick, Dollar, Tu and He 2016, Aggregated Residual Transformations for Deep Neural Networks, "
    "arXiv:1611.05431"
)
WIDE_PAPER = "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146"


@imagenet_model(paper=PAPER, parameters=25_028_904, macs=4_230_479_872)
def resnext50_32x4d(input_shape, num_classes, **hyperparameters) -> keras.Model:
    """ResNeXt-50, 32 groups of 4 filters."""
    return image_resnet(
        "resnext50_32x4d", Design(50, groups=32, group_width=4), input_shape, num_classes, **hyperparameters
    )


@imagenet_model(paper=PAPER, parameters=88_791_336, macs=16_414_015_488)
def resnext101_32x8d(input_shape, num_classes, **hyperparameters) -> keras.Model:
    """ResNeXt-101, 32 groups of 8 filters."""
    return image_resnet(
        "resnext101_32x8d", Design(101, groups=32, group_width=8), input_shape, num_classes, **hyperparameters
    )


@imagenet_model(paper=WIDE_PAPER, parameters=68_883_240, macs=11_398_021_120)
def wide_resnet50_2(input_shape, num_classes, **hyperparameters) -> keras.Model:
    """Wide ResNet-50-2."""
    return image_resnet("wide_resnet50_2", Design(50, group_width=128), input_shape, num_classes, **hyperparameters)
