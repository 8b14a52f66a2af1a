"""Writes `zoo/pretrained/catalog.csv` of what the publishers' own packages say.

    PEER_PYTHON tests/pretrained/peer_facts.py > facts.json
    python tests/pretrained/make_catalog.py facts.json results-imagenet.csv REVISION

Of timm and torchvision a Python that has both says it, see `peer_facts.py`. timm's scores are no part of its package:
they stand in `results/results-imagenet.csv` of github.com/huggingface/pytorch-image-models, whose REVISION the catalog
names. A row that is not there leaves the score empty. Of Keras it is what `keras.applications` here asks
`keras.utils.get_file` for; sizes, scores and licences are documentation, and stand below.

`test_catalog.py` makes the same rows and holds the catalog to them.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from zoo.pretrained.catalog import COLUMNS, FILE
from zoo.registry import list_models

# The net's name at the publisher -> the zoo's, where they differ.
TIMM = {
    "resnetv2_50": "resnet50_v2",
    "resnetv2_101": "resnet101_v2",
    "legacy_xception": "xception",
    "legacy_seresnet50": "seresnet50",
    "legacy_seresnet101": "seresnet101",
    "legacy_seresnet152": "seresnet152",
}
TIMM_NOTES = {
    "fb_ssl_yfcc100m": "Trained on images of YFCC100M too. Not for commercial use.",
    "fb_swsl_ig1b": "Trained on a billion hashtagged images too. Not for commercial use.",
    "fb_wsl_ig1b": "Trained on a billion hashtagged images too. Not for commercial use.",
    "tf_adv": "Trained on adversarial examples too.",
    "tf_ens_adv": "Trained on adversarial examples of several nets too.",
    "bamboo": "The file has no classifier; it was trained on the data set Bamboo, for its features.",
}
SPDX = {"apache-2.0": "Apache-2.0", "bsd-3-clause": "BSD-3-Clause", "cc-by-nc-4.0": "CC-BY-NC-4.0", None: ""}
TORCHVISION_TERMS = "The licence is the package's; weights may have terms of their own, from the data behind them."
NORMALISED_ANEW = "The publisher normalises for ImageNet and the net anew, which together is what stands here."
# The zoo's name -> the function of keras.applications, MiB and top-1 of the table of keras.io/api/applications, and the
# licence as Keras' documentation had it (docs/templates/applications.md of keras-team/keras, 31599d8), where it did.
KERAS = {
    "densenet121": ("DenseNet121", 33, 75.0, "BSD-3-Clause"),
    "densenet169": ("DenseNet169", 57, 76.2, "BSD-3-Clause"),
    "densenet201": ("DenseNet201", 80, 77.3, "BSD-3-Clause"),
    "inception_resnet_v2": ("InceptionResNetV2", 215, 80.3, "Apache-2.0"),
    "inception_v3": ("InceptionV3", 92, 77.9, "Apache-2.0"),
    "resnet50_v1": ("ResNet50", 98, 74.9, "MIT"),
    "resnet101_v1": ("ResNet101", 171, 76.4, ""),
    "resnet152_v1": ("ResNet152", 232, 76.6, ""),
    "resnet50_v2": ("ResNet50V2", 98, 76.0, ""),
    "resnet101_v2": ("ResNet101V2", 171, 77.2, ""),
    "resnet152_v2": ("ResNet152V2", 232, 78.0, ""),
    "vgg16": ("VGG16", 528, 71.3, "CC-BY-4.0"),
    "vgg19": ("VGG19", 549, 71.3, "CC-BY-4.0"),
    "xception": ("Xception", 88, 79.0, "MIT"),
}
# The modes of keras.applications' preprocess_input; `caffe` also reverses the channels, which the table of names does.
CAFFE = ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
SIGNED = ((127.5,) * 3, (127.5,) * 3)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
KERAS_MODES = {"resnet50_v1": CAFFE, "resnet101_v1": CAFFE, "resnet152_v1": CAFFE, "vgg16": CAFFE, "vgg19": CAFFE}
KERAS_MODES |= dict.fromkeys(("densenet121", "densenet169", "densenet201"), IMAGENET)
# README.md of keras-team/keras-applications says "single center crop" of its scores, and no more.
KERAS_CROP = (
    "Keras states a central crop, but not of which fraction, nor the interpolation: 0.875 and bilinear are usual."
)
MEBIBYTE = 1.048576


def of_timm(facts: Mapping[str, Any], scores: Mapping[str, Mapping[str, str]], revision: str) -> Iterator[dict]:
    """Rows of timm's weights for the zoo's nets."""
    where = f"github.com/huggingface/pytorch-image-models, results/results-imagenet.csv at {revision[:8]}"
    for name, config in facts["timm"].items():
        model = TIMM.get(config["architecture"], config["architecture"])
        if model not in list_models():
            continue
        assert config["crop_mode"] == "center"
        on_hub = config["hf_hub_id"]
        score = scores.get(name)
        _, _, tag = name.partition(".")
        yield {
            "name": f"timm/{name}",
            "model": model,
            # timm's older nets, whose layers are named, and in part built, in another way.
            "names": "timm_legacy" if config["architecture"].startswith("legacy_") else "timm",
            "num_classes": config["num_classes"],
            "classes": "imagenet" if config["num_classes"] == 1000 else "",
            "url": f"hf://{on_hub}/model.safetensors" if on_hub else config["url"],
            "file": "model.safetensors" if on_hub else file_name(config["url"]),
            "digest": "" if on_hub else beginning(config["url"]),
            "licence": SPDX[config["license"]],
            "image_size": config["input_size"][1],
            "center_crop": config["crop_pct"],
            "interpolation": config["interpolation"],
            "mean": levels(config["mean"]),
            "deviation": levels(config["std"]),
            "top1": score["top1"] if score else "",
            "source": f"{where}: {score['img_size']} x {score['img_size']}, central crop {float(score['crop_pct']):g}"
            if score
            else "",
            "note": next((note for part, note in TIMM_NOTES.items() if tag.startswith(part)), ""),
        }


def of_torchvision(facts: Mapping[str, Any]) -> Iterator[dict]:
    """Rows of torchvision's weights for the zoo's nets."""
    for name, weights in facts["torchvision"].items():
        if weights["architecture"] not in list_models():
            continue
        mean, deviation = levels(weights["mean"]), levels(weights["std"])
        size = weights["crop_size"]
        if weights["transform_input"]:
            mean, deviation = map(joined, SIGNED)
        notes = [NORMALISED_ANEW] * weights["transform_input"] + [TORCHVISION_TERMS]
        yield {
            "name": f"torchvision/{name}",
            "model": weights["architecture"],
            "names": "torchvision",
            "num_classes": weights["num_classes"],
            "classes": "imagenet",
            "url": weights["url"],
            "file": file_name(weights["url"]),
            "digest": beginning(weights["url"]),
            "megabytes": f"{weights['mebibytes'] * MEBIBYTE:.1f}",
            "licence": "BSD-3-Clause",
            "image_size": size,
            "center_crop": f"{size / weights['resize_size']:.6g}",
            "interpolation": weights["interpolation"],
            "mean": mean,
            "deviation": deviation,
            "top1": weights["top1"],
            "source": f"torchvision {facts['versions']['torchvision']}, the meta of these weights: {size} x {size}",
            "note": " ".join(notes),
        }


def of_keras(model: str, url: str, file: str, digest: str, image_size: int) -> dict:
    """The row of a net of keras.applications.

    Args:
        model: the zoo's name.
        url: these three as `keras.utils.get_file` gets them.
        file: likewise.
        digest: likewise.
        image_size: of the net's default input.
    """
    _, mebibytes, top1, licence = KERAS[model]
    mean, deviation = KERAS_MODES.get(model, SIGNED)
    return {
        "name": f"keras/{model}",
        "model": model,
        "names": "keras",
        "num_classes": 1000,
        "classes": "imagenet",
        "url": url,
        "file": file,
        "digest": f"md5:{digest}",
        "megabytes": f"{mebibytes * MEBIBYTE:.0f}",
        "licence": licence,
        "image_size": image_size,
        "center_crop": 0.875,
        "interpolation": "bilinear",
        "mean": joined(mean),
        "deviation": joined(deviation),
        "top1": top1,
        "source": f"keras.io/api/applications, its table: {image_size} x {image_size}",
        "note": KERAS_CROP,
    }


def asked_of_keras(model: str) -> dict:
    """The same row, of what Keras asks `get_file` for when it builds the net; takes seconds."""
    import keras

    asked = []

    def get_file(fname, origin, *, cache_subdir, file_hash):
        assert cache_subdir == "models"
        asked[:] = origin, fname, file_hash

    # All modules of keras.applications ask this one.
    file_utils = sys.modules[keras.applications.VGG16.__module__].file_utils
    with (
        mock.patch.object(file_utils, "get_file", get_file),
        mock.patch.object(keras.Model, "load_weights"),
    ):
        net = getattr(keras.applications, KERAS[model][0])(weights="imagenet")
    return of_keras(model, *asked, net.input_shape[1])


def file_name(url: str) -> str:
    """As torch.hub names the file."""
    return url.rpartition("/")[2]


def beginning(url: str) -> str:
    """The digest that torch.hub reads in the name of a file."""
    return "sha256:" + file_name(url).rpartition("-")[2].removesuffix(".pth")


def levels(fractions: list[float]) -> str:
    """Levels from 0 to 255 of fractions from 0 to 1."""
    return joined([255 * fraction for fraction in fractions])


def joined(numbers: list[float] | tuple[float, ...]) -> str:
    return " ".join(f"{number:.6g}" for number in numbers)


def read_scores(path: str) -> dict[str, dict[str, str]]:
    """timm's table, by name."""
    with open(path, newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def text_of(rows: list[Mapping[str, Any]]) -> str:
    """What the catalog's file is to hold."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: row["name"]))
    return text.getvalue()


def main(facts_file: str, scores_file: str, revision: str) -> None:
    facts = json.loads(Path(facts_file).read_text())
    scores = read_scores(scores_file)
    keras_rows = [asked_of_keras(model) for model in KERAS]
    FILE.write_text(text_of([*of_timm(facts, scores, revision), *of_torchvision(facts), *keras_rows]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
