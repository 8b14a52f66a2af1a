"""The tables of the README and of the pages of docs/, from registry, config, recipes and records."""

import dataclasses
import json
import re

from zoo import registry
from zoo.analysis.docs import tables
from zoo.analysis.docs.subjects import families, measured_text, recipes_by_tier
from zoo.baselines.agreement import seconds_text
from zoo.baselines.records import RESULTS, read_records
from zoo.config import FIELDS
from zoo.config.augmentations import written_augmentations

BENCHMARKS = RESULTS / "benchmarks.json"
# Of benchmarks.json: whom docs/speed.md compares the zoo with; docs/benchmarks.md has all of them.
PEERS = ("keras", "torch", "jax")


def family_table() -> str:
    """A row for each family."""
    rows = [
        (
            f"[`{family}`](docs/models/{family}.md)",
            models[0].style.capitalize(),
            ", ".join(f"`{info.name}`" for info in models),
            "; ".join(dict.fromkeys(registry.authors_and_year(info.paper) for info in models)),
        )
        for family, models in families().items()
    ]
    return tables.markdown_text(("family", "style", "models", "source"), rows)


def measured_table() -> str:
    """The recipes that were run here."""
    recipes = recipes_by_tier()
    rows = [
        (
            f"`configs/{recipe.name}.py`",
            recipe.title.removesuffix("."),
            measured_text(recipe),
            seconds_text(read_records(recipe.name)),
        )
        for recipe in recipes
        if measured_text(recipe)
    ]
    header = ("recipe", "what", "last epoch, mean ± standard deviation", "time of a run")
    return tables.markdown_text(header, rows)


def published_table() -> str:
    """The recipes that were not run here, with what others report."""
    rows = []
    for recipe in recipes_by_tier():
        if measured_text(recipe):
            continue
        first = re.match(r"(none.*?|\S+ 0\.\d+)(?:[;,] | \(|$)([^;]*)", recipe.published)
        figure, source = first.groups() if recipe.published_figures else (first[1], "")
        rows.append((f"`configs/{recipe.name}.py`", recipe.tier, figure, source))
    return tables.markdown_text(("recipe", "tier", "published", "source"), rows)


def benchmarks_table() -> str:
    """Training steps beside those of others, from the record of the benchmarks; empty where there is none."""
    if not BENCHMARKS.is_file():
        return ""
    record = json.loads(BENCHMARKS.read_text(encoding="utf-8"))
    rows = []
    for work in record["works"].values():
        if work["kind"] != "train":
            continue
        sides = work["sides"]
        slower = (tables.spread(sides[peer]["times_slower"] if peer in sides else None) for peer in PEERS)
        rate, fraction = (tables.number(sides["zoo"][key]) for key in ("images_per_second", "fraction_of_matmul"))
        rows.append((work["title"], rate, *slower, fraction))
    faster = (f"times faster than {tables.SIDES[peer]}" for peer in PEERS)
    return tables.markdown_text(("work", "zoo, images/s", *faster, "of matmul"), rows, right=(1,))


def options_table() -> str:
    """Every field of the config with its default, a table for each group."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    group = ""
    for name, field in FIELDS.items():
        group = field.metadata["group"] or group
        groups.setdefault(group, []).append((f"`--{name}`", _default(field), _meaning(field)))
    tables_of_groups = (
        f"### {group}\n\n{tables.markdown_text(('option', 'default', 'what it is'), rows)}"
        for group, rows in groups.items()
    )
    return "\n\n".join(tables_of_groups)


def _default(field: dataclasses.Field) -> str:
    """What a field is unless it is given; nothing where it is empty."""
    return "" if field.default in ("", dataclasses.MISSING) else f"`{field.default}`"


def _meaning(field: dataclasses.Field) -> str:
    """What `--help` says of a field, and what it may be."""
    text, choices = field.metadata["help"], field.metadata["choices"] or ()
    if all(choice in text for choice in choices):
        return text
    return f"{text}; one of {', '.join(f'`{choice}`' for choice in choices)}"


def augmentations_table() -> str:
    """Every augmentation as it is written."""
    rows = [(f"`{written}`", says) for written, says in written_augmentations().items()]
    return tables.markdown_text(("as it is written", "strength"), rows)


# Page, from the top of the repository -> its regions, and what makes each.
PAGES = {
    "README.md": {"families": family_table, "measured": measured_table},
    "docs/training.md": {"options": options_table},
    "docs/data.md": {"augmentations": augmentations_table},
    "docs/reproducing.md": {"published": published_table},
    "docs/speed.md": {"benchmarks": benchmarks_table},
}
