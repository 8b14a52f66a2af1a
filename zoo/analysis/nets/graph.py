"""What a built model's graph says: its calls, and whether a `keras.Sequential` could express it.

Everything here comes from the graph alone, never from the folder that a model stands in. `calls` reads the
graph once, nested models included; the figures are counted on what it gives.
"""

import collections
import contextlib
import dataclasses
import inspect
import itertools
import math
import textwrap
from collections.abc import Iterator
from typing import Any

import keras

from zoo.frameworks import without_weights  # noqa: F401 - what is counted here is built so


@dataclasses.dataclass(eq=False)
class Tensor:
    """What one call of an operation puts out; two of them are the same only if they are one object.

    Attributes:
        spec: shape and dtype, with the batch.
        source: the call that makes it.
        is_output: whether it is an output of the whole model.
    """

    spec: keras.KerasTensor
    source: "Call"
    is_output: bool = False

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Without the batch; None where a size is left open."""
        return tuple(self.spec.shape[1:])


@dataclasses.dataclass(eq=False)
class Call:
    """One call of a layer, of a `keras.ops` operation, or of a nested model.

    Attributes:
        operation: what is called.
        inputs: what it takes, in order; a tensor that it takes twice stands twice.
        path: the calls of the nested models that this call is inside of, outermost first.
        number: 1 for the first call of this operation, 2 for the second.
        besides: what a layer or nested model is given besides bare tensors, as `training=True` or `a list`.
        outputs: what it puts out.
    """

    operation: Any
    inputs: list[Tensor]
    path: tuple["Call", ...]
    number: int
    besides: tuple[str, ...] = ()
    outputs: list[Tensor] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        """The operation's name after those of the models that it is inside of, as `tower/conv1`."""
        return "/".join(call.operation.name for call in (*self.path, self))

    @property
    def repeated(self) -> "Call | None":
        """The outermost call, of a nested model around this call or this one itself, that is not its first."""
        return next((call for call in (*self.path, self) if call.number > 1), None)


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


def graph_of(operation: Any) -> Any:
    """The Keras graph behind a model.

    Returns:
        None where there is none to read: in a layer, in a subclassed model, whose forward pass is Python code,
        and in a Sequential that has no input shape yet.
    """
    if not isinstance(operation, keras.Model) or not type(operation).call.__module__.startswith("keras."):
        return None
    if isinstance(operation, keras.Sequential):
        return operation._functional
    return operation if hasattr(operation, "_nodes_by_depth") else None


def style_of(model: keras.Model) -> str:
    """`sequential`, `functional` or `subclassed`, as the object is."""
    if not type(model).call.__module__.startswith("keras."):
        return "subclassed"
    if isinstance(model, keras.Sequential):
        return "sequential"
    return "functional" if graph_of(model) else "subclassed"


def calls(model: keras.Model) -> list[Call]:
    """The calls by which a model computes its outputs, in topological order.

    Nested models are looked through: instead of a call of one stand the calls inside it, anew for every call,
    with tensors of their own. So a tower that two inputs share appears twice. Where a nested model is called
    on another size than it was made for, the sizes inside are those of the call.

    Raises:
        ValueError: the model has no graph to read.
    """
    graph = graph_of(model)
    if graph is None:
        raise ValueError(no_graph(model))
    found: list[Call] = []
    for tensor in _walk(graph, {}, (), collections.Counter(), found):
        tensor.is_output = True
    return found


def no_graph(model: keras.Model) -> str:
    """Why a model without a graph has none."""
    if style_of(model) == "sequential":
        return "no graph to read: it has no input shape yet; begin it with keras.Input"
    return "no graph to read: its forward pass is Python code"


def _walk(
    graph: Any, made: dict[int, Tensor], path: tuple[Call, ...], times: collections.Counter, found: list[Call]
) -> list[Tensor]:
    """Adds the calls inside `graph` to `found`; `made` holds the tensors for its inputs. Gives its outputs."""
    for node in _nodes(graph):
        if node.outputs and all(id(tensor) in made for tensor in node.outputs):
            continue  # an input, which the model around it has made
        operation = node.operation
        times[id(operation)] += 1
        taken = [made[id(tensor)] for tensor in node.input_tensors]
        call = Call(operation, taken, path, times[id(operation)], _besides(node))
        inner = graph_of(operation)
        if inner is None:
            call.outputs = [Tensor(spec, call) for spec in _output_specs(node, made)]
            found.append(call)
        else:
            call.outputs = _walk(inner, _arguments(node, inner, made), (*path, call), times, found)
        made |= {id(tensor): new for tensor, new in zip(node.outputs, call.outputs, strict=True)}
    return [made[id(tensor)] for tensor in graph.outputs]


def _nodes(graph: Any) -> list:
    """The calls of operations in a graph as Keras has recorded them, inputs first.

    Keras has no public way to walk them; `_nodes_by_depth` is what its own `summary` uses.
    """
    place = {id(operation): index for index, operation in enumerate(graph.operations)}

    def order(node: Any) -> tuple[int, int]:
        return place[id(node.operation)], node.operation._inbound_nodes.index(node)

    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in sorted(by_depth[depth], key=order)]


def _arguments(node: Any, inner: Any, made: dict[int, Tensor]) -> dict[int, Tensor]:
    """For each input of a nested model the tensor that it is called on."""
    given = node.arguments.args[0] if node.arguments.args else next(iter(node.arguments.kwargs.values()))
    if isinstance(given, dict) and not isinstance(inner.input, dict):
        given = [given[tensor.name] for tensor in inner.inputs]
    pairs = zip(inner.inputs, keras.tree.flatten(given), strict=True)
    return {id(own): made[id(tensor)] for own, tensor in pairs if tensor is not None}


def _besides(node: Any) -> tuple[str, ...]:
    """What a layer is given besides bare tensors, without what only repeats the defaults of its `call`.

    A model with a graph takes its one tensor bare or in a list alike.
    """
    layer, found = node.operation, []
    if not isinstance(layer, keras.layers.Layer):
        return ()
    defaults = {name: parameter.default for name, parameter in inspect.signature(layer.call).parameters.items()}
    given = itertools.chain(zip(defaults, node.arguments.args, strict=False), node.arguments.kwargs.items())
    for name, value in given:
        if isinstance(value, keras.KerasTensor) or (name in ("training", "mask") and value is None):
            continue
        if any(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(value)):
            if graph_of(layer) is None:
                found.append("a dictionary" if isinstance(value, dict) else "a list")
        elif name not in defaults or type(value) is not type(defaults[name]) or value != defaults[name]:
            found.append(f"{name}={textwrap.shorten(repr(value), 60, placeholder='...')}")
    return tuple(found)


def _output_specs(node: Any, made: dict[int, Tensor]) -> list[keras.KerasTensor]:
    """What a call puts out: as recorded, or computed anew where it is called on another size."""
    sizes = [(tensor.shape[1:], made[id(tensor)].spec.shape[1:]) for tensor in node.input_tensors]
    if all(recorded == actual or len(recorded) != len(actual) for recorded, actual in sizes):
        return node.outputs
    args, kwargs = node.arguments.fill_in({key: tensor.spec for key, tensor in made.items()})
    return keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Layers and operations without a name of their own are numbered from the start in here, as in a new process."""
    from keras.src.backend.common import global_state

    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


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
