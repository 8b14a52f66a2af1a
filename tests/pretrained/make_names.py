"""Writes `names/PUBLISHER.json.gz`: the arrays that each net of a publisher has in its checkpoints, and their shapes.

    python tests/pretrained/make_names.py torchvision timm    # in a Python with torch, torchvision and timm
    python tests/pretrained/make_names.py keras               # in one with Keras

A file is an object, the net's label in `publishers.NETS` -> array -> shape, in the order of the checkpoint, and
`versions` of what it was made with. No weights are made for it, and none are in it.
"""

import gzip
import importlib.metadata
import json
import sys
from pathlib import Path

import publishers

FOLDER = Path(__file__).with_name("names")
PACKAGES = {"torchvision": ("torchvision", "torch"), "timm": ("timm", "torch"), "keras": ("keras", "tensorflow")}


def of_torch(net):
    import torch
    import torch_peer  # `publishers` has said where it is

    torch_peer.import_torchvision()
    with torch.device("meta"):
        state = publishers.build_torch(net.publisher, net.name, aux_heads=net.aux_heads).state_dict()
    return {name: list(value.shape) for name, value in state.items()}


def of_keras(net):
    import keras

    with keras.StatelessScope(initialize_variables=False):
        keras.backend.clear_session()  # numbers begin anew
        model = getattr(keras.applications, net.name)(weights=None)
        return {
            f"{layer.name}/{variable.name}": list(variable.shape)
            for layer in model.layers
            for variable in layer.weights
        }


def write(publisher):
    nets = [net for net in publishers.NETS if net.publisher == publisher]
    read = of_keras if publisher == "keras" else of_torch
    arrays = {net.label: read(net) for net in nets}
    versions = {package: importlib.metadata.version(package) for package in PACKAGES[publisher]}
    text = json.dumps({"versions": versions, "nets": arrays}, separators=(",", ":"))
    FOLDER.mkdir(exist_ok=True)
    # Without a time in it, the same names give the same file.
    (FOLDER / f"{publisher}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    for publisher in sys.argv[1:]:
        write(publisher)
