"""Which tasks there are, and how others add theirs. Nothing here imports TensorFlow: configs are checked by the names.

A task of the zoo is a file of this folder; another package brings one through the entry-point group `zoo.tasks`, or by
`register_task` before it is asked for.
"""

import importlib
import pkgutil
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.errors import unknown

# Files of this folder that are no tasks, but what tasks are made of.
_PARTS = ("base", "known", "labels")
# Classes that keep the protocol `zoo.tasks.base.Task`, which cannot be named here: it needs Keras.
_REGISTERED: dict[str, type] = {}


def register_task(task: type) -> type:
    """Decorator that makes a task, see `zoo.tasks.base.Task`, known under its `name`.

    Raises:
        ValueError: another class has the name already.
    """
    known = _REGISTERED.get(task.name)
    if known is not None and (known.__module__, known.__qualname__) != (task.__module__, task.__qualname__):
        raise ValueError(f"a task named {task.name!r} is registered already, by {known.__module__}")
    _REGISTERED[task.name] = task
    return task


def task_names() -> list[str]:
    """The names of all tasks, sorted; none of them is imported for it."""
    return sorted({*_REGISTERED, *_own_files(), *_entry_points()})


def find_task(name: str) -> type:
    """The task of a name; its file is imported if it was not yet.

    Raises:
        RequestError: there is no such task; the message has the nearest names.
    """
    if name not in _REGISTERED and name in _own_files():
        importlib.import_module(f"zoo.tasks.{name}")
    if name not in _REGISTERED and name in _entry_points():
        register_task(_entry_points()[name].load())
    if name not in _REGISTERED:
        raise unknown("task", name, task_names())
    return _REGISTERED[name]


def task_name(config: Any) -> str:
    """What the model of an `ExperimentConfig` is trained for: what the config says, or else what it was made for."""
    return config.task or registry.model_info(config.model).task


def task_of(config: Any) -> type:
    """The task of an `ExperimentConfig`; see `find_task`."""
    return find_task(task_name(config))


def _own_files() -> set[str]:
    return {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - {*_PARTS}


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry_point.name: entry_point for entry_point in metadata.entry_points(group="zoo.tasks")}
