"""The page of one run: what it was, how it learned, and what it got wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from zoo import metrics
from zoo.analysis.runs import answers as chosen
from zoo.analysis.runs import figures, page, plots
from zoo.analysis.runs.answers import Answers
from zoo.analysis.runs.curves import curve
from zoo.analysis.runs.images import Images, open_images
from zoo.analysis.runs.page import Markup
from zoo.analysis.runs.waiting import with_progress
from zoo.config import ExperimentConfig, differences
from zoo.errors import RequestError
from zoo.runs.answers import read_answers
from zoo.runs.provenance import machine_text
from zoo.runs.records import Run, curve_metrics, evaluation_metrics, points

MISTAKES = 24
PAIRS = 12  # of each kind
CONFUSED = 20
EPISODES = 5  # of all, and of those that went wrong


def write_run(run: Run, output: Path, **options: Any) -> Path:
    """Writes the page of a run, and its figures as PNG beside it.

    Args:
        run: of a workdir.
        output: a folder, which is made where it is not there.
        **options: `data_dir`, `memory_gib`, see `open_images`.

    Returns:
        The path of the page.

    Raises:
        RequestError: the answers cannot be read, or the folder cannot be made; nothing was written.
    """
    answers = read_answers(run.folder)
    page.make_folder(output)
    sections = [facts(run), learning(run, output)]
    if answers is None:
        reason = "evaluation.npz is not there, which holds what the run answered to each example."
        sections.append(page.section("Answers", page.paragraph(reason)))
    else:
        images = open_images(run, **options)
        try:
            sections += answered(run, answers, images, output)
        except RequestError as error:
            # An image that is damaged now was whole when the run was evaluated; the answers stand without it.
            sections += answered(run, answers, Images(None, f"{error}."), output)
    title = f"{run.result['model']} on {run.result['dataset']}, {run.name}"
    path = output / "index.html"
    path.write_text(page.document(title, lead(run), sections), encoding="utf-8")
    return path


def answered(run: Run, answers: Answers, images: Images, output: Path) -> list[tuple[str, Markup]]:
    """What the run answered to the evaluation examples.

    Raises:
        RequestError: an image cannot be read.
    """
    if "score" in answers:
        return verification(run, answers, images, output)
    names, sections = run.run["dataset"]["class_names"], []
    heads = list(chosen.heads(answers, names).items())
    for label, of_head in with_progress(heads, "drawing what was answered about each label"):
        sections += of_label(label, of_head, names[label], images, output, alone=len(names) == 1)
    return sections


def lead(run: Run) -> Markup:
    """The result in a line."""
    shown = [f"{name} {value:.4f}" for name, value in run.result["metrics"].items() if name.endswith("accuracy")]
    return page.paragraph("; ".join(shown))


def facts(run: Run) -> tuple[str, Markup]:
    """What was run, where, and what came of it."""
    result, source = run.result, run.run
    dataset, hardware = source.get("dataset", {}), source.get("hardware", {})
    early = ", stopped early" if result.get("stopped_early") else ""
    rate = result["images_per_second"]
    rows = [
        ("model", result["model"]),
        ("dataset", f"{result['dataset']} {dataset.get('version', '')}"),
        ("trained on", f"{run.config.train_split}, {dataset.get('train_examples', 0):,} examples"),
        ("evaluated on", f"{run.config.eval_split}, {dataset.get('eval_examples', 0):,} examples"),
        ("steps", f"{result['steps']:,} ({result['epochs']} epochs{early}, seed {result['seed']})"),
        ("time", f"{result['wall_seconds']:,.1f} s, of which training {result['train_seconds']:,.1f} s"),
        ("speed", f"{rate:,.0f} images/s in training" if rate else "not measured"),
        ("machine", machine_text(hardware)),
        ("devices", f"{source.get('replicas', 1)} with {source.get('strategy', 'unknown')}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in source.get("versions", {}).items() if value)),
        ("command", page.element("code", " ".join(source.get("command", [])))),
        ("started, ended", ", ".join([*source.get("started", []), source.get("ended", "")])),
        ("digest of all variables", page.element("code", result["state_sha256"])),
    ]
    changed = [
        (name, _value(there), _value(here))
        for name, (there, here) in differences(ExperimentConfig(), run.config).items()
    ]
    what = page.table(("what", "value"), rows, label="facts of the run")
    config = page.table(("field", "default", "here"), changed, label="config fields that differ from the defaults")
    left = page.element("div", page.element("h3", "The run"), what)
    right = page.element(
        "div",
        page.element("h3", "Metrics of the last epoch"),
        metrics_table(result["metrics"]),
        page.element("h3", "Config where it is not the default"),
        config,
    )
    return page.section("Facts", page.element("div", left, right, class_="wide"))


def metrics_table(values: dict[str, float]) -> Markup:
    """A row for each metric, a column for each split."""
    splits = list(dict.fromkeys(name.partition("/")[0] for name in values))
    names = dict.fromkeys(name.partition("/")[2] for name in values)
    rows = [(name, *(_number(values.get(f"{split}/{name}")) for split in splits)) for name in names]
    return page.table(("metric", *splits), rows, label="metrics", numbers=range(1, len(splits) + 1))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def learning(run: Run, output: Path) -> tuple[str, Markup]:
    """A plot for each metric that was measured more than once, by epoch."""
    splits = list(dict.fromkeys(row["split"] for row in run.curve))
    plots_of_metrics = []
    for metric in with_progress(curve_metrics(run.curve), "drawing the learning curves"):
        lines = [
            figures.Line(split, list(by_epoch), list(by_epoch.values()), color=number, dash=number)
            for number, split in enumerate(splits)
            if (by_epoch := points(run.curve, split, metric))
        ]
        plots_of_metrics.append(curve(lines, metric, figures.file(output, "curve", metric)))
    drawn = [plot for plot in plots_of_metrics if plot]
    if not drawn:
        return page.section("Learning curves", page.paragraph("There is none: nothing was measured twice."))
    return page.section("Learning curves", page.element("div", *drawn, class_="plots"))


def of_label(
    label: str, answers: Answers, names: list[str], images: Images, output: Path, *, alone: bool
) -> list[tuple[str, Markup]]:
    """What was answered about one label: the confusion of its classes, the worst mistakes, calibration."""
    title = "" if alone else f": {label}"
    sections = []
    if names:
        sections.append(page.section(f"Confusion{title}", *confusion(label, answers, names, output)))
    sections.append(page.section(f"Worst mistakes{title}", *mistakes(label, answers, names, images, output)))
    if names:
        sections.append(page.section(f"Calibration{title}", calibration(label, answers, output)))
    return sections


def confusion(label: str, answers: Answers, names: list[str], output: Path) -> list[Markup]:
    """The matrix, and the most confused classes."""
    counts = metrics.confusion_matrix(answers["label"], answers["predicted"], len(names))
    svg = figures.drawn(
        lambda figure: figures.matrix(figure, counts, names), figures.file(output, "confusion", label), (5.4, 4.5)
    )
    pairs = chosen.confused(counts, CONFUSED)
    alt = f"confusion matrix of {len(names)} classes; the table beside it names what is confused most"
    rows = [(names[true], names[taken], f"{times} of {counts[true].sum()}") for true, taken, times in pairs]
    table = page.table(("true", "taken for", "times"), rows, label="most confused classes", numbers=(2,))
    caption = "The colour is the share of the true class, by its square root."
    right = f"{np.trace(counts):,} of {counts.sum():,} are right."
    beside = page.element("div", page.element("h3", "Most confused"), table if rows else page.paragraph("None."))
    return [page.paragraph(right), page.element("div", page.plot(svg, alt, caption), beside, class_="wide")]


def mistakes(label: str, answers: Answers, names: list[str], images: Images, output: Path) -> list[Markup]:
    """The images that were answered worst, with what was said of them."""
    worst = chosen.worst(answers, MISTAKES)
    if not len(worst):
        return [page.paragraph("There is none.")]
    if names:
        words = [
            f"{names[answers['predicted'][i]]}, is {names[answers['label'][i]]}; {answers['confidence'][i]:.3f}"
            for i in worst
        ]
        text = "Wrong answers, the most confident first: predicted class, true class, confidence."
    else:
        words = [f"error {answers['error'][i]:.4g}" for i in worst]
        text = "The largest errors first."
    if images.source is None:
        rows = zip(worst, words, strict=True)
        listed = page.table(("example", "answer"), rows, label="worst mistakes", numbers=(0,))
        return [page.paragraph(text), _no_images(images), listed]
    shown = images.at(worst)["image"]
    plots.grid(shown, [words.replace(", ", "\n", 1) for words in words], figures.file(output, "mistakes", label))
    parts = [
        page.element("figure", page.image(figures.picture(pixels), f"example {i}"), page.element("figcaption", line))
        for i, pixels, line in zip(worst, shown, words, strict=True)
    ]
    return [page.paragraph(text), page.element("div", *parts, class_="images")]


def calibration(label: str, answers: Answers, output: Path) -> Markup:
    """The reliability diagram."""
    hits = answers["predicted"] == answers["label"]
    error = metrics.expected_calibration_error(answers["confidence"], hits)
    bins = metrics.reliability(answers["confidence"], hits)
    svg = figures.drawn(
        lambda figure: figures.reliability(figure, *bins), figures.file(output, "calibration", label), (4.2, 3.8)
    )
    text = (
        f"The calibration error is {error:.4f}: so far confidence and accuracy lie apart, on average over "
        f"{metrics.CALIBRATION_BINS} bins."
    )
    mean = f"Mean confidence {answers['confidence'].mean(dtype=np.float64):.4f}, accuracy {hits.mean():.4f}."
    return page.element("div", page.plot(svg, f"reliability diagram; {text} {mean}", f"{text} {mean}"), class_="plots")


def verification(run: Run, answers: Answers, images: Images, output: Path) -> list[tuple[str, Markup]]:
    """How pairs are told apart, the pairs that mislead most, and one-shot episodes."""
    num_pairs = run.run["dataset"]["eval_examples"]
    score, same = answers["score"], answers["same"].astype(bool)
    sections = [
        page.section("Pairs", *roc(score[:num_pairs], same[:num_pairs], output)),
        page.section("Misleading pairs", *misleading(score[:num_pairs], same[:num_pairs], images, output)),
    ]
    if len(score) > num_pairs:
        sections.append(page.section("One-shot episodes", *one_shot(run, score, same, images, output)))
    return sections


def roc(score: np.ndarray, same: np.ndarray, output: Path) -> list[Markup]:
    """The receiver operating characteristic of the pairs."""
    area = metrics.roc_auc(score, same)
    if not np.isfinite(area):
        return [page.paragraph("All pairs are of one kind.")]
    rates = metrics.roc_curve(score, same)
    svg = figures.drawn(lambda figure: figures.roc(figure, *rates), output / "roc.png", (4.2, 3.8))
    at = ", ".join(f"{np.interp(rate, *rates):.4f} at {rate:g}" for rate in (0.01, 0.05, 0.1))
    text = f"The area is {area:.4f}. Pairs of one class that pass, by the share of different pairs that do: {at}."
    text = f"{len(score):,} pairs. {text}"
    return [page.element("div", page.plot(svg, f"receiver operating characteristic; {text}", text), class_="plots")]


def misleading(score: np.ndarray, same: np.ndarray, images: Images, output: Path) -> list[Markup]:
    """The most alike pairs of different classes, and the least alike of one class."""
    if images.source is None:
        return [_no_images(images)]
    parts = []
    kinds = ("Different classes, the most alike first", "One class, the least alike first")
    for name, title, places in zip(("different", "same"), kinds, chosen.extreme_pairs(score, same, PAIRS), strict=True):
        if not len(places):
            continue
        pairs = images.at(places)
        words = [f"score {score[place]:.4g}" for place in places]
        plots.grid(np.concatenate([pairs["left"], pairs["right"]], axis=2), words, output / f"pairs_{name}.png")
        cells = [
            page.element(
                "figure",
                page.element(
                    "div",
                    *(page.image(figures.picture(pairs[side][i]), f"{side} of pair {place}") for side in pairs),
                    class_="pair",
                ),
                page.element("figcaption", words[i]),
            )
            for i, place in enumerate(places)
        ]
        parts += [page.element("h3", title), page.element("div", *cells, class_="images")]
    return [page.paragraph("The higher the score, the more alike the model finds both images."), *parts]


def one_shot(run: Run, score: np.ndarray, same: np.ndarray, images: Images, output: Path) -> list[Markup]:
    """Some episodes: the query, the candidates, the true one and the chosen one."""
    num_pairs, ways, shots = run.run["dataset"]["eval_examples"], run.config.ways, run.config.shots
    by_class, right, taken = chosen.episodes(score[num_pairs:], same[num_pairs:], ways, shots)
    wrong = np.flatnonzero(right != taken)
    accuracies = {name: value for name, value in evaluation_metrics(run).items() if name.startswith("one_shot_")}
    reached = ", ".join(f"{name} {value:.4f}" for name, value in accuracies.items())
    text = f"{len(right)} episodes of {ways} classes, {shots} of each; {reached}, chance {1 / ways:.4f}."
    if images.source is None:
        return [page.paragraph(text), _no_images(images)]
    parts = [page.paragraph(text)]
    for title, name, numbers in (
        (f"The first {EPISODES}", "first", np.arange(min(EPISODES, len(right)))),
        (f"The first {EPISODES} that went wrong", "wrong", wrong[:EPISODES]),
    ):
        if not len(numbers):
            continue
        parts.append(page.element("h3", title))
        sheets, words = [], []
        for number in numbers:
            places = num_pairs + number * ways * shots + np.arange(ways) * shots
            pairs = images.at(places)
            marks = [_mark(way == right[number], way == taken[number]) for way in range(ways)]
            parts.append(_episode(int(number), pairs, marks, by_class[number]))
            sheets += [pairs["left"][:1], pairs["right"]]
            words += ["query", *(" ".join(mark) for mark in marks)]
        plots.grid(np.concatenate(sheets), words, output / f"one_shot_{name}.png", columns=ways + 1)
    return parts


def _mark(true: bool, taken: bool) -> list[str]:
    return ["true"] * bool(true) + ["chosen"] * bool(taken)


def _episode(number: int, pairs: dict[str, np.ndarray], marks: list[list[str]], scores: np.ndarray) -> Markup:
    """A query with the first image of each class; what is true and what was chosen is said and framed."""
    query = _framed(pairs["left"][0], f"query of episode {number}", "query", "query")
    cells = []
    for way, mark in enumerate(marks):
        alt = ", ".join([f"candidate {way + 1}", *mark, f"score {scores[way]:.4g}"])
        cells.append(_framed(pairs["right"][way], alt, " ".join(mark), " ".join(mark) or None))
    return page.element("div", query, page.element("div", *cells, class_="candidates"), class_="episode")


def _framed(pixels: np.ndarray, alt: str, words: str, css: str | None) -> Markup:
    return page.element(
        "figure", page.image(figures.picture(pixels), alt), page.element("figcaption", words), class_=css
    )


def _no_images(images: Images) -> Markup:
    return page.paragraph(page.marked(f"The images cannot be shown: {images.why}"), css="soft")
