"""What a run answered to pairs: how well it tells them apart, the pairs that mislead it most, and one-shot episodes."""

from pathlib import Path

import numpy as np

from zoo import metrics
from zoo.analysis.runs import answers as chosen
from zoo.analysis.runs import figures, page, plots
from zoo.analysis.runs.answers import Answers
from zoo.analysis.runs.images import Images, not_shown
from zoo.analysis.runs.page import Markup
from zoo.runs.records import Run, evaluation_metrics

PAIRS = 12  # of each kind
EPISODES = 5  # of all, and of those that went wrong


def verification(run: Run, answers: Answers, images: Images, output: Path) -> list[tuple[str, Markup]]:
    """How pairs are told apart, the pairs that mislead most, and one-shot episodes."""
    num_pairs = run.run["dataset"]["eval_examples"]
    answers = answers | {"same": answers["same"].astype(bool)}
    score, same = answers["score"], answers["same"]
    of_pairs = {name: values[:num_pairs] for name, values in answers.items()}
    sections = [
        page.section("Pairs", *roc(score[:num_pairs], same[:num_pairs], output)),
        page.section("Misleading pairs", *misleading(of_pairs, images, output)),
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
    svg = figures.drawn(lambda figure: figures.roc(figure, *rates), output / "roc.png", figures.SQUARE)
    at = ", ".join(f"{np.interp(rate, *rates):.4f} at {rate:g}" for rate in (0.01, 0.05, 0.1))
    text = f"The area is {area:.4f}. Pairs of one class that pass, by the share of different pairs that do: {at}."
    text = f"{len(score):,} pairs. {text}"
    return [page.element("div", page.plot(svg, f"receiver operating characteristic; {text}", text), class_="plots")]


def misleading(answers: Answers, images: Images, output: Path) -> list[Markup]:
    """The most alike pairs of different classes, and the least alike of one class, and all of it to copy.

    Args:
        answers: to the pairs alone, without the episodes.
        images: of the pairs.
        output: folder of the PNGs.
    """
    parts = [page.paragraph("The higher the score, the more alike the model finds both images.")]
    parts += [not_shown(images)] if images.source is None else []
    kinds = ("Different classes, the most alike first", "One class, the least alike first")
    chosen_places = chosen.extreme_pairs(answers["score"], answers["same"], PAIRS)
    for name, title, places in zip(("different", "same"), kinds, chosen_places, strict=True):
        if len(places):
            parts += [page.element("h3", title), *_pairs(answers, places, images, name, output)]
    return parts


def _pairs(answers: Answers, places: np.ndarray, images: Images, kind: str, output: Path) -> list[Markup]:
    """Pairs side by side, where their images are there, and as a table; with names of the examples, if known."""
    scores = [f"{answers['score'][place]:.4g}" for place in places]
    names: list[tuple[str, ...]] = [() for _ in places]
    if "left_example" in answers:
        sides = (chosen.example_names(answers, places, f"{side}_example") for side in ("left", "right"))
        names = list(zip(*sides, strict=True))
    head = ("pair", "score", *(("left", "right") if names[0] else ()))
    rows = [(place, score, *both) for place, score, both in zip(places, scores, names, strict=True)]
    listed = page.table(head, rows, label=f"misleading pairs, {kind}", numbers=(0, 1))
    if images.source is None:
        return [listed]
    pairs = images.at(places)
    words = [f"score {score}" for score in scores]
    plots.grid(np.concatenate([pairs["left"], pairs["right"]], axis=2), words, output / f"pairs_{kind}.png")
    cells = []
    for i, place in enumerate(places):
        both = (page.image(figures.picture(pairs[side][i]), f"{side} of pair {place}") for side in pairs)
        cells.append(page.pictured(page.element("div", *both, class_="pair"), words[i], *map(page.example, names[i])))
    return [page.element("div", *cells, class_="images"), page.folded("As a table", listed)]


def one_shot(run: Run, score: np.ndarray, same: np.ndarray, images: Images, output: Path) -> list[Markup]:
    """Some episodes: the query, the candidates, the true one and the chosen one."""
    num_pairs, ways, shots = run.run["dataset"]["eval_examples"], run.config.ways, run.config.shots
    by_class, right, taken = chosen.episodes(score[num_pairs:], same[num_pairs:], ways, shots)
    wrong = np.flatnonzero(right != taken)
    accuracies = {name: value for name, value in evaluation_metrics(run).items() if name.startswith("one_shot_")}
    reached = ", ".join(f"{name} {value:.4f}" for name, value in accuracies.items())
    text = f"{len(right)} episodes of {ways} classes, {shots} of each; {reached}, chance {1 / ways:.4f}."
    if images.source is None:
        return [page.paragraph(text), not_shown(images)]
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
