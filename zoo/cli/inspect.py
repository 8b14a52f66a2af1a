"""Shows one model: its layers, what they cost, and whether it could be a Sequential.

With --diff it shows two side by side, such as a Functional net and a Sequential one like it:
python -m zoo inspect resnet20 --diff=all_cnn_c
"""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zoo.cli import console
from zoo.cli.list import NAME_HELP
from zoo.cli.options import Argument, Option, output_file, print_table
from zoo.config import parse_model_args
from zoo.errors import RequestError

ARGUMENTS = (Argument("name", NAME_HELP),)
OPTIONS = (
    Option("input_shape", None, "of one example, such as 32x32x3, or ?x?x3 for any size; default: the model's own"),
    Option("num_classes", None, "default: the model's own", kind=int),
    Option("model_args", "", "hyperparameters: JSON or key=value,..."),
    Option("summary", False, "without the table of layers"),
    Option("figure", "", "also draw it: a file for an SVG, such as net.svg"),
    Option("diff", "", "another model, as it comes: what of layers, costs and connections one has and not the other"),
    Option("json", False, "for machines"),
)


def main(options: SimpleNamespace) -> None:
    """Prints it."""
    arguments = builder_arguments(options)
    figure = checked_figure(options.figure)
    console.import_tensorflow()
    from zoo.analysis.nets import diagram, difference, find
    from zoo.analysis.nets.facts import fact_lines, facts

    with find.opened(options.name, **arguments) as (model, info):
        found = facts(model, info) | {"layers": layers_of(model)}
        if figure:
            if found["inputs"] is None:
                raise RequestError(f"{options.name} cannot be drawn: {found['reason']}")
            write_figure(figure, diagram.draw(model, fold=True))
        if options.diff:
            with find.opened(options.diff) as (other, other_info):
                both = found, facts(other, other_info) | {"layers": layers_of(other)}
                table, lacks = difference.rows((model, other), both), difference.sentence(*both)
    if options.diff:
        print_difference(both, table, lacks, as_json=options.json)
    elif options.json:
        print(json.dumps(found, indent=2))
    else:
        if found["layers"] and not options.summary:
            print_layers(found["layers"])
        print("\n".join(fact_lines(found)))
    if figure and not options.json:
        print(f"\n{figure}")


def layers_of(model: Any) -> list[dict[str, Any]] | None:
    """The table of a model as JSON has it; None where the model has no graph."""
    from zoo.analysis.nets import graph

    if graph.graph_of(model) is None:
        return None
    return [dataclasses.asdict(row) for row in graph.layer_rows(graph.calls(model))]


def print_layers(layers: list[dict[str, Any]]) -> None:
    """Prints the table, and an empty line."""
    from zoo.analysis.nets.graph import shape_text

    table = [("layer", "kind", "output", "parameters", "from")]
    for row in layers:
        parameters = "shared" if row["parameters"] is None else f"{row['parameters']:,}"
        shapes = ", ".join(map(shape_text, row["output_shapes"]))
        table.append((row["name"], row["kind"], shapes, parameters, ", ".join(row["inputs"])))
    print_table(table, right=(3,))
    print()


def print_difference(both: tuple[dict, dict], table: list[tuple[str, ...]], lacks: str, *, as_json: bool) -> None:
    """Prints two models side by side, and a sentence on their connections."""
    if as_json:
        print(json.dumps({"models": both, "difference": lacks}, indent=2))
        return
    print_table(table)
    print(f"\n{lacks}")


def checked_figure(text: str) -> Path | None:
    """The path of the figure, checked before anything is computed; None where none is asked for."""
    if not text:
        return None
    if Path(text).suffix != ".svg":
        raise RequestError(f"figure is {text!r}; it is drawn as SVG: give it a name that ends in .svg")
    return output_file("figure", text)


def write_figure(path: Path, drawn: str) -> None:
    """Writes it, or says in a line why the system does not let it."""
    try:
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"figure {path} cannot be written: {error.strerror}") from error


def builder_arguments(options: SimpleNamespace) -> dict[str, Any]:
    """What the flags give to the model's builder."""
    arguments = parse_model_args(options.model_args)
    if options.num_classes is not None:
        arguments["num_classes"] = options.num_classes
    if options.input_shape is not None:
        if not re.fullmatch(r"(\d+|\?)(x(\d+|\?))*", options.input_shape):
            raise RequestError(f"input_shape is {options.input_shape!r}; write it as 32x32x3, or ?x?x3 for any size")
        sizes = options.input_shape.split("x")
        arguments["input_shape"] = tuple(None if size == "?" else int(size) for size in sizes)
    return arguments
