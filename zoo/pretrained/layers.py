"""The layers of a net that have weights, by name, in the order of the computation."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def layers_by_name(model: "keras.Model") -> dict[str, "keras.layers.Layer"]:
    """The layers of a net that have weights, each after those whose outputs it takes.

    Branches come in the order in which they are joined, so the order is the graph's and not that in which layers were
    made. A layer of a nested net is called `tower/conv1`.
    """
    import keras

    found: dict[str, keras.layers.Layer] = {}
    for operation in _operations(model):
        if isinstance(operation, keras.Model):
            found |= {f"{operation.name}/{name}": layer for name, layer in layers_by_name(operation).items()}
        elif getattr(operation, "weights", None):
            found[operation.name] = operation
    return found


def classifiers(model: "keras.Model") -> tuple[str, ...]:
    """The layers that give the outputs as many numbers as there are classes: `logits`, `aux1`, or a head's own name.

    A net that was built for its features has none.
    """
    import keras

    output = model.outputs if isinstance(model, keras.Sequential) else model.output
    output = [output] if isinstance(output, keras.KerasTensor) else output
    named = output.items() if isinstance(output, dict) else (("logits", tensor) for tensor in output)
    heads = (tensor for name, tensor in named if tensor._keras_history.operation.name == name)
    return tuple(layer.name for layer in map(_last_with_weights, heads) if layer is not None)


def first_kernel(layers: dict[str, "keras.layers.Layer"]) -> str | None:
    """The first layer that slides a kernel over the image."""
    return next((name for name, layer in layers.items() if any(len(x.shape) == 4 for x in layer.weights)), None)


def _operations(model: "keras.Model") -> Iterator[Any]:
    """The operations of a net's graph, inputs first; without recursion, for some are deeper than Python's stack."""
    seen: set[int] = set()
    waiting = [(tensor._keras_history, False) for tensor in reversed(model.outputs)]
    while waiting:
        history, inputs_are_done = waiting.pop()
        node = history.operation._inbound_nodes[history.node_index]
        if inputs_are_done:
            yield node.operation
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((history, True))
            waiting += [(tensor._keras_history, False) for tensor in reversed(node.input_tensors)]


def _last_with_weights(tensor: Any) -> Any:
    """The layer that made a tensor, or the last before it that has weights, where there is one path to it."""
    while True:
        history = tensor._keras_history
        if getattr(history.operation, "weights", None):
            return history.operation
        inputs = history.operation._inbound_nodes[history.node_index].input_tensors
        if len(inputs) != 1:
            return None
        (tensor,) = inputs
