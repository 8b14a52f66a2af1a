"""Config files: Python with `get_config() -> ExperimentConfig`, run when it is loaded, so load only what you trust."""

import runpy
from pathlib import Path

from zoo.config.experiment import ExperimentConfig
from zoo.errors import RequestError, unknown


def load_config(path: str) -> ExperimentConfig:
    """Runs a config file and returns what its `get_config()` gives.

    Raises:
        RequestError: the file is missing, cannot be run, has no `get_config`, or returns something else.
    """
    file = Path(path)
    try:
        if not file.is_file():
            beside = [str(other) for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
            raise unknown("config file", path, beside)
    except OSError as error:
        raise RequestError(f"config file {path} cannot be read: {error.strerror}") from error
    try:
        namespace = runpy.run_path(path)
        if "get_config" not in namespace:
            raise RequestError(f"{path} has no function get_config()")
        config = namespace["get_config"]()
    except RequestError as error:
        raise RequestError(f"{path}: {error}" if path not in str(error) else str(error)) from error
    except Exception as error:
        raise RequestError(f"{path} failed: {type(error).__name__}: {_one_line(error)}") from error
    if not isinstance(config, ExperimentConfig):
        raise RequestError(f"get_config() of {path} returned {type(config).__name__}, not ExperimentConfig")
    return config


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
