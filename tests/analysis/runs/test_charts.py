"""Charts of many runs: their text is text, and no name covers another one or a point."""

import itertools
import re

import made
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from zoo.analysis.runs import charts, figures


@pytest.mark.parametrize("points", [[(3e5, 0.5), (4e5, 0.6)], [(1e4, 0.1), (3e7, 0.9), (2e9, 0.95)]], ids=str)
def test_costs_have_plain_numbers(tmp_path, points):
    drawn = [charts.Point(f"net{x:g}", x, y, 0.01 if y > 0.5 else None) for x, y in points]
    svg = figures.drawn(lambda figure: charts.costs(figure, drawn, "parameters", "accuracy"), tmp_path / "costs.png")
    found = made.texts(svg)
    assert {point.label for point in drawn} <= set(found)
    assert not any("mathdefault" in text for text in found)
    assert any(re.fullmatch(r"\d+[kMG]", text) for text in found)


def test_numbers_of_a_narrow_axis_do_not_touch(tmp_path):
    drawn = [charts.Point("a", 23.8e6, 0.7, None), charts.Point("b", 25.6e6, 0.8, None)]
    svg = figures.drawn(lambda figure: charts.costs(figure, drawn, "parameters", "accuracy"), tmp_path / "costs.png")
    assert 2 <= sum(bool(re.fullmatch(r"[\d.]+M", text)) for text in made.texts(svg)) <= 5


def test_ratios_name_works_and_peers(tmp_path):
    sides = {"keras": {0: (2.0, 1.5, 3.0), 1: (15.0, 14.0, 16.0)}, "torch": {1: (0.9, 0.8, 1.0)}}

    def draw(figure):
        charts.ratios(figure.subplots(), ["`MLP` 2", "CNN"], sides)
        figure.legend()

    found = made.texts(figures.drawn(draw, tmp_path / "ratios.png"))
    assert {"Keras", "PyTorch", "MLP 2", "CNN", "1", "10"} <= set(found)


@pytest.mark.parametrize("seed", range(5))
def test_no_name_covers_another_one_or_a_point(seed):
    rng = np.random.default_rng(seed)
    points = [
        charts.Point(f"model_{number}\n{number} epochs", 1e6 * 1.1**number, y, 0.002, number)
        for number, y in enumerate(0.95 + 0.01 * rng.random(6))
    ]
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=figures.PANEL, layout="constrained")
        charts.costs(figure, points, "parameters", "accuracy")
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(points)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    marks = axes.transData.transform([(point.x, point.y) for point in points])
    assert not any(box.contains(*mark) for box in boxes for mark in marks)


def test_no_line_runs_through_the_title_of_a_row():
    works = ["MLP", "a title that is so long that it does not have the room which a phone gives it"]
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(figures.PANEL[0], 1.2 + charts.ratios_height(works)), layout="constrained")
        charts.ratios(figure.subplots(), works, {"keras": {0: (2.0, 1.5, 3.0), 1: (1.0, 0.9, 1.1)}})
        figure.draw_without_rendering()
    (axes,) = figure.axes
    bands = [patch.get_window_extent() for patch in axes.patches]
    inside = axes.get_window_extent()
    for text, band in zip(axes.texts, bands, strict=True):
        box = text.get_window_extent()
        assert band.y0 <= box.y0 < box.y1 <= band.y1
        assert inside.x0 < box.x0 < box.x1 < inside.x1
    (at_one,) = [line for line in axes.lines if list(line.get_xdata()) == [1, 1]]
    assert at_one.get_zorder() < axes.patches[0].get_zorder()
    points = axes.transData.transform(np.array(axes.lines[0].get_data(), float).T)
    assert not any(band.contains(*point) for band in bands for point in points)
