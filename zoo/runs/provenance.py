"""Where a result comes from: versions and machine. Nothing here imports TensorFlow."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo import processor
from zoo.version import __version__

# What a result is computed by, in a checkout.
_CODE = ("zoo", "train.py")


def hardware(gpus: list[dict[str, str]]) -> dict[str, Any]:
    """The machine, as `run.json` has it.

    Args:
        gpus: what each is, see `zoo.places.strategy.gpus`.
    """
    return {
        "processor": processor.name(),
        "cores": _cores(),
        "system": platform.platform(),
        **processor.facts(),
        "gpus": gpus,
    }


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


def _cores() -> int:
    """How many cores this process may use; TensorFlow takes as many threads for an operation unless told otherwise."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _commit() -> str | None:
    """The last commit that changed the zoo's code in its own checkout, with `+changes` where that differs from it.

    Commits of tests and documents are left out, and so are files beside the code: neither changes a result.
    """
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    try:
        commit = _git(checkout, "log", "-1", "--format=%H", "--", *_CODE)
        changes = _git(checkout, "status", "--porcelain", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
