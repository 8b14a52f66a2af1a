"""Runs side by side: where their configs and surroundings differ, what came of them, and their curves."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.analysis.runs import figures, page
from zoo.analysis.runs.curves import curve
from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.runs import provenance
from zoo.runs.records import Run, curve_metrics, points

TIMES = ("wall_seconds", "train_seconds", "images_per_second")


def sections(runs: Sequence[Run]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """What there is to say, as tables: a title, and rows of a name and a cell for each run.

    Raises:
        ValueError: there are less than two runs.
    """
    if len(runs) < 2:
        raise RequestError("compare takes at least two runs")
    fields = [_fields(run.config) for run in runs]
    configs = [
        (name, [own.get(name) for own in fields]) for name in dict.fromkeys(name for own in fields for name in own)
    ]
    places = [_surroundings(run.run) for run in runs]
    around = [
        (name, [own.get(name) for own in places]) for name in dict.fromkeys(name for own in places for name in own)
    ]
    metrics = dict.fromkeys(name for run in runs for name in run.result["metrics"])
    results = [(name, [run.result["metrics"].get(name) for run in runs]) for name in metrics]
    results += [(name, [run.result[name] for run in runs]) for name in ("steps", *TIMES)]
    digests = [run.result["state_sha256"] for run in runs]
    kinds = [provenance.kind(run.run, run.config.cpu_threads) for run in runs]
    return [
        ("config", [_row(name, values) for name, values in configs if _differ(values)]),
        ("data, versions and machine", [_row(name, values) for name, values in around if _differ(values)]),
        ("result", [_row(name, values) for name, values in results]),
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


def _fields(config: ExperimentConfig) -> dict[str, Any]:
    """The fields by name, each hyperparameter of the model by itself."""
    values = dataclasses.asdict(config)
    arguments = {f"model_args.{name}": value for name, value in values.pop("model_args").items()}
    return values | arguments


def _surroundings(run: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` says of data, versions, machine and devices, by name; class names follow from the data."""
    found = {name: value for name, value in run.get("dataset", {}).items() if name != "class_names"}
    found |= {f"preprocessing.{name}": value for name, value in (run.get("preprocessing") or {}).items()}
    # The family and the model of a processor are not those of a net.
    prefix = {name: f"processor.{name}" for name in ("vendor", "family", "model")}
    hardware = {prefix.get(name, name): value for name, value in run.get("hardware", {}).items()}
    hardware.pop("environment", None)
    found |= run.get("versions", {}) | hardware
    found |= {f"environment.{name}": value for name, value in provenance.environment(run.get("hardware", {})).items()}
    return found | {name: run[name] for name in ("strategy", "replicas", "xla") if name in run}


def _differ(values: list[Any]) -> bool:
    return any(value != values[0] for value in values)


def _row(name: str, values: list[Any]) -> tuple[str, ...]:
    return name, *map(_text, values)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or value == "":
        return "-"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12]  # of a digest
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _equals(values: list[Any]) -> list[str]:
    """For each value which others are equal, by their numbers from 1; None is unknown, and equal to no other one."""
    alike = ([other + 1 for other, its in enumerate(values) if its == value] for value in values)
    return [
        "unknown" if values[number - 1] is None else ", ".join(str(n) for n in same if n != number) or "none"
        for number, same in enumerate(alike, 1)
    ]


def write(runs: Sequence[Run], path: Path) -> None:
    """Writes the same tables as a page with the curves, and those as PNG beside it.

    Args:
        runs: at least two.
        path: of the page; its folder is made where it is not there.

    Raises:
        ValueError: there are less runs, or the folder cannot be made; nothing was written.
    """
    tables = sections(runs)
    page.make_folder(path.parent)
    names = [f"{number}: {run.name}" for number, run in enumerate(runs, 1)]
    parts = [
        page.section(
            title.capitalize(),
            page.table(("", *names), rows, label=title) if rows else page.paragraph("The same in all."),
        )
        for title, rows in tables
    ]
    metrics = dict.fromkeys(name for run in runs for name in curve_metrics(run.curve))
    plots = [
        curve(lines(runs, names, metric), metric, figures.file(path.parent, f"{path.stem}_curve", metric))
        for metric in metrics
    ]
    parts.append(page.section("Learning curves", page.element("div", *filter(None, plots), class_="plots")))
    title = f"{len(runs)} runs side by side"
    path.write_text(page.document(title, page.paragraph("; ".join(names)), parts), encoding="utf-8")


def lines(runs: Sequence[Run], names: Sequence[str], metric: str) -> list[figures.Line]:
    """A line for each run and split: a colour for each run, a dash for each split."""
    return [
        figures.Line(f"{name}, {split}", list(found), list(found.values()), color=number, dash=dash)
        for number, (run, name) in enumerate(zip(runs, names, strict=True))
        for dash, split in enumerate(dict.fromkeys(row["split"] for row in run.curve))
        if (found := points(run.curve, split, metric))
    ]
