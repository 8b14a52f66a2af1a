"""Files of weights as arrays by name. None of them executes code, and none is trusted.

| file | what it is |
|---|---|
| `.safetensors` | a JSON header, then the numbers |
| `.pth`, `.pt`, `.bin` | a state dict by `torch.save`: a zip since PyTorch 1.6, before that pickles in a row |
| `.h5` | weights or a whole model of Keras 2, such as those of `keras.applications` |
| `.weights.h5`, `.keras` | weights and models of Keras 3 |
| a folder | of a hub: `config.json` and one of the files above |
"""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import RequestError
from zoo.pretrained.h5_files import looks_like_h5
from zoo.pretrained.hub_folders import config_in, weights_in
from zoo.pretrained.keras_files import is_keras_zip, read_h5, read_keras_zip
from zoo.pretrained.mapped import Arrays, DamagedError, map_file, open_file
from zoo.pretrained.safetensors_files import looks_like_safetensors, read_safetensors
from zoo.pretrained.stored_zips import StoredZip, looks_like_zip
from zoo.pretrained.torch_files import is_torch_zip, looks_like_older_torch, read_older_torch, read_torch_zip

# Files that come in the place of weights -> what they begin with, in small letters and without spaces.
_MISTAKEN = {
    "is a Git LFS pointer, not the file; fetch it by `git lfs pull`": (b"version https://git-lfs",),
    "is a web page, not the file; its address may be another, or need a login": (b"<!doctype", b"<html", b"<?xml"),
}


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """What a file holds.

    Attributes:
        path: of the file; of a folder, the file of weights in it.
        style: `torch`, whose arrays are called `layer.weight` and have the output channels first, or `keras`, with
            `layer/kernel` and the output channels last.
        arrays: by name, in the order of the file, read only. Those of half precision become float32 each time they are
            asked for, so that nothing is held twice; counters are there too.
        config: what stands beside the weights: a hub's `config.json`, else nothing.
    """

    path: Path
    style: str
    arrays: Mapping[str, np.ndarray]
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_weights(path: str | Path) -> WeightsFile:
    """Reads a file, or the one file of weights of a hub's folder.

    What a file is follows from its beginning, not from its name. The arrays are views of it: it may be moved, replaced
    or deleted while they are used, and must not be written to.

    Raises:
        RequestError: there is none, it is damaged, or it holds something else than weights; the message is one line.
    """
    path, config = Path(path), {}
    if os.path.isdir(path):
        path, config = weights_in(path), config_in(path)
    data = map_file(path)
    try:
        style, arrays = _read(data, config)
        if not arrays:
            raise DamagedError("it holds no arrays")
    except DamagedError as error:
        raise RequestError(f"{path} cannot be read as weights: {' '.join(str(error).split())}") from error
    return WeightsFile(path=path, style=style, arrays=arrays, config=config)


def _read(data: memoryview, config: Mapping[str, Any]) -> tuple[str, Arrays]:
    """Style and arrays of a file."""
    if looks_like_h5(data):
        return "keras", read_h5(data, config)
    if looks_like_older_torch(data):
        return "torch", read_older_torch(data)
    if looks_like_zip(data):
        contents = StoredZip(data)
        if is_keras_zip(contents):
            return "keras", read_keras_zip(contents)
        if is_torch_zip(contents):
            return "torch", read_torch_zip(contents)
        raise DamagedError("it is a zip of something else than PyTorch's or Keras' weights")
    if looks_like_safetensors(data):
        return "torch", read_safetensors(data)
    beginning = bytes(data[:256]).lstrip().lower()
    for mistake, beginnings in _MISTAKEN.items():
        if beginning.startswith(beginnings):
            raise DamagedError(f"it {mistake}")
    raise DamagedError("it begins as no file of weights does: .safetensors, .pth, .h5, .weights.h5 or .keras")


def sha256(path: str | Path) -> str:
    """The digest of a file, in hexadecimal.

    Raises:
        RequestError: it cannot be read.
    """
    with open_file(Path(path)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
