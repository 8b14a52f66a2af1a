"""Where a result comes from: versions, machine, data, devices."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import processor
from zoo.version import __version__

if TYPE_CHECKING:
    # They need TensorFlow, which whoever asks for the versions alone may do without.
    from zoo.training.data import Data
    from zoo.training.experiment import Experiment


def provenance(experiment: "Experiment") -> dict[str, Any]:
    """What `run.json` says of a run beside its config."""
    data = experiment.data
    return {
        "versions": versions(),
        "dataset": examples(data),
        # What a picture must go through before the model can take it: resize, then (pixels - mean) / deviation.
        "preprocessing": {
            "image_size": data.sizing.size,
            "center_crop": data.sizing.center_crop,
            "interpolation": data.sizing.interpolation,
            "mean": data.normalization.mean,
            "deviation": data.normalization.deviation,
        },
        "hardware": {
            "processor": processor.name(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            **processor.facts(),
            "gpus": gpus(),
        },
        "strategy": experiment.strategy_name,
        "replicas": experiment.strategy.num_replicas_in_sync,
        # A TPU compiles everything with XLA, whoever asks.
        "xla": experiment.engine.jit or experiment.strategy_name == "tpu",
        "seed": experiment.config.seed,
        "command": sys.argv,
    }


def gpus() -> list[dict[str, str]]:
    """The name and the compute capability of each GPU that TensorFlow sees, and the CUDA and cuDNN it was built for."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    built = tf.sysconfig.get_build_info() if found else {}
    details = [tf.config.experimental.get_device_details(gpu) for gpu in found]
    return [
        {
            "name": each.get("device_name", "unknown"),
            "compute_capability": ".".join(map(str, each.get("compute_capability", ()))),
            "cuda": str(built.get("cuda_version", "")),
            "cudnn": str(built.get("cudnn_version", "")),
        }
        for each in details
    ]


def versions() -> dict[str, str | None]:
    """Of what computes a result; None is the commit of an installed zoo."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tensorflow", "keras", "tensorflow-datasets", "numpy")},
        "zoo": __version__,
        "zoo_commit": _commit(),
    }


def examples(data: "Data") -> dict[str, Any]:
    """Of which examples a result is."""
    train, evaluation = data.train, data.evaluation
    return {
        "name": train.name,
        "version": train.version,
        "train_examples": train.num_examples,
        "train_sha256": train.fingerprint,
        "eval_examples": evaluation.num_examples,
        "eval_sha256": evaluation.fingerprint,
        "class_names": {label: list(names) for label, names in data.class_names().items()},
    }


def _commit() -> str | None:
    """The commit of the zoo's own checkout, with `+changes` where the files differ from it."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(checkout)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if status.strip() else commit
