"""What a run is about to do, in a few lines for a person, so that a mistake is seen before it has cost anything."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.tasks.labels import class_counts
from zoo.training.checks import unsettled_momentum
from zoo.training.experiment import Experiment
from zoo.training.rates import rate_factors

# Classes are named while they fit into so many characters.
_WIDTH = 66


def introduction(experiment: Experiment, workdir: str) -> list[str]:
    """The lines of the summary, and of what a person should know of the run first."""
    lines = [f"{name:<10} {text}" for name, text in summary(experiment, workdir)]
    # A task of another package may have no warnings.
    lines += [f"warning: {warning}" for warning in getattr(experiment.data.task, "warnings", ())]
    if experiment.config.freeze and not experiment.config.init_weights:
        lines.append("warning: there are no init_weights, so what freeze names is frozen as it was drawn at random")
    with _thawed(experiment):
        momentum = unsettled_momentum(
            experiment.config, experiment.model, experiment.total_steps - experiment.thaw_step
        )
    if momentum is not None:
        lines.append(
            f"warning: {experiment.total_steps} steps are too few for the moving statistics of batch normalisation "
            f"(momentum {momentum:g}); --recompute_batch_norm=20 takes them anew"
        )
    return lines


def summary(experiment: Experiment, workdir: str) -> list[tuple[str, str]]:
    """Rows of a name and what is to be said of it."""
    config, data, backend = experiment.config, experiment.data, experiment.backend
    train, evaluation = data.train.num_examples, data.evaluation.num_examples
    steps = experiment.steps_per_epoch
    visited = steps * config.batch_size
    left = f", {visited:,} of {train:,} an epoch" if visited < train else ""
    cropped = f"center_crop {config.center_crop:g}" if config.center_crop else ""
    return [
        ("model", f"{config.model}, {experiment.freezing.parameters()['parameters']:,} trainable parameters"),
        *_start(experiment.started_from),
        *_fine_tuning(experiment),
        ("data", f"{config.dataset}: {config.train_split} {train:,}, {config.eval_split} {evaluation:,} examples"),
        *_classes(experiment),
        ("images", ", ".join(filter(None, [" x ".join(map(str, data.image_shape)), cropped, config.augment]))),
        ("steps", f"{experiment.total_steps:,}: {config.epochs} x {steps:,} of {config.batch_size} examples{left}"),
        ("runs on", f"{backend.description}, {config.precision}"),
        ("writes to", workdir),
    ]


def _start(started_from: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """A row of the weights that a run begins with, where they are not random."""
    if not started_from:
        return []
    new = f"; new: {', '.join(started_from['new_layers'])}" if started_from["new_layers"] else ""
    because = f", {started_from['new_because']}" if new and started_from["new_because"] else ""
    return [("weights", f"{started_from['name']}{new}{because}")]


def _fine_tuning(experiment: Experiment) -> list[tuple[str, str]]:
    """A row of what is trained, where that is not all from the first step and at one rate."""
    config, said = experiment.config, []
    if config.freeze:
        parameters = experiment.freezing.parameters()
        frozen = parameters["trained_parameters"] < parameters["parameters"]
        said.append(
            f"{parameters['trained_parameters']:,} of {parameters['parameters']:,} parameters" if frozen else "all"
        )
        if config.unfreeze_epoch:
            said.append(
                f"all after epoch {config.unfreeze_epoch}" if frozen else f"since epoch {config.unfreeze_epoch}"
            )
    with _thawed(experiment):
        factors = rate_factors(config, experiment.model)
    if min(factors) != max(factors):
        said.append(f"at {min(factors):.3g} to {max(factors):.3g} of the learning rate")
    return [("trained", ", ".join(said))] if said else []


def _classes(experiment: Experiment) -> list[tuple[str, str]]:
    """A row for each label of classes: how many there are, and how many examples each has in both splits."""
    config, data = experiment.config, experiment.data
    rows = []
    for label in data.task.labels:
        if not label.num_classes:
            continue
        splits = {config.train_split: data.train, config.eval_split: data.evaluation}
        counts = {
            split: numbers
            for split, source in splits.items()
            if (numbers := class_counts(source, label.name, label.num_classes)) is not None
        }
        names = data.train.features[label.name].class_names
        name = "classes" if len(data.task.labels) == 1 else label.name
        rows.append((name, f"{label.num_classes:,}{_counted(counts, names)}"))
    return rows


def _counted(counts: dict[str, np.ndarray], names: tuple[str, ...]) -> str:
    """How many examples classes have: of each, where there are few, else the fewest and the most."""
    if not counts:
        return ""
    # Of what the model leaves out there is nothing to say.
    each = zip(names, *(numbers.tolist() for numbers in counts.values()), strict=False)
    named = ", ".join(f"{name} {' + '.join(map(str, numbers))}" for name, *numbers in each)
    if len(named) <= _WIDTH:
        return f": {named} ({' + '.join(counts)})"
    ranges = [f"{numbers.min():,} to {numbers.max():,} of {split}" for split, numbers in counts.items()]
    return f", each with {', '.join(ranges)}"


def _thawed(experiment: Experiment) -> contextlib.AbstractContextManager[None]:
    """The model is in here as it will be trained in the end."""
    return experiment.freezing.lifted() if experiment.config.unfreeze_epoch else contextlib.nullcontext()
