"""Recipes run again, over several seeds, and held against what their files say was measured.

A recipe is a file of `configs/`. Its docstring states a band, that is mean, standard deviation and number of seeds of a
metric of the last epoch, and the time of a run. Both are made from records, `results/<recipe>/<seed>.json`, which hold
all that a run wrote about itself: `config` and `seed`, `fields` (the resolved config), `result` (result.json), `run`
(run.json without the places of its data and its workdir), and `curve` (the rows of metrics.jsonl). All of it is written
here and nowhere else.

Bits repeat on one kind of machine, accuracy on all of them. So bands come from one set of runs, those of the records,
while a record may also hold `digests`: what the same run ended with on other kinds of machines. Each is `kind` (see
`zoo.runs.provenance.kind`), `zoo_commit` and `state_sha256`. They lie beside the config that they belong to, so
that nobody can change the one without the other.

The rule by which a recipe holds is `compare`. No TensorFlow is imported here: a run is a process of its own.
"""

import ast
import contextlib
import dataclasses
import fnmatch
import functools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.config import EPISODES, ExperimentConfig, differences, load_config
from zoo.errors import Interrupted, RequestError, RunError, unknown
from zoo.runs import provenance
from zoo.runs.files import write_atomically, writing
from zoo.runs.records import load_record, record_files
from zoo.runs.workdir import Workdir

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
RESULTS = ROOT / "results"
# How much of a machine a recipe takes: minutes or an hour of two cores, hours of a GPU, days of several.
TIERS = ("cpu", "cpu-hours", "gpu-hours", "cluster")
NOT_RUN = "not yet run here"
# Of a hundred comparisons in which nothing has changed, one fails by chance; one of mean and one of spread.
CHANCE = 0.01

_WIDTH = 120
_SECTION = re.compile(r"^(\w+): +(.*(?:\n +.*)*)$", re.MULTILINE)
_MEASURED = re.compile(r"(?:^Measured: .*\n(?: .*\n)*)+", re.MULTILINE)
_TIME = re.compile(r"^Time: .*\n(?: .*\n)*", re.MULTILINE)
_FIGURE = re.compile(r"(\w+/\w+) (\d+\.\d{4}) \+- (\d+\.\d{4})")
_LAST_SEED = re.compile(r"over seeds 0 to (\d+)")
_PUBLISHED = re.compile(r"\b(\w+/\w+) (\d+\.\d+)")
# Flags that say where a run happened, and so are left out of its record.
_PLACES = ("--data_dir", "--workdir")


@dataclasses.dataclass(frozen=True)
class Band:
    """What several seeds gave.

    Attributes:
        mean: of the metric's last value.
        deviation: standard deviation of a sample (n - 1); 0 of a single seed, which has none.
        seeds: how many, from 0 on.
    """

    mean: float
    deviation: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" +- {self.deviation:.4f}" if self.seeds > 1 else "") + f" ({self.seeds})"


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
        ValueError: there are no recipes here, or none fits.
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
        ValueError: there is no such file, or its docstring lacks what every recipe says.
    """
    file = CONFIGS / f"{name}.py"
    try:
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    except FileNotFoundError as error:
        raise unknown("recipe", name, (other.stem for other in CONFIGS.glob("*.py"))) from error
    except SyntaxError as error:
        raise RequestError(f"{_shown(file)} cannot be read: {error}") from error
    sections: dict[str, list[str]] = {}
    for key, text in _SECTION.findall(docstring):
        sections.setdefault(key, []).append(" ".join(text.split()))
    for key in ("Tier", "Measured", "Published"):
        if key not in sections:
            raise RequestError(f"the docstring of {_shown(file)} has no line that begins with {key}:")
    tier, published = sections["Tier"][0], sections["Published"][0]
    if tier not in TIERS:
        raise RequestError(f"the tier of {_shown(file)} is {tier!r}; it must be one of {', '.join(TIERS)}")
    figures: dict[str, str] = {}
    others = set()
    for clause in published.split(";"):
        for metric, figure in _PUBLISHED.findall(clause):
            if "another net" in clause and metric not in figures:
                others.add(metric)
            figures.setdefault(metric, figure)
    bands = _bands(" ".join(sections["Measured"]), file) or dict.fromkeys(figures)
    if not bands:
        raise RequestError(f"{_shown(file)} names no metric, neither as measured nor as published")
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
            f"{_shown(file)} says neither that it is {NOT_RUN}, nor METRIC 0.0000 +- 0.0000 over seeds 0 to N; "
            "python -m zoo reproduce --update writes it"
        )
    seeds = int(last_seed[1]) + 1
    if seeds < 2:
        raise RequestError(f"{_shown(file)} states a band of {seeds} seed; a mean and a deviation need at least 2")
    return {metric: Band(float(mean), float(spread), seeds) for metric, mean, spread in figures}


def read_records(name: str) -> list[dict[str, Any]]:
    """The records of a recipe by seed; none where it was not yet run here.

    Raises:
        ValueError: a record cannot be read.
    """
    records = []
    for file in record_files(RESULTS / name):
        record = load_record(file)
        if (record["config"], f"{record['seed']}.json") != (name, file.name):
            whose = f"that of {record['config']}, seed {record['seed']}"
            raise RequestError(f"{_shown(file)} is no record of this recipe and seed: it is {whose}")
        records.append(record)
    return records


def bands_of(records: list[dict[str, Any]], metrics: list[str]) -> dict[str, Band]:
    """The bands that records give.

    Raises:
        ValueError: the runs have no such metric.
    """
    bands = {}
    for metric in metrics:
        values = [record["result"]["metrics"].get(metric) for record in records]
        if None in values:
            raise unknown(f"metric of {records[0]['config']}", metric, records[0]["result"]["metrics"])
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        bands[metric] = Band(statistics.fmean(values), deviation, len(values))
    return bands


def compare(measured: Band, band: Band, least: float) -> tuple[bool, str]:
    """Whether what was measured is what the band says.

    The means may differ by what Student's t test of two samples of equal spread allows: t(0.995) times the pooled
    deviation times sqrt(1/n + 1/m), with n + m - 2 degrees of freedom. That is 2.1 deviations for five seeds against
    five, 5.0 for one against five. The spreads may differ by what the F test allows, in both directions: 4.8 times for
    five against five. One seed has no spread, and only its value is looked at.

    No deviation counts as smaller than what one example is worth, so a band of a few examples' spread is never left
    downwards: five seeds that all give the same pass here. Whether they are one run under several names is told by
    their digests, see `Outcome`.

    The same seeds on another machine give runs that are alike, so that the means differ less than the test expects:
    it fails less often by chance than its one in a hundred.

    Args:
        measured: of at least one seed.
        band: of at least two.
        least: no deviation is taken to be smaller; see `worth`.

    Returns:
        Whether it holds, and why in words.
    """
    # Only the quantiles; scipy.stats would take a second to import.
    from scipy import special

    freedoms = (measured.seeds - 1, band.seeds - 1)
    deviations = (max(measured.deviation, least), max(band.deviation, least))
    pooled = math.sqrt(
        sum(freedom * deviation**2 for freedom, deviation in zip(freedoms, deviations, strict=True)) / sum(freedoms)
    )
    error = pooled * math.sqrt(1 / measured.seeds + 1 / band.seeds)
    apart, allowed = abs(measured.mean - band.mean), special.stdtrit(sum(freedoms), 1 - CHANCE / 2) * error
    holds, words = apart <= allowed, f"mean {apart:.4f} off, at most {allowed:.4f}"
    if measured.seeds > 1:
        (small, few), (large, many) = sorted(zip(deviations, freedoms, strict=True))
        ratio, most = large / small, math.sqrt(special.fdtri(many, few, 1 - CHANCE / 2))
        holds, words = holds and ratio <= most, f"{words}; spread {ratio:.1f} times, at most {most:.1f}"
    return bool(holds), words


def worth(metric: str, eval_examples: int) -> float:
    """What one answer is worth in a metric of the evaluation split: an example, or of one-shot accuracy an episode."""
    return 1 / (EPISODES if metric.rpartition("/")[2].startswith("one_shot_") else eval_examples)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a recipe's runs.

    Runs of several seeds that end with the same variables do not hold, whatever they reached: the seed had no effect.

    Attributes:
        recipe: as its file stood before.
        recorded: the records that were there before.
        records: of the runs, by seed; fewer than asked for where one failed.
        error: the line with which a run failed; empty where none did.
    """

    recipe: Recipe
    recorded: list[dict[str, Any]]
    records: list[dict[str, Any]]
    error: str = ""

    @property
    def fault(self) -> str:
        """Why nothing can be said of the recipe; empty where something can."""
        return f"did not run: {self.error}" if self.error else same_states(self.records)

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """A row for each metric: recipe, metric, measured, band, whether it holds (`yes`, `no`, `-`), why."""
        measured = bands_of(self.records, list(self.recipe.bands)) if self.records and not self.error else {}
        bits = same_bits(self.records, self.recorded)
        return [
            (self.recipe.name, metric, *self._row(metric, measured.get(metric), band, bits))
            for metric, band in self.recipe.bands.items()
        ]

    def _row(self, metric: str, measured: Band | None, band: Band | None, bits: str) -> tuple[str, str, str, str]:
        if self.fault:
            holds, why = "no", self.fault
        elif measured and band:
            held, why = compare(measured, band, worth(metric, self.records[0]["run"]["dataset"]["eval_examples"]))
            holds, why = "yes" if held else "no", f"{why}{bits and '; '}{bits}"
        else:
            holds, why = "-", ""
        if not band:
            why = f"{why}{why and '; '}published: {self.recipe.published}"
        return str(measured or "-"), str(band or NOT_RUN), holds, why


def same_bits(records: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> str:
    """How the bits of runs compare with what is recorded of the same seeds; empty where there are no records of them.

    Only digests of the same kind of machine can tell that something changed. Those of other and unknown kinds are
    looked at where there are no others, since equal bits are worth knowing, and different ones mean nothing.
    """
    before = {record["seed"]: digests_of(record) for record in recorded}
    runs = [(record["result"]["state_sha256"], kind_of(record), before.get(record["seed"])) for record in records]
    runs = [(digest, kind, known) for digest, kind, known in runs if known]
    if not runs:
        return ""
    alike = [(digest, _of_kind(known, kind)) for digest, kind, known in runs]
    alike = [(digest, own["state_sha256"]) for digest, own in alike if own]
    other = sum(digest != own for digest, own in alike)
    if other:
        return f"other bits than recorded on this kind of machine ({other} of {len(alike)})"
    if alike:
        return "same bits" if len(alike) == len(runs) else f"same bits ({len(alike)} of {len(runs)} are recorded)"
    if all(digest in [own["state_sha256"] for own in known] for digest, _, known in runs):
        return "no record of this kind of machine, but the same bits as recorded"
    return "no record of this kind of machine: bits not compared"


def kind_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """The kind of machine of a record's own run, see `zoo.runs.provenance.kind`; None where it is unknown."""
    return provenance.kind(record["run"], record["fields"].get("cpu_threads", 0))


def digests_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What a run ended with, on each kind of machine that its record knows; the kind of its own run may be None."""
    commit = record["run"]["versions"].get("zoo_commit")
    own = {"kind": kind_of(record), "zoo_commit": commit, "state_sha256": record["result"]["state_sha256"]}
    return [own, *record.get("digests", [])]


def _of_kind(digests: list[dict[str, Any]], kind: dict[str, Any] | None) -> dict[str, Any] | None:
    """The digest of a kind of machine; None where there is none, or the kind is unknown."""
    return next((digest for digest in digests if kind is not None and digest["kind"] == kind), None)


def same_states(records: list[dict[str, Any]]) -> str:
    """Which seeds ended with the same variables as another one; empty where all differ."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        seeds.setdefault(record["result"]["state_sha256"], []).append(str(record["seed"]))
    groups = [f"seeds {', '.join(group)}" for group in seeds.values() if len(group) > 1]
    return f"{' and '.join(groups)} ended with the same variables: the seed had no effect" if groups else ""


def reproduce(
    names: list[str], seeds: int, data_dir: str | None, runs: str, *, say: Callable[[str, str], None]
) -> list[Outcome]:
    """Runs recipes over seeds 0, 1, ..., one run after the other, each by the user's own command.

    A finished run in `runs/<recipe>-<seed>` is only read, an unfinished one goes on. A recipe of which a run fails is
    left there, and the next one begins.

    Args:
        names: of the recipes.
        seeds: how many.
        data_dir: where datasets are prepared; default: TFDS' own.
        runs: folder of the workdirs.
        say: takes which run it is, and what of it, at the beginning and at the end of each run.

    Raises:
        ValueError: a recipe or a record cannot be read; nothing was run.
        Interrupted: SIGINT or SIGTERM came; the run in progress has saved its state.
    """
    stated = [(read_recipe(name), read_records(name)) for name in names]
    outcomes = []
    for number, (recipe, recorded) in enumerate(stated):
        records, error = [], ""
        for seed in range(seeds):
            label = f"[{number * seeds + seed + 1}/{len(names) * seeds}] {recipe.name} seed {seed}"
            try:
                records.append(_finished_run(recipe, seed, data_dir, Path(runs), functools.partial(say, label)))
            except (RequestError, RunError) as failure:
                error = str(failure)
                say(label, error)
                break
        outcomes.append(Outcome(recipe, recorded, records, error))
    return outcomes


def _finished_run(
    recipe: Recipe, seed: int, data_dir: str | None, runs: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """The record of a run, which is finished first where it is not."""
    workdir = runs.absolute() / f"{recipe.name}-{seed}"
    config = dataclasses.replace(load_config(str(CONFIGS / f"{recipe.name}.py")), seed=seed)
    record = read_run(recipe.name, config, workdir)
    seconds = 0.0
    if record is None:
        say("goes on" if Workdir(workdir).config() else "begins")
        seconds = _run(recipe.name, seed, data_dir, workdir)
        record = read_run(recipe.name, config, workdir)
    if record is None:
        raise RunError(f"{_shown(workdir)} holds no result although the run ended well")
    bands = bands_of([record], list(recipe.bands))
    metrics = "  ".join(f"{metric} {band.mean:.4f}" for metric, band in bands.items())
    say(f"{metrics}  {f'{seconds:.0f} s' if seconds else 'finished before'}")
    return record


def read_run(name: str, config: ExperimentConfig, workdir: Path) -> dict[str, Any] | None:
    """The record of a finished run; None where it is not finished.

    Args:
        name: of the recipe.
        config: resolved, with the seed.
        workdir: the run's folder.

    Raises:
        ValueError: the folder holds a run with another config, or one that was given more epochs at its end.
    """
    folder = Workdir(workdir)
    folder.check(config)
    result, run = folder.finished(config), folder.run()
    if result is None:
        return None
    if run.get("extended"):
        raise RequestError(f"the run in {_shown(workdir)} was given more epochs at its end; name another --runs")
    run["command"] = [word for word in run["command"] if word.partition("=")[0] not in _PLACES]
    curve = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    fields = dataclasses.asdict(config)
    return {"config": name, "seed": config.seed, "fields": fields, "result": result, "run": run, "curve": curve}


def _run(name: str, seed: int, data_dir: str | None, workdir: Path) -> float:
    """Runs `train.py` to its end and returns the seconds that the whole command took.

    Raises:
        RunError: it failed; the message is its own.
        Interrupted: it was stopped.
    """
    command = [
        sys.executable,
        "train.py",
        f"--config=configs/{name}.py",
        f"--seed={seed}",
        f"--workdir={_shown(workdir)}",
    ]
    if data_dir:
        command.append(f"--data_dir={data_dir if '://' in data_dir else os.path.abspath(data_dir)}")
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        with _forwarding() as (processes, received):
            # In a group of its own the process gets one signal, ours, and not the terminal's beside it.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=0,
            )
            processes.append(process)
            if received:
                process.send_signal(received[0])
            status = process.wait()
        errors.seek(0)
        last = _error_line(errors.read().decode(errors="replace"))
    if received:
        raise Interrupted(received[0], f"{name} seed {seed}: {last or 'stopped'}")
    if status:
        raise RunError(last or f"train.py ended with status {status}")
    return time.monotonic() - began


@contextlib.contextmanager
def _forwarding() -> Iterator[tuple[list[subprocess.Popen], list[int]]]:
    """Passes SIGINT and SIGTERM on to the processes of the first list; the second one tells which came."""
    processes: list[subprocess.Popen] = []
    received: list[int] = []

    def forward(number: int, frame: Any) -> None:
        received.append(number)
        for process in processes:
            process.send_signal(number)

    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield processes, received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _error_line(text: str) -> str:
    """The line of a run's output that says what went wrong: the last error, or else the last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1].removeprefix("error: ")


def check_update(names: list[str], seeds: int) -> None:
    """Raises a `ValueError` where so few seeds cannot take the place of the records that there are."""
    if seeds < 2:
        raise RequestError(f"seeds is {seeds}; a mean and a deviation need at least 2")
    for name in names:
        recorded = len(read_records(name))
        if recorded > seeds:
            raise RequestError(f"seeds is {seeds}; {name} has records of {recorded}, so that --update needs as many")


def update(outcome: Outcome) -> list[str]:
    """Writes the records of a recipe and, from them, band and time into its docstring; says what changed.

    Nothing but the lines `Measured:` and `Time:` is touched; nothing at all where the outcome has a fault. Digests of
    other kinds of machines stay where they still belong to the code, see `_kept_digests`.
    """
    name, file = outcome.recipe.name, CONFIGS / f"{outcome.recipe.name}.py"
    if outcome.fault:
        return []
    before = {record["seed"]: record for record in outcome.recorded}
    for record in outcome.records:
        kept = _kept_digests(before[record["seed"]], record) if record["seed"] in before else []
        _write_record(name, record | ({"digests": kept} if kept else {}))
    source = file.read_bytes().decode()
    written = stated(source, outcome.recipe, outcome.records)
    if written != source:
        write_atomically(file, written.encode())
    changed = [
        f"{_shown(file)}: {metric} {outcome.recipe.bands[metric] or NOT_RUN} -> {band}"
        for metric, band in bands_of(outcome.records, list(outcome.recipe.bands)).items()
        if str(outcome.recipe.bands[metric]) != str(band)
    ] or [f"{_shown(file)}: the same band"]
    if outcome.recipe.time != time_text(outcome.records):
        changed.append(f"{_shown(file)}: time {outcome.recipe.time or NOT_RUN} -> {time_text(outcome.records)}")
    return [f"{_shown(RESULTS / name)}: {len(outcome.records)} records", *changed]


def _write_record(name: str, record: dict[str, Any]) -> None:
    folder = RESULTS / name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / f"{record['seed']}.json", text.encode())


def _kept_digests(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The digests of an old record that stay in the new one: those of other kinds of machines.

    None stays where the config changed, nor where the new run has other bits on a kind that the old record knows: then
    the code changed them, and what other machines would end with now is not known.
    """
    known, kind = digests_of(old), kind_of(new)
    same = _of_kind(known, kind)
    if not _same_config(old, new) or (same and same["state_sha256"] != new["result"]["state_sha256"]):
        return []
    return [digest for digest in known if digest["kind"] not in (None, kind)]


def _same_config(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two records are of one config; a field that an older record lacks has its default there."""
    try:
        return ExperimentConfig(**old["fields"]) == ExperimentConfig(**new["fields"])
    except (TypeError, ValueError):
        return False


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
        if not _same_config(old, record):
            return [f"{name}: nothing added, since the config of its records is another one; --update replaces them"]
        same = _of_kind(digests_of(old), own["kind"])
        if same and same["state_sha256"] != own["state_sha256"]:
            return [f"{name}: nothing added, since this kind of machine is recorded with other bits"]
        if not same:
            added[record["seed"]] = old | {"digests": [*old.get("digests", []), own]}
    for record in added.values():
        _write_record(name, record)
    machine = provenance.machine_text(kind_of(outcome.records[0]) or {})
    return [f"{_shown(RESULTS / name)}: {len(added)} digests added of {machine}"]


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
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = []
    for name in names:
        try:
            recipe, records = read_recipe(name), read_records(name)
            found += [*_against_records(recipe, records), *_against_readme(recipe, readme)]
        except RequestError as error:
            found.append(str(error))
    folders = RESULTS.iterdir() if RESULTS.is_dir() else ()
    lost = sorted(folder.name for folder in folders if not (CONFIGS / f"{folder.name}.py").exists())
    return found + [f"results/{name} has no configs/{name}.py" for name in lost if record_files(RESULTS / name)]


def unknown_code(names: list[str]) -> list[str]:
    """The records of which no commit tells what code made them, a line for each recipe and what they say.

    Raises:
        ValueError: a record cannot be read.
    """
    found = []
    for name in names:
        seeds: dict[str, list[str]] = {}
        for record in read_records(name):
            commit = record["run"]["versions"].get("zoo_commit")
            if commit is None or commit.endswith("+changes"):
                seeds.setdefault(commit or "no commit", []).append(str(record["seed"]))
        found += [f"results/{name}, made at {commit}: seeds {', '.join(own)}" for commit, own in seeds.items()]
    return found


def _against_records(recipe: Recipe, records: list[dict[str, Any]]) -> Iterator[str]:
    config, results = f"configs/{recipe.name}.py", f"results/{recipe.name}"
    if not records:
        if any(recipe.bands.values()):
            yield f"{config} states a band, and {results} has no records of it"
        return
    seeds = [record["seed"] for record in records]
    if seeds != list(range(len(seeds))):
        yield f"{results} has seeds {', '.join(map(str, seeds))}; they must be 0 to N"
    given = load_config(str(CONFIGS / f"{recipe.name}.py"))
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
            yield f"{config} states {metric} {written or NOT_RUN}, {results} gives {band}"
    if recipe.time != time_text(records):
        yield f"{config} states the time {recipe.time or NOT_RUN}, {results} gives {time_text(records)}"


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
        yield f"README.md states a band of configs/{recipe.name}.py, which is {NOT_RUN}"
    figures = recipe.published_figures.values()
    if not bands and figures and not any(figure in said for figure in figures):
        yield f"README.md's row of configs/{recipe.name}.py lacks the published {next(iter(figures))}"


def _shown(path: Path) -> str:
    """A path as it is short: within the repository from its top."""
    with contextlib.suppress(ValueError):
        return os.fspath(path.relative_to(ROOT))
    return os.fspath(path)
