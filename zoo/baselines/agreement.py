"""Config files, records and README say the same: what is written into docstrings, and what disagrees."""

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.baselines import recipes
from zoo.baselines.bands import Band, bands_of, check_records, measured_bands, median_seconds, metrics_of
from zoo.baselines.recipes import Recipe, read_recipe
from zoo.baselines.records import (
    digests_of,
    folder_of,
    kept_digests,
    kind_of,
    of_kind,
    read_records,
    recorded_recipes,
    same_config,
    same_states,
    write_record,
)
from zoo.baselines.running import Outcome
from zoo.config import differences, load_config, recorded_config
from zoo.errors import RequestError
from zoo.runs import provenance
from zoo.runs.files import write_atomically

# Where the tables of recipes stand: of those that were run, and of the others.
PAGES = ("README.md", "docs/reproducing.md")
_WIDTH = 120
_MEASURED = re.compile(r"(?:^Measured: .*\n(?: .*\n)*)+", re.MULTILINE)
_TIME = re.compile(r"^Time: .*\n(?: .*\n)*", re.MULTILINE)


def check_update(names: list[str], seeds: int) -> None:
    """Raises a `RequestError` where so few seeds cannot take the place of the records that there are."""
    if seeds < 2:
        raise RequestError(f"seeds is {seeds}; a mean and a deviation need at least 2")
    for name in names:
        recorded = len(read_records(name))
        if recorded > seeds:
            raise RequestError(f"seeds is {seeds}; {name} has records of {recorded}, so that --update needs as many")


def update(outcome: Outcome) -> list[str]:
    """Writes the records of a recipe and, from them, band and time into its docstring; says what changed.

    Nothing but the lines `Measured:` and `Time:` is touched; nothing at all where the outcome has a fault. Digests of
    other kinds of machines stay where they still belong to the code, see `kept_digests`.
    """
    name, file = outcome.recipe.name, recipes.CONFIGS / f"{outcome.recipe.name}.py"
    if outcome.fault:
        return []
    before = {record["seed"]: record for record in outcome.recorded}
    for record in outcome.records:
        kept = kept_digests(before[record["seed"]], record) if record["seed"] in before else []
        write_record(name, record | ({"digests": kept} if kept else {}))
    source = file.read_bytes().decode()
    written = stated(source, outcome.recipe, outcome.records)
    if written != source:
        write_atomically(file, written.encode())
    old, new = (measured_bands(outcome.recipe, records) for records in (outcome.recorded, outcome.records))
    changed = [
        f"{recipes.shown(file)}: {metric} {old.get(metric) or recipes.NOT_RUN} -> {band}"
        for metric, band in new.items()
        if str(old.get(metric)) != str(band)
    ] or [f"{recipes.shown(file)}: the same band"]
    if outcome.recipe.time != time_text(outcome.records):
        before_text, text = outcome.recipe.time or recipes.NOT_RUN, time_text(outcome.records)
        changed.append(f"{recipes.shown(file)}: time {before_text} -> {text}")
    return [f"{recipes.shown(folder_of(name))}: {len(outcome.records)} records", *changed]


def add_digests(outcome: Outcome) -> list[str]:
    """Adds what a recipe's runs ended with on this kind of machine to its records, of which nothing else changes.

    Returns:
        Lines that say what was done, or why nothing was.
    """
    name, before = outcome.recipe.name, {record["seed"]: record for record in outcome.recorded}
    if any(holds == "no" for *_, holds, _ in outcome.rows()):
        return [f"{name}: nothing added, since it does not hold"]
    if not all(record["seed"] in before for record in outcome.records):
        return [f"{name}: nothing added, since it has records of {len(before)} seeds; --update makes them"]
    added = {}
    for record in outcome.records:
        digest, old = digests_of(record)[0], before[record["seed"]]
        if digest["kind"] is None:
            return [f"{name}: nothing added, since this system does not tell what kind of processor it has"]
        if not same_config(old, record):
            return [f"{name}: nothing added, since the config of its records is another one; --update replaces them"]
        same = of_kind(digests_of(old), digest["kind"])
        if same and same["state_sha256"] != digest["state_sha256"]:
            return [f"{name}: nothing added, since this kind of machine is recorded with other bits"]
        if not same:
            added[record["seed"]] = old | {"digests": [*old.get("digests", []), digest]}
    for record in added.values():
        write_record(name, record)
    machine = provenance.machine_text(kind_of(outcome.records[0]) or {})
    return [f"{recipes.shown(folder_of(name))}: {len(added)} digests added of {machine}"]


def stated(source: str, recipe: Recipe, records: list[dict[str, Any]]) -> str:
    """The text of a config file with the band and the time that records give."""
    lines = measured_lines(bands_of(records, metrics_of(recipe, records))) + time_lines(records)
    return _MEASURED.sub(lambda _: lines, _TIME.sub("", source, count=1), count=1)


def measured_texts(bands: dict[str, Band]) -> tuple[str, ...]:
    """What stands behind each `Measured:` of a docstring."""
    seeds = next(iter(bands.values())).seeds
    what = f"mean and standard deviation of the last epoch over seeds 0 to {seeds - 1}"
    ends = [what, *["likewise"] * (len(bands) - 1)]
    return tuple(f"{metric} {figure(band)}, {end}" for (metric, band), end in zip(bands.items(), ends, strict=True))


def figure(band: Band) -> str:
    """Mean and deviation, as they are written for people."""
    return f"{band.mean:.4f} +- {band.deviation:.4f}"


def measured_lines(bands: dict[str, Band]) -> str:
    """The lines `Measured:` of a docstring."""
    return "".join(_lines("Measured:", text) for text in measured_texts(bands))


def seconds_text(records: list[dict[str, Any]]) -> str:
    """How long a run takes, as the README has it."""
    return f"{median_seconds(records):.0f} s"


def time_text(records: list[dict[str, Any]]) -> str:
    """How long a run takes, and where."""
    machines = dict.fromkeys(
        f"{hardware['cores']} cores of {' '.join(hardware['processor'].split())}"
        for hardware in (record["run"]["hardware"] for record in records)
    )
    what = f"median of {len(records)} runs on {' and '.join(machines)}"
    return f"{seconds_text(records)}, {what}, without the import of TensorFlow"


def time_lines(records: list[dict[str, Any]]) -> str:
    """The lines `Time:` of a docstring."""
    return _lines("Time:", time_text(records))


def _lines(key: str, text: str) -> str:
    """A section of a docstring."""
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=key.ljust(11),
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)


def disagreements(names: list[str]) -> list[str]:
    """Where configs, records and README do not say the same, a line each; reads files and runs nothing."""
    paths = {page: recipes.ROOT / page for page in PAGES}
    texts = {page: path.read_text(encoding="utf-8") for page, path in paths.items() if path.is_file()}
    lines = []
    for name in names:
        try:
            recipe, records = read_recipe(name), read_records(name)
            check_records(recipe, records)
            lines += [*_against_records(recipe, records), *_against_pages(recipe, records, texts)]
        except RequestError as error:
            lines.append(str(error))
    lost = [name for name in recorded_recipes() if not (recipes.CONFIGS / f"{name}.py").exists()]
    return lines + [f"results/{name} has no configs/{name}.py" for name in lost]


def _against_records(recipe: Recipe, records: list[dict[str, Any]]) -> Iterator[str]:
    config, results = f"configs/{recipe.name}.py", f"results/{recipe.name}"
    if not records:
        if recipe.measured != (recipes.NOT_RUN,):
            yield f"{config} states {_quoted(recipe.measured)}, and {results} has no records of it"
        return
    seeds = [record["seed"] for record in records]
    if seeds != list(range(len(seeds))):
        yield f"{results} has seeds {', '.join(map(str, seeds))}; they must be 0 to N"
    config_now = load_config(str(recipes.CONFIGS / f"{recipe.name}.py"))
    for record in records:
        label = f"{results}/{record['seed']}.json"
        try:
            changed = differences(
                recorded_config(record["fields"]), dataclasses.replace(config_now, seed=record["seed"])
            )
        except (TypeError, ValueError, KeyError) as error:
            yield f"{label} holds no config of this version: {error}"
            continue
        for field, (old, new) in changed.items():
            yield f"{label} was made with {field} {old!r}, {config} has {new!r}"
    if alike := same_states(records):
        yield f"{results}: {alike}"
    measured = measured_texts(bands_of(records, metrics_of(recipe, records)))
    if recipe.measured != measured:
        yield f"{config} states {_quoted(recipe.measured)}, {results} gives {_quoted(measured)}"
    if recipe.time != time_text(records):
        yield f"{config} states the time {recipe.time or recipes.NOT_RUN}, {results} gives {time_text(records)}"


def _quoted(texts: Sequence[str]) -> str:
    return " and ".join(f"'{text}'" for text in texts)


def _against_pages(recipe: Recipe, records: list[dict[str, Any]], texts: Mapping[str, str]) -> Iterator[str]:
    """Where the recipe's row in a table of `PAGES` says something else."""
    pattern = re.compile(rf"^\| *\[?`?configs/{re.escape(recipe.name)}\.py\b.*$", re.MULTILINE)
    page, row = next(((page, row) for page, text in texts.items() if (row := pattern.search(text))), ("", None))
    if row is None:
        yield f"neither {' nor '.join(PAGES)} has a row of configs/{recipe.name}.py"
        return
    said = " ".join(row[0].replace("±", "+-").split())
    if records:
        for metric, band in bands_of(records, metrics_of(recipe, records)).items():
            if figure(band) not in said:
                yield f"results/{recipe.name} gives {metric} {figure(band)}, {page}'s row has other figures"
        if f"| {seconds_text(records)} |" not in said:
            yield f"results/{recipe.name} gives the time {seconds_text(records)}, {page}'s row has another one"
        return
    if "+-" in said:
        yield f"{page} states a band of configs/{recipe.name}.py, which is {recipes.NOT_RUN}"
    published = recipe.published_figures.values()
    if published and not any(value in said for value in published):
        yield f"{page}'s row of configs/{recipe.name}.py lacks the published {next(iter(published))}"
