"""What a config file says of itself: its docstring is the record of the recipe, for people.

The lines `Tier:` and `Published:` are written by hand and read here. The lines `Measured:` and `Time:` are written from
the records by `zoo.baselines.agreement`, and nothing is read out of them: what a recipe was measured at is
`zoo.baselines.bands.measured_bands`.
"""

import ast
import contextlib
import dataclasses
import fnmatch
import os
import re
from pathlib import Path

from zoo.baselines.bands import Band
from zoo.errors import RequestError, unknown

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
# How much of a machine a recipe takes: minutes or an hour of two cores, hours of a GPU, days of several.
TIERS = ("cpu", "cpu-hours", "gpu-hours", "cluster")
NOT_RUN = "not yet run here"

_SECTION = re.compile(r"^(\w+): +(.*(?:\n +.*)*)$", re.MULTILINE)
_FIGURE = re.compile(r"(\w+/\w+) (\d+\.\d{4}) \+- (\d+\.\d{4})")
_LAST_SEED = re.compile(r"over seeds 0 to (\d+)")
_PUBLISHED = re.compile(r"\b(\w+/\w+) (\d+\.\d+)")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a config file says of itself.

    Attributes:
        name: of the file, without `.py`.
        title: the docstring's first line.
        tier: one of `TIERS`.
        bands: by metric, such as `test/accuracy`, in the file's order; a band is None where the recipe was not yet run.
        time: how long a run takes and where, the seconds before the first comma; empty where it was not yet run.
        published: what others report, with the source, in one line.
        published_figures: the figures in it by metric, as they are written there; none where nothing was published
            for this very recipe.
        other_nets: the metrics whose figure is of another net than the recipe's; the clause that it stands in says
            "another net".
    """

    name: str
    title: str
    tier: str
    bands: dict[str, Band | None]
    time: str
    published: str
    published_figures: dict[str, str]
    other_nets: frozenset[str] = frozenset()


def find(pattern: str = "*", tier: str | None = None) -> list[str]:
    """The names of the recipes that fit a pattern (or path) and are of a tier, sorted.

    Raises:
        RequestError: there are no recipes here, or none fits.
    """
    known = sorted(file.stem for file in CONFIGS.glob("*.py"))
    if not known:
        raise RequestError(f"there is no folder of recipes in {ROOT}; work in a clone, after pip install -e .")
    if tier is not None and tier not in TIERS:
        raise unknown("tier", tier, TIERS)
    name = Path(pattern).name.removesuffix(".py")
    fitting = fnmatch.filter(known, name)
    if not fitting:
        raise unknown("recipe", pattern, known)
    chosen = [name for name in fitting if tier is None or read_recipe(name).tier == tier]
    if not chosen:
        raise RequestError(f"no recipe fits both {pattern!r} and the tier {tier}")
    return chosen


def read_recipe(name: str) -> Recipe:
    """Reads the docstring of a config file.

    Raises:
        RequestError: there is no such file, or its docstring lacks what every recipe says.
    """
    file = CONFIGS / f"{name}.py"
    try:
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    except FileNotFoundError as error:
        raise unknown("recipe", name, (other.stem for other in CONFIGS.glob("*.py"))) from error
    except SyntaxError as error:
        raise RequestError(f"{shown(file)} cannot be read: {error}") from error
    sections: dict[str, list[str]] = {}
    for key, text in _SECTION.findall(docstring):
        sections.setdefault(key, []).append(" ".join(text.split()))
    for key in ("Tier", "Measured", "Published"):
        if key not in sections:
            raise RequestError(f"the docstring of {shown(file)} has no line that begins with {key}:")
    tier, published = sections["Tier"][0], sections["Published"][0]
    if tier not in TIERS:
        raise RequestError(f"the tier of {shown(file)} is {tier!r}; it must be one of {', '.join(TIERS)}")
    figures: dict[str, str] = {}
    others = set()
    for clause in published.split(";"):
        for metric, figure in _PUBLISHED.findall(clause):
            if "another net" in clause and metric not in figures:
                others.add(metric)
            figures.setdefault(metric, figure)
    bands = _bands(" ".join(sections["Measured"]), file) or dict.fromkeys(figures)
    if not bands:
        raise RequestError(f"{shown(file)} names no metric, neither as measured nor as published")
    return Recipe(
        name=name,
        title=docstring.partition("\n")[0],
        tier=tier,
        bands=bands,
        time=sections.get("Time", [""])[0],
        published=published,
        published_figures={} if published.startswith("none") else figures,
        other_nets=frozenset(others),
    )


def _bands(measured: str, file: Path) -> dict[str, Band | None]:
    """The bands of the lines `Measured:`; none where they say that it was not yet run."""
    if measured == NOT_RUN:
        return {}
    figures, last_seed = _FIGURE.findall(measured), _LAST_SEED.search(measured)
    if not figures or not last_seed:
        raise RequestError(
            f"{shown(file)} says neither that it is {NOT_RUN}, nor METRIC 0.0000 +- 0.0000 over seeds 0 to N; "
            "python -m zoo reproduce --update writes it"
        )
    seeds = int(last_seed[1]) + 1
    if seeds < 2:
        raise RequestError(f"{shown(file)} states a band of {seeds} seed; a mean and a deviation need at least 2")
    return {metric: Band(float(mean), float(spread), seeds) for metric, mean, spread in figures}


def shown(path: Path) -> str:
    """A path as messages name it: within the repository from its top, elsewhere whole."""
    with contextlib.suppress(ValueError):
        return os.fspath(path.relative_to(ROOT))
    return os.fspath(path)
