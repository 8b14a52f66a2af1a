"""What timm and torchvision say of their weights, as JSON; run by a Python that has both.

    PEER_PYTHON tests/pretrained/peer_facts.py > facts.json

Nothing is downloaded, and nothing of the zoo is imported.
"""

import inspect
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "zoo" / "pretrained" / "peers"))


def of_timm() -> dict:
    import timm

    facts = {}
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name).to_dict()
        keys = ("architecture", "url", "hf_hub_id", "num_classes", "license", "input_size", "crop_pct", "crop_mode")
        keys += ("test_input_size", "test_crop_pct", "interpolation", "mean", "std")
        facts[name] = {key: config.get(key) for key in keys}
    return facts


def of_torchvision() -> dict:
    import torchvision

    facts = {}
    for net in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(net):
            categories = weights.meta.get("categories")
            if not categories:
                # Without a classifier, such as IMAGENET1K_FEATURES of VGG-16.
                continue
            transform = weights.transforms()
            facts[f"{net}.{weights.name}"] = {
                "architecture": net,
                "url": weights.url,
                "num_classes": len(categories),
                "mebibytes": weights.meta["_file_size"],
                "top1": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
                "crop_size": transform.crop_size[0],
                "resize_size": transform.resize_size[0],
                "interpolation": transform.interpolation.value,
                "mean": transform.mean,
                "std": transform.std,
                # Set with the weights of these nets: they take what they normalise anew.
                "transform_input": "transform_input" in inspect.getsource(getattr(torchvision.models, net)),
            }
    return facts


def synsets() -> list:
    from timm.data import ImageNetInfo

    return ImageNetInfo().label_names()


def main() -> None:
    import torch_peer

    torchvision = torch_peer.import_torchvision()
    import timm

    versions = {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}
    found = {"timm": of_timm(), "torchvision": of_torchvision(), "synsets": synsets(), "versions": versions}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
