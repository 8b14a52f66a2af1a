"""What of a dataset is learned: labels, and the feature that goes into a second input."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zoo.config import ExperimentConfig, parse_labels
from zoo.data.batches import OWN_SHARE
from zoo.data.sources import ExampleSource, Feature
from zoo.errors import RequestError, unknown
from zoo.tasks.base import Label

# What a batch holds beside features.
RESERVED = ("weight", OWN_SHARE, "same")


def chosen_labels(config: ExperimentConfig, source: ExampleSource) -> dict[str, float]:
    """The labels that the config names, or else the dataset's own one, with their weights in the loss.

    Raises:
        RequestError: neither names one.
    """
    weights = parse_labels(config.labels)
    if not weights and source.default_label is not None:
        return {source.default_label: 1.0}
    return checked_choice(weights, source)


def checked_choice(weights: dict[str, float], source: ExampleSource) -> dict[str, float]:
    """The same labels; raises a `RequestError` where there are none."""
    if not weights:
        raise RequestError(f"labels must say what is learned; {feature_list(source)}")
    return weights


def one_label(config: ExperimentConfig, source: ExampleSource, task: str) -> tuple[str, float]:
    """Name and weight of the only label of a task that learns one.

    Raises:
        RequestError: there is none, or there are several.
    """
    weights = chosen_labels(config, source)
    if len(weights) > 1:
        raise RequestError(f"labels is {config.labels!r}; {task} learns one label")
    return next(iter(weights.items()))


def class_label(
    source: ExampleSource, name: str, weight: float, asked: Mapping[str, Any] = MappingProxyType({}), key: str = ""
) -> Label:
    """A label that sorts into classes.

    Args:
        source: the training split.
        name: of the label.
        weight: of its loss.
        asked: where `model_args` may say how many classes, under the `key`; otherwise as many as the dataset names.
            Fewer are for sets that hold their last classes out of training.
        key: see above.

    Raises:
        RequestError: there is no such label, or not so many classes of it.
    """
    known = len(find_feature(source, "labels", name).class_names)
    if not known:
        raise RequestError(f"labels is {name!r}, which is no class label; {feature_list(source)}")
    wanted = asked.get(key, known)
    if type(wanted) is not int or not 2 <= wanted <= known:
        raise RequestError(f"model_args gives {name} {wanted!r} classes; {source.name} has {known}")
    return Label(name, wanted, weight)


def find_condition(config: ExperimentConfig, source: ExampleSource) -> tuple[str, str] | None:
    """The second input's name and the feature that goes into it; None: the image is the only input.

    Raises:
        RequestError: the feature is neither a class label nor numbers.
    """
    if not config.condition:
        return None
    feature = find_feature(source, "condition", config.condition)
    if feature.class_names:
        return "category", config.condition
    if not feature.dtype.startswith("float"):
        raise RequestError(
            f"condition is {config.condition!r}, neither class label nor numbers; {feature_list(source)}"
        )
    return "vector", config.condition


def no_second_input(config: ExperimentConfig) -> RequestError:
    """The error where `condition` names a feature for an input that the model, or the task, has not."""
    return RequestError(f"model is {config.model!r}, which has no second input; condition must be empty")


def check_classes(config: ExperimentConfig, labels: tuple[Label, ...], splits: Mapping[str, ExampleSource]) -> None:
    """Refuses splits of which one has classes that the other has not, or that the model does not learn.

    Args:
        config: for messages.
        labels: what is learned.
        splits: both of them, by name.
    """
    for label in labels:
        one, other = (set(source.features[label.name].class_names) for source in splits.values())
        if one != other:
            raise RequestError(
                f"the classes of {config.train_split} and {config.eval_split} differ: "
                f"{', '.join(sorted(one ^ other)[:5])} are in one only"
            )
        for split, source in splits.items():
            _check_shown(label, split, source)


def _check_shown(label: Label, split: str, source: ExampleSource) -> None:
    """Refuses a split that shows classes beyond those that the model learns, where there are such."""
    names = source.features[label.name].class_names
    if label.num_classes == len(names):
        return
    most = int(source.column(label.name).max())
    if most >= label.num_classes:
        raise RequestError(
            f"{split} of {source.name} shows class {most} of {label.name}, {names[most]!r}; the model learns "
            f"{label.num_classes}; choose another split, or more classes in model_args"
        )


def find_feature(source: ExampleSource, field: str, name: str) -> Feature:
    """The feature that a field of the config names.

    Raises:
        RequestError: there is none, or a batch needs its name for something else.
    """
    if name in RESERVED:
        raise RequestError(f"{field} is {name!r}, a name that batches use themselves; rename it in the dataset")
    if name not in source.features:
        raise unknown(f"feature in {field}", name, source.features)
    return source.features[name]


def feature_list(source: ExampleSource) -> str:
    """What a dataset has, for messages."""
    return f"{source.name} has {', '.join(source.features)}"
