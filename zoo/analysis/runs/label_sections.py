"""What a run answered about a label: which classes it confuses, its worst mistakes, and how sure it is of itself."""

from pathlib import Path

import numpy as np

from zoo import metrics
from zoo.analysis.runs import answers as chosen
from zoo.analysis.runs import figures, page, plots
from zoo.analysis.runs.answers import Answers
from zoo.analysis.runs.images import Images, not_shown
from zoo.analysis.runs.page import Markup

MISTAKES = 24
CONFUSED = 20


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
    """The matrix, where a page has room for it, and the most confused classes."""
    counts = metrics.confusion_matrix(answers["label"], answers["predicted"], len(names))
    pairs = chosen.confused(counts, CONFUSED)
    rows = [(names[true], names[taken], f"{times} of {counts[true].sum()}") for true, taken, times in pairs]
    table = page.table(("true", "taken for", "times"), rows, label="most confused classes", numbers=(2,))
    listed = page.element("div", page.element("h3", "Most confused"), table if rows else page.paragraph("None."))
    right = page.paragraph(f"{np.trace(counts):,} of {counts.sum():,} are right.")
    if len(names) > figures.MAX_NAMED:
        where = f"All {len(names)} classes are in confusion_{label}.csv in the folder of the run."
        return [right, listed, page.paragraph(where, css="soft")]
    svg = figures.drawn(
        lambda figure: figures.matrix(figure, counts, names),
        figures.file(output, "confusion", label),
        figures.matrix_size(counts, names),
    )
    alt = f"confusion matrix of {len(names)} classes; the table beside it names what is confused most"
    caption = "The colour is the share of the true class, by its square root."
    return [right, page.element("div", page.plot(svg, alt, caption), listed, class_="beside")]


def mistakes(label: str, answers: Answers, names: list[str], images: Images, output: Path) -> list[Markup]:
    """The images that were answered worst, with what was said of them, and all of it to copy."""
    worst = chosen.worst(answers, MISTAKES)
    if not len(worst):
        return [page.paragraph("There is none.")]
    examples = chosen.example_names(answers, worst)
    if names:
        answer = [(names[answers["predicted"][i]], names[answers["label"][i]]) for i in worst]
        cells = [(*both, f"{answers['confidence'][i]:.3f}") for i, both in zip(worst, answer, strict=True)]
        words = [f"{predicted}, is {true}; {confidence}" for predicted, true, confidence in cells]
        head = ("example", "predicted", "true", "confidence")
        text = "Wrong answers, the most confident first: predicted class, true class, confidence."
    else:
        cells = [(f"{answers['error'][i]:.4g}",) for i in worst]
        words = [f"error {error}" for (error,) in cells]
        head = ("example", "error")
        text = "The largest errors first."
    rows = [(name, *row) for name, row in zip(examples, cells, strict=True)]
    listed = page.table(head, rows, label="worst mistakes", numbers=(len(head) - 1,))
    if images.source is None:
        return [page.paragraph(text), not_shown(images), listed]
    shown = images.at(worst)["image"]
    plots.grid(shown, [words.replace(", ", "\n", 1) for words in words], figures.file(output, "mistakes", label))
    parts = [
        page.pictured(page.image(figures.picture(pixels), f"example {name}"), line, page.example(name))
        for name, pixels, line in zip(examples, shown, words, strict=True)
    ]
    return [page.paragraph(text), page.element("div", *parts, class_="images"), page.folded("As a table", listed)]


def calibration(label: str, answers: Answers, output: Path) -> Markup:
    """The reliability diagram, and its numbers."""
    hits = answers["predicted"] == answers["label"]
    error = metrics.expected_calibration_error(answers["confidence"], hits)
    bins = metrics.reliability(answers["confidence"], hits)
    path = figures.file(output, "calibration", label)
    svg = figures.drawn(lambda figure: figures.reliability(figure, *bins), path, figures.SQUARE)
    text = (
        f"The calibration error is {error:.4f}: so far confidence and accuracy lie apart, on average over "
        f"{metrics.CALIBRATION_BINS} bins. The fewer examples a bin has, the paler is its bar."
    )
    mean = f"Mean confidence {answers['confidence'].mean(dtype=np.float64):.4f}, accuracy {hits.mean():.4f}."
    plot = page.plot(svg, f"reliability diagram; {text} {mean}", f"{text} {mean}")
    edges = np.linspace(0, 1, metrics.CALIBRATION_BINS + 1)
    rows = [
        (f"{low:.2f} to {high:.2f}", f"{count:,}", f"{of_bin:.4f}", f"{right:.4f}")
        for low, high, count, of_bin, right in zip(edges, edges[1:], *bins, strict=False)
        if count
    ]
    head = ("bin", "examples", "confidence", "accuracy")
    table = page.table(head, rows, label="calibration", numbers=range(4))
    return page.element("div", plot, table, class_="beside")
