"""Which layers of a model are not trained, for a while or for the whole run.

A frozen layer's variables stay as they are to the bit: no gradient is taken of them, and they are neither decayed nor
averaged. Its batch normalisation is in inference mode, so that its statistics stand still too. Dropout goes on where
there is some, as in Keras: it is part of how the layers after it are trained.
"""

import contextlib
import fnmatch
import math
from collections.abc import Iterator, Sequence

import keras

from zoo.config import TRUNK, ExperimentConfig, parse_freeze
from zoo.errors import RequestError, unknown
from zoo.training.parts import parts_of


class Freezing:
    """Layers of a model that can be frozen and thawed.

    Args:
        model: whose layers they are.
        layers: that own variables. One that was not trainable before stays so.
    """

    def __init__(self, model: keras.Model, layers: Sequence[keras.layers.Layer] = ()):
        self._model = model
        self.layers = [layer for layer in layers if layer.trainable]
        self._never_trained = [layer for layer in layers if not layer.trainable]

    @classmethod
    def of(cls, config: ExperimentConfig, model: keras.Model) -> "Freezing":
        """The layers that a config's `freeze` names; none are frozen yet.

        Raises:
            RequestError: a pattern is that of no layer with weights, or nothing is left to be trained.
        """
        patterns = parse_freeze(config.freeze)
        layers = _trunk(model) if patterns == (TRUNK,) else _matching(patterns, model)
        frozen = {id(variable) for layer in layers for variable in layer.weights}
        if frozen and all(id(variable) in frozen for variable in model.trainable_variables):
            raise RequestError(
                f"freeze is {config.freeze!r}, which is every layer of {config.model} with weights; leave one to be "
                "trained"
            )
        return cls(model, layers)

    def parameters(self) -> dict[str, int]:
        """`parameters`: how many are trained where nothing is frozen; `trained_parameters`: how many are now."""
        trained = _count(self._model)
        with self.lifted():
            return {"parameters": _count(self._model), "trained_parameters": trained}

    def holds(self, variables: list[keras.Variable]) -> list[bool]:
        """Which of some variables are those of the layers."""
        own = {id(variable) for layer in self.layers for variable in layer.weights}
        return [id(variable) in own for variable in variables]

    def freeze(self) -> None:
        """From now on the layers are not trained."""
        self._set(trainable=False)

    def thaw(self) -> None:
        """From now on the layers are trained."""
        self._set(trainable=True)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """The layers can be trained in here, as in a saved model, whoever loads which shall not be surprised."""
        are_frozen = any(not layer.trainable for layer in self.layers)
        self.thaw()
        try:
            yield
        finally:
            if are_frozen:
                self.freeze()

    def _set(self, *, trainable: bool) -> None:
        for layer in self.layers:
            layer.trainable = trainable
        # A layer that is made of others sets them along with itself.
        for layer in self._never_trained:
            layer.trainable = False


def _count(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _trunk(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of all parts but the classifiers."""
    layers = [layer for part in parts_of(model) if not part.is_classifier for layer in part.layers]
    if not layers:
        raise RequestError(f"freeze is {TRUNK!r}; {model.name} is nothing but a classifier, leave freeze out")
    return [owner for layer in layers for _, owner in _owners(layer, ())]


def _matching(patterns: tuple[str, ...], model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that patterns name, each once.

    A pattern is held against a layer's name, against that with the names of the models and layers which it is inside
    of, as `tower/conv1`, and against theirs.
    """
    known = [(names, layer) for child in _children(model) for names, layer in _owners(child, ())]
    layers = {}
    for pattern in patterns:
        found = [layer for names, layer in known if any(fnmatch.fnmatchcase(name, pattern) for name in _called(names))]
        if not found:
            names = {name for names, _ in known for name in _called(names)}
            raise unknown("layer with weights in freeze", pattern, names | {TRUNK})
        layers |= {id(layer): layer for layer in found}
    return list(layers.values())


def _called(names: tuple[str, ...]) -> list[str]:
    """What a layer may be called by, from the names that lead to it: `tower`, `tower/conv1` and `conv1`."""
    return [*("/".join(names[:end]) for end in range(1, len(names) + 1)), *names[1:]]


def _owners(layer: keras.layers.Layer, outer: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], keras.layers.Layer]]:
    """The layers inside a layer, itself included, that own variables, with the names that lead to them."""
    names = (*outer, layer.name)
    children = _children(layer)
    inner = {id(variable) for child in children for variable in child.weights}
    if any(id(variable) not in inner for variable in layer.weights):
        yield names, layer
    for child in children:
        yield from _owners(child, names)


def _children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer or a model is made of, without what is inside them."""
    if isinstance(layer, keras.Model):
        return layer.layers
    return list(dict.fromkeys(layer._flatten_layers(include_self=False, recursive=False)))
