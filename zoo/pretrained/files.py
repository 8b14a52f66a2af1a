"""Files of weights as arrays by name. None of them executes code, and none is trusted.

| file | what it is |
|---|---|
| `.safetensors` | a JSON header, then the numbers |
| `.pth`, `.pt`, `.bin` | a state dict of `torch.save`: a zip since PyTorch 1.6, before that pickles in a row |
| `.h5` | weights or a whole model of Keras 2, such as those of `keras.applications` |
| `.weights.h5`, `.keras` | weights and models of Keras 3 |
| a folder | of a hub: `config.json` and one of the files above |
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """What a file holds.

    Attributes:
        path: of the file; of a folder, the file of weights in it.
        style: `torch`, whose arrays are called `layer.weight` and have the output channels first, or `keras`, with
            `layer/kernel` and the output channels last.
        arrays: by name, in the order of the file. Those of half precision are float32 already; counters are there too.
        config: what stands beside the weights: a hub's `config.json`, else nothing.
    """

    path: Path
    style: str
    arrays: Mapping[str, np.ndarray]
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_weights(path: str | Path) -> WeightsFile:
    """Reads a file, or the one file of weights of a hub's folder.

    Raises:
        RequestError: there is none, it is damaged, or it holds something else than weights; the message is one line.
    """
    raise NotImplementedError


def sha256(path: str | Path) -> str:
    """The digest of a file, in hexadecimal."""
    raise NotImplementedError
