"""Trains and evaluates one experiment: python train.py --config=configs/simple_cnn_digits.py

Every field of the config is a flag too; a flag goes before the config file, the file before the default.
With no flags at all it trains simple_cnn on digits.
"""

import dataclasses
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zoo.analysis.docs.tables import counted
from zoo.cli import console
from zoo.cli.options import CONFIG, DATA_DIR, MEMORY_GIB, Option, print_table
from zoo.config import ExperimentConfig, image_folder, load_config
from zoo.errors import RequestError
from zoo.places.joining import refused_together
from zoo.places.place import Place
from zoo.pretrained.sources import check_is_there
from zoo.runs.workdir import Workdir, default_workdir
from zoo.tasks.known import task_name

# So many classes are shown at the end; of more the worst ones.
MOST_CLASSES, WORST_CLASSES = 20, 10
MODES = ("train_and_evaluate", "evaluate")
ARGUMENTS = ()
OPTIONS = (
    CONFIG,
    Option(
        "workdir",
        "",
        "folder of the run; default: runs/<config name>-<seed>; with flags that change the run, "
        "runs/<config name>-<digest of the config>-<seed>",
    ),
    DATA_DIR,
    MEMORY_GIB,
    Option(
        "strategy",
        "one_device",
        "one_device; mirrored: every GPU; mirrored:N: N GPUs, or where there is none N logical CPU devices; "
        "multi_worker_mirrored: every GPU of several processes; tpu; auto: a TPU, else every GPU, else the CPU",
    ),
    Option("tpu", "", "with --strategy=tpu or auto: the TPU's address, or local"),
    Option(
        "worker_hosts",
        "",
        "with --strategy=multi_worker_mirrored: host:port,host:port; default: those of TF_CONFIG, or of SLURM",
    ),
    Option("worker_index", "", "which of these hosts this one is, from 0; number 0 alone writes"),
    Option(
        "mode",
        MODES[0],
        "train_and_evaluate, or evaluate: evaluates a checkpoint of the workdir, writes nothing",
        choices=MODES,
    ),
    Option("checkpoint", "", "with --mode=evaluate: the step of the checkpoint, or best; default: the newest"),
    Option(
        "profile_steps", "", "first step and end of a trace for TensorBoard, such as 10:20; whole blocks are traced"
    ),
)


def main(options: SimpleNamespace) -> None:
    """Does what the flags say."""
    if options.mode == "evaluate":
        evaluate(options)
    else:
        train(options)


def train(options: SimpleNamespace) -> None:
    """Trains, or goes on, or prints the result of a run that is finished."""
    if options.checkpoint:
        raise RequestError("--checkpoint goes with --mode=evaluate; a run always goes on from its newest checkpoint")
    place = place_of(options)
    of_file = load_config(options.config) if options.config else None
    config = options.fields(of_file or ExperimentConfig())
    workdir = options.workdir or default_workdir(config, options.config, of_file, place.name)
    profile_steps = steps_to_profile(options.profile_steps)
    folder = Workdir(workdir)
    prepare_to_tell(place)
    with refused_together(place):
        folder.check(config)
        result = folder.finished(config)
        if result is None and config.init_weights and folder.known()["started_from"] is None:
            # A misspelt name is answered before TensorFlow has been waited for.
            check_is_there(config.init_weights)
    if result is None:
        console.import_tensorflow(silent=not place.is_chief)
        from zoo.training.loop import train_and_evaluate

        where = {"strategy": place, "data_dir": options.data_dir or None, "memory_gib": options.memory_gib}
        result = train_and_evaluate(config, workdir, profile_steps=profile_steps, **where)
    elif place.is_chief:
        print(f"{workdir} is finished already", file=sys.stderr)
    if place.is_chief:
        print_table(list(result_rows(result, config, workdir).items()))
        print_classes(workdir)
        print_next(config, workdir)


def result_rows(result: dict[str, Any], config: ExperimentConfig, workdir: str) -> dict[str, str]:
    """What came of a run, by what it is called."""
    rate = result["images_per_second"]
    best = {
        f"best {config.eval_split}/{metric}": f"{best['value']:.4f} at step {best['step']}"
        for metric, best in result.get("best", {}).items()
    }
    early = ", stopped early" if result.get("stopped_early") else ""
    return {
        **shown(result["metrics"]),
        **best,
        "steps": f"{result['steps']} ({counted(result['epochs'], 'epoch')}, seed {result['seed']}){early}",
        "seconds": f"{result['wall_seconds']:.1f}" + (f", {rate:,.0f} images/s in training" if rate else ""),
        "state_sha256": result["state_sha256"],
        "workdir": workdir,
    }


def print_classes(workdir: str) -> None:
    """Precision, recall and number of examples of each class, of many classes those with the lowest recall."""
    from zoo.metrics import per_class
    from zoo.runs.answers import read_confusions

    for label, (names, counts) in read_confusions(Path(workdir)).items():
        precision, recall, support = per_class(counts)
        shown = range(len(names))
        if len(names) > MOST_CLASSES:
            shown = sorted(shown, key=lambda number: (support[number] == 0, recall[number]))[:WORST_CLASSES]
        of = f" ({WORST_CLASSES} of {len(names)} with the lowest recall)" if len(shown) < len(names) else ""
        print()
        recalls = [f"{share:.4f}" if count else "-" for share, count in zip(recall, support, strict=True)]
        rows = [(names[i], f"{precision[i]:.4f}", recalls[i], f"{support[i]:,}") for i in shown]
        print_table([(f"{label}{of}", "precision", "recall", "examples"), *rows], right=(1, 2, 3))


def print_next(config: ExperimentConfig, workdir: str) -> None:
    """What is useful to do with a run."""
    folder = shlex.quote(workdir)
    rows = [
        ("a page of it", f"python -m zoo report {folder}"),
        ("beside another", f"python -m zoo compare {folder} RUN"),
    ]
    if image_folder(config.dataset) is not None and task_name(config) == "classification" and not config.condition:
        rows.append(("of a new photo", f'zoo.predict("{workdir}", "new.jpg")'))
    print()
    print_table(rows)


def evaluate(options: SimpleNamespace) -> None:
    """Evaluates a checkpoint; the config is the one the workdir was trained with, and flags go before it."""
    if not (options.workdir or options.config):
        raise RequestError("--mode=evaluate needs --workdir")
    if options.checkpoint not in ("", "best") and not options.checkpoint.isdecimal():
        raise RequestError(f"checkpoint is {options.checkpoint!r}; it must be a step, or best")
    place = place_of(options)
    workdir = options.workdir or workdir_to_evaluate(options, place)
    prepare_to_tell(place)
    with refused_together(place):
        recorded = Workdir(workdir).recorded_config()
    config = options.fields(recorded)
    console.import_tensorflow(silent=not place.is_chief)
    from zoo.training.evaluation import evaluate as evaluate_checkpoint

    result = evaluate_checkpoint(
        config,
        workdir,
        step=int(options.checkpoint) if options.checkpoint.isdecimal() else options.checkpoint or None,
        strategy=place,
        data_dir=options.data_dir or None,
        memory_gib=options.memory_gib,
    )
    if place.is_chief:
        print_table(list({**shown(result["metrics"]), "step": str(result["step"]), "workdir": workdir}.items()))


# Fields that say how a run is evaluated, and no other run.
OF_EVALUATION = ("eval_split", "batch_size")


def workdir_to_evaluate(options: SimpleNamespace, place: Place) -> str:
    """The default folder of the run that was trained with these flags, whatever it was evaluated on.

    Raises:
        RequestError: there is no such run.
    """
    of_file = load_config(options.config)
    config = options.fields(of_file)
    as_in_file = {name: getattr(of_file, name) for name in OF_EVALUATION}
    asked = [config, dataclasses.replace(config, **as_in_file)]
    folders = [default_workdir(one, options.config, of_file, place.name) for one in asked]
    found = [folder for folder in folders if Workdir(folder).config() is not None]
    if not found:
        raise RequestError(f"there is no run of this config in {folders[-1]}; train first, or name its --workdir")
    return found[0]


def place_of(options: SimpleNamespace) -> Place:
    """Where the flags say that it happens."""
    return Place.parse(
        options.strategy, tpu=options.tpu, worker_hosts=options.worker_hosts, worker_index=options.worker_index
    )


def prepare_to_tell(place: Place) -> None:
    """Imports TensorFlow where there are other workers to tell of a refusal, see `refused_together`."""
    if place.has_workers:
        console.import_tensorflow(silent=not place.is_chief)


def steps_to_profile(text: str) -> tuple[int, int] | None:
    """Reads `10:20`."""
    first, _, end = text.partition(":")
    if not text:
        return None
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise RequestError(f"profile_steps is {text!r}; write the first step and the end, as 10:20")
    return int(first), int(end)


def shown(metrics: dict[str, float]) -> dict[str, str]:
    """Metrics to four digits."""
    return {name: f"{value:.4f}" for name, value in metrics.items()}
