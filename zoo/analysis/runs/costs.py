"""What the model of a recipe costs, counted without its data: by the registry, or on a net without weights."""

import dataclasses
import functools
import json
from typing import Any

from zoo import registry
from zoo.analysis.nets import complexity, find, graph
from zoo.config import ExperimentConfig
from zoo.data.sources import describe_source
from zoo.data.transform import Sizing
from zoo.errors import RequestError, RunError
from zoo.tasks.base import builder_arguments
from zoo.tasks.known import task_of

Cost = tuple[int, int | None]


def cost(config: ExperimentConfig, data_dir: str | None = None) -> Cost | str:
    """Trainable parameters and MACs of a recipe's model at its own images and classes; or why they are not known.

    Sizes and classes come from the description of the dataset, which need not be prepared.

    Args:
        config: of the recipe.
        data_dir: where datasets are prepared, for those that are described there alone.
    """
    try:
        return counted(config.model, *described(config, data_dir))
    except (RequestError, RunError) as error:
        return str(error)


def described(config: ExperimentConfig, data_dir: str | None) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The shape of an image as the model takes it, and the arguments of its builder, without any example.

    Raises:
        RequestError: the dataset's description does not tell.
    """
    description = describe_source(config.dataset, config.train_split, data_dir)
    sizing = Sizing.of(config)
    image_shape = sizing.feature(description.features["image"]).shape
    if None in image_shape:
        raise RequestError(f"the images of {config.dataset} may differ in size; set image_size")
    # Episodes are made of examples, and only examples show whether a split has classes that model_args leaves out.
    without_examples = dataclasses.replace(config, model_args={}, ways=0)
    task = task_of(config)(without_examples, description, description)
    return image_shape, builder_arguments(task, config)


def counted(name: str, image_shape: tuple[int, ...], arguments: dict[str, Any]) -> Cost:
    """Trainable parameters and MACs of a registered model; each net is counted once.

    Args:
        name: of the model.
        image_shape: of one example.
        arguments: further ones of the builder.

    Raises:
        RequestError: there is no such model, or it cannot be built so.
    """
    info = registry.model_info(name)
    if (image_shape, arguments) == (info.input_shape, {"num_classes": info.num_classes}) and info.macs is not None:
        return info.parameters, info.macs
    return _counted(name, image_shape, json.dumps(arguments))


@functools.cache
def _counted(name: str, image_shape: tuple[int, ...], arguments: str) -> Cost:
    with find.opened(name, input_shape=image_shape, **json.loads(arguments)) as (model, _):
        return graph.count_parameters(model.trainable_variables), complexity.macs(graph.calls(model))
