"""Trains and evaluates one experiment: python train.py --config=configs/simple_cnn_digits.py

Every field of the config is a flag too; a flag goes before the config file, the file before the default.
With no flags at all it trains simple_cnn on digits. Everything else is `python -m zoo`.
"""

import math
import re
import sys
from pathlib import Path
from typing import Any

from absl import flags

from zoo import config as configs
from zoo.cli import console
from zoo.config import ExperimentConfig
from zoo.errors import RequestError, unknown
from zoo.places.joining import refused_together
from zoo.places.place import Place

MODES = ("train_and_evaluate", "evaluate")
# Flags that say where a run happens, and so are no part of the config: name, default, help.
RUN_FLAGS = (
    ("config", "", "config file, such as configs/resnet20_digits.py; it is run, so trust it"),
    ("workdir", "", "folder of the run; default: runs/<config name>-<seed>"),
    ("data_dir", "", "where datasets are prepared; default: that of tensorflow_datasets"),
    ("memory_gib", "2", "a split that takes less is held in memory; the result does not depend on it"),
    (
        "strategy",
        "one_device",
        "one_device; mirrored: every GPU; mirrored:N: N GPUs, or where there is none N logical CPU devices; "
        "multi_worker_mirrored: every GPU of several processes; tpu; auto: a TPU, else every GPU, else the CPU",
    ),
    ("tpu", "", "with --strategy=tpu or auto: the TPU's address, or local"),
    (
        "worker_hosts",
        "",
        "with --strategy=multi_worker_mirrored: host:port,host:port; default: those of TF_CONFIG, or of SLURM",
    ),
    ("worker_index", "", "which of these hosts this one is, from 0; number 0 alone writes"),
    (
        "mode",
        MODES[0],
        "train_and_evaluate, or evaluate: evaluates a checkpoint of the workdir, writes nothing",
    ),
    ("checkpoint", "", "with --mode=evaluate: the step of the checkpoint, or best; default: the newest"),
    ("profile_steps", "", "first step and end of a trace for TensorBoard, such as 10:20; whole blocks are traced"),
)


def main(argv: list[str]) -> None:
    """Does what the flags say."""
    given = parse_flags(argv)
    if given.help:
        print(help_text())
        return
    if given.mode not in MODES:
        raise unknown("mode", given.mode, MODES)
    if given.mode == "evaluate":
        evaluate(given)
    else:
        train(given)


def train(given: flags.FlagValues) -> None:
    """Trains, or goes on, or prints the result of a run that is finished."""
    from zoo.runs.workdir import Workdir

    if given.checkpoint:
        raise RequestError("--checkpoint goes with --mode=evaluate; a run always goes on from its newest checkpoint")
    place = where(given)
    config = configs.with_flags(configs.load_config(given.config) if given.config else ExperimentConfig(), given)
    workdir = given.workdir or default_workdir(given.config, config)
    folder = Workdir(workdir)
    with refused_together(place["strategy"]):
        folder.check(config)
        result = folder.finished(config)
    if result is None:
        console.import_tensorflow()
        from zoo.training.loop import train_and_evaluate

        result = train_and_evaluate(config, workdir, profile_steps=profile_steps(given.profile_steps), **place)
    elif place["strategy"].is_chief:
        print(f"{workdir} is finished already", file=sys.stderr)
    if not place["strategy"].is_chief:
        return
    rate = result["images_per_second"]
    best = {
        f"best {config.eval_split}/{metric}": f"{of['value']:.4f} at step {of['step']}"
        for metric, of in result.get("best", {}).items()
    }
    early = ", stopped early" if result.get("stopped_early") else ""
    print_table(
        {
            **shown(result["metrics"]),
            **best,
            "steps": f"{result['steps']} ({result['epochs']} epochs, seed {result['seed']}){early}",
            "seconds": f"{result['wall_seconds']:.1f}" + (f", {rate:,.0f} images/s" if rate else ""),
            "state_sha256": result["state_sha256"],
            "workdir": f"{workdir}: model.keras, metrics.jsonl, tensorboard/, result.json",
        }
    )


def where(given: flags.FlagValues) -> dict[str, Any]:
    """The flags that say where a run happens, as `zoo.training.loop` takes them."""
    try:
        memory_gib = float(given.memory_gib)
    except ValueError:
        memory_gib = -1.0
    if not 0 <= memory_gib < math.inf:
        raise RequestError(f"memory_gib is {given.memory_gib!r}; it must be a number of GiB, at least 0")
    place = Place.parse(given.strategy, tpu=given.tpu, worker_hosts=given.worker_hosts, worker_index=given.worker_index)
    if place.has_workers:
        # Where a request is refused, the other workers must be told, see `refused_together`.
        console.import_tensorflow()
    return {"strategy": place, "data_dir": given.data_dir or None, "memory_gib": memory_gib}


def profile_steps(text: str) -> tuple[int, int] | None:
    """Reads `10:20`."""
    first, _, end = text.partition(":")
    if not text:
        return None
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise RequestError(f"profile_steps is {text!r}; write the first step and the end, as 10:20")
    return int(first), int(end)


def evaluate(given: flags.FlagValues) -> None:
    """Evaluates a checkpoint; the config is the one the workdir was trained with, and flags go before it."""
    from zoo.runs.workdir import Workdir

    workdir = given.workdir
    if given.config and not workdir:
        workdir = default_workdir(given.config, configs.with_flags(configs.load_config(given.config), given))
    if not workdir:
        raise RequestError("--mode=evaluate needs --workdir")
    if given.checkpoint not in ("", "best") and not given.checkpoint.isdecimal():
        raise RequestError(f"checkpoint is {given.checkpoint!r}; it must be a step, or best")
    place = where(given)
    with refused_together(place["strategy"]):
        recorded = Workdir(workdir).config()
        if recorded is None:
            raise RequestError(f"there is no run in {workdir}; train first")
    console.import_tensorflow()
    from zoo.training.evaluation import evaluate as evaluate_checkpoint

    result = evaluate_checkpoint(
        configs.with_flags(recorded, given),
        workdir,
        step=int(given.checkpoint) if given.checkpoint.isdecimal() else given.checkpoint or None,
        **place,
    )
    if place["strategy"].is_chief:
        print_table({**shown(result["metrics"]), "step": result["step"]})


def parse_flags(argv: list[str]) -> flags.FlagValues:
    """Reads the arguments.

    Raises:
        ValueError: a flag is unknown or its value has the wrong type, or there is something beside flags.
    """
    values = flags.FlagValues()
    for name, default, text in RUN_FLAGS:
        flags.DEFINE_string(name, default, text, flag_values=values)
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    configs.define_flags(values)
    try:
        rest = values([sys.argv[0], *argv])[1:]
    except flags.Error as error:
        raise RequestError(str(error)) from error
    if rest:
        raise RequestError(f"what is {rest[0]!r}? flags are written as --name=value")
    return values


def default_workdir(config_path: str, config: ExperimentConfig) -> str:
    """runs/<config name>-<seed>, or runs/<model>_<dataset>-<seed> where there is no config file."""
    name = Path(config_path).stem if config_path else f"{config.model}_{config.dataset}"
    # A dataset may be a path.
    name = re.sub(r"[^\w.,=-]+", "_", name)
    return str(Path("runs") / f"{name}-{config.seed}")


def shown(metrics: dict[str, float]) -> dict[str, str]:
    """Metrics to four digits."""
    return {name: f"{value:.4f}" for name, value in metrics.items()}


def print_table(rows: dict[str, object]) -> None:
    """A name and what belongs to it a line."""
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")


def help_text() -> str:
    """Every flag with its default, in groups."""
    lines = [__doc__.strip(), "", "Where and how:"]
    lines += [help_line(name, text, default) for name, default, text in RUN_FLAGS]
    defaults = ExperimentConfig()
    for name, field in configs.FIELDS.items():
        if field.metadata["group"]:
            lines += ["", f"{field.metadata['group']}:"]
        lines.append(help_line(name, field.metadata["help"], getattr(defaults, name)))
    return "\n".join(lines)


def help_line(name: str, text: str, default: object) -> str:
    """One flag of the help."""
    shown = f" [{default}]" if default not in ("", {}) else ""
    return f"  --{name:<24} {text}{shown}"


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
