"""The registry of models: a name, the builder behind it, and what is known of it without building.

A builder is a function `(input_shape, num_classes, **hyperparameters) -> keras.Model`. Its name is the
model's name, its file is the family, and the folder of the file is the style:

    @register_model(
        paper="...", input_shape=(28, 28, 1), num_classes=10, parameters=242_762, macs=242_304)
    def mlp(input_shape, num_classes, *, dropout=0.0): ...

Hyperparameters are the builder's keyword-only parameters. A variant of a more general net says its name, what tells it
apart, and its facts:

    @register_variant(cifar_resnet, 20, paper="...", input_shape=(32, 32, 3), num_classes=10, parameters=269_722)
    def resnet20(): ...

What is known of the zoo's own models stands in an index (`zoo.model_index`), so a look-up imports no Keras. A builder's
file is imported when the builder is asked for.
"""

import contextlib
import dataclasses
import fnmatch
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import frameworks, model_index, processor
from zoo.build_arguments import checked_classes, checked_shape, plain
from zoo.errors import RequestError, unknown

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]
STYLES = ("sequential", "functional")

_MODELS: dict[str, "ModelInfo"] = {}
# What the models that are alive were built with: of many a hyperparameter their weights show nothing.
_BUILT: "weakref.WeakKeyDictionary[keras.Model, tuple[str, dict[str, Any]]]" = weakref.WeakKeyDictionary()
_discovered = False


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without building it.

    Attributes:
        name: the key in the registry, the builder's name.
        style: `sequential` or `functional`, from the folder; None for a builder that stands elsewhere.
        family: the file that the builder stands in.
        task: what the model is trained for, such as `classification`.
        paper: the source of the architecture.
        input_shape: the default shape of one example, without the batch.
        num_classes: the default number of classes; None where the outputs are no classes of one label.
        parameters: trainable parameters at these defaults, exact.
        macs: multiply-accumulates of the convolutions and dense layers for one example at these defaults,
            exact; None where nobody has stated them.
        loss_weights: the weight in the training loss of each output that does not weigh 1.
        hyperparameters: what the builder takes beyond these two, with defaults.
        module: where the builder stands, such as `zoo.models.functional.resnet`.
    """

    name: str
    style: str | None
    family: str
    task: str
    paper: str
    input_shape: tuple[int, ...]
    num_classes: int | None
    parameters: int
    macs: int | None
    loss_weights: dict[str, float]
    hyperparameters: dict[str, Any]
    module: str

    @property
    def builder(self) -> Builder:
        """The function `(input_shape, num_classes, **hyperparameters) -> keras.Model`.

        Its file is imported when it is first asked for, and Keras with it; what that raises is raised here.
        """
        # A config file has run and cannot be imported.
        if self._is_registered() or ("_builder" in vars(self) and importlib.util.find_spec(self.module) is None):
            return vars(self)["_builder"]
        frameworks.import_keras()
        return getattr(importlib.import_module(self.module), self.name)

    def _is_registered(self) -> bool:
        """Whether a decorator has brought the builder, in a file that Python still knows.

        Python forgets a file whose import failed, and a config file when it has run; either may register the same
        names again when it is loaded once more.
        """
        return "_builder" in vars(self) and vars(self)["_file"] is sys.modules.get(self.module)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: a copy, or what another process gets, imports the builder."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def register_model(
    *,
    paper: str,
    input_shape: tuple[int, ...],
    num_classes: int | None,
    parameters: int,
    macs: int | None = None,
    task: str = "classification",
    loss_weights: Mapping[str, float] | None = None,
) -> Callable[[Builder], Builder]:
    """Decorator that adds a builder to the registry under its own name.

    Args:
        paper: authors, year, title and identifier of the source.
        input_shape: default shape of one example, `(height, width, channels)` or `(features,)`.
        num_classes: default number of classes; None for a model that does not sort into classes.
        parameters: the trainable parameters of the model at these defaults, which a test holds it to.
        macs: the multiply-accumulates for one example at these defaults, likewise.
        task: what the model is trained for.
        loss_weights: weights in the training loss by the output's name, for outputs that do not weigh 1.

    Raises:
        ValueError: the name is taken.
    """

    def register(builder: Builder) -> Builder:
        *_, folder, family = ("", *builder.__module__.split("."))
        info = ModelInfo(
            name=builder.__name__,
            style=folder if folder in STYLES else None,
            family=family,
            task=task,
            paper=paper,
            input_shape=input_shape,
            num_classes=num_classes,
            parameters=parameters,
            macs=macs,
            loss_weights=dict(loss_weights or {}),
            hyperparameters=_keyword_only(builder),
            module=builder.__module__,
        )
        # These are no fields, because fields stand in the index too, and these are of this process alone.
        vars(info).update(_builder=builder, _file=sys.modules.get(builder.__module__))
        _add(info)
        return builder

    return register


def register_variant(net: Builder, *arguments: Any, **facts: Any) -> Callable[[Callable], Builder]:
    """Decorator that makes a variant of a net a builder, and adds it to the registry.

    The decorated function has no body: its name becomes the model's, its docstring the builder's.

    Args:
        net: `(name, *arguments, input_shape, num_classes, **hyperparameters) -> keras.Model`. Its keyword-only
            parameters are the variant's hyperparameters.
        *arguments: what tells the variant from others of the net.
        **facts: as `register_model` takes them.

    Raises:
        ValueError: the name is taken.
    """
    of_net = inspect.signature(net).parameters
    shown = [p for name, p in of_net.items() if name in ("input_shape", "num_classes") or p.kind is p.KEYWORD_ONLY]

    def register(variant: Callable) -> Builder:
        @functools.wraps(variant)
        def builder(input_shape, num_classes, **given):
            return net(variant.__name__, *arguments, input_shape, num_classes, **given)

        builder.__signature__ = inspect.Signature(shown)
        return register_model(**facts)(builder)

    return register


def build_model(
    name: str,
    input_shape: Iterable[int | None] | None = None,
    num_classes: int | None = None,
    **hyperparameters: Any,
) -> "keras.Model":
    """Builds a registered model with random weights; `zoo.build_model`, which calls this, says what the arguments are.

    Raises:
        RequestError: the name or a hyperparameter is unknown, or a value is one that the model cannot take.
    """
    info = model_info(name)
    hyperparameters = plain(hyperparameters)
    for key, value in hyperparameters.items():
        if key not in info.hyperparameters:
            raise unknown(f"hyperparameter of {name}", key, info.hyperparameters)
        if isinstance(info.hyperparameters[key], bool) and not isinstance(value, bool):
            raise RequestError(f"{key} of {name} is {value!r}; it must be true or false")
    input_shape = info.input_shape if input_shape is None else checked_shape(input_shape)
    num_classes = info.num_classes if num_classes is None else checked_classes(name, info.num_classes, num_classes)
    builder = info.builder
    with frameworks.default_settings():
        model = builder(input_shape, num_classes, **hyperparameters)
    # A builder may give what cannot be referred to weakly, such as a tuple of models.
    with contextlib.suppress(TypeError):
        _BUILT[model] = name, hyperparameters
    return model


def built_with(model: "keras.Model") -> tuple[str, dict[str, Any]] | None:
    """The name and the hyperparameters that `build_model` was given for a model; None of one that is from elsewhere."""
    return _BUILT.get(model)


def list_models(pattern: str = "*", style: str | None = None, task: str | None = None) -> list[str]:
    """The names of the registered models, sorted.

    Args:
        pattern: a shell-style pattern such as `resnet*`.
        style: only `sequential` or only `functional` ones.
        task: only those trained for this task.

    Raises:
        RequestError: there is no such style.
    """
    if style is not None and style not in STYLES:
        raise unknown("style", style, STYLES)
    _discover()
    return sorted(
        name
        for name, info in _MODELS.items()
        if fnmatch.fnmatchcase(name, pattern) and style in (None, info.style) and task in (None, info.task)
    )


def model_info(name: str) -> ModelInfo:
    """What is known of a model without building it.

    Raises:
        RequestError: there is no such model; the message has the nearest names.
    """
    _discover()
    if not isinstance(name, str) or name not in _MODELS:
        raise unknown("model", str(name), _MODELS)
    return _MODELS[name]


def index_to_write() -> dict[Path, str]:
    """What `python -m zoo document` has to write that look-ups import no Keras; empty where that is so already.

    Returns:
        The path of the index, and what it should hold.
    """
    return {} if model_index.read() is not None else {model_index.FILE: model_index.text(_own_facts())}


def is_users_own(name: str) -> bool:
    """Whether a name stands for a `.keras` file or for `module:function`, and not for a registered model."""
    return name.endswith(".keras") or ":" in name


def authors_and_year(paper: str) -> str:
    """The beginning of a citation, up to its year; all of one without a year."""
    return re.match(r".*?\b(?:19|20)\d\d\b|.*", paper)[0]


def load_model(path: str) -> "keras.Model":
    """Loads a saved `.keras` model, with the layers of the zoo known to Keras.

    Nothing in the file is executed: Keras' safe mode is on.

    Raises:
        ValueError: there is no such file, or it is no Keras model.
    """
    frameworks.import_keras()
    import keras

    import zoo.layers  # noqa: F401 - registers the layers by which the file names them

    with frameworks.default_settings():
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _add(info: ModelInfo) -> None:
    """Adds a model, in place of what is known of it from the index or from a file whose import failed."""
    first = _MODELS.get(info.name)
    if first and (first.module != info.module or first._is_registered()):
        raise ValueError(f"a model named {info.name!r} is registered already, by {first.module}")
    _MODELS[info.name] = info


def _keyword_only(function: Builder) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _discover() -> None:
    """Finds the zoo's own models, then those that other packages add through the entry-point group `zoo.models`."""
    global _discovered
    if _discovered:
        return
    if "tensorflow" not in sys.modules:
        processor.check_environment()
    _discovered = True  # first, since a family that looks a model up must not start over
    try:
        indexed = model_index.read()
        if indexed is None:
            print(
                "zoo: the index of models is not of these sources, so they are imported; python -m zoo document",
                "writes it anew",
                file=sys.stderr,
            )
            _import_families()
        else:
            _add_indexed(indexed)
    except BaseException:
        _discovered = False
        raise
    for entry_point in metadata.entry_points(group="zoo.models"):
        try:
            entry_point.load()
        except Exception as error:
            # Another package's fault must neither pass unseen nor take the zoo's own models away.
            warnings.warn(f"models of {entry_point.value} are missing: {error!r}", stacklevel=3)


def _families() -> list[str]:
    """The modules of the zoo's own models."""
    packages = [importlib.import_module(f"zoo.models.{style}") for style in STYLES]
    return [module.name for p in packages for module in pkgutil.iter_modules(p.__path__, f"{p.__name__}.")]


def _import_families() -> None:
    frameworks.import_keras()
    for family in _families():
        importlib.import_module(family)


def _add_indexed(models: list[dict[str, Any]]) -> None:
    """Adds models of which only the facts are known; what their files have registered already is left alone."""
    for facts in models:
        first = _MODELS.get(facts["name"])
        if first and first.module == facts["module"]:
            continue
        tuples = {key: tuple(x) if isinstance(x, list) else x for key, x in facts["hyperparameters"].items()}
        _add(ModelInfo(**facts | {"input_shape": tuple(facts["input_shape"]), "hyperparameters": tuples}))


def _own_facts() -> list[dict[str, Any]]:
    """What the index holds: the fields of the zoo's own models, by their names."""
    _import_families()
    families = _families()
    return [info.__getstate__() for _, info in sorted(_MODELS.items()) if info.module in families]
