"""The page of all records: baselines over seeds, how they learned, what they cost, and how fast the zoo is."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.analysis import complexity, figures, find, graph, page
from zoo.analysis.curves import curve
from zoo.analysis.facts import count_text
from zoo.analysis.page import Markup
from zoo.analysis.runs import Run, evaluation_metrics, points, read_benchmarks, read_records
from zoo.config import ExperimentConfig
from zoo.errors import RequestError, RunError
from zoo.training.data import open_data

NOT_RUN = "not yet run here"
PEERS = {
    "keras": "Keras fit",
    "keras_tuned": "Keras fit, tuned",
    "torch": "PyTorch",
    "torch_compile": "torch.compile",
    "jax": "JAX",
}


def write_overview(folder: Path, output: Path, recipes: Mapping[str, tuple[Any, ExperimentConfig]], **options) -> Path:
    """Writes the page of a folder of records, and its figures as PNG beside it.

    Args:
        folder: of records, see `runs.read_records`, and of `benchmarks.json`; each may be missing.
        output: a folder that is there.
        recipes: what `zoo.baselines.read_recipe` says of each recipe, and its config.
        **options: `data_dir`, `memory_gib`, see `open_data`.

    Returns:
        The path of the page.

    Raises:
        ValueError: a record cannot be read.
    """
    records, benchmarks = read_records(folder), read_benchmarks(folder)
    costs = {name: cost(runs[0].config, **options) for name, runs in records.items()}
    rows = baseline_rows(records, recipes)
    sections = [
        page.section("Baselines", *baselines(rows, costs, recipes)),
        page.section("Learning curves", *learning(records, rows, output)),
        page.section("Accuracy against cost", *against_cost(rows, costs, recipes, records, output)),
        page.section("Throughput against peers", *throughput(benchmarks, output)),
    ]
    runs = sum(map(len, records.values()))
    lead = page.paragraph(f"{runs} runs of {len(records)} recipes; {len(recipes)} recipes in all.")
    path = output / "index.html"
    path.write_text(page.document("Baselines of the zoo", lead, sections), encoding="utf-8")
    return path


def cost(config: ExperimentConfig, **options: Any) -> tuple[int, int | None] | str:
    """Trainable parameters and MACs of a recipe's model at its own images and classes; or why they are not known.

    The model is built without weights; its sizes come from the dataset.
    """
    try:
        data = open_data(config, **options)
        given = {**data.builder_arguments(), **config.model_args}
        with find.opened(config.model, input_shape=data.image_shape, **given) as (model, _):
            return graph.count_parameters(model.trainable_variables), complexity.macs(graph.calls(model))
    except (RequestError, RunError) as error:
        return str(error)


def baseline_rows(
    records: Mapping[str, Sequence[Run]], recipes: Mapping[str, tuple[Any, ExperimentConfig]]
) -> list[tuple[str, str, list[float]]]:
    """Recipe, metric, and its last value of each seed; no values of a recipe that was not yet run."""
    rows = []
    for name in sorted({*records, *recipes}):
        runs = records.get(name, ())
        if name in recipes:
            metrics = list(recipes[name][0].bands)
        else:
            split = runs[0].config.eval_split
            metrics = [f"{split}/{metric}" for metric in evaluation_metrics(runs[0]) if metric.endswith("accuracy")]
        rows += [(name, metric, [run.result["metrics"][metric] for run in runs]) for metric in metrics]
    return rows


def spread(values: Sequence[float]) -> float:
    """The standard deviation of a sample (n - 1); 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def baselines(rows, costs, recipes) -> list[Markup]:
    """The table, and what the costs of which recipe could not be counted for."""
    lines = []
    for name, metric, values in rows:
        published = recipes[name][0].published_figures.get(metric, "none") if name in recipes else ""
        counted = costs.get(name)
        numbers = counted if isinstance(counted, tuple) else (None, None)
        measured = (f"{statistics.fmean(values):.4f}", f"{spread(values):.4f}") if values else (NOT_RUN, "")
        counts = ("" if number is None else count_text(number) for number in numbers)
        lines.append((page.element("code", name), metric, *measured, len(values) or "", published, *counts))
    head = ("recipe", "metric", "mean", "deviation", "seeds", "published", "parameters", "MACs")
    parts = [
        page.paragraph(
            "The last epoch's metric, its mean and standard deviation (n - 1) over seeds; trained parameters and "
            "multiply-accumulates of one example, of the recipe's own model."
        ),
        page.table(head, lines, label="baselines", numbers=(2, 3, 4, 5, 6, 7)),
    ]
    unknown = [f"{name}: {reason}" for name, reason in costs.items() if isinstance(reason, str)]
    if unknown:
        parts.append(page.paragraph(f"Not counted: {'; '.join(unknown)}", css="soft"))
    return parts


def learning(records: Mapping[str, Sequence[Run]], rows, output: Path) -> list[Markup]:
    """For each recipe its loss and its metrics, the mean over seeds in a band from the least to the most."""
    if not records:
        return [page.paragraph("There are no records; python -m zoo reproduce makes them.")]
    parts = [page.paragraph("The mean over seeds, in a band from the least to the most.")]
    for name, runs in records.items():
        plots = []
        for metric in ("loss", *(metric.partition("/")[2] for recipe, metric, _ in rows if recipe == name)):
            lines = [
                band(runs, split, metric, number) for number, split in enumerate(("train", runs[0].config.eval_split))
            ]
            drawn = [line for line in lines if line.x]
            plots.append(curve(drawn, metric, figures.file(output, f"curve_{name}", metric), name))
        parts += [page.element("h3", name), page.element("div", *filter(None, plots), class_="plots")]
    return parts


def band(runs: Sequence[Run], split: str, metric: str, number: int) -> figures.Line:
    """The mean over the runs at the epochs that all have; of several runs the least and the most too."""
    curves = [points(run.curve, split, metric) for run in runs]
    epochs = [epoch for epoch in curves[0] if all(epoch in curve for curve in curves)]
    columns = [[curve[epoch] for curve in curves] for epoch in epochs]
    mean, low, high = ([measure(values) for values in columns] for measure in (statistics.fmean, min, max))
    edges = (low, high) if len(runs) > 1 else (None, None)
    return figures.Line(split, epochs, mean, *edges, color=number, dash=number)


def against_cost(rows, costs, recipes, records, output: Path) -> list[Markup]:
    """For each dataset and metric with two models or more, plots against parameters and MACs."""
    groups: dict[tuple[str, str], list[tuple[str, float, float | None, tuple]]] = {}
    for name, metric, values in rows:
        if values and isinstance(costs[name], tuple):
            config, y, deviation, numbers = (
                records[name][0].config,
                statistics.fmean(values),
                spread(values),
                costs[name],
            )
        elif not values and metric in recipes[name][0].published_figures:
            config, y, deviation = recipes[name][1], float(recipes[name][0].published_figures[metric]), None
            info = registry.model_info(config.model)
            numbers = info.parameters, info.macs
        else:
            continue
        groups.setdefault((config.dataset, metric), []).append((config.model, y, deviation, numbers))
    plotted = []
    for (dataset, metric), found in groups.items():
        if len(found) < 2:
            continue
        for which, kind in enumerate(("parameters", "MACs")):
            drawn = [figures.Point(m, n[which], y, d) for m, y, d, n in found if n[which] is not None]
            title = f"{metric} on {dataset} against {kind}"
            svg = figures.drawn(
                lambda figure, drawn=drawn, kind=kind, metric=metric: figures.costs(figure, drawn, kind, metric),
                figures.file(output, "cost", f"{dataset}_{metric}_{kind}"),
            )
            listed = ", ".join(f"{point.label} {point.y:.4f} with {point.x:,}" for point in drawn)
            plotted.append(page.plot(svg, f"{title}: {listed}", title))
    if not plotted:
        return [page.paragraph("No two recipes are of one dataset and one metric.")]
    text = (
        "Filled: measured here, with the standard deviation over seeds. Hollow: published and not yet run here, with "
        "the counts of the model's defaults."
    )
    return [page.paragraph(text), page.element("div", *plotted, class_="plots")]


def throughput(benchmarks: dict[str, Any] | None, output: Path) -> list[Markup]:
    """How long each work takes here and in the peers: a plot for each kind of work, and all as a table."""
    if benchmarks is None:
        return [page.paragraph("There is no benchmarks.json; python -m benchmarks makes it.")]
    machine, works = benchmarks["machine"], list(benchmarks["works"].values())
    versions = ", ".join(f"{name} {version}" for name, version in benchmarks["versions"].items())
    text = f"Medians of {benchmarks['rounds']} rounds, in turn on {machine['processor']}, {machine['cores']} cores"
    if machine["matmul_gflops"]:
        text += f", which multiply matrices at {machine['matmul_gflops']:,.0f} GFLOP/s"
    kinds = dict.fromkeys(work["kind"] for work in works)
    plots = [ratios(kind, [work for work in works if work["kind"] == kind], output) for kind in kinds]
    measured = [(work, side) for work in works for side in work["sides"].values() if not side["skipped"]]
    rows = [(work["title"], side["title"], *_timing(work, side)) for work, side in measured]
    head = (
        "work",
        "side",
        "median",
        "images/s",
        "times as long as the zoo",
        "peak GiB",
        "of the matrix product's rate",
    )
    parts = [
        page.paragraph(f"{text}. {versions}."),
        page.element("div", *filter(None, plots), class_="plots"),
        page.table(head, rows, label="throughput", numbers=(2, 3, 4, 5, 6)),
    ]
    reasons: dict[str, list[str]] = {}
    for work in works:
        for name, side in work["sides"].items():
            if side["skipped"]:
                reasons.setdefault(f"{PEERS.get(name, name)}, {side['skipped']}", []).append(work["title"])
    if reasons:
        listed = "; ".join(f"{reason}: {', '.join(titles)}" for reason, titles in reasons.items())
        parts.append(page.paragraph(f"Not measured. {listed}.", css="soft"))
    return parts


def ratios(kind: str, works: Sequence[dict[str, Any]], output: Path) -> Markup | None:
    """A plot of how many times as long as the zoo the peers take for works of a kind; None where there are no peers."""
    sides: dict[str, dict[int, tuple[float, float, float]]] = {}
    for number, work in enumerate(works):
        for name, side in work["sides"].items():
            if ratio := side["times_slower"]:
                found = (ratio["median"], ratio["least"], ratio["most"])
                sides.setdefault(PEERS.get(name, name), {})[number] = found
    if not sides:
        return None
    titles = [work["title"] for work in works]
    svg = figures.drawn(
        lambda figure: figures.ratios(figure, titles, sides),
        figures.file(output, "throughput", kind),
        (figures.PANEL[0], 1.2 + 0.55 * len(works)),
    )
    caption = f"{kind}: how many times as long as the zoo each peer takes; median, least and most over the rounds"
    return page.plot(svg, f"{caption}. The table below has the numbers.", caption)


def _timing(work: dict[str, Any], side: dict[str, Any]) -> tuple[str, ...]:
    """Median, rate, ratio, memory and share of the matrix product's rate, as far as they are known."""
    ratio = side["times_slower"]
    texts = (
        (side["median"], f"{{:,.{_digits(side['median'])}f}} {'s' if work['kind'] == 'start' else 'ms'}"),
        (side["images_per_second"], "{:,.0f}"),
        (ratio and ratio["median"], f"{{:.2f}} ({ratio['least']:.2f} to {ratio['most']:.2f})" if ratio else ""),
        (side["peak_gib"], "{:.2f}"),
        (side["fraction_of_matmul"], "{:.2f}"),
    )
    return tuple("" if value is None else form.format(value) for value, form in texts)


def _digits(value: float) -> int:
    """How many decimals leave three figures of a number, as far as it has so few."""
    return max(0, 2 - math.floor(math.log10(value)))
