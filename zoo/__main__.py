"""Everything but training: python -m zoo list | inspect | show-data | reproduce | report | compare | document."""

import argparse
import dataclasses
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from absl import flags

from zoo import config as configs
from zoo import registry
from zoo.cli import console
from zoo.config import ExperimentConfig, parse_model_args
from zoo.errors import Interrupted, RequestError, RunError, unknown

NAME_HELP = "a model of the zoo, a .keras file, or module:function (called without arguments, gives a model)"


def main(argv: list[str]) -> None:
    """Carries a command out."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command is not show_data_command:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest, options.argv = rest, argv
    options.command(options)


def list_command(options: argparse.Namespace) -> None:
    """Prints a row per model: the registered ones from what is known without building, a user's own counted."""
    if options.style is not None and options.style not in registry.STYLES:
        raise unknown("style", options.style, registry.STYLES)
    console.import_tensorflow()
    from zoo.analysis.nets import find

    models = [counted(options.pattern)] if find.is_users_own(options.pattern) else known(options.pattern)
    models = [
        model for model in models if options.style in (None, model["style"]) and options.task in (None, model["task"])
    ]
    if options.json:
        print(json.dumps(models, indent=2))
        return
    if not models:
        asked = " ".join(filter(None, [options.pattern, options.style, options.task]))
        raise RequestError(f"no model fits {asked!r}; python -m zoo list shows all of them")
    rows = [("name", "style", "family", "task", "input", "parameters", "MACs", "paper")]
    rows += [list_row(model) for model in models]
    print_table(rows, right=(5, 6))


def known(pattern: str) -> list[dict[str, Any]]:
    """What the registry knows of the models whose names fit, as JSON has it."""
    names = registry.list_models(pattern)
    if not names and "*" not in pattern:
        registry.model_info(pattern)  # raises with the nearest names
    fields = [field.name for field in dataclasses.fields(registry.ModelInfo) if field.name != "builder"]
    return [{field: getattr(registry.model_info(name), field) for field in fields} for name in names]


def counted(name: str) -> dict[str, Any]:
    """The same of a user's own model, counted on the model itself."""
    from zoo.analysis.nets import find
    from zoo.analysis.nets.facts import facts

    with find.opened(name) as (model, _):
        found = facts(model)
    if found["uncounted_layers"]:
        found["macs"] = None  # a lower bound would pass for a count in a list
    shapes = list((found["inputs"] or {}).values())
    fields = dict.fromkeys(field.name for field in dataclasses.fields(registry.ModelInfo) if field.name != "builder")
    return fields | {
        **{key: found[key] for key in ("name", "style", "macs")},
        "input_shape": shapes[0] if len(shapes) == 1 else found["inputs"],
        "parameters": found["trainable_parameters"],
        "loss_weights": {},
        "hyperparameters": {},
    }


def list_row(model: dict[str, Any]) -> tuple[str, ...]:
    """One line of the list; `-` for what is not known."""
    shape = model["input_shape"] or {}
    shapes = shape.values() if isinstance(shape, dict) else [shape]
    numbers = ("-" if model[key] is None else f"{model[key]:,}" for key in ("parameters", "macs"))
    return (
        *(model[key] or "-" for key in ("name", "style", "family", "task")),
        ",".join("x".join("?" if size is None else str(size) for size in sizes) for sizes in shapes) or "-",
        *numbers,
        registry.authors_and_year(model["paper"]) if model["paper"] else "-",
    )


def inspect_command(options: argparse.Namespace) -> None:
    """Prints a model's layers, what they cost, and whether it could be a Sequential."""
    arguments = builder_arguments(options)
    console.import_tensorflow()
    from zoo.analysis.nets import find, graph
    from zoo.analysis.nets.facts import fact_lines, facts

    with find.opened(options.name, **arguments) as (model, info):
        found = facts(model, info)
        rows = graph.layer_rows(graph.calls(model)) if graph.graph_of(model) else []
    if options.json:
        print(json.dumps(found, indent=2))
        return
    if rows and not options.summary:
        table = [("layer", "kind", "output", "parameters", "from")]
        for row in rows:
            parameters = "shared" if row.parameters is None else f"{row.parameters:,}"
            table.append((row.name, row.kind, row.output_shape, parameters, ", ".join(row.inputs)))
        print_table(table, right=(3,))
        print()
    print("\n".join(fact_lines(found)))


def show_data_command(options: argparse.Namespace) -> None:
    """Writes a picture of the first training examples of a config, as augmented."""
    values = flags.FlagValues()
    configs.define_flags(values)
    try:
        left = values(["show-data", *options.rest])[1:]
    except flags.Error as error:
        raise RequestError(str(error)) from error
    if left:
        raise RequestError(f"what is {left[0]!r}? flags are written as --name=value")
    if options.count < 1:
        raise RequestError(f"count is {options.count}; it must be at least 1")
    config = configs.with_flags(configs.load_config(options.config) if options.config else ExperimentConfig(), values)
    path = Path(options.output)
    if not path.absolute().parent.is_dir():
        raise RequestError(f"output is {options.output!r}, and there is no folder {path.parent}")
    console.import_tensorflow()
    from zoo.analysis.runs import plots
    from zoo.training.data import open_data

    data = open_data(config, data_dir=options.data_dir, memory_gib=options.memory_gib)
    shown = plots.data_grid(config, data, options.count, path)
    print(f"{path}: the first {shown} training examples, as the model gets them")


def reproduce_command(options: argparse.Namespace) -> None:
    """Runs recipes over seeds and holds them against their bands, or checks that all files say the same of them."""
    from zoo import baselines

    if not (options.check or options.pattern or options.tier):
        raise RequestError(f"name a recipe, a pattern, or --tier={'|'.join(baselines.TIERS)}")
    if options.seeds < 1:
        raise RequestError(f"seeds is {options.seeds}; it must be at least 1")
    names = baselines.find(options.pattern or "*", options.tier)
    if options.check:
        found = baselines.disagreements(names)
        print("\n".join(found or [f"{len(names)} recipes: configs, records and README agree"]))
        if found:
            raise RunError(f"{len(found)} disagreements; python -m zoo reproduce --update writes bands from runs")
        # Nothing is wrong with such records, but nobody can say what code made them.
        for line in baselines.unknown_code(names):
            progress("note", line)
        return
    if options.update:
        baselines.check_update(names, options.seeds)
    try:
        outcomes = baselines.reproduce(names, options.seeds, options.data_dir, options.runs, say=progress)
    except Interrupted:
        progress("to go on", f"python -m zoo {shlex.join(options.argv)}")
        raise
    rows = [row for outcome in outcomes for row in outcome.rows()]
    print_table([("recipe", "metric", "measured (seeds)", "band (seeds)", "holds", "why"), *rows])
    write = baselines.update if options.update else baselines.add_digests if options.add_digests else None
    if write:
        print("\n".join(line for outcome in outcomes for line in write(outcome)))
    # A band that was just written holds.
    good = ("yes", "-") if options.update else ("yes",)
    bad = sorted({row[0] for row in rows if row[4] not in good})
    if bad:
        raise RunError(f"not reproduced: {', '.join(bad)}")


def document_command(options: argparse.Namespace) -> None:
    """Writes the cards of the families and the README's tables, or says which of them are not up to date."""
    console.import_tensorflow()
    from zoo.analysis.docs import cards

    if options.check:
        stale = cards.stale()
        print("\n".join(stale or ["cards and README are up to date"]))
        if stale:
            raise RunError("these files are not up to date; python -m zoo document writes them")
        return
    print("\n".join(cards.write() or ["nothing has changed"]))


def report_command(options: argparse.Namespace) -> None:
    """Writes the page of a run, or of a folder of records."""
    from zoo.runs import records

    folder = Path(options.folder)
    if folder.is_file():
        raise RequestError(f"{folder} is a file; report takes the folder of a run, or a folder of records")
    output = Path(options.output or folder / "report")
    opening = {"data_dir": options.data_dir, "memory_gib": options.memory_gib}
    if records.holds_records(folder):
        recipes = known_recipes()
        console.import_tensorflow()
        from zoo.analysis.runs.overview import write_overview

        page = write_overview(folder, output, recipes, **opening)
    else:
        run = records.read(folder)
        console.import_tensorflow()
        from zoo.analysis.runs.report import write_run

        page = write_run(run, output, **opening)
    print(f"{page}, and its figures as PNG beside it")


def known_recipes() -> dict[str, Any]:
    """What each recipe says of itself, and its config; none where the zoo is installed without them."""
    from zoo import baselines

    if not baselines.CONFIGS.is_dir():
        return {}
    return {
        name: (baselines.read_recipe(name), configs.load_config(str(baselines.CONFIGS / f"{name}.py")))
        for name in baselines.find()
    }


def compare_command(options: argparse.Namespace) -> None:
    """Shows runs side by side, and writes a page of it where one is asked for."""
    from zoo.analysis.runs import compare
    from zoo.runs import records

    found = [records.read(Path(run)) for run in options.runs]
    for title, rows in compare.sections(found):
        names = [f"{number}: {run.name}" for number, run in enumerate(found, 1)]
        print_table([(title, *names), *(rows or [("the same in all", *([""] * len(found)))])])
        print()
    if options.output:
        path = Path(options.output)
        compare.write(found, path)
        print(f"{path}, and its figures as PNG beside it")


def progress(what: str, text: str) -> None:
    """A line for who waits."""
    print(f"{what}: {text}", file=sys.stderr, flush=True)


def builder_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """What the flags of `inspect` give to the model's builder."""
    arguments = parse_model_args(options.model_args)
    if options.num_classes is not None:
        arguments["num_classes"] = options.num_classes
    if options.input_shape is not None:
        if not re.fullmatch(r"\d+(x\d+)*", options.input_shape):
            raise RequestError(f"input_shape is {options.input_shape!r}; write it as 32x32x3")
        arguments["input_shape"] = tuple(map(int, options.input_shape.split("x")))
    return arguments


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
    parser = console.Parser(prog="python -m zoo", description="The models of the zoo. Training is train.py.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=console.Parser)
    command = commands.add_parser("list", help="the models, a row each")
    command.add_argument("pattern", nargs="?", default="*", help=f"such as 'resnet*'; or {NAME_HELP}")
    command.add_argument("--style", help="sequential or functional")
    command.add_argument("--task", help="such as classification")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=list_command)
    command = commands.add_parser("inspect", help="one model: its layers, its cost, whether it could be a Sequential")
    command.add_argument("name", help=NAME_HELP)
    command.add_argument("--input_shape", help="of one example, such as 32x32x3; default: the model's own")
    command.add_argument("--num_classes", type=int, help="default: the model's own")
    command.add_argument("--model_args", default="", help="hyperparameters: JSON or key=value,...")
    command.add_argument("--summary", action="store_true", help="without the table of layers")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(command=inspect_command)
    command = commands.add_parser(
        "show-data",
        allow_abbrev=False,
        help="a picture of training examples as augmented",
        epilog="Every field of the config is a flag too, as in train.py: --dataset, --augment, --image_size, ...",
    )
    command.add_argument("--config", default="", help="config file, such as configs/resnet20_glyphs.py")
    command.add_argument("--data_dir", help="where datasets are prepared; default: that of tensorflow_datasets")
    command.add_argument("--memory_gib", type=float, default=2.0, help="as in train.py; default: 2")
    command.add_argument("--count", type=int, default=48, help="how many examples; default: 48")
    command.add_argument("--output", default="data.png", help="the picture; default: data.png")
    command.set_defaults(command=show_data_command)
    command = commands.add_parser("reproduce", help="runs recipes again, over seeds, and says whether they still hold")
    command.add_argument("pattern", nargs="?", help="a recipe of configs/, such as mlp_digits, or '*_digits'")
    command.add_argument("--tier", help="all recipes that take: cpu (minutes), cpu-hours, gpu-hours, cluster")
    command.add_argument("--seeds", type=int, default=5, help="how many, from 0 on; default: 5")
    command.add_argument("--data_dir", help="where datasets are prepared; default: that of tensorflow_datasets")
    command.add_argument("--runs", default="runs", help="folder of the runs; what is there is not run again")
    either = command.add_mutually_exclusive_group()
    either.add_argument("--update", action="store_true", help="write records of the runs, and from them the bands")
    text = "add what the runs end with on this kind of machine to the records; nothing else in them changes"
    either.add_argument("--add_digests", action="store_true", help=text)
    either.add_argument("--check", action="store_true", help="run nothing; do recipes, records and README agree?")
    command.set_defaults(command=reproduce_command)
    _add_reports(commands)
    return parser


def _add_reports(commands: Any) -> None:
    command = commands.add_parser("report", help="a page of a run: curves, mistakes, calibration; or of all records")
    command.add_argument("folder", help="of a finished run; or of records, such as results")
    command.add_argument("--output", help="folder of the page and its figures; default: report in that folder")
    command.add_argument("--data_dir", help="where datasets are prepared; default: that of tensorflow_datasets")
    command.add_argument("--memory_gib", type=float, default=2.0, help="as in train.py; default: 2")
    command.set_defaults(command=report_command)
    command = commands.add_parser("compare", help="runs side by side: configs, metrics, times, digests, curves")
    command.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished run, or a record of one")
    command.add_argument("--output", help="also write a page with the curves, such as compare.html")
    command.set_defaults(command=compare_command)
    command = commands.add_parser("document", help="writes docs/models and the README's tables from what they are of")
    command.add_argument("--check", action="store_true", help="only say which are not up to date")
    command.set_defaults(command=document_command)


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
