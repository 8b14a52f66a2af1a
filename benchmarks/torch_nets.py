"""The zoo's nets in PyTorch: torchvision's where it has the same, else written here."""

import functools
import itertools

import torch
from torch import nn
from torch.nn import functional

from benchmarks.works import CLASSES, Unfit, Work


def build(work: Work) -> tuple[nn.Module, dict[str, str]]:
    """The net, and the versions of the packages that it is from.

    Raises:
        Unfit: it is torchvision's, and there is no torchvision.
    """
    own = {"mlp": mlp, "simple_cnn": simple_cnn, "resnet20": resnet20, "siamese": Siamese}
    if work.model in own:
        return own[work.model](work), {}
    torchvision = import_torchvision()
    made = {
        "resnet50": torchvision.models.resnet50,
        "resnext50_32x4d": torchvision.models.resnext50_32x4d,
        "googlenet": functools.partial(googlenet, torchvision),
        "inception_v3": functools.partial(torchvision.models.inception_v3, aux_logits=False, init_weights=False),
    }[work.model]
    return made(num_classes=CLASSES), {"torchvision": torchvision.__version__}


def import_torchvision():
    """torchvision, also one whose compiled operators were built for another torch: the nets need none of them."""
    try:
        import torchvision
    except ModuleNotFoundError as error:
        raise Unfit("the net is torchvision's, which is not installed") from error
    except (ImportError, RuntimeError):
        # What it says of the operators on import fails unless they are defined.
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def mlp(work: Work) -> nn.Module:
    """Dense layers with ReLU between them."""
    height, width, channels = work.image_shape
    sizes = [height * width * channels, *work.model_args["hidden_sizes"]]
    layers = [nn.Flatten()]
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))


def simple_cnn(work: Work) -> nn.Module:
    """3x3 convolutions with batch norm, ReLU and max pooling; a dense layer of 128."""
    height, width, channels = work.image_shape
    layers = []
    for filters in work.model_args["filters"]:
        layers += [*conv_bn(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        height, width, channels = height // 2, width // 2, filters
    hidden = nn.Linear(height * width * channels, 128)
    return nn.Sequential(*layers, nn.Flatten(), hidden, nn.ReLU(), nn.Linear(128, CLASSES))


def conv_bn(channels: int, filters: int, size: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias, padded symmetrically, then batch norm."""
    return [nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters)]


class Block(nn.Module):
    """`relu(x + F(x))` with two 3x3 convolutions, and the shortcut without parameters where the size changes."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.path = nn.Sequential(*conv_bn(channels, filters, 3, stride), nn.ReLU(), *conv_bn(filters, filters, 3))
        self.stride, self.new = stride, filters - channels

    def forward(self, x):
        """(n, channels, height, width)."""
        shortcut = x
        if self.new:
            shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return functional.relu(self.path(x) + shortcut)


def resnet20(work: Work, classes: int = CLASSES) -> nn.Module:
    """Three stages of three blocks, section 4.2 of arXiv:1512.03385; 0 classes: the 64 pooled features."""
    layers, channels = [*conv_bn(work.image_shape[-1], 16, 3), nn.ReLU()], 16
    for filters in (16, 32, 64):
        for _ in range(3):
            layers.append(Block(channels, filters, 1 if filters == channels else 2))
            channels = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *([nn.Linear(channels, classes)] if classes else []))


class Siamese(nn.Module):
    """A ResNet-20 called on each image of a pair; a dense layer weighs the components of |left - right|."""

    def __init__(self, work: Work):
        super().__init__()
        self.tower = resnet20(work, 0)
        self.logit = nn.Linear(64, 1)

    def forward(self, left, right):
        """Logits (n,)."""
        return self.logit((self.tower(left) - self.tower(right)).abs())[:, 0]


def googlenet(torchvision, num_classes: int) -> nn.Module:
    """The net of torchvision with the paper's 5x5 convolutions, which are 3x3 there, and its fourth pooling."""
    settings = {"aux_logits": False, "transform_input": False, "init_weights": False}
    net = torchvision.models.googlenet(num_classes=num_classes, **settings)
    net.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
    for name, module in net.named_children():
        if name.startswith("inception"):
            conv = module.branch3[1].conv
            module.branch3[1].conv = nn.Conv2d(conv.in_channels, conv.out_channels, 5, padding=2, bias=False)
    return net
