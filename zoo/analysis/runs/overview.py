"""The page of all records: baselines over seeds, how they learned, what they cost, and how fast the zoo is."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from zoo import registry
from zoo.analysis.docs import tables
from zoo.analysis.nets.facts import count_text
from zoo.analysis.runs import charts, figures, page
from zoo.analysis.runs.costs import Cost, cost
from zoo.analysis.runs.curves import Curves
from zoo.analysis.runs.page import Markup
from zoo.analysis.runs.waiting import say, with_progress
from zoo.baselines.bands import Band, measured_bands
from zoo.baselines.recipes import NOT_RUN, Recipe
from zoo.config import ExperimentConfig
from zoo.runs.records import Run, points, read_benchmarks, read_records

Recipes = Mapping[str, tuple[Recipe, ExperimentConfig]]
Costs = Mapping[str, Cost | str]
# A recipe, a metric, and the band that its seeds gave; None where the recipe was not yet run.
Row = tuple[str, str, Band | None]


def write_overview(folder: Path, output: Path, recipes: Recipes, *, data_dir: str | None = None) -> Path:
    """Writes the page of a folder of records, and its figures as PNG beside it.

    Args:
        folder: the folder that holds records, see `zoo.runs.records`, and `benchmarks.json`; each may be missing.
        output: the folder of the page, which is made where it is not there.
        recipes: by name, what the config file says of itself and the config.
        data_dir: where datasets are prepared. Only their descriptions are read there, if at all.

    Returns:
        The path of the page.

    Raises:
        RequestError: a record cannot be read or lacks a metric, or the folder cannot be made; nothing was written.
    """
    records, benchmarks = read_records(folder), read_benchmarks(folder)
    rows = baseline_rows(records, recipes)
    page.make_folder(output)
    say(f"{sum(map(len, records.values()))} runs of {len(records)} recipes are read")
    counting = with_progress(list(records.items()), "counting parameters and MACs")
    costs = {name: cost(runs[0].config, data_dir) for name, runs in counting}
    looks = model_looks([*(runs[0].config for runs in records.values()), *(config for _, config in recipes.values())])
    sections = [
        page.section("Baselines", *baseline_table(rows, costs, recipes)),
        page.section("Learning curves", *learning(records, rows, looks, output)),
        page.section("Accuracy against cost", *against_cost(rows, costs, recipes, records, looks, output)),
        page.section("Throughput against peers", *throughput(benchmarks, output)),
    ]
    runs = sum(map(len, records.values()))
    lead = page.paragraph(f"{runs} runs of {len(records)} recipes; {len(recipes)} recipes in all.")
    path = output / "index.html"
    path.write_text(page.document("Baselines of the zoo", lead, sections), encoding="utf-8")
    return path


def baseline_rows(records: Mapping[str, Sequence[Run]], recipes: Recipes) -> list[Row]:
    """A row for each metric of each recipe, by name.

    Raises:
        RequestError: a record lacks a metric that its recipe names.
    """
    rows = []
    for name in sorted({*records, *recipes}):
        runs = records.get(name, ())
        recipe = recipes[name][0] if name in recipes else None
        results = [{"config": name, "result": run.result} for run in runs]
        # Of a recipe without runs only what others report tells the metric.
        unknown = dict.fromkeys((recipe and recipe.published_metrics) or ("-",))
        bands = measured_bands(recipe, results) if results else unknown
        rows += [(name, metric, band) for metric, band in bands.items()]
    return rows


def baseline_table(rows: Sequence[Row], costs: Costs, recipes: Recipes) -> list[Markup]:
    """The table, and below it the recipes whose models could not be counted, with the reason."""
    lines = []
    for name, metric, band in rows:
        published = recipes[name][0].published_figures.get(metric, "none") if name in recipes else ""
        counted = costs.get(name)
        numbers = counted if isinstance(counted, tuple) else (None, None)
        measured = (f"{band.mean:.4f}", f"{band.deviation:.4f}", band.seeds) if band else (NOT_RUN, "", "")
        counts = ("" if number is None else count_text(number) for number in numbers)
        lines.append((page.element("code", name), metric, *measured, published, *counts))
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


def model_looks(configs: Sequence[ExperimentConfig]) -> dict[str, int]:
    """The number of each model's look in all plots of the page, see `figures.look`.

    Models of one dataset, which share plots, have different colours and markers as long as there are such.
    """
    models_of: dict[str, set[str]] = {}
    for config in configs:
        models_of.setdefault(config.dataset, set()).add(config.model)
    looks: dict[str, int] = {}
    for model in dict.fromkeys(config.model for config in configs):
        beside = set().union(*(models for models in models_of.values() if model in models))
        taken = [part for other in beside if other in looks for part in figures.look(looks[other])]
        free = [number for number in range(figures.NUM_LOOKS + len(looks)) if number not in looks.values()]
        # Of equally good ones the first.
        looks[model] = min(free, key=lambda number: sum(taken.count(part) for part in figures.look(number)))
    return looks


def learning(
    records: Mapping[str, Sequence[Run]], rows: Sequence[Row], looks: Mapping[str, int], output: Path
) -> list[Markup]:
    """For each recipe its loss and its metrics, the mean over seeds in a band from the least to the most.

    What was measured once is no curve: it is said.
    """
    if not records:
        return [page.paragraph("There are no records; python -m zoo reproduce makes them.")]
    text = "The mean over seeds, in a band from the least to the most."
    parts = [page.paragraph(f"{text} A model has the same colour and marker in all plots of this page.")]
    for name, runs in with_progress(list(records.items()), "drawing the learning curves"):
        curves, config = Curves(output, f"curve_{name}", name), runs[0].config
        for metric in ("loss", *(metric.partition("/")[2] for recipe, metric, _ in rows if recipe == name)):
            splits = enumerate(("train", config.eval_split))
            lines = [band(runs, split, metric, color=looks[config.model], dash=dash) for dash, split in splits]
            curves.add(metric, [line for line in lines if line.x])
        parts += [page.element("h3", name), *curves.parts()]
    return parts


def band(runs: Sequence[Run], split: str, metric: str, *, color: int, dash: int) -> figures.Line:
    """The mean over the runs at the epochs that all have; with the least and the most where there are several."""
    curves = [points(run.curve, split, metric) for run in runs]
    epochs = [epoch for epoch in curves[0] if all(epoch in curve for curve in curves)]
    columns = [[curve[epoch] for curve in curves] for epoch in epochs]
    mean, low, high = ([measure(values) for values in columns] for measure in (statistics.fmean, min, max))
    edges = (low, high) if len(runs) > 1 else (None, None)
    return figures.Line(split, epochs, mean, *edges, color=color, dash=dash)


def against_cost(
    rows: Sequence[Row],
    costs: Costs,
    recipes: Recipes,
    records: Mapping[str, Sequence[Run]],
    looks: Mapping[str, int],
    output: Path,
) -> list[Markup]:
    """For each dataset and metric with two models or more, plots against parameters and MACs."""
    groups: dict[tuple[str, str], list[tuple[str, float, float | None, int, tuple]]] = {}
    left_out = []
    for name, metric, measured in rows:
        if measured and isinstance(costs[name], tuple):
            config, y, deviation, numbers = records[name][0].config, measured.mean, measured.deviation, costs[name]
        elif not measured and metric in recipes[name][0].other_nets:
            left_out.append(f"{metric} of {name}")
            continue
        elif not measured and metric in recipes[name][0].published_figures:
            config, y, deviation = recipes[name][1], float(recipes[name][0].published_figures[metric]), None
            info = registry.model_info(config.model)
            numbers = info.parameters, info.macs
        else:
            continue
        told = f"\ntold the {config.condition}" if config.condition else ""
        label = f"{config.model}\n{config.epochs} epochs{told}"
        groups.setdefault((config.dataset, metric), []).append((label, y, deviation, looks[config.model], numbers))
    plotted = []
    several = [(key, members) for key, members in groups.items() if len(members) > 1]
    for (dataset, metric), members in with_progress(several, "drawing accuracy against cost"):
        for which, kind in enumerate(("parameters", "MACs")):
            drawn = [charts.Point(label, n[which], *more) for label, *more, n in members if n[which] is not None]
            title = f"{metric} on {dataset} against {kind}"
            svg = figures.drawn(
                lambda figure, drawn=drawn, kind=kind, metric=metric: charts.costs(figure, drawn, kind, metric),
                figures.file(output, "cost", f"{dataset}_{metric}_{kind}"),
            )
            listed = "; ".join(f"{point.label} {point.y:.4f} with {point.x:,}" for point in drawn).replace("\n", ", ")
            plotted.append(page.plot(svg, f"{title}: {listed}", title))
    if not plotted:
        return [page.paragraph("No two recipes are of one dataset and one metric.")]
    text = (
        "Each point is a recipe with its own number of epochs, not the best that its model can do; where a model is "
        "told more than the image, that is named too. Filled: measured here, with the standard deviation over seeds. "
        "Hollow: published for this net and not yet run here, with the counts of the model's defaults."
    )
    if left_out:
        text += f" Left out, since it is published of another net: {', '.join(left_out)}."
    return [page.paragraph(text), page.element("div", *plotted, class_="plots")]


def throughput(benchmarks: dict[str, Any] | None, output: Path) -> list[Markup]:
    """How long each work takes here and in the peers: a plot for each kind of work, and all as a table."""
    if benchmarks is None:
        return [page.paragraph("There is no benchmarks.json; python -m benchmarks makes it.")]
    machine, works = benchmarks["machine"], list(benchmarks["works"].values())
    versions = ", ".join(f"{name} {version}" for name, version in benchmarks["versions"].items())
    rounds = sorted({work["rounds"] for work in works})
    text = f"Medians of {' or '.join(map(str, rounds))} rounds, " if rounds else ""
    text += f"in turn on {machine['processor']}, {machine['cores']} cores"
    if machine["matmul_gflops"]:
        text += f", which multiply matrices at {machine['matmul_gflops']:,.0f} GFLOP/s"
    kinds = dict.fromkeys(work["kind"] for work in works)
    drawing = with_progress(list(kinds), "drawing throughput against peers")
    plots = [ratios(kind, [work for work in works if work["kind"] == kind], output) for kind in drawing]
    measured = [(work, side) for work in works for side in work["sides"].values() if not side["skipped"]]
    rows = [(page.marked(work["title"]), page.marked(side["title"]), *_timing(work, side)) for work, side in measured]
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
    if absent := tables.not_measured(works):
        listed = "; ".join(f"{side}, {reason}: {', '.join(titles)}" for (side, reason), titles in absent.items())
        parts.append(page.paragraph(page.marked(f"Not measured. {listed}."), css="soft"))
    return parts


def ratios(kind: str, works: Sequence[dict[str, Any]], output: Path) -> Markup | None:
    """A plot of how many times as long as the zoo the peers take for works of a kind; None where there are no peers."""
    works = [work for work in works if any(side["times_slower"] for side in work["sides"].values())]
    sides = tables.slower(works)
    if not sides:
        return None

    titles = [work["title"] for work in works]

    def draw(figure: Figure) -> None:
        charts.ratios(figure.subplots(), titles, sides)
        figure.legend(loc="outside upper left", ncols=2)

    size = (figures.PANEL[0], 1.2 + charts.ratios_height(titles))
    svg = figures.drawn(draw, figures.file(output, "throughput", kind), size)
    caption = f"{kind}: how many times as long as the zoo each peer takes; median, least and most over the rounds"
    return page.plot(svg, f"{caption}. The table below has the numbers.", caption)


def _timing(work: dict[str, Any], side: dict[str, Any]) -> tuple[str, ...]:
    """Median, rate, ratio, memory and share of the matrix product's rate, as far as they are known."""
    unit = "s" if work["kind"] == "start" else "ms"
    texts = (
        side["median"] and f"{tables.number(side['median'])} {unit}",
        side["images_per_second"] and tables.number(side["images_per_second"]),
        side["times_slower"] and tables.spread(side["times_slower"]),
        side["peak_gib"] and tables.number(side["peak_gib"]),
        side["fraction_of_matmul"] and tables.number(side["fraction_of_matmul"]),
    )
    return tuple(text or "" for text in texts)
