"""Shows runs side by side: configs, metrics, times, digests, curves."""

from pathlib import Path
from types import SimpleNamespace

from zoo.analysis.runs import compare
from zoo.cli.options import Argument, Option, print_table
from zoo.runs import records

ARGUMENTS = (Argument("RUN", "folder of a run, finished or not, or a record of one", several=True),)
OPTIONS = (Option("output", "", "also write a page with the curves, such as compare.html"),)


def main(options: SimpleNamespace) -> None:
    """Prints them, and writes a page of it where one is asked for."""
    runs = [records.read(Path(run)) for run in options.RUN]
    compared = compare.sections(runs)
    for line in compare.unfinished(runs):
        print(line)
    for title, rows in compared:
        names = [f"{number}: {run.name}" for number, run in enumerate(runs, 1)]
        print_table([(title, *names), *(rows or [("the same in all", *([""] * len(runs)))])])
        print()
    if options.output:
        path = Path(options.output)
        compare.write(runs, path)
        print(f"{path}, and its figures as PNG beside it")
