"""From what a user calls a model to the model: a name in the registry, a `.keras` file, `module:function`."""

import contextlib
import importlib
import inspect
import os
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from zoo import registry
from zoo.analysis.nets.graph import without_weights
from zoo.errors import RequestError, unknown


@contextlib.contextmanager
def opened(name: str, **arguments: Any) -> Iterator[tuple[keras.Model, registry.ModelInfo | None]]:
    """The model of that name, and what the registry knows of it.

    A registered model is built without weights and is good for counting while the context lasts.

    Args:
        name: of a registered model, a `.keras` file, or `module:function`.
        **arguments: `input_shape`, `num_classes` and hyperparameters for a registered model's builder.

    Raises:
        RequestError: there is none, or it cannot be built so.
    """
    if not registry.is_users_own(name):
        info = registry.model_info(name)
        with without_weights():
            yield _built(name, arguments), info
    elif arguments:
        raise RequestError(f"{name} is taken as it is; {', '.join(arguments)} can be set for registered models only")
    else:
        yield (from_file(name) if name.endswith(".keras") else from_function(name)), None


def from_file(path: str) -> keras.Model:
    """The model that a `.keras` file holds."""
    if not Path(path).is_file():
        raise RequestError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise RequestError(f"{path} cannot be read as a Keras model: it is not the zip archive that Keras saves")
    try:
        return registry.load_model(path)
    except Exception as error:
        raise RequestError(f"{path} cannot be read as a Keras model: {_short(error)}") from error


def from_function(name: str) -> keras.Model:
    """What `function` of `module`, called without arguments, gives; the module may lie in the current folder."""
    module_name, _, function_name = name.partition(":")
    module = _imported(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        callables = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise unknown(f"function of {module_name}", function_name, callables)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise RequestError(f"{name} is called without arguments, but it needs some: {error}") from error
    except ValueError:
        pass  # written in C, with a signature that Python cannot tell
    try:
        model = function()
    except Exception as error:
        raise RequestError(f"{name} failed: {type(error).__name__}: {_short(error)}") from error
    if not isinstance(model, keras.Model):
        raise RequestError(f"{name} gave an object of type {type(model).__name__}; it must give a keras.Model")
    return model


def _imported(name: str) -> Any:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise RequestError(f"there is no module {error.name}, neither installed nor in this folder") from error
        raise RequestError(f"module {name!r} cannot be imported: {type(error).__name__}: {_short(error)}") from error


def _built(name: str, arguments: dict[str, Any]) -> keras.Model:
    try:
        return registry.build_model(name, **arguments)
    except RequestError:
        raise
    except (TypeError, ValueError) as error:
        if not arguments:
            raise
        raise RequestError(f"{name} cannot be built so: {_short(error)}") from error


def _short(error: Exception) -> str:
    """The beginning of what an error says, in one line: Keras' own can fill pages."""
    return textwrap.shorten(str(error), 240, placeholder=" ...")
