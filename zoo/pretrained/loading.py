"""Pairs the layers of a net with the arrays of a file, converts them, checks both ways, and only then sets them."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from zoo.models.published import Published

if TYPE_CHECKING:
    import keras

# The table of the zoo's own names, which every net has.
OWN = "zoo"


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Every variable of a net with the array that it is to become.

    Attributes:
        values: the variable, and what it becomes in its own shape; converted when it is asked for, so that no second
            copy of the file is held.
        layers: layer of the net -> layer of the file.
        left_new: the layers of the net that keep their values: the classifier, or none.
    """

    values: tuple
    layers: Mapping[str, str]
    left_new: tuple[str, ...]

    def assign(self) -> None:
        """Sets the variables."""
        raise NotImplementedError


def published_names(model_name: str) -> dict[str, Published]:
    """The tables that a net's family has for it, by publisher."""
    raise NotImplementedError


def classes_of(model_name: str, published: Published, arrays: Mapping[str, np.ndarray]) -> int | None:
    """How many classes the classifier of a file has; None where the file has no classifier."""
    raise NotImplementedError


def pair(
    model: "keras.Model",
    published: Published,
    arrays: Mapping[str, np.ndarray],
    *,
    keep_head: bool = True,
    sum_channels: bool = False,
) -> Pairing:
    """Pairs a net with a file, both ways, and sets nothing.

    Args:
        model: as `zoo.build_model` gives it.
        published: the names of the file.
        arrays: by name, as `zoo.pretrained.files` reads them.
        keep_head: whether the classifier is taken from the file. Where it is not, or the net has none, the file's is
            left over.
        sum_channels: sum the first kernel over its input channels, for grey images.

    Raises:
        RequestError: an array is missing, is left over, or has another shape; the message names it and both shapes.
    """
    raise NotImplementedError
