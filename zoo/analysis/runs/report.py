"""The page of one run: what it was, how it learned, and what it got wrong."""

import json
from pathlib import Path
from typing import Any

from zoo.analysis.docs import tables
from zoo.analysis.runs import answers as chosen
from zoo.analysis.runs import figures, label_sections, page, pair_sections
from zoo.analysis.runs.answers import Answers
from zoo.analysis.runs.curves import Curves
from zoo.analysis.runs.images import Images, open_images
from zoo.analysis.runs.page import Markup
from zoo.analysis.runs.waiting import with_progress
from zoo.config import ExperimentConfig, differences
from zoo.errors import RequestError
from zoo.runs.answers import read_answers
from zoo.runs.provenance import machine_text
from zoo.runs.records import Run, curve_metrics, points


def write_run(run: Run, output: Path, **options: Any) -> Path:
    """Writes the page of a run, finished or not, and its figures as PNG beside it.

    Args:
        run: of a workdir.
        output: a folder, which is made where it is not there.
        **options: `data_dir`, `memory_gib`, see `open_images`.

    Returns:
        The path of the page.

    Raises:
        RequestError: the answers cannot be read, or the folder cannot be made; nothing was written.
    """
    # What a run that is not finished left of answers is of an earlier end.
    answers = None if run.unfinished else read_answers(run.folder)
    page.make_folder(output)
    sections = [facts(run), learning(run, output)]
    if reason := _no_answers(run, answers):
        sections.append(page.section("Answers", page.paragraph(reason)))
    else:
        images = open_images(run, **options)
        try:
            sections += answered(run, answers, images, output)
        except RequestError as error:
            # An image that is damaged now was whole when the run was evaluated; the answers stand without it.
            sections += answered(run, answers, Images(None, f"{error}."), output)
    title = f"{run.config.model} on {run.config.dataset}, {run.name}"
    path = output / "index.html"
    path.write_text(page.document(title, lead(run), sections), encoding="utf-8")
    return path


def _no_answers(run: Run, answers: Answers | None) -> str:
    """Why there is nothing to say of what the run answered; empty where there is."""
    if run.unfinished:
        return "They come with the end of the run."
    if answers is None:
        return "evaluation.npz is not there, which holds what the run answered to each example."
    lacking = [name for name in ("class_names", "eval_examples") if name not in run.run.get("dataset", {})]
    return f"run.json lacks {lacking[0]}, without which the answers mean nothing." if lacking else ""


def answered(run: Run, answers: Answers, images: Images, output: Path) -> list[tuple[str, Markup]]:
    """What the run answered to the evaluation examples.

    Raises:
        RequestError: an image cannot be read.
    """
    if "score" in answers:
        return pair_sections.verification(run, answers, images, output)
    names, sections = run.class_names, []
    heads = list(chosen.heads(answers, names).items())
    for label, of_head in with_progress(heads, "drawing what was answered about each label"):
        sections += label_sections.of_label(label, of_head, names[label], images, output, alone=len(names) == 1)
    return sections


def lead(run: Run) -> Markup:
    """How far a run is that is not finished, and the result in a line."""
    alarm = page.paragraph(f"{run.unfinished[:1].upper()}{run.unfinished[1:]}.", css="alarm")
    shown = [f"{name} {tables.metric(value)}" for name, value in _metrics(run).items() if name.endswith("accuracy")]
    return Markup((alarm if run.unfinished else "") + page.paragraph("; ".join(shown)))


def _metrics(run: Run) -> dict[str, float]:
    """The metrics of the result that are worth a look."""
    metrics = run.result["metrics"].items()
    return {name: value for name, value in metrics if chosen.is_telling(name, run.class_names)}


def facts(run: Run) -> tuple[str, Markup]:
    """What was run, where, and what came of it, as far as it is known."""
    changed = [
        (name, _value(there), _value(here))
        for name, (there, here) in differences(ExperimentConfig(), run.config).items()
    ]
    what = page.table(("what", "value"), _facts(run), label="facts of the run")
    config = page.table(("field", "default", "here"), changed, label="config fields that differ from the defaults")
    left = page.element("div", page.element("h3", "The run"), what)
    right = page.element(
        "div",
        page.element("h3", "Metrics so far" if run.unfinished else "Metrics of the last epoch"),
        metrics_table(_metrics(run)),
        page.element("h3", "Config where it is not the default"),
        config,
    )
    return page.section("Facts", page.element("div", left, right, class_="wide"))


def _facts(run: Run) -> list[tuple[str, Any]]:
    result, source, config = run.result, run.run, run.config
    dataset = source.get("dataset", {})
    part = " are to be" if run.unfinished else ", stopped early" if result.get("stopped_early") else ""
    splits = (("trained on", config.train_split, "train"), ("evaluated on", config.eval_split, "eval"))
    rows = [
        ("model", config.model),
        ("began with", _weights(source.get("init_weights") or {})),
        ("dataset", f"{config.dataset} {dataset.get('version', '')}"),
        *((what, f"{split}{_examples(dataset, kind)}") for what, split, kind in splits),
        ("steps", f"{result['steps']:,} ({config.epochs:,} epochs{part}, seed {config.seed})"),
    ]
    if not run.unfinished:
        rate, times = result["images_per_second"], [result[f"{which}_seconds"] for which in ("wall", "train")]
        rows += [
            ("time", "{}, of which training {}".format(*map(tables.duration, times))),
            ("speed", f"{rate:,.0f} images/s in training" if rate else "not measured"),
        ]
    versions = ", ".join(f"{name} {value}" for name, value in source.get("versions", {}).items() if value)
    devices = f"{source['replicas']} with {source['strategy']}" if {"replicas", "strategy"} <= source.keys() else ""
    rows += [
        ("machine", machine_text(source["hardware"]) if "hardware" in source else ""),
        ("devices", devices),
        ("versions", versions),
        ("command", page.element("code", " ".join(source["command"])) if "command" in source else ""),
        ("started, ended", ", ".join(filter(None, [*source.get("started", []), source.get("ended")]))),
    ]
    if not run.unfinished:
        rows.append(("digest of all variables", page.element("code", result["state_sha256"])))
    return [(what, value) for what, value in rows if value]


def _weights(began: dict[str, Any]) -> str:
    """The weights a run began with, their licence, and what of the net was new."""
    because = f" ({began['new_because']})" if began.get("new_because") else ""
    parts = [began.get("name"), began.get("licence")]
    new = f"new: {', '.join(began['new_layers'])}{because}" if began.get("new_layers") else ""
    return ", ".join(filter(None, [*parts, new]))


def _examples(dataset: dict[str, Any], kind: str) -> str:
    count = dataset.get(f"{kind}_examples")
    return "" if count is None else f", {count:,} examples"


def metrics_table(values: dict[str, float]) -> Markup:
    """A row for each metric, a column for each split."""
    splits = list(dict.fromkeys(name.partition("/")[0] for name in values))
    names = dict.fromkeys(name.partition("/")[2] for name in values)
    rows = [(name, *(_cell(values.get(f"{split}/{name}")) for split in splits)) for name in names]
    return page.table(("metric", *splits), rows, label="metrics", numbers=range(1, len(splits) + 1))


def _cell(value: float | None) -> str:
    return "" if value is None else tables.metric(value)


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def learning(run: Run, output: Path) -> tuple[str, Markup]:
    """A plot for each metric that changed from epoch to epoch, and the others in words."""
    splits = list(dict.fromkeys(row["split"] for row in run.curve))
    curves = Curves(output)
    telling = [metric for metric in curve_metrics(run.curve) if chosen.is_telling(metric, run.class_names)]
    for metric in with_progress(telling, "drawing the learning curves"):
        lines = [
            figures.Line(split, list(by_epoch), list(by_epoch.values()), color=number, dash=number)
            for number, split in enumerate(splits)
            if (by_epoch := points(run.curve, split, metric))
        ]
        curves.add(metric, lines)
    nothing = page.paragraph("There is none: nothing was measured.")
    return page.section("Learning curves", *(curves.parts() or [nothing]))
