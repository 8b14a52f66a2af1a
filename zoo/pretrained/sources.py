"""Where weights come from: a name of the catalog, a file, a hub's folder, a run; and all that they bring with them."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, unknown
from zoo.models.published import Published
from zoo.pretrained import catalog, files, loading
from zoo.pretrained.catalog import Entry
from zoo.pretrained.downloading import local_file
from zoo.runs.preprocessing import Preprocessing
from zoo.runs.workdir import STARTED_FROM, Workdir


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights, and what they bring.

    Attributes:
        name: as they were asked for.
        file: the arrays.
        model: the net that they are of; empty where nothing says it.
        names: which of its family's tables of names they keep to; empty: it is found by the names themselves.
        arguments: what their net was built with.
        binding: whether no other arguments will do: of published weights they must be these, or outputs are others.
            Those of an own run are defaults.
        num_classes: of the classifier; 0: there is none; None: as many as the file has.
        preprocessing: of images; None where nothing says it.
        class_names: by label, in the order of the class numbers; of published weights the label is empty; None where
            nothing says it.
        licence: of published weights.
    """

    name: str
    file: files.WeightsFile
    model: str = ""
    names: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    binding: bool = True
    num_classes: int | None = None
    preprocessing: Preprocessing | None = None
    class_names: Mapping[str, tuple[str, ...]] | None = None
    licence: str = ""

    @functools.cached_property
    def sha256(self) -> str:
        """The digest of the file."""
        return files.sha256(self.file.path)

    def published(self, model_name: str) -> Published:
        """The table of names for a net.

        Raises:
            RequestError: the weights are of another net, or fit none of its tables.
        """
        _check_model(self.name, self.model or model_name, model_name)
        tables = loading.published_names(model_name)
        if self.names:
            return tables[self.names]
        return _likeliest(self.name, model_name, tables, self.file)

    def builder_arguments(self, model_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the builder of a net is given beside the shape and the classes, so that the weights are at home in it.

        Args:
            model_name: the net.
            given: what a user asks for.

        Raises:
            RequestError: that would give other outputs than the weights are for.
        """
        needed = {**self.published(model_name).arguments, **self.arguments}
        if self.binding:
            for key, value in needed.items():
                if given.get(key, value) != value:
                    raise RequestError(
                        f"{key} is {given[key]!r}; {self.name} has weights of a net with {key}={value!r}, leave it out"
                    )
        return {**needed, **given}

    def classes(self, model_name: str) -> int | None:
        """How many classes the classifier has; None where there is none."""
        if self.num_classes is not None:
            return self.num_classes or None
        return loading.classes_of(model_name, self.published(model_name), self.file.arrays)


def open_source(name: str, model_name: str = "") -> Source:
    """Finds weights, downloads them where they are published, and reads what they bring; arrays are read later.

    Args:
        name: a file or a folder that is there, else a name of the catalog.
        model_name: the net; published weights of another one are refused, and not downloaded.

    Raises:
        RequestError: there is nothing of that name, it cannot be read, or is known to be of another net.
    """
    path = Path(name)
    if path.is_dir():
        return _of_run(name) if is_run(path) else _of_folder(name)
    if path.is_file():
        return Source(name, files.read_weights(path))
    published = catalog.list_weights()
    if name in published:
        entry = catalog.find_entry(name)
        _check_model(name, entry.model, model_name or entry.model)
        return _published(name, entry, files.read_weights(local_file(entry)))
    if name.partition("/")[0] in {known.partition("/")[0] for known in published}:
        raise unknown("weights", name, published)
    raise RequestError(f"there is no file or folder {name}; python -m zoo weights lists what is published")


def of_mapping(name: str, arrays: Mapping[str, Any]) -> Source:
    """Weights that are in memory, such as a state dict of PyTorch's.

    Args:
        name: for messages.
        arrays: by name; arrays of NumPy's, or what can be made into them.
    """
    style = "keras" if any("/" in key for key in arrays) else "torch"
    return Source(name, files.WeightsFile(Path(name), style, _AsArrays(arrays)))


def _check_model(name: str, theirs: str, model_name: str) -> None:
    if theirs != model_name:
        raise RequestError(f"{name} has weights of {theirs}; the model is {model_name}")


def is_run(folder: Path) -> bool:
    """Whether a folder is one of a run, and not of a hub: both have a `config.json`."""
    return (folder / "run.json").is_file()


class _AsArrays(Mapping):
    """The values of a mapping as arrays of NumPy's, made when they are asked for."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = values

    def __getitem__(self, name):
        import numpy as np

        value = self._values[name]
        if hasattr(value, "detach"):
            # A parameter of PyTorch's; it has no NumPy type for bfloat16.
            value = value.detach().float() if value.is_floating_point() else value.detach()
        return np.asarray(value)

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)


def _published(name: str, entry: Entry, file: files.WeightsFile) -> Source:
    names = catalog.class_names(entry)
    return Source(
        name=name,
        file=file,
        model=entry.model,
        names=entry.names,
        arguments=entry.arguments,
        num_classes=entry.num_classes,
        preprocessing=entry.preprocessing,
        class_names=None if names is None else {"": names},
        licence=entry.licence,
    )


def _of_folder(name: str) -> Source:
    """A folder of a hub. What its `config.json` says of the net is looked up in the catalog."""
    file = files.read_weights(name)
    described = {**file.config, **file.config.get("pretrained_cfg", {})}
    architecture, tag = described.get("architecture", ""), described.get("tag", "")
    entries = [catalog.find_entry(known) for known in catalog.list_weights("timm/*")]
    same = [entry for entry in entries if entry.name == f"timm/{architecture}.{tag}"]
    of_architecture = [entry for entry in entries if entry.name.startswith(f"timm/{architecture}.")]
    if not of_architecture:
        return Source(name, file)
    if same and described.get("num_classes", same[0].num_classes) == same[0].num_classes:
        return _published(name, same[0], file)
    # The same net with other weights, such as one that somebody has fine-tuned.
    entry = of_architecture[0]
    labels = described.get("label_names")
    return Source(
        name=name,
        file=file,
        model=entry.model,
        names=entry.names,
        arguments=entry.arguments,
        num_classes=described.get("num_classes"),
        preprocessing=_preprocessing_of(described),
        class_names={"": tuple(labels)} if labels else None,
        licence=str(described.get("license") or ""),
    )


def _preprocessing_of(described: Mapping[str, Any]) -> Preprocessing | None:
    """That of a hub's `config.json`, whose words are timm's; None where one is missing."""
    try:
        return Preprocessing(
            image_size=described["input_size"][-1],
            center_crop=described["crop_pct"],
            # Another one, such as `random`, is one of the two by turns.
            interpolation="bicubic" if described["interpolation"] == "bicubic" else "bilinear",
            mean=tuple(255 * mean for mean in described["mean"]),
            deviation=tuple(255 * deviation for deviation in described["std"]),
        )
    except (KeyError, TypeError, IndexError):
        return None


def _of_run(name: str) -> Source:
    """A run of the zoo, with its averaged weights where it has any."""
    run = Workdir(name)
    config, recorded = run.recorded_config(), run.run()
    if not run.model.is_file():
        raise RequestError(f"the run in {name} is not finished; start its command again, which goes on")
    return Source(
        name=name,
        file=files.read_weights(run.model),
        model=config.model,
        names=loading.OWN,
        arguments={**recorded.get(STARTED_FROM, {}).get("arguments", {}), **config.model_args},
        binding=False,
        preprocessing=run.preprocessing(),
        class_names={label: tuple(names) for label, names in recorded["dataset"]["class_names"].items()},
    )


def _likeliest(name: str, model_name: str, tables: Mapping[str, Published], file: files.WeightsFile) -> Published:
    """The table of which most layers of a file could be."""
    layers = {re.split(r"[./](?=[^./]*$)", key)[0] for key in file.arrays}
    # The zoo's own table takes every name; the other ones say what the zoo calls its layers.
    own = [rule for table in tables.values() for rule in table.rules if table is not tables[loading.OWN]] or [".*"]
    patterns = {key: _pattern(table) for key, table in tables.items() if table.style == file.style}
    patterns |= {loading.OWN: re.compile("|".join(f"(?:{rule})" for rule in own))} if loading.OWN in patterns else {}
    counts = {key: sum(map(bool, map(pattern.fullmatch, layers))) for key, pattern in patterns.items()}
    best = max(counts, key=counts.get, default=None)
    if best is None or 2 * counts[best] < len(layers):
        known = ", ".join(tables)
        raise RequestError(
            f"{name} has the names of no publisher's {model_name} ({known}), such as {next(iter(file.arrays), 'none')}"
        )
    return tables[best]


def _pattern(table: Published) -> re.Pattern[str]:
    """What names of layers in a file look like, of the templates of a table."""
    either = (
        re.sub(r"\\\{[^}]*\\\}", r"\\w+", re.escape(name)).replace(r"\#", r"\d+") for name in table.rules.values()
    )
    # A variable may lie one level further down, such as the two kernels of a separable convolution.
    below = (re.escape(f".{part}".rpartition(".")[0]) for part in table.parts.values())
    return re.compile(f"(?:{'|'.join(either)})(?:{'|'.join(('', *below))})")
