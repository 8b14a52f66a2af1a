"""The facts of one model, for `python -m zoo inspect` and `list`: as JSON, and as lines for a reader."""

from typing import Any

import keras

from zoo.analysis.nets import complexity, graph, structure
from zoo.registry import ModelInfo


def facts(model: keras.Model, info: ModelInfo | None = None) -> dict[str, Any]:
    """What a model is, from its graph.

    Args:
        model: any model.
        info: what the registry knows of it; None for a user's own.

    Returns:
        What `inspect --json` prints. What cannot be known is None: all that comes from the graph where a model
        has none, MACs and activations where it leaves a size open.
    """
    known = {
        "name": info.name if info else model.name,
        "family": info.family if info else None,
        "style": graph.style_of(model),
        "task": info.task if info else None,
        "paper": info.paper if info else None,
        "trainable_parameters": graph.count_parameters(model.trainable_variables) if model.built else None,
        "total_parameters": graph.count_parameters(model.weights) if model.built else None,
    }
    keys = (
        *("name", "family", "style", "task", "paper", "inputs", "outputs", "depth", "trainable_parameters"),
        *("total_parameters", "macs", "activations", "branches", "merges", "skip_connections", "shared_layers"),
        *("uncounted_layers", "could_be_sequential", "reason"),
    )
    return dict.fromkeys(keys) | known | _from_the_graph(model)


def _from_the_graph(model: keras.Model) -> dict[str, Any]:
    read = graph.graph_of(model)
    if read is None:
        return {"reason": graph.no_graph(model)}
    calls = graph.calls(model)
    reason = graph.why_not_sequential(model)
    return {
        "inputs": graph.shapes_by_name(read.input),
        "outputs": graph.shapes_by_name(read.output),
        "depth": complexity.depth(calls),
        "macs": complexity.macs(calls),
        "activations": complexity.activations(calls),
        "branches": structure.branches(calls),
        "merges": structure.merges(calls),
        "skip_connections": structure.skip_connections(calls),
        "shared_layers": structure.shared_layers(calls),
        "uncounted_layers": complexity.uncounted_layers(calls),
        "could_be_sequential": reason is None,
        "reason": reason,
    }


def fact_lines(found: dict[str, Any]) -> list[str]:
    """The facts for a reader, a line each; the last one says whether the model could be a Sequential.

    Depth, MACs and activations read "at least" where some layers are not counted there.
    """
    lines = [(key, found[key]) for key in ("paper", "style", "family", "task") if found[key]]
    has_graph = found["inputs"] is not None
    least = "at least " if found["uncounted_layers"] else ""
    if has_graph:
        lines += [(key, shapes_text(found[key])) for key in ("inputs", "outputs")]
        lines.append(("depth", f"{least}{found['depth']:,} (layers with weights on the longest path)"))
    for key in ("trainable_parameters", "total_parameters"):
        lines.append((key.replace("_", " "), count_text(found[key], "unknown until the model is built")))
    if has_graph:
        lines += [
            ("MACs", count_text(found["macs"], least=least)),
            ("activations", count_text(found["activations"], least=least)),
            ("not counted there", ", ".join(found["uncounted_layers"])),
            ("branches", _many(found["branches"], "tensors that go to more than one layer")),
            ("merges", _merges_text(found["merges"])),
            ("skip connections", count_text(found["skip_connections"])),
            ("shared layers", _shared_text(found["shared_layers"])),
        ]
    verdict = {None: f"unknown; {found['reason']}", True: "yes", False: f"no, because {found['reason']}"}
    lines.append(("could be Sequential", verdict[found["could_be_sequential"]]))
    return [f"{name:<22} {value}" for name, value in lines if value]


def shapes_text(shapes: dict[str, list[int | None]]) -> str:
    """Named shapes as `left (28 x 28 x 1), right (28 x 28 x 1)`."""
    return ", ".join(f"{name} ({graph.shape_text(shape)})" for name, shape in shapes.items())


def count_text(count: int | None, unknown: str = "unknown, since a size is left open", least: str = "") -> str:
    """A count as `4,089,184,256 (4.09 G)`, after `least`; a small one without unit; `unknown` for None."""
    if count is None:
        return unknown
    if count < 10_000:
        return f"{least}{count:,}"
    size, unit = next((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if count >= size)
    return f"{least}{count:,} ({count / size:.2f} {unit})"


def _many(count: int, what: str) -> str:
    return f"{count:,} ({what})" if count else "0"


def _merges_text(merges: dict[str, int]) -> str:
    return _many(sum(merges.values()), ", ".join(f"{count:,} {kind}" for kind, count in merges.items() if count))


def _shared_text(shared: list[dict]) -> str:
    names = ", ".join(f"{layer['name']} ({layer['calls']} calls)" for layer in shared)
    return f"{len(shared)}: {names}; parameters count once, all else in each call" if names else "0"
