"""What a built model's graph says: its layers, and whether a `keras.Sequential` could express it.

The verdict comes from the graph alone, never from the folder that a model stands in.
"""

import dataclasses
import math

import keras


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One line of a model's table.

    Attributes:
        name: of the layer or operation.
        kind: its class.
        inputs: names of the layers it takes its inputs from, in order.
        output_shape: without the batch; several outputs one after the other.
        parameters: trainable ones.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output_shape: str
    parameters: int


def layer_rows(model: keras.Model) -> list[LayerRow]:
    """The table of a model, inputs first, in the order of the computation.

    A layer that is called several times has a row for each call.
    """
    return [
        LayerRow(
            name=node.operation.name,
            kind=type(node.operation).__name__,
            inputs=tuple(_producer(tensor).name for tensor in node.input_tensors),
            output_shape=", ".join(_shape(tensor) for tensor in node.output_tensors),
            parameters=count_parameters(getattr(node.operation, "trainable_variables", [])),
        )
        for node in _nodes(model)
    ]


def shapes_by_name(tensors: list[keras.KerasTensor]) -> dict[str, list[int]]:
    """The shapes of a model's inputs or outputs without the batch, by the layers that make them."""
    return {_producer(tensor).name: list(tensor.shape[1:]) for tensor in tensors}


def count_parameters(variables: list[keras.Variable]) -> int:
    """How many numbers the variables hold."""
    return sum(math.prod(variable.shape) for variable in variables)


def why_not_sequential(model: keras.Model) -> str | None:
    """The first reason why no `keras.Sequential` could express the model, None where one could.

    A Sequential has one input, one output, and between them layers that each take the one tensor which the
    layer before has made, and are called once.
    """
    if isinstance(model, keras.Sequential):
        return None
    if len(model.inputs) > 1:
        return f"it has {len(model.inputs)} inputs: {', '.join(shapes_by_name(model.inputs))}"
    if len(model.outputs) > 1:
        return f"it has {len(model.outputs)} outputs: {', '.join(shapes_by_name(model.outputs))}"
    nodes = _nodes(model)
    seen: set[int] = set()
    consumers: dict[int, list[str]] = {}
    for node in nodes:
        operation = node.operation
        if id(operation) in seen:
            return f"{operation.name} is called more than once: its weights are shared"
        seen.add(id(operation))
        for tensor in node.input_tensors:
            consumers.setdefault(id(tensor), []).append(operation.name)
    for node in nodes:
        for tensor in node.output_tensors:
            takers = consumers.get(id(tensor), [])
            if len(takers) > 1:
                return f"the output of {node.operation.name} goes to {' and '.join(takers)}: the path branches there"
    for node in nodes:
        if len(node.input_tensors) > 1:
            return f"{node.operation.name} takes {len(node.input_tensors)} tensors: paths join there"
    return None


def _nodes(model: keras.Model) -> list:
    """The calls of operations in a functional model, inputs first.

    Keras has no public way to walk them; `_nodes_by_depth` is what its own `summary` uses.
    """
    by_depth = model._functional._nodes_by_depth if isinstance(model, keras.Sequential) else model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _producer(tensor: keras.KerasTensor):
    return tensor._keras_history.operation


def _shape(tensor: keras.KerasTensor) -> str:
    return " x ".join(str(size) for size in tensor.shape[1:]) or "scalar"
