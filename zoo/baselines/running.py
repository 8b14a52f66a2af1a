"""Recipes run again over several seeds, each run by the user's own command in a process of its own.

No TensorFlow is imported here.
"""

import contextlib
import dataclasses
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.baselines import recipes
from zoo.baselines.bands import Band, bands_of, check_records, compare, metrics_of, worth
from zoo.baselines.recipes import Recipe, read_recipe
from zoo.baselines.records import read_records, same_bits, same_states
from zoo.config import ExperimentConfig, load_config
from zoo.errors import Interrupted, RequestError, RunError
from zoo.runs.rows import read_rows
from zoo.runs.workdir import Workdir

# Flags that say where a run happened, and so are left out of its record.
_PLACES = ("--data_dir", "--workdir")
_WINDOWS = os.name == "nt"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a recipe's runs.

    Runs of several seeds that end with the same variables do not hold, whatever they reached: the seed had no effect.

    Attributes:
        recipe: what its file said before the runs.
        recorded: the records that were there before the runs.
        records: those of the runs, by seed; fewer than asked for where a run failed.
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
        metrics = metrics_of(self.recipe, self.recorded or self.records)
        measured = bands_of(self.records, metrics) if self.records and not self.error else {}
        bands = bands_of(self.recorded, metrics) if self.recorded else {}
        bits = same_bits(self.records, self.recorded)
        return [
            (self.recipe.name, metric, *self._row(metric, measured.get(metric), bands.get(metric), bits))
            for metric in metrics
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
        return str(measured or "-"), str(band or recipes.NOT_RUN), holds, why


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
        RequestError: a recipe or a record cannot be read; nothing was run.
        Interrupted: SIGINT or SIGTERM came; the run in progress has saved its state.
    """
    before = [(read_recipe(name), read_records(name)) for name in names]
    for recipe, recorded in before:
        check_records(recipe, recorded)
    outcomes = []
    for number, (recipe, recorded) in enumerate(before):
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
    config = dataclasses.replace(load_config(str(recipes.CONFIGS / f"{recipe.name}.py")), seed=seed)
    record = read_run(recipe.name, config, workdir)
    seconds = 0.0
    if record is None:
        say("goes on" if Workdir(workdir).config() else "begins")
        seconds = _run(recipe.name, seed, data_dir, workdir)
        record = read_run(recipe.name, config, workdir)
    if record is None:
        raise RunError(f"{recipes.shown(workdir)} holds no result although the run ended well")
    bands = bands_of([record], metrics_of(recipe, [record]))
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
        RequestError: the folder holds a run with another config, or one that was given more epochs at its end.
    """
    folder = Workdir(workdir)
    folder.check(config)
    result, run = folder.finished(config), folder.run()
    if result is None:
        return None
    if run.get("extended"):
        raise RequestError(f"the run in {recipes.shown(workdir)} was given more epochs at its end; name another --runs")
    run["command"] = [word for word in run["command"] if word.partition("=")[0] not in _PLACES]
    curve = read_rows(folder.metrics)
    if not curve:
        raise RequestError(f"the run in {recipes.shown(workdir)} has no rows in metrics.jsonl; name another --runs")
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
        f"--workdir={recipes.shown(workdir)}",
    ]
    if data_dir:
        command.append(f"--data_dir={data_dir if '://' in data_dir else os.path.abspath(data_dir)}")
    began = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        with _forwarding() as (processes, received):
            # In a group of its own the process gets one signal, ours, and not the terminal's beside it. Windows has no
            # such signals: there the console's own Ctrl-C reaches the process, as it reaches this one.
            process = subprocess.Popen(
                command,
                cwd=recipes.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=None if _WINDOWS else 0,
            )
            processes.append(process)
            if received and not _WINDOWS:
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
        for process in [] if _WINDOWS else processes:
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
