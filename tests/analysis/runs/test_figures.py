"""Figures: what they show stands in them as text, in the page's colours, and as PNG."""

import base64
import io
import math
import re

import made
import numpy as np
import pytest
from matplotlib import image as pictures
from matplotlib.figure import Figure

from zoo.analysis.runs import figures


def two_lines(figure):
    lines = [figures.Line("a < $b$", [1, 2], [3, 4], [2, 3], [4, 5]), figures.Line("other", [1], [1], color=1, dash=1)]
    figures.lines(figure, lines, "epoch", "loss")


def test_a_figure_is_svg_and_png(tmp_path):
    svg = figures.drawn(two_lines, tmp_path / "lines.png")
    assert {"a < $b$", "other", "epoch", "loss"} <= set(made.texts(svg))
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
    assert {f"run {number}" for number in range(8)} <= set(made.texts(svg))


def test_ids_of_two_figures_differ(tmp_path):
    ids = [re.findall(r' id="([^"]+)"', figures.drawn(two_lines, tmp_path / f"{name}.png")) for name in "ab"]
    assert ids[0]
    assert not {*ids[0]} & {*ids[1]}


def test_a_matrix_of_few_classes_has_names_and_counts(tmp_path):
    counts = np.array([[31, 2, 0], [0, 17, 0], [0, 5, 29]])
    names = [*made.NAMES[:2], "a very long name of a class"]
    found = made.texts(figures.drawn(lambda figure: figures.matrix(figure, counts, names), tmp_path / "matrix.png"))
    assert {"31", "2", "17", "5", "29", *made.NAMES[:2], "a very long n\N{HORIZONTAL ELLIPSIS}"} <= set(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_has_the_images_pixels(channels):
    pixels = np.random.default_rng(0).integers(256, size=(5, 7, channels)).astype("uint8")
    packed = base64.b64decode(figures.picture(pixels).partition(",")[2])
    shown = np.rint(pictures.imread(io.BytesIO(packed))[..., :3] * 255)
    np.testing.assert_array_equal(shown, np.broadcast_to(pixels, (5, 7, 3)))


def test_any_name_gives_a_file(tmp_path):
    assert figures.file(tmp_path, "curve", "a/b: c") == tmp_path / "curve_a_b_c.png"


def axes_of(lines, y_label="test loss"):
    figure = Figure()
    return figures.lines(figure, lines, "epoch", y_label)


@pytest.mark.parametrize(
    ("values", "low", "label", "scale"),
    [
        ([3.0, 0.09], None, "loss", "log"),
        ([3.0, 0.11], None, "loss", "linear"),
        ([3.0, 0.2, math.nan, math.inf], None, "loss", "linear"),
        ([3.0, 0.09, 0.0], None, "loss", "linear"),
        ([3.0, 0.11], [2.0, 0.09], "loss", "log"),
        ([3.0, 0.09], [2.0, -1.0], "loss", "linear"),
        ([3.0, 0.09], None, "learning rate", "linear"),
    ],
    ids=str,
)
def test_a_loss_that_spans_decades_has_a_logarithmic_axis(values, low, label, scale):
    line = figures.Line("test", range(len(values)), values, low, values if low else None)
    assert axes_of([line], label).get_yscale() == scale


def test_what_is_no_number_is_a_gap(tmp_path):
    values = [1.0, 0.5, math.inf, -math.inf, math.nan, 0.25]
    line = figures.Line("a", range(6), values, values, values)
    drawn = axes_of([line]).lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [1.0, 0.5, math.nan, math.nan, math.nan, 0.25])
    svg = figures.drawn(lambda figure: figures.lines(figure, [line], "epoch", "loss"), tmp_path / "gap.png")
    assert "nan" not in svg.lower()


def test_counts_on_a_matrix_can_be_read(tmp_path):
    rng = np.random.default_rng(0)
    for grey in (*rng.random((50, 3)), (0.5, 0.5, 0.5), (0.46, 0.46, 0.46)):
        text = figures.readable_on(grey)
        luminance = np.dot(
            (0.2126, 0.7152, 0.0722), [((c + 0.055) / 1.055) ** 2.4 if c > 0.04 else c / 12.92 for c in grey]
        )
        assert (luminance + 0.05) / 0.05 >= 4.5 if text == "#000000" else 1.05 / (luminance + 0.05) >= 4.5
    counts = np.array([[1234, 0], [3, 17]])
    svg = figures.drawn(lambda figure: figures.matrix(figure, counts, ["a", "b"]), tmp_path / "matrix.png")
    (style,) = re.findall(r'style="([^"]*)"[^>]*>1234<', svg)
    # Black, on yellow, is what a text has that says nothing else.
    assert "#ffffff" not in style
    width = [figures.matrix_size(np.diag(np.full(20, count)), ["name"] * 20)[0] for count in (7, 12345)]
    # A cell has room for the digits, which are a little more than half as wide as they are high.
    assert width[0] < width[1]
    assert (width[1] - 1) * 72 / 20 > 5 * 0.55 * figures.FONT_SIZE


def test_a_bar_is_as_solid_as_its_bin_is_full():
    figure = Figure()
    counts = np.array([0, 1, 50, 100])
    figures.reliability(figure, counts, np.array([0.0, 0.3, 0.6, 0.9]), np.array([0.0, 1.0, 0.5, 0.9]))
    bars = figure.axes[0].patches
    assert len(bars) == 3
    alphas = [bar.get_facecolor()[3] for bar in bars]
    assert alphas[0] < 0.1
    assert alphas[0] < alphas[1] < alphas[2]
    np.testing.assert_allclose(alphas[1] - alphas[0], alphas[2] - alphas[1], rtol=0.05)


def test_the_first_looks_differ():
    looks = [figures.look(number) for number in range(figures.NUM_LOOKS)]
    assert len(set(looks)) == len(looks) == 36
