import pathlib
import unicodedata

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from zoo.data import glyphs

LETTERS = glyphs.letters(glyphs.ALPHABETS)
TRAIN_LETTERS = glyphs.letters(glyphs.TRAIN_ALPHABETS)


def font_path(typeface):
    return str(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / glyphs.TYPEFACES[typeface])


def silhouette(letter, typeface="sans", em=256):
    """PIL's picture of the letter, bool (height, width), the baseline at 1.1 em and the ink in the middle."""
    font = ImageFont.truetype(font_path(typeface), em, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (3 * em, 8 * em // 5))
    ImageDraw.Draw(image).text((em, 11 * em // 10), letter, font=font, fill=255, anchor="ls")
    inside = np.array(image) > 127
    columns = np.flatnonzero(inside.any(axis=0))
    return np.roll(inside, 3 * em // 2 - (columns[0] + columns[-1] + 1) // 2, axis=1)[:, 3 * em // 4 : -3 * em // 4]


def moments(image):
    """Area, centre (x, y) and covariance of a grey image with y upwards, in pixels from the lower left corner."""
    weights = image.astype(np.float64) / 255
    rows, columns = np.indices(weights.shape)
    points = np.stack([columns + 0.5, weights.shape[0] - rows - 0.5])
    area = weights.sum()
    centre = (points * weights).sum(axis=(1, 2)) / area
    offsets = points - centre[:, None, None]
    # A pixel is a square, whose own spread is 1/12.
    return area, centre, np.einsum("ihw,jhw,hw->ij", offsets, offsets, weights) / area + np.eye(2) / 12


class TestLetters:
    def test_numbers(self):
        assert len(TRAIN_LETTERS) == 170
        assert len(glyphs.TYPEFACES) == 12
        counts = {name: sum(alphabet == name for alphabet, _ in LETTERS) for name in glyphs.ALPHABETS}
        assert min(counts.values()) >= 20, counts
        assert LETTERS[:170] == TRAIN_LETTERS

    def test_are_single_letters_of_their_alphabet(self):
        all_letters = "".join(glyphs.ALPHABETS.values())
        assert len(set(all_letters)) == len(all_letters)
        scripts = {"asomtavruli": "GEORGIAN CAPITAL LETTER", "nuskhuri": "GEORGIAN SMALL LETTER"}
        for alphabet, text in glyphs.ALPHABETS.items():
            for letter in text:
                assert unicodedata.category(letter) in {"Lu", "Ll", "Lo"}
                assert unicodedata.name(letter).startswith(scripts.get(alphabet, alphabet.upper())), letter

    def test_names(self):
        names = glyphs.character_names()
        assert len(set(names)) == len(names) == len(LETTERS)
        label = {letter: number for number, (_, letter) in enumerate(LETTERS)}
        wanted = {
            "A": "latin A",
            "a": "latin a",
            "\N{LATIN SMALL LIGATURE OE}": "latin oe",
            "\N{GREEK CAPITAL LETTER OMEGA}": "greek Omega",
            "\N{GREEK SMALL LETTER FINAL SIGMA}": "greek final sigma",
            "\N{CYRILLIC CAPITAL LETTER SHORT I}": "cyrillic Short i",
            "\N{GEORGIAN LETTER AN}": "georgian an",
            "\N{GEORGIAN CAPITAL LETTER AN}": "asomtavruli an",
            "\N{GEORGIAN SMALL LETTER AN}": "nuskhuri an",
            "\N{HEBREW LETTER ALEF}": "hebrew alef",
        }
        assert {letter: names[label[letter]] for letter in wanted} == wanted

    def test_covered_typefaces_are_those_of_the_fonts(self):
        for typeface in glyphs.TYPEFACES:
            with TTFont(font_path(typeface), lazy=True) as font:
                names, shapes = font.getBestCmap(), font["glyf"]
                found = [names.get(ord(letter), ".notdef") for _, letter in LETTERS]
                has_it = [glyph != ".notdef" and shapes[glyph].numberOfContours != 0 for glyph in found]
            assert [glyphs.covers(typeface, letter) for _, letter in LETTERS] == has_it
            assert all(has_it[: len(TRAIN_LETTERS)])

    def test_every_held_out_letter_has_three_typefaces(self):
        for _, letter in glyphs.letters(glyphs.ONE_SHOT_ALPHABETS):
            assert sum(glyphs.covers(typeface, letter) for typeface in glyphs.TYPEFACES) >= 3

    def test_does_not_cover_what_the_font_lacks(self):
        assert not glyphs.covers("stix", "\N{HEBREW LETTER ALEF}")
        assert not glyphs.covers("sans", " ")


def test_look_alikes_are_those_of_the_rule():
    names = [(alphabet, letter) for alphabet, text in glyphs.ALPHABETS.items() for letter in text]
    pictures = np.stack([silhouette(letter) for _, letter in names])
    # First roughly, all pairs at once by a matrix product; then exactly, at the best of several shifts.
    coarse = pictures[:, ::4, ::4].reshape(len(names), -1).astype(np.float32)
    both, areas = coarse @ coarse.T, coarse.sum(axis=1)
    rough = 1 - both / (areas[:, None] + areas[None] - both)
    found, apart = {}, []
    for i, (alphabet, letter) in enumerate(names):
        for j, (earlier_alphabet, earlier) in enumerate(names[:i]):
            if earlier_alphabet == alphabet or earlier in found or rough[i, j] > 0.25:
                continue
            shifted = [(np.roll(pictures[i], shift, axis=1), pictures[j]) for shift in range(-10, 11, 2)]
            difference = min(1 - (a & b).sum() / (a | b).sum() for a, b in shifted)
            if difference <= 0.08:
                found.setdefault(letter, earlier)
            else:
                apart.append(difference)
    assert found == glyphs.LOOK_ALIKES
    # The rule does not hang on how exactly the difference is measured.
    assert min(apart) > 0.095


class TestRender:
    @pytest.mark.parametrize(
        ("letter", "typeface"), [("R", "sans"), ("g", "serif_italic"), ("\u10de", "mono_bold"), ("k", "stix")]
    )
    @pytest.mark.parametrize(
        "placement",
        [
            glyphs.Placement(),
            glyphs.Placement(rotation=12.0, shift=(2.25, -3.0)),
            glyphs.Placement(shear=4.0, scale=1.1),
            glyphs.Placement(rotation=-7.0, shear=-3.0, scale=0.8, shift=(-3.0, 1.5)),
        ],
    )
    def test_area_centre_and_spread_follow_the_placement(self, letter, typeface, placement):
        em = 512
        area, centre, spread = moments(silhouette(letter, typeface, em) * np.uint8(255))
        # From the picture's pixels to ems: its ink is in the middle, its baseline at 1.1 em of its 1.6.
        origin = np.array([3 * em / 4, 8 * em // 5 - 11 * em // 10])
        from_middle = (centre - origin) / em - [0.0, 0.31]
        angle, lean = np.deg2rad(placement.rotation), np.deg2rad(placement.shear)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = 22 * placement.scale * turn @ [[1, np.tan(lean)], [0, 1]]

        got_area, got_centre, got_spread = moments(glyphs.render(letter, typeface, placement)[:, :, 0])
        assert got_area == pytest.approx(area * (22 * placement.scale / em) ** 2, rel=0.02)
        np.testing.assert_allclose(got_centre, 16 + linear @ from_middle + placement.shift, atol=0.1)
        np.testing.assert_allclose(got_spread, linear @ (spread / em**2) @ linear.T, atol=0.4)

    def test_is_light_on_black(self):
        image = glyphs.render("H", "sans_bold", glyphs.Placement())
        assert image.shape == (32, 32, 1)
        assert image.dtype == np.uint8
        assert image.max() == 255
        assert np.median(image) == 0
        assert ((image > 0) & (image < 255)).any()

    def test_frames_do_not_share_memory(self):
        first = glyphs.render("A", "sans", glyphs.Placement())
        before = first.copy()
        glyphs.render("B", "sans", glyphs.Placement())
        np.testing.assert_array_equal(first, before)

    def test_letters_stand_on_one_baseline_at_one_size(self):
        def rows(letter):
            return np.flatnonzero(glyphs.render(letter, "sans", glyphs.Placement())[:, :, 0].max(axis=1) > 127)

        assert rows("x")[-1] == rows("X")[-1] < rows("p")[-1]
        assert len(rows("X")) - len(rows("x")) == 4  # 0.729 and 0.547 of 22 pixels

    def test_few_letters_are_cut_off(self):
        random = np.random.RandomState(0)
        images = np.stack(
            [
                glyphs.render(letter, typeface, glyphs.random_placement(random))[:, :, 0]
                for _, letter in LETTERS[::2]
                for typeface in glyphs.TYPEFACES
                if glyphs.covers(typeface, letter)
            ]
        )
        edge = np.concatenate(
            [images[:, [0, -1]].reshape(len(images), -1), images[:, :, [0, -1]].reshape(len(images), -1)], axis=1
        )
        assert (edge.max(axis=1) > 64).mean() < 0.015

    def test_placements_fill_their_ranges(self):
        random = np.random.RandomState(1)
        drawn = [glyphs.random_placement(random) for _ in range(4000)]
        numbers = np.array([(p.rotation, p.shear, p.scale, *p.shift) for p in drawn])
        low, high = np.array([[-12, -4, 0.8, -3, -3], [12, 4, 1.1, 3, 3]])
        assert (numbers >= low).all()
        assert (numbers <= high).all()
        # The mean of n uniform numbers lies within 4 standard errors, width / sqrt(12 n), of the middle.
        assert (np.abs(numbers.mean(axis=0) - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * 4000)).all()
        np.testing.assert_allclose(numbers.std(axis=0), (high - low) / np.sqrt(12), rtol=0.05)
        assert np.abs(np.corrcoef(numbers.T) - np.eye(5)).max() < 0.08


class TestExamples:
    def test_image_depends_on_its_arguments_alone(self):
        first = glyphs.example_image("train", "Q", "serif", 3)
        glyphs.example_image("train", "R", "serif", 3)
        np.testing.assert_array_equal(glyphs.example_image("train", "Q", "serif", 3), first)
        others = [
            ("test", "Q", "serif", 3),
            ("train", "O", "serif", 3),
            ("train", "Q", "mono", 3),
            ("train", "Q", "serif", 4),
        ]
        for other in others:
            assert np.abs(glyphs.example_image(*other).astype(int) - first).mean() > 2

    def test_noise_is_gaussian_with_deviation_ten(self):
        # An o does not reach the corners: there is only noise, cut off below zero.
        images = [glyphs.example_image("train", "o", "stix", number) for number in range(150)]
        corners = np.stack(images)[:, [0, 1, 30, 31]][:, :, [0, 1, 2, 29, 30, 31]].astype(float)
        # The mean of the positive half of a normal distribution is sigma / sqrt(2 pi).
        assert corners.mean() == pytest.approx(10 / np.sqrt(2 * np.pi), rel=0.05)
        assert np.sqrt((corners**2).mean()) == pytest.approx(10 / np.sqrt(2), rel=0.05)

    def test_order_and_labels(self):
        drawn = list(zip(range(25), glyphs.examples("test", range(1)), strict=False))
        assert [example["typeface"] for _, example in drawn] == [*range(12), *range(12), 0]
        assert [example["character"] for _, example in drawn] == [0] * 12 + [1] * 12 + [2]
        assert {example["alphabet"] for _, example in drawn} == {0}

    def test_held_out_labels_follow_those_of_training(self):
        first = next(glyphs.examples("one_shot", range(1)))
        assert first["character"] == 170
        assert list(glyphs.ALPHABETS)[first["alphabet"]] == "armenian"
        np.testing.assert_array_equal(first["image"], glyphs.example_image("one_shot", LETTERS[170][1], "sans", 0))


def test_info_needs_no_data(data_dir):
    builder = glyphs.Glyphs(data_dir=data_dir)
    assert builder.info.full_name == "glyphs/1.0.0"
    assert builder.info.features["image"].shape == (32, 32, 1)
    assert builder.info.features["character"].names == glyphs.character_names()
    assert builder.info.features["alphabet"].names == list(glyphs.ALPHABETS)
    assert builder.info.features["typeface"].names == list(glyphs.TYPEFACES)


@pytest.mark.slow
def test_whole_dataset(data_dir):
    import tensorflow_datasets as tfds

    builder = glyphs.Glyphs(data_dir=data_dir)
    builder.download_and_prepare()
    splits = {
        split: tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1)) for split in ("train", "test", "one_shot")
    }
    assert {split: len(data["character"]) for split, data in splits.items()} == {
        "train": 20400,
        "test": 4080,
        "one_shot": 4824,
    }
    for split, renderings in (("train", 10), ("test", 2)):
        cells = splits[split]["character"] * 12 + splits[split]["typeface"]
        np.testing.assert_array_equal(np.bincount(cells), np.full(170 * 12, renderings))
    assert set(splits["train"]["alphabet"]) == {0, 1, 2} == set(splits["test"]["alphabet"])
    assert set(splits["one_shot"]["alphabet"]) == {3, 4, 5, 6, 7, 8}
    assert set(splits["one_shot"]["character"]) == set(range(170, len(LETTERS)))
    images = np.concatenate([data["image"] for data in splits.values()])
    assert len({image.tobytes() for image in images}) == len(images)
    # File order: each tenth of train is one rendering of everything.
    np.testing.assert_array_equal(np.bincount(splits["train"]["character"][:2040]), np.full(170, 12))
    where = np.flatnonzero((splits["train"]["character"] == 7) & (splits["train"]["typeface"] == 6))
    np.testing.assert_array_equal(
        splits["train"]["image"][where[4]], glyphs.example_image("train", LETTERS[7][1], "serif", 4)
    )
