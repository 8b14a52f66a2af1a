"""Runs as they lie on disk: a workdir, of a run that is finished or not, or a record of a finished one.

A record is what `python -m zoo reproduce` keeps of a run, `results/<config name>/<seed>.json`; what it holds says
`zoo.baselines.records`. This module imports no TensorFlow.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from zoo.config import ExperimentConfig, recorded_config
from zoo.errors import RequestError
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.rows import read_rows
from zoo.runs.workdir import Workdir

BENCHMARKS = "benchmarks.json"
RECORD_KEYS = {"config", "seed", "fields", "result", "run", "curve"}
RESULT_KEYS = (
    *("model", "dataset", "steps", "epochs", "seed", "metrics"),
    *("wall_seconds", "train_seconds", "images_per_second", "state_sha256"),
)
# What a row holds that is no metric; the rate of images is no result.
_NO_METRICS = ("step", "epoch", "split", "images_per_second")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        name: the folder's, or `<config name>/<seed>` of a record.
        config: of the run.
        result: what `result.json` holds; of a run that is not finished only `steps` and `metrics`, as its rows have
            them.
        run: what `run.json` holds.
        curve: the rows of `metrics.jsonl`.
        folder: the workdir; None of a record.
        unfinished: how far a run is that is not finished; empty of one that is.
    """

    name: str
    config: ExperimentConfig
    result: dict[str, Any]
    run: dict[str, Any]
    curve: list[dict[str, Any]]
    folder: Path | None = None
    unfinished: str = ""

    @property
    def class_names(self) -> dict[str, list[str]]:
        """Of each label; empty where `run.json` does not tell them."""
        return self.run.get("dataset", {}).get("class_names", {})


def read(path: Path) -> Run:
    """The run of a workdir or of a record.

    Raises:
        RequestError: there is none, or it is damaged.
    """
    if path.is_file():
        return read_record(path)
    if not path.is_dir():
        raise RequestError(f"there is no {path}; name the folder of a run, or a record")
    workdir = Workdir(path)
    config = workdir.config()
    if config is None:
        raise RequestError(f"{path} holds no run: it has no config.json")
    name, run, result = path.resolve().name, workdir.run(), workdir.result()
    if result is not None and (lack := _lacking(result)):
        raise RequestError(f"{path / 'result.json'} is damaged: {lack}; remove it, and the run's command makes it anew")
    # Where the run shall have more epochs by now, the result is that of a part.
    if result is not None and result["epochs"] == config.epochs:
        return Run(name, config, result, run, read_rows(workdir.metrics), path)
    curve = read_rows(workdir.metrics, unfinished=True)
    result = {"steps": _last_step(workdir, curve), "metrics": _last_metrics(curve)}
    return Run(name, config, result, run, curve, path, _how_far(result["steps"], config, run, curve))


def _lacking(result: Any) -> str:
    """What the result of a run lacks that every result has, in words; empty where it has all."""
    known = result if isinstance(result, dict) else {}
    names = [name for name in RESULT_KEYS if name not in known]
    return f"it lacks {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else "") if names else ""


def _last_step(workdir: Workdir, curve: list[dict[str, Any]]) -> int:
    """The last step that left a trace: a row, or a checkpoint."""
    return max([0, *(row["step"] for row in curve), *Checkpoints(workdir.checkpoints).steps()])


def _last_metrics(curve: list[dict[str, Any]]) -> dict[str, float]:
    """The last value of each metric, by `<split>/<name>`, as `result.json` would have them."""
    besides = (*_NO_METRICS, "learning_rate")
    return {f"{row['split']}/{name}": row[name] for row in curve for name in row if name not in besides}


def _how_far(step: int, config: ExperimentConfig, run: dict[str, Any], curve: list[dict[str, Any]]) -> str:
    """How far a run is that is not finished, and whether its loss stopped being a number."""
    steps_per_epoch = run.get("dataset", {}).get("train_examples", 0) // config.batch_size
    text = f"not finished: step {step:,}" + (f" of {config.epochs * steps_per_epoch:,}" if steps_per_epoch else "")
    broken = next((row for row in curve if not math.isfinite(row.get("loss", 0))), None)
    if broken:
        text += f"; the {broken['split']} loss became {broken['loss']} by step {broken['step']:,}"
    return text


def record_files(folder: Path) -> list[Path]:
    """The records `<seed>.json` in the folder of a recipe, by seed; none where there is no such folder."""
    return sorted((file for file in folder.glob("*.json") if file.stem.isdecimal()), key=lambda file: int(file.stem))


def load_record(file: Path) -> dict[str, Any]:
    """What a record holds.

    Raises:
        RequestError: the file is no record.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{file} cannot be read as a record: {error}") from error
    if not isinstance(record, dict) or not record.keys() >= RECORD_KEYS:
        raise RequestError(f"{file} is no record of a run; one holds {', '.join(sorted(RECORD_KEYS))}")
    return record


def read_record(path: Path) -> Run:
    """The run of a record.

    Raises:
        RequestError: the file is no record, or its config is none of this version.
    """
    record = load_record(path)
    try:
        config = recorded_config(record["fields"])
    except (TypeError, ValueError) as error:
        raise RequestError(f"{path} holds no config of this version: {error}") from error
    if lack := _lacking(record["result"]):
        raise RequestError(f"{path} is no record of a run: {lack} in its result")
    name = f"{record['config']}/{record['seed']}"
    return Run(name, config, record["result"], record["run"], record["curve"])


def holds_records(folder: Path) -> bool:
    """Whether a folder is one of records, or of benchmarks, and not that of a run."""
    if (folder / "config.json").exists():
        return False
    return (folder / BENCHMARKS).exists() or bool(_record_files(folder))


def _record_files(folder: Path) -> list[Path]:
    return [file for recipe_folder in sorted(folder.glob("*")) for file in record_files(recipe_folder)]


def read_records(folder: Path) -> dict[str, list[Run]]:
    """The runs of a folder of records by config name, in the order of their seeds.

    Raises:
        RequestError: a record cannot be read.
    """
    runs: dict[str, list[Run]] = {}
    for file in _record_files(folder):
        runs.setdefault(file.parent.name, []).append(read_record(file))
    return runs


def read_benchmarks(folder: Path) -> dict[str, Any] | None:
    """What `python -m benchmarks` measured; None where it did not.

    Raises:
        RequestError: the file is damaged.
    """
    path = folder / BENCHMARKS
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}") from error


def evaluation_metrics(run: Run) -> dict[str, float]:
    """The final metrics of the evaluation split, by name without the split's."""
    metrics = run.result["metrics"].items()
    return {name.partition("/")[2]: value for name, value in metrics if not name.startswith("train/")}


def curve_metrics(curve: list[dict[str, Any]]) -> list[str]:
    """What a curve shows, in the order in which the names come."""
    return list(dict.fromkeys(name for row in curve for name in row if name not in _NO_METRICS))


def points(curve: list[dict[str, Any]], split: str, metric: str) -> dict[float, float]:
    """A metric of a split by epoch."""
    return {row["epoch"]: row[metric] for row in curve if row["split"] == split and metric in row}
