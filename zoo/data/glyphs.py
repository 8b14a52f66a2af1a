"""The `glyphs` dataset: letters of nine alphabets in twelve typefaces, rendered without a network.

The typefaces are the DejaVu and STIX fonts that matplotlib carries (free licences, beside the fonts). A letter is
drawn in a typeface only when the font's own character map has it. Ligatures (but for the French oe, which is a
letter), combining marks, modifier letters and presentation forms are left out.

Look-alikes: some letters of different alphabets are one shape, such as the Latin A, the Greek Alpha and the
Cyrillic A. The difference of two letters is the part of the area covered by either that is not covered by both,
in DejaVu Sans, on one baseline, moved from left to right to where they differ least. A letter that differs by at most
8 % from a letter of an earlier alphabet, in the order of `ALPHABETS`, is not drawn: in training it counts as the
earlier one, and a held-out alphabet keeps only letters that training has not shown. `LOOK_ALIKES` lists all of them.
Rho and p, the farthest of them, differ by 7.7 %; the nearest pair that stays apart, the Cyrillic pe and the Hebrew het,
by 10.2 %.

Letters of one alphabet always stay apart, also those of which one is a smaller copy of the other (o and O). All are
drawn at one em size on one baseline, so size and height tell them apart, though not always: the scale of an image
varies by more than o and O differ. Letters may also meet in one typeface only (the Cyrillic te is an m in
a true italic). So no classifier can reach 100 %.
"""

import dataclasses
import functools
import pathlib
import re
import unicodedata

import numpy as np
import tensorflow_datasets as tfds

TYPEFACES = {
    "sans": "DejaVuSans.ttf",
    "sans_bold": "DejaVuSans-Bold.ttf",
    "sans_oblique": "DejaVuSans-Oblique.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono_bold": "DejaVuSansMono-Bold.ttf",
    "mono_oblique": "DejaVuSansMono-Oblique.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif_bold": "DejaVuSerif-Bold.ttf",
    "serif_italic": "DejaVuSerif-Italic.ttf",
    "stix": "STIXGeneral.ttf",
    "stix_bold": "STIXGeneralBol.ttf",
    "stix_italic": "STIXGeneralItalic.ttf",
}

# All twelve typefaces have every letter of these.
TRAIN_ALPHABETS = {
    # English, then letters of Icelandic, Norwegian, French, German, Polish, Maltese, Croatian, Sami.
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÆÐØÞßæðøþđĦħŁłŊŋŒœ",
    "greek": "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψω",
    # Russian, then letters of Ukrainian, Belarusian, Serbian, and Russian before 1918.
    "cyrillic": "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюяЂЄЇЉЊЋЎЏђєїљњћўџѢѣҐґ",
}
ONE_SHOT_ALPHABETS = {
    "armenian": "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ",
    # The letters of modern Georgian.
    "georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    # The two older scripts of Georgian, which Unicode calls its capital and small letters.
    "asomtavruli": "ႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅ",
    "nuskhuri": "ⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥ",
    "hebrew": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮ",
}
ALPHABETS = TRAIN_ALPHABETS | ONE_SHOT_ALPHABETS

# Letter -> the letter of an earlier alphabet that it looks like, by the rule above.
LOOK_ALIKES = {
    # Greek to Latin.
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧορ", "ABEZHIKMNOPTYXop", strict=True)),  # noqa: RUF001
    # Cyrillic to Latin and to Greek.
    **dict(zip("АВЕМНОРСТХаеорсухГП", "ABEMHOPCTXaeopcyxΓΠ", strict=True)),
    # Armenian to Latin.
    **dict(zip("ԼՍՕհոսցօ", "LUOhnugo", strict=True)),
}

RENDERINGS = {"train": 10, "test": 2, "one_shot": 3}
SIZE = 32
# Pixels per em. An em holds ascenders and descenders; the rest of the frame is room for scale, rotation and shift.
EM = 22
# How many ems above the baseline the middle of the frame is. With 0.31 the fewest images touch the edge, 1 in 150.
MIDDLE = 0.31
MAX_ROTATION = 12
MAX_SHEAR = 4
MIN_SCALE, MAX_SCALE = 0.8, 1.1
MAX_SHIFT = 3
# Standard deviation of the Gaussian noise of each pixel, in grey levels of 255.
NOISE = 10
_SEED = 2015


@dataclasses.dataclass(frozen=True)
class Placement:
    """How a letter comes to lie in its frame: sheared, rotated and scaled about the middle, then shifted.

    Args:
        rotation: degrees, to the left.
        shear: degrees by which upright strokes lean to the right.
        scale: in units of `EM` pixels per em.
        shift: pixels to the right and up.
    """

    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def linear(self) -> np.ndarray:
        """The linear part, from ems to pixels (y upwards), float64 (2, 2)."""
        angle = np.deg2rad(self.rotation)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return self.scale * EM * turn @ np.array([[1.0, np.tan(np.deg2rad(self.shear))], [0.0, 1.0]])


class Glyphs(tfds.core.GeneratorBasedBuilder):
    """Images (32, 32, 1) uint8, light on black, with the labels `character`, `alphabet` and `typeface`.

    `train` and `test` hold the same characters in all typefaces, in different renderings, 10 and 2 of each.
    `one_shot` holds, 3 times each, the alphabets that are in no other split, in the typefaces that have them. The
    characters of training are the first labels. Every image is drawn anew with a rotation up to 12 degrees to
    either side, shear up to 4 degrees, scale 0.8 to 1.1, shift up to 3 pixels along each axis (all uniform) and
    Gaussian noise of 10 grey levels; it depends on its split, character, typeface and rendering number alone.

    The examples are ordered by rendering number, so a slice such as train[:80%] has all characters and typefaces.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Nine alphabets, twelve typefaces."}  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIZE, SIZE, 1), dtype=np.uint8),
                    "character": tfds.features.ClassLabel(names=character_names()),
                    "alphabet": tfds.features.ClassLabel(names=list(ALPHABETS)),
                    "typeface": tfds.features.ClassLabel(names=list(TYPEFACES)),
                }
            ),
            supervised_keys=("image", "character"),
            homepage="https://matplotlib.org/stable/users/explain/text/fonts.html",
            # Slices by rendering number, see above.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in RENDERINGS}

    def _generate_examples(self, split):
        yield from enumerate(examples(split, range(RENDERINGS[split])))


def letters(alphabets: dict[str, str]) -> list[tuple[str, str]]:
    """The letters that are drawn, each with the name of its alphabet before it; look-alikes are left out."""
    return [(name, letter) for name, text in alphabets.items() for letter in text if letter not in LOOK_ALIKES]


def character_names() -> list[str]:
    """The class names of `character` in the order of their labels: `latin A`, `latin a`, `greek alpha`, ..."""
    return [character_name(*pair) for pair in letters(ALPHABETS)]


def character_name(alphabet: str, letter: str) -> str:
    """The alphabet and Unicode's name of the letter, with a capital first letter where the letter is a capital."""
    # "GREEK SMALL LETTER ALPHA", "LATIN SMALL LIGATURE OE".
    name = re.split(" LETTER | LIGATURE ", unicodedata.name(letter))[1].lower()
    # Unicode calls the Asomtavruli capitals too, but that alphabet has no small letters.
    capital = unicodedata.category(letter) == "Lu" and alphabet != "asomtavruli"
    return f"{alphabet} {name[0].upper() + name[1:] if capital else name}"


def examples(split: str, renderings: range):
    """Yields the examples of a split as dictionaries of image and labels.

    Args:
        split: `train`, `test` or `one_shot`.
        renderings: which rendering numbers; the outermost loop. Then come characters, then typefaces.
    """
    drawn = letters(ALPHABETS)
    labels = {letter: label for label, (_, letter) in enumerate(drawn)}
    alphabets = ONE_SHOT_ALPHABETS if split == "one_shot" else TRAIN_ALPHABETS
    for rendering in renderings:
        for alphabet, letter in letters(alphabets):
            for typeface in filter(lambda name: covers(name, letter), TYPEFACES):
                yield {
                    "image": example_image(split, letter, typeface, rendering),
                    "character": labels[letter],
                    "alphabet": list(ALPHABETS).index(alphabet),
                    "typeface": list(TYPEFACES).index(typeface),
                }


def example_image(split: str, letter: str, typeface: str, rendering: int) -> np.ndarray:
    """One image of the dataset, uint8 (32, 32, 1), as a function of its arguments alone."""
    key = (_SEED, list(RENDERINGS).index(split), ord(letter), list(TYPEFACES).index(typeface), rendering)
    # NumPy promises that the numbers of RandomState never change.
    random = np.random.RandomState(np.random.PCG64(key))
    placement = random_placement(random)
    noisy = render(letter, typeface, placement) + random.normal(scale=NOISE, size=(SIZE, SIZE, 1))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def random_placement(random: np.random.RandomState) -> Placement:
    """A placement with every number uniform between its bounds."""
    return Placement(
        rotation=random.uniform(-MAX_ROTATION, MAX_ROTATION),
        shear=random.uniform(-MAX_SHEAR, MAX_SHEAR),
        scale=random.uniform(MIN_SCALE, MAX_SCALE),
        shift=tuple(random.uniform(-MAX_SHIFT, MAX_SHIFT, size=2)),
    )


def render(letter: str, typeface: str, placement: Placement) -> np.ndarray:
    """The letter without noise, uint8 (32, 32, 1): 255 inside, 0 outside, the covered part of the pixel at edges."""
    from matplotlib.path import Path
    from matplotlib.transforms import IdentityTransform

    outline, left, right = _outline(typeface, letter)
    middle = np.array([(left + right) / 2, MIDDLE])
    vertices = (outline.vertices - middle) @ placement.linear().T + placement.shift + SIZE / 2
    renderer, context = _canvas()
    renderer.clear()
    renderer.draw_path(context, Path(vertices, outline.codes), IdentityTransform(), (1.0, 1.0, 1.0))
    return np.array(renderer.buffer_rgba())[:, :, 3:]


@functools.cache
def covers(typeface: str, letter: str) -> bool:
    """Whether the typeface has the letter, and not an empty shape in its place."""
    if not _font(typeface)[1].get(ord(letter)):
        return False
    _, left, right = _outline(typeface, letter)
    return right > left


@functools.cache
def _font(typeface: str):
    """The font, and its map from code points to glyphs (without those it only has a box for)."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / TYPEFACES[typeface]))
    return font, font.get_charmap()


@functools.cache
def _outline(typeface: str, letter: str):
    """The letter's outline in ems, the origin on the baseline, and where it begins and ends from left to right."""
    from matplotlib.ft2font import LoadFlags
    from matplotlib.path import Path

    font, _ = _font(typeface)
    # The designer's own points: no hinting, no rounding, the same with every version of FreeType.
    font.load_char(ord(letter), flags=LoadFlags.NO_SCALE)
    vertices, codes = font.get_path()
    # FreeType's numbers have six binary places, which get_path takes away from whole font units as well.
    outline = Path(vertices * 64, codes)
    # In font units curves become polygons that are as good as exact.
    across = np.concatenate([np.empty((0, 2)), *outline.to_polygons()])[:, 0] / font.units_per_EM
    left, right = across.min(initial=np.inf), across.max(initial=-np.inf)
    return Path(outline.vertices / font.units_per_EM, codes), left, right


@functools.cache
def _canvas():
    """Agg's canvas of one frame, and how to draw on it."""
    from matplotlib.backends.backend_agg import RendererAgg

    renderer = RendererAgg(SIZE, SIZE, dpi=72)
    context = renderer.new_gc()
    context.set_linewidth(0)
    # Else outlines are moved to whole pixels.
    context.set_snap(False)
    return renderer, context
