"""A folder of a hub: `config.json` and one file of weights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, some_of
from zoo.pretrained.mapped import DamagedError, map_file, parse_json

# Where there are several, they hold the same; the first is the one that nothing can be hidden in.
_USUAL = ("model.safetensors", "pytorch_model.bin", "model.weights.h5", "model.keras")
_ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".h5", ".keras")


def weights_in(folder: Path) -> Path:
    """The file of weights of a folder.

    Raises:
        RequestError: there is none, there are several, or the weights are split over several.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise RequestError(f"{folder} cannot be read: {error.strerror}") from error
    usual = [name for name in _USUAL if name in names]
    if usual:
        return folder / usual[0]
    # The index says in which file each array is. No net of the zoo is as large as that.
    indices = [name for name in names if name.endswith(".index.json")]
    if indices:
        raise RequestError(
            f"the weights in {folder} are split over several files, see {indices[0]}; give one file of all"
        )
    found = [name for name in names if name.endswith(_ENDINGS)]
    if not found:
        raise RequestError(f"there is no file of weights in {folder}, such as {_USUAL[0]}; there is {_some(names)}")
    if len(found) > 1:
        raise RequestError(f"there are several files of weights in {folder}; give one of them: {_some(found)}")
    return folder / found[0]


def config_in(folder: Path) -> Mapping[str, Any]:
    """What `config.json` of a folder says; nothing where there is none.

    Raises:
        RequestError: it cannot be read.
    """
    path = folder / "config.json"
    if not os.path.exists(path):
        return {}
    try:
        return parse_json(map_file(path))
    except DamagedError as error:
        raise RequestError(f"{path} cannot be read: {error}") from error


def _some(names: list[str]) -> str:
    return some_of(names, 6) or "nothing"
