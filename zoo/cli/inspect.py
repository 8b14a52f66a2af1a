"""Shows one model: its layers, what they cost, and whether it could be a Sequential."""

import json
import re
from types import SimpleNamespace
from typing import Any

from zoo.cli import console
from zoo.cli.list import NAME_HELP
from zoo.cli.options import Argument, Option, print_table
from zoo.config import parse_model_args
from zoo.errors import RequestError

ARGUMENTS = (Argument("name", NAME_HELP),)
OPTIONS = (
    Option("input_shape", None, "of one example, such as 32x32x3; default: the model's own"),
    Option("num_classes", None, "default: the model's own", kind=int),
    Option("model_args", "", "hyperparameters: JSON or key=value,..."),
    Option("summary", False, "without the table of layers"),
    Option("json", False, "for machines"),
)


def main(options: SimpleNamespace) -> None:
    """Prints it."""
    arguments = builder_arguments(options)
    console.import_tensorflow()
    from zoo.analysis.nets import find, graph
    from zoo.analysis.nets.facts import fact_lines, facts

    with find.opened(options.name, **arguments) as (model, info):
        counted = facts(model, info)
        rows = graph.layer_rows(graph.calls(model)) if graph.graph_of(model) else []
    if options.json:
        print(json.dumps(counted, indent=2))
        return
    if rows and not options.summary:
        table = [("layer", "kind", "output", "parameters", "from")]
        for row in rows:
            parameters = "shared" if row.parameters is None else f"{row.parameters:,}"
            table.append((row.name, row.kind, row.output_shape, parameters, ", ".join(row.inputs)))
        print_table(table, right=(3,))
        print()
    print("\n".join(fact_lines(counted)))


def builder_arguments(options: SimpleNamespace) -> dict[str, Any]:
    """What the flags give to the model's builder."""
    arguments = parse_model_args(options.model_args)
    if options.num_classes is not None:
        arguments["num_classes"] = options.num_classes
    if options.input_shape is not None:
        if not re.fullmatch(r"\d+(x\d+)*", options.input_shape):
            raise RequestError(f"input_shape is {options.input_shape!r}; write it as 32x32x3")
        arguments["input_shape"] = tuple(map(int, options.input_shape.split("x")))
    return arguments
