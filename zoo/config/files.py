"""Config files: Python with `get_config() -> ExperimentConfig`, run when it is loaded, so load only what you trust.

A config file may import what lies beside it: `from common import base` finds `common.py` in its folder, and only while
the file runs. Two folders may have a file of the same name.
"""

import contextlib
import importlib
import pkgutil
import runpy
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from zoo.config.experiment import ExperimentConfig
from zoo.errors import RequestError, unknown

# A file beside a config does not stand for these, whatever it is called.
_NEVER_BESIDE = {*sys.stdlib_module_names, "zoo"}


def load_config(path: str) -> ExperimentConfig:
    """Runs a config file and returns what its `get_config()` gives.

    Raises:
        RequestError: the file is missing, cannot be run, has no `get_config`, or returns something else.
    """
    file = Path(path)
    try:
        if not file.is_file():
            beside = [str(other) for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
            raise unknown("config file", path, beside)
    except OSError as error:
        raise RequestError(f"config file {path} cannot be read: {error.strerror}") from error
    try:
        with _importing_from(file.absolute().parent):
            namespace = runpy.run_path(path)
            if "get_config" not in namespace:
                raise RequestError(f"{path} has no function get_config()")
            config = namespace["get_config"]()
    except RequestError as error:
        raise RequestError(f"{path}: {error}" if path not in str(error) else str(error)) from error
    except Exception as error:
        raise RequestError(f"{path} failed: {type(error).__name__}: {_one_line(error)}") from error
    if not isinstance(config, ExperimentConfig):
        raise RequestError(f"get_config() of {path} returned {type(config).__name__}, not ExperimentConfig")
    return config


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Inside, modules of a folder are imported before others of their names; outside, Python does not know them."""
    beside = {module.name for module in pkgutil.iter_modules([str(folder)])} - _NEVER_BESIDE
    # What a program has imported from there itself stays one.
    beside = {name for name in beside if not _comes_from(folder, name)}
    finder = _Finder(folder, beside)
    before = _modules_named(beside)
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in _modules_named(beside):
            del sys.modules[name]
        sys.modules.update(before)


class _Finder:
    """Finds the modules of one folder."""

    def __init__(self, folder: Path, names: set[str]):
        self._folder, self._names = str(folder), names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """What Python asks of it; what is inside a package it finds by itself."""
        return PathFinder.find_spec(name, [self._folder]) if name in self._names else None


def _comes_from(folder: Path, name: str) -> bool:
    """Whether Python knows that module, and from this folder."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and folder in Path(file).parents


def _modules_named(names: set[str]) -> dict[str, Any]:
    """The modules that Python knows under these names, and what is inside of them."""
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
