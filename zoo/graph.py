"""The calls by which a model computes its outputs, read from its graph: nested models are looked through.

Keras keeps a graph of every functional and sequential model. What it has no public way to tell is read here, and
nowhere else.
"""

import collections
import dataclasses
import inspect
import itertools
import textwrap
from typing import Any

import keras


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
