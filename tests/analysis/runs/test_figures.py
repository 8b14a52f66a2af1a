"""Figures: what they show stands in them as text, in the page's colours, and as PNG."""

import base64
import io
import re
from xml.etree import ElementTree

import made
import numpy as np
import pytest
from matplotlib import image as pictures

from zoo.analysis.runs import figures


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg.replace("var(--rule)", "red")).iter("text")]


def two_lines(figure):
    lines = [figures.Line("a < $b$", [1, 2], [3, 4], [2, 3], [4, 5]), figures.Line("other", [1], [1], color=1, dash=1)]
    figures.lines(figure, lines, "epoch", "loss")


def test_a_figure_is_svg_and_png(tmp_path):
    svg = figures.drawn(two_lines, tmp_path / "lines.png")
    assert {"a < $b$", "other", "epoch", "loss"} <= set(texts(svg))
    assert "currentColor" in svg
    assert figures.INK not in svg
    assert "http" not in svg
    picture = pictures.imread(tmp_path / "lines.png")
    assert picture.shape[:2] == (2 * figures.PANEL[1] * 100, 2 * figures.PANEL[0] * 100)
    # Blue and vermillion are there, on white.
    for color in (figures.COLORS[0], figures.COLORS[1], "#ffffff"):
        wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        assert (np.abs(picture[..., :3] * 255 - wanted).max(-1) < 2).sum() > 20, color


def test_many_lines_have_their_legend_outside(tmp_path):
    lines = [figures.Line(f"run {number}", [1, 2], [3, number], color=number) for number in range(8)]
    svg = figures.drawn(lambda figure: figures.lines(figure, lines, "epoch", "loss"), tmp_path / "lines.png")
    assert {f"run {number}" for number in range(8)} <= set(texts(svg))


def test_ids_of_two_figures_differ(tmp_path):
    ids = [re.findall(r' id="([^"]+)"', figures.drawn(two_lines, tmp_path / f"{name}.png")) for name in "ab"]
    assert ids[0]
    assert not {*ids[0]} & {*ids[1]}


def test_a_matrix_of_few_classes_has_names_and_counts(tmp_path):
    counts = np.array([[31, 2, 0], [0, 17, 0], [0, 5, 29]])
    names = [*made.NAMES[:2], "a very long name of a class"]
    found = texts(figures.drawn(lambda figure: figures.matrix(figure, counts, names), tmp_path / "matrix.png"))
    assert {"31", "2", "17", "5", "29", *made.NAMES[:2], "a very long n\N{HORIZONTAL ELLIPSIS}"} <= set(found)


def test_a_matrix_of_many_classes_is_a_picture(tmp_path):
    counts = np.diag(np.full(170, 24))
    svg = figures.drawn(lambda figure: figures.matrix(figure, counts, ["name"] * 170), tmp_path / "matrix.png")
    assert "name" not in texts(svg)
    assert 'href="data:image/png' in svg


@pytest.mark.parametrize("points", [[(3e5, 0.5), (4e5, 0.6)], [(1e4, 0.1), (3e7, 0.9), (2e9, 0.95)]], ids=str)
def test_costs_have_plain_numbers(tmp_path, points):
    drawn = [figures.Point(f"net{x:g}", x, y, 0.01 if y > 0.5 else None) for x, y in points]
    svg = figures.drawn(lambda figure: figures.costs(figure, drawn, "parameters", "accuracy"), tmp_path / "costs.png")
    found = texts(svg)
    assert {point.label for point in drawn} <= set(found)
    assert not any("mathdefault" in text for text in found)
    assert any(re.fullmatch(r"\d+[kMG]", text) for text in found)


def test_numbers_of_a_narrow_axis_do_not_touch(tmp_path):
    drawn = [figures.Point("a", 23.8e6, 0.7, None), figures.Point("b", 25.6e6, 0.8, None)]
    svg = figures.drawn(lambda figure: figures.costs(figure, drawn, "parameters", "accuracy"), tmp_path / "costs.png")
    assert 2 <= sum(bool(re.fullmatch(r"[\d.]+M", text)) for text in texts(svg)) <= 5


def test_ratios_name_works_and_peers(tmp_path):
    sides = {"keras": {0: (2.0, 1.5, 3.0), 1: (15.0, 14.0, 16.0)}, "torch": {1: (0.9, 0.8, 1.0)}}

    def draw(figure):
        figures.ratios(figure.subplots(), ["`MLP` 2", "CNN"], sides)
        figure.legend()

    found = texts(figures.drawn(draw, tmp_path / "ratios.png"))
    assert {"Keras", "PyTorch", "MLP 2", "CNN", "1", "10"} <= set(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_the_images_pixels(channels):
    pixels = np.random.default_rng(0).integers(256, size=(5, 7, channels)).astype("uint8")
    packed = base64.b64decode(figures.picture(pixels).partition(",")[2])
    shown = np.rint(pictures.imread(io.BytesIO(packed))[..., :3] * 255)
    np.testing.assert_array_equal(shown, np.broadcast_to(pixels, (5, 7, 3)))


def test_any_name_gives_a_file(tmp_path):
    assert figures.file(tmp_path, "curve", "a/b: c") == tmp_path / "curve_a_b_c.png"
