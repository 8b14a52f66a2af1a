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

from zoo.errors import RequestError, unknown

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
# How much of a machine a recipe takes: minutes or an hour of two cores, hours of a GPU, days of several.
TIERS = ("cpu", "cpu-hours", "gpu-hours", "cluster")
NOT_RUN = "not yet run here"

_SECTION = re.compile(r"^(\w+): +(.*(?:\n +.*)*)$", re.MULTILINE)
_PUBLISHED = re.compile(r"\b(\w+/\w+) (\d+\.\d+)")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a config file says of itself.

    Attributes:
        name: of the file, without `.py`.
        title: the docstring's first line.
        tier: one of `TIERS`.
        measured: the text of each line `Measured:`, for people; the figures are those of the records.
        time: the text of the line `Time:`, likewise; empty where there is none.
        published: what others report, with the source, in one line.
        published_metrics: the metrics that it names, such as `test/accuracy`, in its order.
        published_figures: their figures, as they are written there; none where nothing was published for this very
            recipe.
        other_nets: the metrics whose figure is of another net than the recipe's; the clause that it stands in says
            "another net".
    """

    name: str
    title: str
    tier: str
    measured: tuple[str, ...]
    time: str
    published: str
    published_metrics: tuple[str, ...]
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
    return Recipe(
        name=name,
        title=docstring.partition("\n")[0],
        tier=tier,
        measured=tuple(sections["Measured"]),
        time=sections.get("Time", [""])[0],
        published=published,
        published_metrics=tuple(figures),
        published_figures={} if published.startswith("none") else figures,
        other_nets=frozenset(others),
    )


def shown(path: Path) -> str:
    """A path as messages name it: within the repository from its top, elsewhere whole."""
    with contextlib.suppress(ValueError):
        return os.fspath(path.relative_to(ROOT))
    return os.fspath(path)
