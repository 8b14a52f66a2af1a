"""All variables of a run in a fixed order: what is saved, restored, and held against another run's."""

import itertools
import re
from collections.abc import Sequence

import keras
import numpy as np


class Variables:
    """Every variable there is: weights, statistics, dropout seeds, optimizer, averages.

    Args:
        model: whose variables come first.
        others: those of the optimizer and what follows them.
    """

    def __init__(self, model: keras.Model, others: Sequence[keras.Variable]):
        # Keras numbers unnamed layers by process, so a path alone does not identify a variable; the place does too.
        variables = [*model.variables, *others]
        self._named = [(f"{number:04d}/{variable.path}", variable) for number, variable in enumerate(variables)]
        self._of_model = len(model.variables)

    def state(self) -> dict[str, np.ndarray]:
        """Their values."""
        return {name: variable.numpy() for name, variable in self._named}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Sets every variable.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """
        expected = [(tuple(v.shape), v.dtype) for _, v in self._named]
        if expected != [(value.shape, value.dtype.name) for value in state.values()]:
            raise ValueError("the saved variables are not those of this model and optimizer")
        check_names([*state][: self._of_model], [name for name, _ in self._named][: self._of_model])
        for (_, variable), value in zip(self._named, state.values(), strict=True):
            variable.assign(value)


def check_names(saved: list[str], here: list[str]) -> None:
    """Raises a `ValueError` where variables, named `number/path`, are not the same in the same places.

    Layers that Keras named are told apart by kind alone: two of one kind that changed places look the same.
    """
    saved, here = ([name.partition("/")[2] for name in names] for names in (saved, here))
    for was, now, *ranks in zip(saved, here, ranked(saved), ranked(here), strict=True):
        if ranks[0] != ranks[1]:
            raise ValueError(f"{was} was saved where this model has {now}")


def ranked(paths: list[str]) -> list[str]:
    """Paths of variables, so written that they can be compared between processes.

    Keras numbers unnamed layers by what else the process has built: `dense_3` and `dense_4` here may be `dense` and
    `dense_1` there. In place of its number a name gets its rank among those of the same name.
    """
    parts = [[re.fullmatch(r"(.*?)(?:_(\d+))?", part) for part in path.split("/")] for path in paths]
    numbers: dict[str, set[int]] = {}
    for part in itertools.chain.from_iterable(parts):
        numbers.setdefault(part[1], set()).add(int(part[2] or 0))
    ranks = {name: {number: rank for rank, number in enumerate(sorted(known))} for name, known in numbers.items()}
    return ["/".join(f"{part[1]}#{ranks[part[1]][int(part[2] or 0)]}" for part in path) for path in parts]
