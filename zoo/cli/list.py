"""Lists the models, a row each: the registered ones from what is known without building, a user's own counted."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

from zoo import registry
from zoo.cli import console
from zoo.cli.options import Argument, Option, print_table
from zoo.errors import RequestError, unknown
from zoo.tasks.known import task_names

NAME_HELP = "a model of the zoo, a .keras file, or module:function (called without arguments, gives a model)"
ARGUMENTS = (Argument("pattern", f"such as 'resnet*', in quotes; or {NAME_HELP}", default="*"),)
OPTIONS = (
    Option("style", None, "sequential or functional", choices=registry.STYLES),
    Option("task", None, "such as classification"),
    Option("json", False, "for machines"),
)


def main(options: SimpleNamespace) -> None:
    """Prints them."""
    if options.task not in (None, *task_names()):
        raise unknown("task", options.task, task_names())
    models = [counted(options.pattern)] if registry.is_users_own(options.pattern) else known(options.pattern)
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
    print_table([*rows, *map(_row, models)], right=(5, 6))


def known(pattern: str) -> list[dict[str, Any]]:
    """What the registry knows of the models whose names fit, as JSON has it."""
    names = registry.list_models(pattern)
    if not names and "*" not in pattern:
        registry.model_info(pattern)  # raises with the nearest names
    return [{fact: getattr(registry.model_info(name), fact) for fact in _facts()} for name in names]


def counted(name: str) -> dict[str, Any]:
    """The same of a user's own model, counted on the model itself."""
    console.import_tensorflow()
    from zoo.analysis.nets import find
    from zoo.analysis.nets.facts import facts

    with find.opened(name) as (model, _):
        known_facts = facts(model)
    if known_facts["uncounted_layers"]:
        known_facts["macs"] = None  # a lower bound would pass for a count in a list
    shapes = list((known_facts["inputs"] or {}).values())
    return dict.fromkeys(_facts()) | {
        **{key: known_facts[key] for key in ("name", "style", "macs")},
        "input_shape": shapes[0] if len(shapes) == 1 else known_facts["inputs"],
        "parameters": known_facts["trainable_parameters"],
        "loss_weights": {},
        "hyperparameters": {},
    }


def _facts() -> list[str]:
    return [field.name for field in dataclasses.fields(registry.ModelInfo)]


def _row(model: dict[str, Any]) -> tuple[str, ...]:
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
