"""The same work in the zoo, Keras, PyTorch and JAX, side by side: python -m benchmarks [WORK ...]

Each side is a process of its own, set up as its user would have it, and they take turns. What they did is merged into
results/benchmarks.json, of which docs/benchmarks.md and docs/benchmarks.svg are made; python -m zoo document makes
the table of docs/speed.md of it. A quick look, with --steps, is shown and not recorded.
"""

import argparse
import dataclasses
import fnmatch
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import table
from benchmarks.turns import ROOT, Dropped, play
from benchmarks.works import WORKS, Work
from zoo import processor
from zoo.cli import console
from zoo.errors import RequestError, RunError, unknown
from zoo.runs.files import write_json


def main(argv: Sequence[str]) -> None:
    """Plays the works, and writes what came of each at once: a stop loses the work that is being played."""
    options = parse(argv)
    results = options.output / "results" / "benchmarks.json"
    recorded = read(results)
    if options.tables and not recorded["works"]:
        raise RequestError(f"there is nothing in {results}; run python -m benchmarks without --tables")
    if options.tables:
        table.write_all(recorded, options.output)
        return
    if not options.steps:
        check_machine(recorded, results)
    works = {name: shortened(WORKS[name], options.steps) for name in options.works}
    play_all(works, options, None if options.steps else keeper(recorded, results, WORKS))


def play_all(
    works: dict[str, Work], options: argparse.Namespace, keep: Callable[[str, dict[str, Any]], None] | None
) -> None:
    """Plays works one after the other.

    Args:
        works: by name.
        options: `rounds` and `peer_python`.
        keep: takes the name and the record of each work when it is done; None: nothing is recorded.

    Raises:
        RunError: some could not be played.
    """
    failed = []
    for number, (name, one) in enumerate(works.items(), 1):
        began = time.monotonic()

        def say(text: str, head: str = f"{name} ({number} of {len(works)})", began: float = began) -> None:
            print(f"{head}, {time.monotonic() - began:.0f} s: {text}", flush=True)

        try:
            work = play(one, options.rounds, options.peer_python, say)
        except Dropped as error:
            failed.append(name)
            say(f"not recorded: {error}")
            continue
        except KeyboardInterrupt:
            say(f"stopped and not recorded; what was finished is in {options.output / 'results'}")
            raise
        if keep:
            keep(name, work)
        for line in table.lines(work):
            say(line)
    if failed:
        raise RunError(f"not recorded: {', '.join(failed)}")


def keeper(recorded: dict[str, Any], results: Path, order: Iterable[str]) -> Callable[[str, dict[str, Any]], None]:
    """What `play_all` hands each record to: it merges it into those before, and writes file and tables at once."""

    def keep(name: str, work: dict[str, Any]) -> None:
        nonlocal recorded
        recorded = merged(recorded, name, work, order)
        results.parent.mkdir(parents=True, exist_ok=True)
        write_json(results, recorded)
        of_cpu = results.with_name("benchmarks.json")
        if of_cpu.exists():
            table.write_all(read(of_cpu), results.parents[1])

    return keep


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the arguments.

    Raises:
        RequestError: one of them is wrong.
    """
    parser = make_parser("python -m benchmarks", __doc__, WORKS, rounds=5)
    parser.add_argument("--steps", type=int, default=0, help="a turn has at most so many; not recorded")
    parser.add_argument("--tables", action="store_true", help="run nothing, make tables and plot of what is recorded")
    options = checked(parser.parse_args(argv), WORKS)
    if options.steps < 0:
        raise RequestError(f"steps is {options.steps}; it must be at least 1, or 0 for those of each work")
    return options


class Parser(argparse.ArgumentParser):
    """Reports a wrong request as the commands of the zoo do: one line, exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Raises a `RequestError`."""
        raise RequestError(f"{message}; see {self.prog} --help")


def make_parser(program: str, description: str, works: Iterable[str], *, rounds: int) -> argparse.ArgumentParser:
    """A parser of what every command of benchmarks takes: works, rounds, the peers' Python, where records go."""
    parser = Parser(
        prog=program,
        description=description,
        epilog=f"Works: {', '.join(works)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("works", nargs="*", default=["*"], metavar="WORK", help="or a pattern, 'resnet*'; default: all")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"counted turns of each side; default: {rounds}")
    parser.add_argument(
        "--peer_python",
        default=os.environ.get("PEER_PYTHON", sys.executable),
        help="the Python that has PyTorch and JAX; default: PEER_PYTHON of the environment, else this one",
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT, help="the folder of results/ and docs/; default: the zoo's"
    )
    return parser


def checked(options: argparse.Namespace, works: Iterable[str]) -> argparse.Namespace:
    """The options of `make_parser`, with whole names of works and an absolute peer_python.

    Raises:
        RequestError: one of them is wrong.
    """
    if options.rounds < 1:
        raise RequestError(f"rounds is {options.rounds}; it must be at least 1")
    found = shutil.which(options.peer_python)
    if found is None:
        raise RequestError(f"peer_python is {options.peer_python!r}; there is no such program")
    options.peer_python = os.path.abspath(found)
    options.works = matching(options.works, works)
    return options


def matching(patterns: Sequence[str], works: Iterable[str]) -> list[str]:
    """Those of the works whose names fit any of the patterns, in their order.

    Raises:
        RequestError: a pattern fits none.
    """
    for pattern in patterns:
        if not fnmatch.filter(works, pattern):
            raise unknown("work", pattern, works)
    return [name for name in works if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def shortened(work: Work, steps: int) -> Work:
    """The work with at most so many steps a turn; 0: as it is."""
    return dataclasses.replace(work, steps=min(work.steps, steps or work.steps))


def read(results: Path, **machine: Any) -> dict[str, Any]:
    """What has been recorded; no works where there is nothing yet.

    Args:
        results: the file.
        machine: what a new record says of the machine beside its CPU.

    Raises:
        RequestError: it is no record.
    """
    machine = {**here(), "matmul_gflops": None, **machine}
    if not results.exists():
        return {"machine": machine, "versions": {}, "works": {}}
    try:
        recorded = json.loads(results.read_text())
        return {key: dict(recorded[key]) for key in ("machine", "versions", "works")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{results} is not what python -m benchmarks writes: {error!r}; move it away") from error


def here() -> dict[str, Any]:
    """What figures go together with."""
    return {"processor": processor.name(), "cores": os.cpu_count()}


def check_machine(recorded: dict[str, Any], results: Path) -> None:
    """Raises RequestError where a record is of another machine: its figures do not go with those of this one."""
    there = {name: recorded["machine"].get(name) for name in here()}
    if there != here():
        was = f"{there['cores']} cores of {there['processor']}"
        raise RequestError(f"{results} is of another machine, {was}; move it away, or name another --output")


def merged(recorded: dict[str, Any], name: str, work: dict[str, Any], order: Iterable[str]) -> dict[str, Any]:
    """The record with a work in place of what stood there of it, and all works in an order."""
    works = recorded["works"] | {name: work}
    works = {name: works[name] for name in order if name in works}
    rates = [work["matmul_gflops"] for work in works.values() if work["matmul_gflops"]]
    versions: dict[str, set[str]] = {}
    for one in works.values():
        for package, version in one["versions"].items():
            versions.setdefault(package, set()).add(version)
    return {
        "machine": recorded["machine"] | {"matmul_gflops": statistics.median(rates) if rates else None},
        # Works that were recorded at different times may have several of one package.
        "versions": {package: " and ".join(sorted(found)) for package, found in sorted(versions.items())},
        "works": works,
    }


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
