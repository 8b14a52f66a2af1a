"""Where a graph leaves the single path of a Sequential: branches, merges, skip connections, shared layers.

All of it is counted on the calls that `zoo.analysis.nets.graph.calls` gives, so what is inside a nested model counts
once for each call of it.
"""

import collections
import functools
import operator

from zoo.analysis.nets.graph import Call, Tensor, keras_names, takers

KINDS = {"Add": "add", "Concatenate": "concatenate", "Multiply": "multiply"}


def branches(calls: list[Call]) -> int:
    """How many tensors are taken by more than one call."""
    return sum(len(taken_by) > 1 for taken_by in takers(calls).values())


def merge_kind(call: Call) -> str | None:
    """`add`, `concatenate`, `multiply` or `other` for a call of several tensors, None for one of a single tensor."""
    if len(call.inputs) < 2:
        return None
    return next((KINDS[name] for name in keras_names(call.operation) if name in KINDS), "other")


def merges(calls: list[Call]) -> dict[str, int]:
    """How many calls take several tensors, by kind."""
    counted = collections.Counter(map(merge_kind, calls))
    return {kind: counted[kind] for kind in (*KINDS.values(), "other")}


def skip_connections(calls: list[Call]) -> int:
    """How many calls join what some layers have computed with what goes past those layers.

    Two kinds of calls do:

    - an addition whose tensors come from one common tensor: either one of them is computed from another, or
      there is a tensor through which every path from the model's inputs to the addition leads. That is the
      residual block, with its shortcut left as it is, pooled or convolved. The sum of two inputs of the model
      is none, and neither is the shift by which a second input conditions the first (FiLM);
    - a concatenation that takes a tensor unchanged beside another one computed from it, as in a dense block.
      Those of an Inception module are none: each branch computes something of its own.

    A multiplication is none: there one path is the gate of the other, as in squeeze and excitation.
    """
    bit: dict[Tensor, int] = {}
    computed_from: dict[Tensor, int] = {}  # the bits of all tensors that a tensor is computed from
    waist: dict[Call, list[Call]] = {}  # the calls that every path to a call leads through, first one first
    skips = 0
    for call in calls:
        taken = list(dict.fromkeys(call.inputs))
        waist[call] = _common_start([[*waist[tensor.source], tensor.source] for tensor in taken])
        earlier = functools.reduce(operator.or_, (bit[tensor] | computed_from[tensor] for tensor in taken), 0)
        for tensor in call.outputs:
            bit[tensor], computed_from[tensor] = 1 << len(bit), earlier
        kind = merge_kind(call) if len(taken) > 1 else None
        if kind in ("add", "concatenate"):
            both_ends = any(bit[one] & computed_from[other] for one in taken for other in taken)
            skips += both_ends or (kind == "add" and bool(waist[call]))
    return skips


def _common_start(ways: list[list[Call]]) -> list[Call]:
    """What the ways have in common before they part."""
    same = []
    for steps in zip(*ways, strict=False):
        if any(step is not steps[0] for step in steps):
            break
        same.append(steps[0])
    return same


def shared_layers(calls: list[Call]) -> list[dict[str, str | int]]:
    """Name and number of calls of each layer or nested model that is called more than once.

    What is inside a shared model is not listed, unless it is called more often than that model.
    """
    frames = list(dict.fromkeys(frame for call in calls for frame in (*call.path, call)))
    times = collections.Counter(id(frame.operation) for frame in frames)
    inside: dict[int, set[int]] = collections.defaultdict(set)  # an operation -> the models that call it
    for frame in frames:
        inside[id(frame.operation)].add(id(frame.path[-1].operation) if frame.path else 0)
    return [
        {"name": frame.name, "calls": times[id(frame.operation)]}
        for frame in frames
        if frame.number == 1
        and times[id(frame.operation)] > 1
        and [times[model] for model in inside[id(frame.operation)]] != [times[id(frame.operation)]]
    ]
