"""Classifiers of the zoo as parts of larger nets."""

from collections.abc import Mapping
from typing import Any

import keras

from zoo import registry
from zoo.errors import RequestError, unknown


def build_tower(
    argument: str, name: Any, input_shape: tuple[int, ...], hyperparameters: Mapping[str, Any] | None
) -> keras.Model:
    """Builds a classifier without its last layer, as a part of a larger model.

    Args:
        argument: what the larger model calls the part, `tower` or `trunk`, for messages. Its hyperparameters
            are then called `tower_args` or `trunk_args`.
        name: a registered classifier that takes one input.
        input_shape: shape of one example without the batch.
        hyperparameters: of the classifier; None: its defaults.

    Returns:
        A model with one input and one output, the features `(batch, width)` before the classifier.

    Raises:
        RequestError: there is no such model, it is no classifier of one input, or it does not take these values.
    """
    hyperparameters = {} if hyperparameters is None else hyperparameters
    if not isinstance(name, str) or name not in registry.list_models():
        raise unknown(
            argument, name if isinstance(name, str) else repr(name), registry.list_models(task="classification")
        )
    if not isinstance(hyperparameters, Mapping):
        raise RequestError(
            f"{argument}_args is {hyperparameters!r}; it must be a dictionary, hyperparameters of {name}"
        )
    info = registry.model_info(name)
    if info.task != "classification":
        raise RequestError(f"{argument} is {name!r}, a model for {info.task}; it must be a classifier of one input")
    for key in hyperparameters:
        if key not in info.hyperparameters:
            raise unknown(f"hyperparameter of {name} in {argument}_args", str(key), info.hyperparameters)
    model = registry.build_model(name, input_shape, 0, **hyperparameters)
    ends = len(model.inputs), len(model.outputs), len(model.outputs[0].shape)
    if ends != (1, 1, 2):
        raise RequestError(
            f"{argument} {name!r} with {dict(hyperparameters)} has {ends[0]} inputs and {ends[1]} outputs "
            f"{model.outputs[0].shape[1:]}; it must be a classifier of one input and one vector of features"
        )
    return model
