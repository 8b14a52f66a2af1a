"""Config files, records and README say the same: what is written into docstrings, and what disagrees."""

import dataclasses
import re
import statistics
import textwrap
from collections.abc import Iterator
from typing import Any

from zoo.baselines import recipes
from zoo.baselines.bands import Band, bands_of
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
from zoo.config import ExperimentConfig, differences, load_config
from zoo.errors import RequestError
from zoo.runs import provenance
from zoo.runs.files import write_atomically

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
    changed = [
        f"{recipes.shown(file)}: {metric} {outcome.recipe.bands[metric] or recipes.NOT_RUN} -> {band}"
        for metric, band in bands_of(outcome.records, list(outcome.recipe.bands)).items()
        if str(outcome.recipe.bands[metric]) != str(band)
    ] or [f"{recipes.shown(file)}: the same band"]
    if outcome.recipe.time != time_text(outcome.records):
        before_text, text = outcome.recipe.time or recipes.NOT_RUN, time_text(outcome.records)
        changed.append(f"{recipes.shown(file)}: time {before_text} -> {text}")
    return [f"{recipes.shown(folder_of(name))}: {len(outcome.records)} records", *changed]


def add_digests(outcome: Outcome) -> list[str]:
    """Adds what a recipe's runs ended with on this kind of machine to its records, which are else left as they are.

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
        own, old = digests_of(record)[0], before[record["seed"]]
        if own["kind"] is None:
            return [f"{name}: nothing added, since this system does not tell what kind of processor it has"]
        if not same_config(old, record):
            return [f"{name}: nothing added, since the config of its records is another one; --update replaces them"]
        same = of_kind(digests_of(old), own["kind"])
        if same and same["state_sha256"] != own["state_sha256"]:
            return [f"{name}: nothing added, since this kind of machine is recorded with other bits"]
        if not same:
            added[record["seed"]] = old | {"digests": [*old.get("digests", []), own]}
    for record in added.values():
        write_record(name, record)
    machine = provenance.machine_text(kind_of(outcome.records[0]) or {})
    return [f"{recipes.shown(folder_of(name))}: {len(added)} digests added of {machine}"]


def stated(source: str, recipe: Recipe, records: list[dict[str, Any]]) -> str:
    """The text of a config file with the band and the time that records give."""
    lines = measured_lines(bands_of(records, list(recipe.bands))) + time_lines(records)
    return _MEASURED.sub(lambda _: lines, _TIME.sub("", source, count=1), count=1)


def measured_lines(bands: dict[str, Band]) -> str:
    """The lines `Measured:` of a docstring."""
    seeds = next(iter(bands.values())).seeds
    what = f"mean and standard deviation of the last epoch over seeds 0 to {seeds - 1}"
    lines = []
    for metric, band in bands.items():
        text = f"{metric} {band.mean:.4f} +- {band.deviation:.4f}, {'likewise' if lines else what}"
        lines.append(_lines("Measured:", text))
    return "".join(lines)


def time_text(records: list[dict[str, Any]]) -> str:
    """How long a run takes, and where: the median of what the runs measured of themselves.

    A run begins with its data, when TensorFlow is imported, and ends when all but its result is written.
    """
    seconds = statistics.median(record["result"]["wall_seconds"] for record in records)
    machines = dict.fromkeys(
        f"{hardware['cores']} cores of {' '.join(hardware['processor'].split())}"
        for hardware in (record["run"]["hardware"] for record in records)
    )
    what = f"median of {len(records)} runs on {' and '.join(machines)}"
    return f"{seconds:.0f} s, {what}, without the import of TensorFlow"


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
    readme = (recipes.ROOT / "README.md").read_text(encoding="utf-8")
    found = []
    for name in names:
        try:
            recipe, records = read_recipe(name), read_records(name)
            found += [*_against_records(recipe, records), *_against_readme(recipe, readme)]
        except RequestError as error:
            found.append(str(error))
    lost = [name for name in recorded_recipes() if not (recipes.CONFIGS / f"{name}.py").exists()]
    return found + [f"results/{name} has no configs/{name}.py" for name in lost]


def _against_records(recipe: Recipe, records: list[dict[str, Any]]) -> Iterator[str]:
    config, results = f"configs/{recipe.name}.py", f"results/{recipe.name}"
    if not records:
        if any(recipe.bands.values()):
            yield f"{config} states a band, and {results} has no records of it"
        return
    seeds = [record["seed"] for record in records]
    if seeds != list(range(len(seeds))):
        yield f"{results} has seeds {', '.join(map(str, seeds))}; they must be 0 to N"
    given = load_config(str(recipes.CONFIGS / f"{recipe.name}.py"))
    for record in records:
        label = f"{results}/{record['seed']}.json"
        try:
            changed = differences(ExperimentConfig(**record["fields"]), dataclasses.replace(given, seed=record["seed"]))
        except (TypeError, ValueError, KeyError) as error:
            yield f"{label} holds no config of this version: {error}"
            continue
        for field, (old, new) in changed.items():
            yield f"{label} was made with {field} {old!r}, {config} has {new!r}"
    if alike := same_states(records):
        yield f"{results}: {alike}"
    for metric, band in bands_of(records, list(recipe.bands)).items():
        written = recipe.bands[metric]
        if str(written) != str(band):
            yield f"{config} states {metric} {written or recipes.NOT_RUN}, {results} gives {band}"
    if recipe.time != time_text(records):
        yield f"{config} states the time {recipe.time or recipes.NOT_RUN}, {results} gives {time_text(records)}"


def _against_readme(recipe: Recipe, readme: str) -> Iterator[str]:
    row = re.search(rf"^\| *\[?`?configs/{re.escape(recipe.name)}\.py\b.*$", readme, re.MULTILINE)
    if row is None:
        yield f"README.md has no row of configs/{recipe.name}.py"
        return
    said = " ".join(row[0].replace("±", "+-").split())
    bands = {metric: band for metric, band in recipe.bands.items() if band}
    for metric, band in bands.items():
        figure = f"{band.mean:.4f} +- {band.deviation:.4f}"
        if figure not in said:
            yield f"configs/{recipe.name}.py states {metric} {figure}, README.md's row has other figures"
    seconds = recipe.time.partition(",")[0]
    if bands and f"| {seconds} |" not in said:
        yield f"configs/{recipe.name}.py states the time {seconds}, README.md's row has another one"
    if not bands and "+-" in said:
        yield f"README.md states a band of configs/{recipe.name}.py, which is {recipes.NOT_RUN}"
    figures = recipe.published_figures.values()
    if not bands and figures and not any(figure in said for figure in figures):
        yield f"README.md's row of configs/{recipe.name}.py lacks the published {next(iter(figures))}"
