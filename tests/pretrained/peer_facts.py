"""What timm and torchvision say of their weights, as JSON; run by a Python that has both.

    PEER_PYTHON tests/pretrained/peer_facts.py > facts.json

Nothing is downloaded, and nothing of the zoo is imported.
"""

import inspect
import json
import sys


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


def import_torchvision() -> None:
    """Where its compiled part does not fit torch it misses two operations, which are declared then."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        # For as long as torch.
        torch.torchvision_operations = library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def main() -> None:
    import_torchvision()
    import timm
    import torchvision

    versions = {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}
    found = {"timm": of_timm(), "torchvision": of_torchvision(), "synsets": synsets(), "versions": versions}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
