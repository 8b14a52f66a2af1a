"""Runs recipes again, over seeds, and says whether they still hold, or checks that all files say the same of them."""

import shlex
from types import SimpleNamespace

from zoo import baselines
from zoo.cli.options import DATA_DIR, Argument, Option, print_table, progress
from zoo.errors import Interrupted, RequestError, RunError

ARGUMENTS = (Argument("pattern", "a recipe of configs/, such as mlp_digits, or '*_digits'", default=None),)
OPTIONS = (
    Option("tier", None, "all recipes that take: cpu (minutes), cpu-hours, gpu-hours, cluster"),
    Option("seeds", 5, "how many, from 0 on", least=1),
    DATA_DIR,
    Option("runs", "runs", "folder of the runs; what is there is not run again"),
    Option("update", False, "write records of the runs, and from them the bands"),
    Option(
        "add_digests",
        False,
        "add what the runs end with on this kind of machine to the records; nothing else in them changes",
    ),
    Option("check", False, "run nothing; do recipes, records and README agree?"),
)


def main(options: SimpleNamespace) -> None:
    """Runs or checks them."""
    if not (options.check or options.pattern or options.tier):
        raise RequestError(f"name a recipe, a pattern, or --tier={'|'.join(baselines.TIERS)}")
    if options.check + options.update + options.add_digests > 1:
        raise RequestError("take one of --update, --add_digests and --check")
    names = baselines.find(options.pattern or "*", options.tier)
    if options.check:
        check(names)
        return
    if options.update:
        baselines.check_update(names, options.seeds)
    try:
        outcomes = baselines.reproduce(names, options.seeds, options.data_dir or None, options.runs, say=progress)
    except Interrupted:
        progress("to go on", f"python -m zoo reproduce {shlex.join(options.argv)}")
        raise
    rows = [row for outcome in outcomes for row in outcome.rows()]
    print_table([("recipe", "metric", "measured (seeds)", "band (seeds)", "holds", "why"), *rows])
    write = baselines.update if options.update else baselines.add_digests if options.add_digests else None
    if write:
        print("\n".join(line for outcome in outcomes for line in write(outcome)))
    # A band that was just written holds.
    good = ("yes", "-") if options.update else ("yes",)
    bad = sorted({row[0] for row in rows if row[4] not in good})
    if bad:
        raise RunError(f"not reproduced: {', '.join(bad)}")


def check(names: list[str]) -> None:
    """Prints where configs, records and README do not say the same, and fails then."""
    disagreements = baselines.disagreements(names)
    print("\n".join(disagreements or [f"{len(names)} recipes: configs, records and README agree"]))
    if disagreements:
        raise RunError(f"{len(disagreements)} disagreements; python -m zoo reproduce --update writes bands from runs")
    # Nothing is wrong with such records, but nobody can say what code made them.
    for line in baselines.unknown_code(names):
        progress("note", line)
