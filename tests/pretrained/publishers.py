"""The nets of other publishers that the zoo has under a name of its own, and their random stand-ins for checkpoints.

    python tests/pretrained/publishers.py '{"publisher": "timm", "net": "resnet50", "size": [96, 128]}' FILE.npz

writes one, with images and what the net makes of them, in a Python that has torch, torchvision and timm and need have
no TensorFlow. `test_peers.py` runs it so.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

# `torch_peer` needs PyTorch, so it is imported where it is needed, and without the zoo, as it is run.
sys.path.append(str(Path(__file__).parents[2] / "zoo" / "pretrained" / "peers"))

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
RESNEXTS = ("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2")
DENSENETS = ("densenet121", "densenet169", "densenet201")
VGGS = tuple(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn"))
# The least size of some is large; sides of another parity at every stage show on which side a window is padded.
SIZES = {"vgg": (224, 224), "alexnet": (224, 224), "googlenet": (224, 224), "inception": (139, 123)}
SIZES |= {"xception": (139, 123), "legacy_xception": (139, 123), "Inception": (139, 123), "Xception": (139, 123)}
SIZES |= {"VGG": (224, 224)}


@dataclasses.dataclass(frozen=True)
class Net:
    """A net of a publisher.

    Attributes:
        model: what the zoo calls it.
        table: whose names it has, a key of its family's `PUBLISHED`.
        name: what its publisher calls it.
        aux_heads: whether it has its auxiliary heads.
    """

    model: str
    table: str
    name: str
    aux_heads: bool = False

    @property
    def publisher(self) -> str:
        """`timm`, `torchvision` or `keras`."""
        return self.table.partition("_")[0]

    @property
    def has_bn(self) -> bool:
        """Whether it is the variant with batch normalization of a net that has two."""
        return self.name.endswith("_bn")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of images that show a wrong padding."""
        if self.aux_heads:
            return {"googlenet": (224, 224), "inception_v3": (299, 299)}[self.model]
        return next((size for start, size in SIZES.items() if self.name.startswith(start)), (96, 128))

    @property
    def label(self) -> str:
        """For test ids and for the files of names."""
        return f"{self.publisher}-{self.name}" + "-aux" * self.aux_heads


NETS = [
    *(Net(name, publisher, name) for publisher in ("torchvision", "timm") for name in (*RESNETS, *RESNEXTS)),
    *(Net(name, publisher, name) for publisher in ("torchvision", "timm") for name in (*DENSENETS, *VGGS)),
    *(Net(f"resnet{depth}_v2", "timm", f"resnetv2_{depth}") for depth in (50, 101, 152)),
    *(Net(f"seresnet{depth}", "timm", f"seresnet{depth}") for depth in (50, 101, 152)),
    *(Net(f"seresnet{depth}", "timm_legacy", f"legacy_seresnet{depth}") for depth in (50, 101, 152)),
    Net("alexnet", "torchvision", "alexnet"),
    Net("googlenet", "torchvision", "googlenet"),
    Net("googlenet", "torchvision", "googlenet", aux_heads=True),
    Net("inception_v3", "torchvision", "inception_v3"),
    Net("inception_v3", "torchvision", "inception_v3", aux_heads=True),
    Net("inception_v3", "timm", "inception_v3"),
    Net("inception_v3", "timm", "inception_v3", aux_heads=True),
    Net("inception_v4", "timm", "inception_v4"),
    Net("inception_resnet_v2", "timm", "inception_resnet_v2"),
    Net("xception", "timm_legacy", "legacy_xception"),
    *(Net(f"resnet{depth}_v1", "keras", f"ResNet{depth}") for depth in (50, 101, 152)),
    *(Net(f"resnet{depth}_v2", "keras", f"ResNet{depth}V2") for depth in (50, 101, 152)),
    *(Net(name, "keras", name.replace("densenet", "DenseNet")) for name in DENSENETS),
    Net("vgg16", "keras", "VGG16"),
    Net("vgg19", "keras", "VGG19"),
    Net("inception_v3", "keras", "InceptionV3"),
    Net("inception_resnet_v2", "keras", "InceptionResNetV2"),
    Net("xception", "keras", "Xception"),
]
# The layer whose output an auxiliary head takes, and the head.
HEADS = {"googlenet": {"aux1": ("inception4a", "aux1"), "aux2": ("inception4d", "aux2")}}
HEADS |= {"inception_v3": {"aux1": ("Mixed_6e", "AuxLogits")}}


def build_torch(publisher: str, name: str, *, aux_heads: bool = False):
    """A net of torchvision or timm, as it is for inference."""
    import torch_peer

    torchvision = torch_peer.import_torchvision()
    import timm

    has_heads = name in HEADS
    if publisher == "timm":
        arguments = {"aux_logits": aux_heads} if has_heads else {}
        return timm.create_model(name, pretrained=False, **arguments).eval()
    arguments = {"aux_logits": aux_heads, "init_weights": False, "transform_input": False} if has_heads else {}
    return getattr(torchvision.models, name)(weights=None, **arguments).eval()


def stand_in(publisher: str, net: str, size: list[int], *, aux_heads: bool = False) -> dict[str, np.ndarray]:
    """A random checkpoint, `weights/NAME`, two images `(2, height, width, 3)`, and `outputs/NAME`, `(2, 1000)` each."""
    import torch
    import torch_peer

    theirs = build_torch(publisher, net, aux_heads=aux_heads)
    torch_peer.randomise(theirs)
    images = np.random.default_rng(1).standard_normal((2, *size, 3)).astype("float32")
    seen = {}
    heads = HEADS[net] if aux_heads else {}
    for output, (layer, _) in heads.items():
        theirs.get_submodule(layer).register_forward_hook(
            lambda module, taken, given, output=output: seen.update({output: given})
        )
    with torch.no_grad():
        logits = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        outputs = {"logits": logits[0] if isinstance(logits, tuple) else logits}  # timm gives its auxiliary head, too
        outputs |= {output: theirs.get_submodule(head)(seen[output]) for output, (_, head) in heads.items()}
    return {
        "images": images,
        **{f"weights/{name}": value.numpy() for name, value in theirs.state_dict().items()},
        **{f"outputs/{name}": value.numpy() for name, value in outputs.items()},
    }


if __name__ == "__main__":
    np.savez(sys.argv[2], **stand_in(**json.loads(sys.argv[1])))
