"""What a built model's graph says: its calls, and whether a `keras.Sequential` could express it.

Everything here comes from the graph alone, never from the folder that a model stands in. `calls` reads the
graph once, nested models included; the figures are counted on what it gives.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras

from zoo.frameworks import fresh_names, without_weights
from zoo.graph import Call, Tensor, calls, graph_of, no_graph, style_of

__all__ = [
    "Call",
    "LayerRow",
    "Tensor",
    "calls",
    "count_parameters",
    "fresh_names",
    "graph_of",
    "keras_names",
    "label",
    "layer_rows",
    "no_graph",
    "shape_text",
    "shapes_by_name",
    "style_of",
    "takers",
    "why_not_sequential",
    "without_weights",
]


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One line of a model's table.

    Attributes:
        name: of the layer or operation.
        kind: its class.
        inputs: names of the layers it takes its inputs from, in order.
        output_shapes: of each output, without the batch.
        parameters: trainable ones; None for a further call of a layer whose parameters have been counted.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output_shapes: tuple[tuple[int | None, ...], ...]
    parameters: int | None


def layer_rows(calls: list[Call]) -> list[LayerRow]:
    """The table of a model, inputs first, in the order of the computation.

    A nested model has a row for each layer inside it, and for each further call of it a single row.
    """
    rows = {}
    for call in calls:
        shown = call.repeated or call
        if shown not in rows:
            parameters = count_parameters(getattr(shown.operation, "trainable_variables", []))
            rows[shown] = LayerRow(
                name=label(shown),
                kind=type(shown.operation).__name__,
                inputs=tuple(label(tensor.source) for tensor in shown.inputs),
                output_shapes=tuple(tensor.shape for tensor in shown.outputs),
                parameters=None if parameters and shown.number > 1 else parameters,
            )
    return list(rows.values())


def label(call: Call) -> str:
    """The name of a call in a table: `conv1`, `tower/conv1`, and `tower (call 2)` for all that is inside that call."""
    if call.repeated is None:
        return call.name
    return f"{call.repeated.name} (call {call.repeated.number})"


def shape_text(shape: tuple[int | None, ...] | list[int | None]) -> str:
    """A shape as `28 x 28 x 1`, with `?` for a size that is left open."""
    return " x ".join("?" if size is None else str(size) for size in shape) or "scalar"


def shapes_by_name(structure: Any) -> dict[str, list[int | None]]:
    """The shapes of a model's inputs or outputs without the batch.

    Args:
        structure: tensors, `graph_of(model).input` or `.output`. In a dictionary they have the names of their
            keys, elsewhere that of the layer which makes them; a name that is taken goes on with 2.
    """
    shapes: dict[str, list[int | None]] = {}
    for name, tensor in _named(structure):
        numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        shapes[next(free for free in numbered if free not in shapes)] = list(tensor.shape[1:])
    return shapes


def _named(structure: Any, name: str = "") -> Iterator[tuple[str, keras.KerasTensor]]:
    if isinstance(structure, dict):
        for key, value in structure.items():
            yield from _named(value, f"{name}/{key}" if name else str(key))
    elif isinstance(structure, list | tuple):
        for value in structure:
            yield from _named(value, name)
    else:
        yield name or structure._keras_history.operation.name, structure


def count_parameters(variables: list[keras.Variable]) -> int:
    """How many numbers the variables hold."""
    return sum(math.prod(variable.shape) for variable in variables)


def keras_names(operation: Any) -> list[str]:
    """The names of Keras' classes, layers or operations, that an operation is one of, its own first."""
    return [kind.__name__ for kind in type(operation).__mro__ if kind.__module__.startswith("keras.")]


def takers(calls: list[Call]) -> dict[Tensor, list[Call]]:
    """For each tensor the calls that take it, each of them once."""
    result: dict[Tensor, list[Call]] = {tensor: [] for call in calls for tensor in call.outputs}
    for call in calls:
        for tensor in dict.fromkeys(call.inputs):
            result[tensor].append(call)
    return result


def why_not_sequential(model: keras.Model) -> str | None:
    """The first reason why no `keras.Sequential` could express the model, None where one could.

    A Sequential has one input, one output, and between them layers that each take the one tensor which the
    layer before has made, nothing else, and are called once. An operation, such as `keras.ops.relu`, is no
    layer. A Sequential inside a Sequential is just that.

    Raises:
        ValueError: the model has no graph to read.
    """
    found = calls(model)
    graph = graph_of(model)
    for kind, tensors, structure in (("inputs", graph.inputs, graph.input), ("outputs", graph.outputs, graph.output)):
        if len(tensors) > 1:
            return f"it has {len(tensors)} {kind}: {', '.join(shapes_by_name(structure))}"
        if isinstance(_without_list(structure), dict):
            return f"it {'takes' if kind == 'inputs' else 'gives'} a dictionary"
    taken_by = takers(found)
    return next(filter(None, (_no_sequential_step(call, taken_by) for call in found)), None)


def _without_list(structure: Any) -> Any:
    """What a list of one holds: a model gives and takes it as it does the one itself."""
    while isinstance(structure, list | tuple) and len(structure) == 1:
        (structure,) = structure
    return structure


def _no_sequential_step(call: Call, taken_by: dict[Tensor, list[Call]]) -> str | None:
    """What a Sequential could not do at this call."""
    if call.repeated:
        weights = ": its weights are shared" if call.repeated.operation.weights else ""
        return f"{call.repeated.name} is called more than once{weights}"
    if len(call.inputs) > 1:
        return f"{call.name} takes {len(call.inputs)} tensors: paths join there"
    for frame in (*call.path, call):
        if frame.besides:
            given = " and ".join(frame.besides)
            return f"{frame.name} is called with {given}: a Sequential passes its layers one tensor and nothing else"
    if len(call.outputs) > 1:
        return f"{call.name} puts out {len(call.outputs)} tensors: the path branches there"
    if not isinstance(call.operation, keras.layers.Layer):
        return f"{call.name} is an operation and no layer"
    (tensor,) = call.outputs
    goes_to = [label(taker) for taker in taken_by[tensor]] + ["the model's output"] * tensor.is_output
    if not goes_to:
        return f"the output of {call.name} goes nowhere"
    if len(goes_to) > 1:
        all_of_them = f"{', '.join(goes_to[:-1])} and {goes_to[-1]}"
        return f"the output of {call.name} goes to {all_of_them}: the path branches there"
    return None
