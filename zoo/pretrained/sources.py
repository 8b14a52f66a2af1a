"""Where weights come from: a name of the catalog, a file, a hub's folder, a run; and all that they bring with them."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import registry
from zoo.errors import RequestError, some_of, unknown
from zoo.models.published import Published, translate
from zoo.pretrained import catalog, files, loading
from zoo.pretrained.catalog import Entry
from zoo.pretrained.downloading import local_file
from zoo.pretrained.mapped import map_file, parse_json
from zoo.pretrained.stored_zips import StoredZip
from zoo.runs.preprocessing import Preprocessing
from zoo.runs.workdir import STARTED_FROM, Workdir

if TYPE_CHECKING:
    import keras


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
        input_shape: of one example; None where nothing says it.
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
    input_shape: tuple[int | None, ...] | None = None
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
        needed = self._needed(model_name)
        if self.binding:
            for key, value in needed.items():
                if given.get(key, value) != value:
                    raise RequestError(
                        f"{key} is {given[key]!r}; {self.name} has weights of a net with {key}={value!r}, leave it out"
                    )
        return {**needed, **given}

    def _needed(self, model_name: str) -> dict[str, Any]:
        """The arguments that the weights ask for; a publisher's also those that another one's nets have otherwise."""
        published, info = self.published(model_name), registry.model_info(model_name)
        tables = loading.published_names(model_name)
        # The zoo's own files are of nets that were built in every way.
        others = tables.values() if published != tables[loading.OWN] else ()
        usual = {key: info.hyperparameters[key] for table in others for key in table.arguments}
        return {**usual, **published.arguments, **self.arguments}

    def example_shape(self, model_name: str) -> tuple[int | None, ...] | None:
        """Of what a net takes that shall be as the weights' own; None where nothing says it."""
        if self.input_shape is None and self.preprocessing is not None and self.preprocessing.image_size:
            side = self.preprocessing.image_size
            return (side, side, registry.model_info(model_name).input_shape[-1])
        return self.input_shape

    def classes(self, model_name: str) -> int | None:
        """How many classes the classifier has; None where there is none."""
        if self.num_classes is not None:
            return self.num_classes or None
        return loading.classes_of(model_name, self.published(model_name), self.file.arrays)

    def pairing(
        self, model: "keras.Model", model_name: str, *, keep_head: bool, sum_channels: bool
    ) -> "loading.Pairing":
        """What `loading.pair` gives for a net; where that refuses, the message names the weights.

        Raises:
            RequestError: as there, or channels are to be summed for images of colour.
        """
        if sum_channels:
            loading.check_grey(model)
        published = self.published(model_name)
        try:
            return loading.pair(model, published, self.file.arrays, keep_head=keep_head, sum_channels=sum_channels)
        except RequestError as error:
            raise RequestError(f"{self.name}: {error}") from error


def check_is_there(name: str) -> None:
    """Refuses what is neither a file, a folder nor a name of the catalog; no array is read, and nothing downloaded.

    Raises:
        RequestError: it is none of them; the message has the nearest names.
    """
    published = catalog.list_weights()
    if name in published or Path(name).expanduser().exists():
        return
    if name.partition("/")[0] in {known.partition("/")[0] for known in published}:
        raise unknown("weights", name, published)
    raise RequestError(f"there is no file or folder {name}; python -m zoo weights lists what is published")


def open_source(name: str, model_name: str = "") -> Source:
    """Finds weights, downloads them where they are published, and reads what they bring; arrays are read later.

    Args:
        name: a file or a folder that is there, else a name of the catalog.
        model_name: the net; published weights of another one are refused, and not downloaded.

    Raises:
        RequestError: there is nothing of that name, it cannot be read, or is known to be of another net.
    """
    if not name:
        # A path that is empty would be the current folder.
        raise RequestError("weights is ''; name a file, a folder or one of python -m zoo weights")
    path = Path(name).expanduser()
    if path.is_dir():
        return _of_run(name, path) if is_run(path) else _of_folder(name, path)
    if path.is_file():
        return Source(name, files.read_weights(path))
    check_is_there(name)
    entry = catalog.find_entry(name)
    _check_model(name, entry.model, model_name or entry.model)
    return _published(name, entry, files.read_weights(local_file(entry)))


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
            # A parameter of PyTorch's, maybe on a GPU; NumPy has no type for bfloat16.
            value = value.detach().cpu()
            value = value.float() if value.is_floating_point() else value
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


def _of_folder(name: str, folder: Path) -> Source:
    """A folder of a hub. What its `config.json` says of the net is looked up in the catalog."""
    file = files.read_weights(folder)
    # As in timm, what stands above the `pretrained_cfg` is of the net that was saved, and that of the one it began as.
    described = {**(file.config.get("pretrained_cfg") or {}), **file.config}
    architecture, tag = described.get("architecture", ""), described.get("tag", "")
    entries = [catalog.find_entry(known) for known in catalog.list_weights("timm/*")]
    same = [entry for entry in entries if entry.name == f"timm/{architecture}.{tag}"]
    of_architecture = [entry for entry in entries if entry.name.startswith(f"timm/{architecture}.")]
    if not of_architecture:
        return Source(name, file)
    labels = described.get("label_names")
    if same and not labels and described.get("num_classes", same[0].num_classes) == same[0].num_classes:
        return _published(name, same[0], file)
    # The same net with other weights, such as one that somebody has fine-tuned.
    return dataclasses.replace(
        _published(name, of_architecture[0], file),
        num_classes=described.get("num_classes"),
        preprocessing=_preprocessing_of(described),
        class_names={"": _in_order(labels)} if labels else None,
        licence=str(described.get("license") or ""),
    )


def _in_order(labels: Iterable[str] | Mapping[str, str]) -> tuple[str, ...]:
    """Names of classes, of which a hub's `config.json` has a list, or an object by the number."""
    if isinstance(labels, Mapping):
        return tuple(labels[number] for number in sorted(labels, key=int))
    return tuple(labels)


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


def _of_run(name: str, folder: Path) -> Source:
    """A run of the zoo, with its averaged weights where it has any."""
    run = Workdir(folder)
    config, recorded = run.recorded_config(), run.run()
    if not run.model.is_file():
        raise RequestError(f"the run in {name} is not finished; start its command again, which goes on")
    if "dataset" not in recorded:
        raise RequestError(f"{run.path / 'run.json'} does not say what the run was trained on; train again")
    arguments = {**recorded.get(STARTED_FROM, {}).get("arguments", {}), **config.model_args}
    # The builder has it beside its hyperparameters; how many there are is told by the file.
    arguments.pop("num_classes", None)
    return Source(
        name=name,
        file=files.read_weights(run.model),
        model=config.model,
        names=loading.OWN,
        arguments=arguments,
        binding=False,
        input_shape=_input_shape(run.model),
        preprocessing=run.preprocessing(),
        class_names={label: tuple(names) for label, names in recorded["dataset"]["class_names"].items()},
    )


def _input_shape(model: Path) -> tuple[int | None, ...] | None:
    """Of one example of a `.keras` file's net; where it takes several things, that of its image.

    None where its graph does not say it, as that of a net of another package may not.
    """
    try:
        layers = parse_json(StoredZip(map_file(model))["config.json"])["config"]["layers"]
        inputs = [layer["config"] for layer in layers if layer["class_name"] == "InputLayer"]
        of_image = [config for config in inputs if config["name"] == "image"]
        return tuple((of_image or inputs)[0]["batch_shape"][1:])
    except (KeyError, IndexError, TypeError):
        return None


def _likeliest(name: str, model_name: str, tables: Mapping[str, Published], file: files.WeightsFile) -> Published:
    """The table of which most arrays of a file could be; the zoo's own, which any could be, where they are of no other.

    Of the arrays of the zoo's own files less than half have a name that a publisher's could have.
    """
    counts = {
        key: sum(map(_fits(table), file.arrays))
        for key, table in tables.items()
        if table.style == file.style and key != loading.OWN
    }
    best = max(counts, key=counts.get, default=None)
    if best is not None and 2 * counts[best] >= len(file.arrays):
        return tables[best]
    if file.style == tables[loading.OWN].style:
        return tables[loading.OWN]
    known = ", ".join(key for key in tables if key != loading.OWN) or "none has published it"
    near = some_of(_nets_of_these_names(model_name, file), 4)
    raise RequestError(
        f"{name} has the names of no publisher's {model_name} ({known}), such as {next(iter(file.arrays), 'none')}"
        + (f"; they are those of {near}" if near else "")
    )


def _nets_of_these_names(model_name: str, file: files.WeightsFile) -> list[str]:
    """The nets of a family of which every array of a file could be."""
    family = registry.model_info(model_name).family
    return [
        name
        for name in registry.list_models()
        if registry.model_info(name).family == family
        and any(
            all(map(_fits(table), file.arrays))
            for key, table in loading.published_names(name).items()
            if table.style == file.style and key != loading.OWN
        )
    ]


def _fits(table: Published) -> Callable[[str], bool]:
    """Whether an array could be one of a table, by its name."""
    layers = (
        re.sub(r"\\\{[^}]*\\\}", r"\\w+", re.escape(layer)).replace(r"\#", r"\d+") for layer in table.rules.values()
    )
    parts = (r"[^./]+", *map(re.escape, table.parts.values()))
    pattern = re.compile(rf"(?:{'|'.join(layers)})[./](?:{'|'.join(parts)})")

    def fits(key: str) -> bool:
        layer, part = re.fullmatch(r"(?:(.*)[./])?([^./]*)", key).groups("")
        return bool(pattern.fullmatch(key) or pattern.fullmatch(f"{translate(layer, table.renamed) or layer}.{part}"))

    return fits
