"""Runs a net of timm or torchvision: python torch_peer.py REQUEST.json

It imports nothing of the zoo, so that it runs in a Python that has PyTorch and no TensorFlow. A request is an object:

    publisher     timm or torchvision
    name          resnet50.a1_in1k, resnet50.IMAGENET1K_V2; without a tag it is the net alone, normalised by ImageNet's
    weights       the file; with `random` it is written, else it is read
    random        draw the weights, so that every one of them counts
    levels        an .npy of images, uint8 (n, height, width, 3)
    modules       the modules whose outputs are wanted too
    outputs       an .npz to write: `logits` (n, classes), and `module/NAME` with the channels last
"""

import json
import sys

import numpy as np
import torch

# Of ImageNet, in shares of the largest level.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def import_torchvision():
    """torchvision; where its compiled operators are for another PyTorch, which no classifier needs, without them."""
    try:
        import torchvision
    except RuntimeError:
        # It misses two operators by name, so they are declared. One that has its own must not be given them twice.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # a library that is let go takes its operators with it
        import torchvision
    return torchvision


def make(publisher: str, name: str) -> tuple[torch.nn.Module, tuple, tuple]:
    """A net without its weights, and mean and deviation of the images that it takes."""
    torchvision = import_torchvision()
    if publisher == "timm":
        import timm

        net = timm.create_model(name, pretrained=False)
        return net, net.pretrained_cfg["mean"], net.pretrained_cfg["std"]
    name, _, tag = name.partition(".")
    options = {}
    if name in ("googlenet", "inception_v3"):
        # With its published weights the net normalises once more, from ImageNet's numbers to its own.
        options = {"init_weights": False, "transform_input": bool(tag), "aux_logits": True}
    net = torchvision.models.get_model(name, weights=None, **options)
    if not tag:
        return net, MEAN, DEVIATION
    transforms = torchvision.models.get_model_weights(name)[tag].transforms()
    return net, tuple(transforms.mean), tuple(transforms.std)


def randomise(net: torch.nn.Module) -> None:
    """Draws weights of which each counts: kernels by He's rule, scales and variances near 1, the rest near 0."""
    generator = torch.Generator().manual_seed(0)
    # Sums of blocks grow with the depth. Gates that are full of them would leave the outputs to rounding.
    is_gated = any(".se" in name for name in net.state_dict())
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if not value.is_floating_point():
                continue
            if value.ndim > 1:
                is_depthwise = value.shape[1] == 1 and value.ndim == 4
                gain = (1 if is_depthwise else 2) ** 0.5
                value.copy_(torch.randn(value.shape, generator=generator) * gain / value[0].numel() ** 0.5)
            elif name.endswith(("running_var", "weight")):
                value.copy_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
                if is_gated and name.endswith("bn3.weight"):
                    value.mul_(0.3)
            else:
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))


def state_of(path: str) -> dict:
    """The state dict of a file."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def write_state(net: torch.nn.Module, path: str) -> None:
    """Writes a net's state dict into a file."""
    if path.endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path)


def channels_last(value: torch.Tensor) -> np.ndarray:
    """As Keras has it."""
    return (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).contiguous().numpy()


def run(request: dict) -> None:
    """What the module says."""
    net, mean, deviation = make(request["publisher"], request["name"])
    if request["random"]:
        randomise(net)
        write_state(net, request["weights"])
    elif request["weights"]:
        state = state_of(request["weights"])
        # Older files of DenseNet's have names that torchvision itself translates when it loads them.
        densenet = sys.modules.get("torchvision.models.densenet")
        if densenet is not None and any(".norm.1." in key for key in state):
            import re

            state = {re.sub(r"(norm|relu|conv)\.([12])\.", r"\1\2.", key): value for key, value in state.items()}
        net.load_state_dict(state)
    net.eval()
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.__setitem__(f"module/{name}", channels_last(output.detach()))

    modules = dict(net.named_modules())
    for name in request["modules"]:
        if name in modules:
            modules[name].register_forward_hook(keep(name))
    levels = np.load(request["levels"]).astype(np.float32) / 255
    images = (levels - np.float32(mean)) / np.float32(deviation)
    with torch.no_grad():
        logits = net(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    np.savez(request["outputs"], logits=logits.numpy(), **found)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        run(json.load(file))
