"""What is published where: one entry for each file of weights that a net of the zoo can take.

The entries stand in `catalog.csv`, a row each, which `tests/pretrained/make_catalog.py` makes of what the publishers'
own packages say. Of Keras and torchvision the files of whole nets are here, not those without the classifier, whose
numbers are the same.
"""

import csv
import dataclasses
import fnmatch
import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.errors import RequestError, some_of, unknown
from zoo.registry import list_models
from zoo.runs.preprocessing import Preprocessing

FILE = Path(__file__).with_name("catalog.csv")
# The columns, in their order. Those of `preprocessing` stand by their own names.
COLUMNS = (
    *("name", "model", "names", "arguments", "num_classes", "classes", "url", "file", "digest", "megabytes", "licence"),
    *("image_size", "center_crop", "interpolation", "mean", "deviation", "top1", "source", "note"),
)
# So many names are told to who asks for a net instead of one of its files.
_MOST_NAMED = 6


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published file of weights.

    Attributes:
        name: `timm/resnet50.a1_in1k`, `torchvision/resnet50.IMAGENET1K_V2`, `keras/resnet50_v1`.
        model: the net of the zoo.
        names: which of its family's tables of names the file keeps to, see `zoo.models.published`.
        arguments: of the builder, beyond those of the table.
        num_classes: of the classifier; 0: the file has none.
        classes: what the classes are: `imagenet`, whose 1000 names are known; empty: unknown.
        url: of the file; for the Hugging Face hub `hf://timm/resnet50.a1_in1k/model.safetensors`.
        file: its name in the cache of the publisher's library.
        digest: of the file, as far as the publisher states it: `sha256:11ad3fa6` (a beginning), `md5:...`; empty
            where the hub states it at the download.
        megabytes: the size of the file, 10**6 bytes; 0 where it is not stated.
        licence: an SPDX identifier, or what the publisher says; empty where nothing is stated.
        preprocessing: of images, as the publisher applies it at the size that the net was trained at. `source` says
            where the score is of another size.
        top1: the published accuracy on ImageNet's validation split, in percent; None where none is stated.
        source: where the score stands, and the size of the images it is of; empty: there is none.
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


@functools.cache
def entries() -> Mapping[str, Entry]:
    """All entries by name, sorted."""
    with FILE.open(encoding="utf-8", newline="") as file:
        read = [_entry(row) for row in csv.DictReader(file)]
    return MappingProxyType({entry.name: entry for entry in sorted(read, key=lambda entry: entry.name)})


def list_weights(pattern: str = "*") -> list[str]:
    """The names of the entries whose name or net fits a shell-style pattern, sorted.

    `resnet50*` are those of the nets of that name, `timm/*` all of a publisher.
    """
    fits = functools.partial(fnmatch.fnmatchcase, pat=pattern)
    return [name for name, entry in entries().items() if fits(name) or fits(entry.model)]


def find_entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        RequestError: there is none; the message has the nearest names.
    """
    if name in entries():
        return entries()[name]
    of_net = list_weights(name) if name in list_models() else None
    if of_net:
        raise RequestError(f"weights of {name} have names of their own: {some_of(of_net, _MOST_NAMED)}")
    if of_net == []:
        raise RequestError(f"no weights of {name} are published; python -m zoo weights shows those that are")
    raise unknown("weights", name, entries())


def class_names(entry: Entry) -> tuple[str, ...] | None:
    """The names of an entry's classes in their order; None where they are not known.

    ImageNet's are WordNet's identifiers, such as `n01440764`, because folders and tensorflow_datasets name them so.
    """
    return _imagenet() if entry.classes == "imagenet" else None


@functools.cache
def _imagenet() -> tuple[str, ...]:
    """As tensorflow_datasets has them, which need not be imported for it."""
    (package,) = importlib.util.find_spec("tensorflow_datasets").submodule_search_locations
    return tuple((Path(package) / "datasets" / "imagenet2012" / "labels.txt").read_text().split())


def _entry(row: Mapping[str, str]) -> Entry:
    return Entry(
        **{field: row[field] for field in ("name", "model", "names", "classes", "url", "file", "digest", "licence")},
        arguments=json.loads(row["arguments"] or "{}"),
        num_classes=int(row["num_classes"]),
        megabytes=float(row["megabytes"] or 0),
        preprocessing=Preprocessing(
            image_size=int(row["image_size"]),
            center_crop=float(row["center_crop"]),
            interpolation=row["interpolation"],
            mean=_numbers(row["mean"]),
            deviation=_numbers(row["deviation"]),
        ),
        top1=float(row["top1"]) if row["top1"] else None,
        source=row["source"],
        note=row["note"],
    )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))
