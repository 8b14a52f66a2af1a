"""Everything but training: python -m zoo list | inspect."""

import argparse
import dataclasses
import json
import re
import sys
from typing import NoReturn

from zoo import console, registry
from zoo.errors import RequestError


class _Parser(argparse.ArgumentParser):
    """Reports a wrong request as every command of the zoo does: one line, exit status 2."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}; see python -m zoo --help")


def main(argv: list[str]) -> None:
    """Carries a command out."""
    options = _parser().parse_args(argv)
    options.command(options)


def list_command(options: argparse.Namespace) -> None:
    """Prints a row per model, from what is known without building it."""
    console.import_tensorflow()
    names = registry.list_models(options.pattern, style=options.style, task=options.task)
    if not names and "*" not in options.pattern:
        registry.model_info(options.pattern)  # raises with the nearest names
    infos = [registry.model_info(name) for name in names]
    if options.json:
        print(json.dumps([known(info) for info in infos], indent=2))
        return
    if not infos:
        asked = " ".join(filter(None, [options.pattern, options.style, options.task]))
        raise RequestError(f"no model fits {asked!r}; python -m zoo list shows all of them")
    rows = [("name", "style", "family", "task", "input", "parameters", "paper")]
    for info in infos:
        shape = "x".join(map(str, info.input_shape))
        count = f"{info.parameters:,}"
        rows.append((info.name, info.style or "-", info.family, info.task, shape, count, short(info.paper)))
    print_table(rows, right=(5,))


def inspect_command(options: argparse.Namespace) -> None:
    """Prints a model's layers, and whether it could be a Sequential."""
    console.import_tensorflow()
    from zoo.analysis import graph

    info = registry.model_info(options.name)
    model = registry.build_model(options.name)
    reason = graph.why_not_sequential(model)
    facts = {
        "name": info.name,
        "family": info.family,
        "style": info.style,
        "task": info.task,
        "paper": info.paper,
        "inputs": graph.shapes_by_name(model.inputs),
        "outputs": graph.shapes_by_name(model.outputs),
        "trainable_parameters": graph.count_parameters(model.trainable_variables),
        "total_parameters": graph.count_parameters(model.weights),
        "could_be_sequential": reason is None,
        "reason": reason,
    }
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    rows = [("layer", "kind", "output", "parameters", "from")]
    for row in graph.layer_rows(model):
        rows.append((row.name, row.kind, row.output_shape, f"{row.parameters:,}", ", ".join(row.inputs)))
    print_table(rows, right=(3,))
    print()
    for key in ("paper", "style", "family", "task"):
        print_fact(key, facts[key] or "-")
    for key in ("inputs", "outputs"):
        shapes = facts[key].items()
        print_fact(key, ", ".join(f"{name} ({' x '.join(map(str, shape))})" for name, shape in shapes))
    for key in ("trainable_parameters", "total_parameters"):
        print_fact(key.replace("_", " "), f"{facts[key]:,}")
    print_fact("could be Sequential", "yes" if reason is None else f"no, because {reason}")


def print_fact(name: str, value: str) -> None:
    """One line under the table."""
    print(f"{name:<22} {value}")


def known(info: registry.ModelInfo) -> dict:
    """What is known of a model without building it, as JSON has it."""
    fields = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)}
    del fields["builder"]
    return fields


def short(paper: str) -> str:
    """Authors and year of a citation."""
    return re.match(r".*?\b(?:19|20)\d\d\b|.*", paper)[0]


def print_table(rows: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> None:
    """Prints rows in columns as wide as they need to be; the columns of `right` hold numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m zoo", description="The models of the zoo. Training is train.py.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    command = commands.add_parser("list", help="the models, a row each")
    command.add_argument("pattern", nargs="?", default="*", help="such as 'resnet*'")
    command.add_argument("--style", help="sequential or functional")
    command.add_argument("--task", help="such as classification")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=list_command)
    command = commands.add_parser("inspect", help="one model: its layers, and whether it could be a Sequential")
    command.add_argument("name")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=inspect_command)
    return parser


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
