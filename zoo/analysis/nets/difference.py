"""What one net has that another lacks, such as a Functional one beside its Sequential twin."""

import collections
from collections.abc import Iterator
from typing import Any

import keras

from zoo.analysis.docs.tables import counted
from zoo.analysis.nets import graph
from zoo.analysis.nets.facts import count_text, shapes_text


def rows(
    models: tuple[keras.Model, keras.Model], facts: tuple[dict[str, Any], dict[str, Any]]
) -> list[tuple[str, ...]]:
    """Two models side by side: what is counted, and how many layers of each kind they have.

    Args:
        models: any two.
        facts: what `zoo.analysis.nets.facts.facts` says of them.

    Returns:
        Rows of a table, the first one with the models' names; `-` for what cannot be known of a model without a graph.
    """
    table = [("", *(known["name"] for known in facts))]
    for key in ("style", "inputs", "outputs", "depth", "trainable_parameters", "macs", "branches"):
        table.append((_LABELS.get(key, key.replace("_", " ")), *(_text(known[key]) for known in facts)))
    for kind in next((known["merges"] for known in facts if known["merges"]), ()):
        table.append((f"merges ({kind})", *(_text((known["merges"] or {}).get(kind)) for known in facts)))
    for key in ("skip_connections", "shared_layers"):
        table.append((key.replace("_", " "), *(_text(known[key]) for known in facts)))
    kinds = [_kinds(model) for model in models]
    for kind in sorted({*kinds[0], *kinds[1]}):
        table.append((f"{kind} layers", *(str(counts[kind]) if counts else "-" for counts in kinds)))
    could_be = {True: "yes", False: "no", None: "-"}
    return [*table, ("could be Sequential", *(could_be[known["could_be_sequential"]] for known in facts))]


def sentence(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Which connections each of two models has that the other lacks, from what `facts` says of them."""
    without = [known["name"] for known in (one, other) if known["inputs"] is None]
    if without:
        return f"{' and '.join(without)}: no graph to read, so connections cannot be compared."
    parts = [
        f"{theirs['name']} lacks what {known['name']} has: {', '.join(lacking)}."
        for known, theirs in ((one, other), (other, one))
        if (lacking := list(_lacking(known, theirs)))
    ]
    return " ".join(parts) or f"{one['name']} and {other['name']} have connections of the same kinds."


_LABELS = {"macs": "MACs"}


def _lacking(known: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    """What one model has of what the other has none at all."""
    for key, what in (("inputs", "input"), ("outputs", "output")):
        if len(known[key]) > 1 == len(theirs[key]):
            yield counted(len(known[key]), what)
    if known["branches"] and not theirs["branches"]:
        yield f"{counted(known['branches'], 'tensor')} that {'go' if known['branches'] > 1 else 'goes'} several ways"
    for kind, count in known["merges"].items():
        if count and not theirs["merges"][kind]:
            yield f"{counted(count, 'merge')} ({kind})"
    if known["skip_connections"] and not theirs["skip_connections"]:
        yield counted(known["skip_connections"], "skip connection")
    if known["shared_layers"] and not theirs["shared_layers"]:
        yield counted(len(known["shared_layers"]), "shared layer")


def _kinds(model: keras.Model) -> collections.Counter[str]:
    """How many layers and operations of each class a model has; a shared one counts once."""
    if graph.graph_of(model) is None:
        return collections.Counter()
    return collections.Counter(type(call.operation).__name__ for call in graph.calls(model) if call.repeated is None)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return shapes_text(value)
    if isinstance(value, list):
        return str(len(value))
    return count_text(value) if isinstance(value, int) else value
