"""What is published where: one entry for each file of weights that a net of the zoo can take."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from zoo.runs.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published file of weights.

    Attributes:
        name: `timm/resnet50.a1_in1k`, `torchvision/resnet50.IMAGENET1K_V2`, `keras/resnet50_v1`.
        model: the net of the zoo.
        names: which of its family's tables of names the file keeps to, see `zoo.models.published`.
        arguments: of the builder, beyond those of the table.
        num_classes: of the classifier.
        classes: what the classes are: `imagenet`, whose 1000 names are known; empty: unknown.
        url: of the file; for the Hugging Face hub `hf://timm/resnet50.a1_in1k/model.safetensors`.
        file: its name in the cache of the publisher's library.
        digest: of the file, as far as the publisher states it: `sha256:11ad3fa6` (a beginning), `md5:...`; empty
            where the hub states it at the download.
        megabytes: the size of the file, 10**6 bytes; 0 where it is not stated.
        licence: an SPDX identifier, or what the publisher says.
        preprocessing: of images, for the published score.
        top1: the published accuracy on ImageNet's validation split, in percent; None where none is stated.
        source: where the score stands.
        note: what a user must know, in a sentence; empty: nothing.
    """

    name: str
    model: str
    names: str
    arguments: Mapping[str, Any]
    num_classes: int
    classes: str
    url: str
    file: str
    digest: str
    megabytes: float
    licence: str
    preprocessing: Preprocessing
    top1: float | None
    source: str
    note: str = ""


def list_weights(pattern: str = "*") -> list[str]:
    """The names of the entries whose name or net fits a shell-style pattern, sorted.

    `resnet50*` are those of the nets of that name, `timm/*` all of a publisher.
    """
    raise NotImplementedError


def find_entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        RequestError: there is none; the message has the nearest names.
    """
    raise NotImplementedError


def class_names(entry: Entry) -> tuple[str, ...] | None:
    """The names of an entry's classes in their order; None where they are not known."""
    raise NotImplementedError
