"""The folder of a run: which run it belongs to, whether that is finished, and its records.

This module imports no TensorFlow, so that a request which the folder alone can answer is answered at once.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoo.config import ExperimentConfig, differences, image_folder, recorded_config
from zoo.errors import RequestError
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.files import remove_leftovers, write_json, writing
from zoo.runs.preprocessing import Preprocessing

# Under this name `run.json` has what a run says of the weights that it began with.
STARTED_FROM = "init_weights"


class Workdir:
    """The folder of a run.

    Args:
        path: the folder; it need not exist, and nothing is written before `open`.

    Attributes:
        checkpoints, tensorboard: folders in it.
        metrics, model: the files `metrics.jsonl` and `model.keras`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.metrics = self.path / "metrics.jsonl"
        self.model = self.path / "model.keras"

    def config(self) -> ExperimentConfig | None:
        """The config of the run that the folder holds, None where it holds none.

        Raises:
            RequestError: the record cannot be read.
        """
        recorded = self._read("config.json")
        if recorded is None:
            return None
        try:
            return recorded_config(recorded)
        except (TypeError, ValueError) as error:
            raise RequestError(f"{self.path / 'config.json'} is not a config of this version: {error}") from error

    def recorded_config(self) -> ExperimentConfig:
        """The config of the run that the folder holds.

        Raises:
            RequestError: it holds none, or the record cannot be read.
        """
        recorded = self.config()
        if recorded is None:
            raise RequestError(f"there is no run in {self.path}; train first")
        return recorded

    def check(self, config: ExperimentConfig) -> None:
        """Raises a `RequestError` unless a run of this config can begin or go on here.

        It cannot where the path is no folder or cannot be written to, and where the folder holds a run with another
        config. More `epochs` are no other config: the run goes on from its end.
        """
        _check_writable(self.path)
        self._check_no_images(config)
        recorded = self.config()
        if recorded is None:
            if self.checkpoints.exists() or self.result() is not None:
                raise RequestError(f"workdir {self.path} holds a run without its config.json; name another folder")
            return
        # A run that saved nothing binds nobody.
        changed = differences(recorded, config) if self._holds_results() else {}
        if changed.keys() == {"epochs"}:
            self._check_extension(*changed["epochs"])
        elif changed:
            fields = ", ".join(f"{name} ({old!r} there, {new!r} here)" for name, (old, new) in changed.items())
            raise RequestError(
                f"workdir {self.path} holds a run with another {fields}; name another folder with --workdir"
            )

    def _check_no_images(self, config: ExperimentConfig) -> None:
        """Refuses to write among the images of a folder, where files of a run would become a class.

        Beside `train` and `test` they would not.
        """
        folder, path = image_folder(config.dataset), self.path.resolve()
        if folder is None:
            return
        images = Path(folder).resolve()
        if images not in (path, *path.parents):
            return
        if path == images or not any(beside.name.lower().startswith("train") for beside in images.glob("*")):
            raise RequestError(f"workdir {self.path} lies in {folder}, among the images; name another with --workdir")

    def _check_extension(self, old: int, new: int) -> None:
        """Refuses to make a run shorter, and to go on from an end that is not there."""
        if new < old:
            raise RequestError(
                f"epochs is {new}; the run in {self.path} has {old}, and none can be taken away; name another --workdir"
            )
        result = self.result()
        if result is not None and result["steps"] not in Checkpoints(self.checkpoints).steps():
            raise RequestError(
                f"epochs is {new}; the run in {self.path} cannot go on from its end, its checkpoint of step "
                f"{result['steps']} is gone; name another --workdir"
            )

    def finished(self, config: ExperimentConfig) -> dict[str, Any] | None:
        """The result of the run of this config, None where it is not finished or shall have more epochs now."""
        result = self.result()
        return result if result is not None and result["epochs"] == config.epochs else None

    def result(self) -> dict[str, Any] | None:
        """The result of the finished run, None where none is finished."""
        return self._read("result.json")

    @contextlib.contextmanager
    def open(self, config: ExperimentConfig) -> Iterator[None]:
        """Makes the folder and keeps other processes out while it is open; what it records, `begin` writes.

        The lock is the operating system's, so a process that dies holds it no longer. What such a process was
        writing is removed.

        Raises:
            RequestError: as in `check`, or another process runs in the folder.
            RunError: the system refuses to write.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", fallback_to_soft=False).acquire(timeout=0)
        except Timeout as error:
            raise RequestError(
                f"another process is running in workdir {self.path}; wait for it, or name another folder"
            ) from error
        except NotImplementedError as error:
            raise RequestError(
                f"workdir {self.path} is on a file system that cannot lock files; name another folder with --workdir"
            ) from error
        except OSError as error:
            raise RequestError(
                f"workdir {self.path} cannot be written to ({error.strerror}); name another folder with --workdir"
            ) from error
        with lock:
            # Another process may have come and gone since the request was checked.
            self.check(config)
            with writing(self.path):
                remove_leftovers(self.path)
                remove_leftovers(self.checkpoints)
            yield

    def begin(self, config: ExperimentConfig) -> None:
        """Records whose the folder is, after all that could be refused has been, and that the run is not finished.

        Where the run is given more epochs, `run.json` records it under `extended`.

        Raises:
            RunError: the system refuses to write.
        """
        recorded = self.config()
        if recorded is not None and recorded.epochs != config.epochs and self._holds_results():
            self._record_extension(recorded.epochs, config.epochs)
        write_json(self.path / "config.json", dataclasses.asdict(config))
        if self.finished(config) is None:
            with writing(self.path):
                (self.path / "result.json").unlink(missing_ok=True)

    def _record_extension(self, old: int, new: int) -> None:
        """Adds to `run.json` from how many epochs to how many, from which step on, when, and the result so far."""
        # One that was recorded by a process that died before it had begun.
        extended = [part for part in self.run().get("extended", []) if part["to"] < new]
        step = Checkpoints(self.checkpoints).steps()[-1]
        part = {"from": old, "to": new, "step": step, "at": now(), "result": self.result()}
        self.write_run(extended=[*extended, part])

    def write_run(self, **values: Any) -> None:
        """Records provenance: adds these values to `run.json`."""
        write_json(self.path / "run.json", {**self.run(), **values})

    def run(self) -> dict[str, Any]:
        """What `run.json` holds; empty where there is none."""
        return self._read("run.json") or {}

    def preprocessing(self) -> Preprocessing | None:
        """What images went through in the run; None where it was not trained."""
        recorded = self.run().get("preprocessing") if self._holds_results() else None
        try:
            return Preprocessing.from_json(recorded) if recorded else None
        except (KeyError, TypeError) as error:
            raise RequestError(f"{self.path / 'run.json'} is damaged: its preprocessing lacks {error}") from error

    def known(self) -> dict[str, Any]:
        """The `statistics` of pixels and what `run.json` says of the weights that the run `started_from`, or None."""
        preprocessing = self.preprocessing()
        started_from = self.run().get(STARTED_FROM) if self._holds_results() else None
        return {"statistics": preprocessing and preprocessing.statistics, "started_from": started_from}

    def write_result(self, result: dict[str, Any]) -> None:
        """Records the result, which is what marks the run as finished."""
        write_json(self.path / "result.json", result)

    def _holds_results(self) -> bool:
        return self.result() is not None or bool(Checkpoints(self.checkpoints).steps())

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self.path / name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise RequestError(f"{self.path / name} is damaged: {error}; name another folder") from error


def _check_writable(path: Path) -> None:
    """Raises a `RequestError` unless a folder is there and can be written to, or can be made."""
    try:
        present = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    except OSError as error:
        raise RequestError(f"workdir {path} cannot be used: {error.strerror}; name another folder") from error
    if not present.is_dir():
        raise RequestError(f"workdir {path} cannot be made: {present} is a file; name a folder")
    if not os.access(present, os.W_OK | os.X_OK):
        raise RequestError(f"workdir {path} cannot be written to; name another folder with --workdir")


# Characters of a digest in a folder's name, and of the words before it.
_DIGEST, _NAME = 6, 60


def default_workdir(
    config: ExperimentConfig, file: str = "", of_file: ExperimentConfig | None = None, strategy: str = "one_device"
) -> str:
    """Where a run goes unless something else is said, so that a request finds its own run again and no other.

    What a config file says goes to `runs/<file>-<seed>`, whatever the seed. A file with fields changed goes to
    `runs/<file>-<digest>-<seed>`, what has no file to `runs/<model>_<dataset>-<digest>-<seed>`. The digest is that of
    all fields but the seed, and of the strategy.

    Args:
        config: of the run.
        file: the config file that it was made from; empty: there is none. Two of one name have one folder.
        of_file: what the file says.
        strategy: where it runs, as `--strategy` has it.
    """
    folder = image_folder(config.dataset)
    dataset = config.dataset.rstrip("/") if folder is None else Path(folder).resolve().name
    name = Path(file).stem or f"{config.model}_{dataset}"
    parts = [re.sub(r"[^\w.,=-]+", "_", name)[:_NAME]]
    as_it_is = of_file is not None and dataclasses.replace(of_file, seed=config.seed) == config
    if not as_it_is or strategy != "one_device":
        parts.append(_digest(config, strategy))
    return str(Path("runs", "-".join([*parts, str(config.seed)])))


def _digest(config: ExperimentConfig, strategy: str) -> str:
    """Of what makes a run another one, the seed aside. A field that is added with a default changes none."""
    # What is equal to each other is written in one way: a path with a slash at its end or without, 0 and 0.0.
    changed = {name: value for name, (_, value) in differences(ExperimentConfig(), config).items() if name != "seed"}
    folder = image_folder(config.dataset)
    if folder is not None:
        changed["dataset"] = f"folder:{os.path.normpath(folder)}"
    text = json.dumps(_with_whole_numbers([changed, strategy]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def _with_whole_numbers(value: Any) -> Any:
    """JSON in which whole numbers are no floats."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
