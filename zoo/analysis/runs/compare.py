"""Runs side by side: where their configs and surroundings differ, what came of them, and their curves."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.analysis.docs import tables
from zoo.analysis.runs import answers, figures, page
from zoo.analysis.runs.curves import Curves
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.runs import provenance
from zoo.runs.records import Run, curve_metrics, points

# What is told beside the metrics, and how.
_MORE = {
    "steps": "{:,}".format,
    "wall_seconds": tables.duration,
    "train_seconds": tables.duration,
    "images_per_second": "{:,.0f}".format,
}


def sections(runs: Sequence[Run]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """What is compared, as tables: each has a title, and rows of a name and a cell for each run.

    Raises:
        RequestError: there are fewer than two runs.
    """
    if len(runs) < 2:
        raise RequestError("compare takes at least two runs")
    configs = _side_by_side([_fields(run.config) for run in runs])
    surroundings = _side_by_side([_surroundings(run.run) for run in runs])
    # What a run that is not finished lacks is left open.
    results = [
        (name, *("-" if value is None else form(value) for value in values))
        for form, parts in (
            *((tables.metric, [run.result["metrics"] for run in runs]),),
            *((form, [{name: run.result.get(name)} for run in runs]) for name, form in _MORE.items()),
        )
        for name, values in _side_by_side(parts)
    ]
    digests = [run.result.get("state_sha256") for run in runs]
    kinds = [provenance.kind(run.run, run.config.cpu_threads) for run in runs]
    return [
        ("config", [_row(name, values) for name, values in configs if _differ(values)]),
        ("data, versions and machine", [_row(name, values) for name, values in surroundings if _differ(values)]),
        ("result", results),
        (
            "state",
            [
                _row("state_sha256", digests),
                ("equal to", *_equals(digests)),
                # Between kinds of machines, or versions, other bits mean nothing.
                ("same machine and versions as", *_equals(kinds)),
            ],
        ),
    ]


def _side_by_side(runs: Sequence[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Each name that any of the runs has, with the value of every run; None for a run that lacks it."""
    names = dict.fromkeys(name for values in runs for name in values)
    return [(name, [values.get(name) for values in runs]) for name in names]


def _fields(config: ExperimentConfig) -> dict[str, Any]:
    """The fields by name, each hyperparameter of the model by itself."""
    values = dataclasses.asdict(config)
    arguments = {f"model_args.{name}": value for name, value in values.pop("model_args").items()}
    return values | arguments


def _surroundings(run: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` says of data, versions, machine and devices, by name; class names follow from the data."""
    facts = {name: value for name, value in run.get("dataset", {}).items() if name != "class_names"}
    facts |= {f"preprocessing.{name}": value for name, value in (run.get("preprocessing") or {}).items()}
    # The family and the model of a processor are not those of a net.
    prefix = {name: f"processor.{name}" for name in ("vendor", "family", "model")}
    hardware = {prefix.get(name, name): value for name, value in run.get("hardware", {}).items()}
    hardware.pop("environment", None)
    facts |= run.get("versions", {}) | hardware
    facts |= {f"environment.{name}": value for name, value in provenance.environment(run.get("hardware", {})).items()}
    return facts | {name: run[name] for name in ("strategy", "replicas", "xla") if name in run}


def _differ(values: list[Any]) -> bool:
    return any(value != values[0] for value in values)


def _row(name: str, values: list[Any]) -> tuple[str, ...]:
    return name, *map(_text, values)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or value == "":
        return "-"
    if isinstance(value, str):
        # Of digests and commits the first digits, whatever says of what they are.
        return re.sub("[0-9a-f]{40,}", lambda digest: digest[0][:12], value)
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _equals(values: list[Any]) -> list[str]:
    """For each value the numbers, from 1, of the others that are equal to it; None is unknown, and equal to none."""
    texts = []
    for place, value in enumerate(values):
        equal = [str(number) for number, other in enumerate(values, 1) if other == value and number != place + 1]
        texts.append("unknown" if value is None else ", ".join(equal) or "none")
    return texts


def unfinished(runs: Sequence[Run]) -> list[str]:
    """A line for each run that is not finished, with its number."""
    return [f"{number}: {run.name} is {run.unfinished}" for number, run in enumerate(runs, 1) if run.unfinished]


def write(runs: Sequence[Run], path: Path) -> None:
    """Writes the same tables as a page with the curves, and those as PNG beside it.

    Args:
        runs: at least two.
        path: of the page; its folder is made where it is not there.

    Raises:
        RequestError: there are fewer than two runs, or the folder cannot be made; nothing was written.
    """
    compared = sections(runs)
    page.make_folder(path.parent)
    names = [f"{number}: {run.name}" for number, run in enumerate(runs, 1)]
    parts = [
        page.section(
            title.capitalize(),
            page.table(("", *names), rows, label=title) if rows else page.paragraph("The same in all."),
        )
        for title, rows in compared
    ]
    curves = Curves(path.parent, f"{path.stem}_curve")
    for metric in dict.fromkeys(name for run in runs for name in curve_metrics(run.curve)):
        if any(answers.is_telling(metric, run.class_names) for run in runs):
            curves.add(metric, lines(runs, names, metric))
    parts.append(page.section("Learning curves", *curves.parts()))
    alarms = [page.paragraph(f"{line}.", css="alarm") for line in unfinished(runs)]
    lead = page.Markup("".join([*alarms, page.paragraph("; ".join(names))]))
    path.write_text(page.document(f"{len(runs)} runs side by side", lead, parts), encoding="utf-8")


def lines(runs: Sequence[Run], names: Sequence[str], metric: str) -> list[figures.Line]:
    """A line for each run and split: a colour for each run, a dash for each split."""
    return [
        figures.Line(
            f"{figures.short(name, 32)}, {split}", list(by_epoch), list(by_epoch.values()), color=number, dash=dash
        )
        for number, (run, name) in enumerate(zip(runs, names, strict=True))
        for dash, split in enumerate(dict.fromkeys(row["split"] for row in run.curve))
        if (by_epoch := points(run.curve, split, metric))
    ]
