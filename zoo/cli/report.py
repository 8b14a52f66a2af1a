"""Writes a page of a run: curves, mistakes, calibration; or a page of all records."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zoo import baselines
from zoo.analysis.runs.page import check_folder
from zoo.cli import console
from zoo.cli.options import DATA_DIR, MEMORY_GIB, Argument, Option
from zoo.config import load_config
from zoo.errors import RequestError
from zoo.runs import records

ARGUMENTS = (Argument("folder", "of a run, finished or not; or of records, such as results"),)
OPTIONS = (
    Option("output", "", "folder of the page and its figures; default: report in that folder"),
    DATA_DIR,
    MEMORY_GIB,
)


def main(options: SimpleNamespace) -> None:
    """Writes it."""
    folder = Path(options.folder)
    if folder.is_file():
        raise RequestError(f"{folder} is a file; report takes the folder of a run, or a folder of records")
    output = Path(options.output or folder / "report")
    data_dir = options.data_dir or None
    check_folder(output)
    if records.holds_records(folder):
        recipes = known_recipes()
        console.import_tensorflow()
        from zoo.analysis.runs.overview import write_overview

        page = write_overview(folder, output, recipes, data_dir=data_dir)
    else:
        run = records.read(folder)
        if run.unfinished:
            print(f"{run.name} is {run.unfinished}", flush=True)
        console.import_tensorflow()
        from zoo.analysis.runs.report import write_run

        page = write_run(run, output, data_dir=data_dir, memory_gib=options.memory_gib)
    print(f"{page}, and its figures as PNG beside it")


def known_recipes() -> dict[str, Any]:
    """What each recipe says of itself, and its config; none where the zoo is installed without them."""
    if not baselines.CONFIGS.is_dir():
        return {}
    return {
        name: (baselines.read_recipe(name), load_config(str(baselines.CONFIGS / f"{name}.py")))
        for name in baselines.find()
    }
