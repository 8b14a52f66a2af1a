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
            "cores": _cores(),
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


def kind(run: dict[str, Any], cpu_threads: int) -> dict[str, Any] | None:
    """All of a `run.json` that decides the last bits of a result, beside config and code.

    Two runs of one config have the same bits, unless the code changed, where their kinds are equal. Names of
    processors are no part of it: a hypervisor makes them up.

    Args:
        run: what the file holds.
        cpu_threads: the field of the run's config.

    Returns:
        None where the kind is unknown: the file was written before it held these facts, or by a system that does not
        tell vendor, family and model of its processor; or the run went on where another kind of machine had begun it.
    """
    if run.get("mixed_kinds"):
        return None
    hardware = run.get("hardware", {})
    processor_facts = {name: hardware.get(name) for name in ("vendor", "family", "model", "instructions", "onednn")}
    if None in processor_facts.values():
        return None
    return {
        **processor_facts,
        "environment": environment(hardware),
        # The number of cores counts only where each operation takes all of them.
        "threads": cpu_threads or hardware["cores"],
        "gpus": hardware.get("gpus", []),
        "replicas": run.get("replicas", 1),
        "versions": {name: value for name, value in run["versions"].items() if name != "zoo_commit"},
    }


def machine_text(hardware: dict[str, Any]) -> str:
    """The machine in a line, as far as `hardware` of a `run.json`, or a kind, says what it is."""
    parts = [" ".join(hardware["processor"].split())] if hardware.get("processor") else []
    if hardware.get("vendor"):
        parts.append(f"{hardware['vendor']} family {hardware.get('family')} model {hardware.get('model')}")
    if hardware.get("instructions"):
        parts.append(hardware["instructions"])
    if hardware.get("onednn") is not None:
        parts.append(f"oneDNN {'on' if hardware['onednn'] else 'off'}")
    for name, unit in (("cores", "cores"), ("threads", "threads")):
        if name in hardware:
            parts.append(f"{hardware[name]} {unit if hardware[name] != 1 else unit[:-1]}")
    parts += [card["name"] for card in hardware.get("gpus", [])]
    parts += [f"{name}={value}" for name, value in environment(hardware).items()]
    return ", ".join(parts) or "unknown"


def environment(hardware: dict[str, Any]) -> dict[str, str]:
    """The variables that change bits, without the one of which `onednn` says what came of it."""
    return {name: value for name, value in hardware.get("environment", {}).items() if name != processor.ONEDNN}


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


def _cores() -> int:
    """How many cores this process may use; TensorFlow takes as many threads for an operation unless told otherwise."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
