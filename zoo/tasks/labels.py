"""What of a dataset is learned: labels and the feature that goes into a second input; and whether that can be done."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from zoo.config import ExperimentConfig, parse_labels
from zoo.data.batches import OWN_SHARE
from zoo.data.sources import Description, ExampleSource, Feature
from zoo.data.sources.checked import CheckedSource, values_looked_at, wrong_values
from zoo.data.sources.example_source import most_frequent
from zoo.errors import RequestError, some_of, unknown
from zoo.tasks.base import Label

# What a batch holds beside features.
RESERVED = ("weight", OWN_SHARE, "same")
# So many names stand in a line.
_MOST_SHOWN = 3


def label_options(config: ExperimentConfig) -> dict[str, Any]:
    """What `zoo.data.sources.load_source` must know of what a config learns."""
    return {"labels": tuple(parse_labels(config.labels)), "classes_of": config.train_split}


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
    names = find_feature(source, "labels", name).class_names
    known = len(names)
    if known == 1:
        raise RequestError(f"{name} of {source.name} has one class, {names[0]}; choose a label or a split with two")
    if not known and isinstance(source, Description):
        raise RequestError(f"labels is {name!r}; which classes it has is known once {source.name} is read")
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


def check_classes(
    config: ExperimentConfig, labels: tuple[Label, ...], train: ExampleSource, evaluation: ExampleSource
) -> None:
    """Refuses splits of which one has other classes than the other, or labels that cannot be learned.

    Labels cannot be learned that are outside of the classes, as those of TFDS' unlabelled examples are, -1, or beyond
    those that the model learns; and numbers that are not finite. How many examples are looked at:
    `zoo.data.sources.checked`. Of a dataset that is only described nothing is.

    Args:
        config: of the run.
        labels: what is learned.
        train: the training split, or a `Description`.
        evaluation: the evaluation split, or a `Description`.
    """
    for label in labels:
        one, other = (source.features[label.name].class_names for source in (train, evaluation))
        if one != other:
            differing = sorted({*one} ^ {*other})[:5]
            what = f"{', '.join(differing)} are in one only" if differing else "their order is another"
            raise RequestError(f"the classes of {config.train_split} and {config.eval_split} differ: {what}")
    for field, source in (("train_split", train), ("eval_split", evaluation)):
        for name, num_classes in _known_classes(config, labels, source).items():
            if not isinstance(source, Description):
                check_values(config, field, source, name, num_classes, values_looked_at(source, name))


def check_values(
    config: ExperimentConfig, field: str, source: ExampleSource, name: str, num_classes: int, values: np.ndarray
) -> None:
    """Refuses values of a label that cannot be learned, see `check_classes`.

    Args:
        config: of the run.
        field: which of its fields names the split.
        source: the split.
        name: of the label.
        num_classes: see `zoo.data.sources.checked.wrong_values`.
        values: of its examples, or of some of them, (n, ...).
    """
    wrong = wrong_values(values, num_classes)
    if not wrong.any():
        return
    value, _ = most_frequent(values[wrong])
    same = values == value if value == value else np.isnan(values)
    split, names = getattr(config, field), source.features[name].class_names
    if num_classes and num_classes <= value < len(names):
        raise RequestError(
            f"{split} of {source.name} shows class {value} of {name}, {names[value]!r}; the model learns "
            f"{num_classes}; choose another split, or more classes in model_args"
        )
    count = np.count_nonzero(same.reshape(len(values), -1).any(1))
    examples = f"{len(values)} examples" + ("" if len(values) == source.num_examples else " looked at")
    allowed = f"classes are 0 to {num_classes - 1}" if num_classes else "numbers must be finite"
    raise RequestError(f"{name} is {value} in {count} of {examples} of {split}; {allowed}; choose another {field}")


def checked_column(
    config: ExperimentConfig, field: str, source: ExampleSource, name: str, num_classes: int | None = None
) -> np.ndarray:
    """A label of all examples, none of them outside of its classes (default: those it names); see `check_values`."""
    column = source.column(name)
    if num_classes is None:
        num_classes = len(source.features[name].class_names)
    check_values(config, field, source, name, num_classes, column)
    return column


def checked(
    config: ExperimentConfig, field: str, source: ExampleSource, labels: tuple[Label, ...]
) -> ExampleSource | CheckedSource:
    """The source, whose labels are looked at in the pipeline where `check_classes` did not look at all of them."""
    if source.columns_at_hand:
        return source
    return CheckedSource(source, getattr(config, field), _known_classes(config, labels, source))


def _known_classes(config: ExperimentConfig, labels: tuple[Label, ...], source: ExampleSource) -> dict[str, int]:
    """How many classes each feature has that a batch holds; 0 for numbers."""
    condition = [config.condition] if config.condition else []
    return {
        **{name: len(source.features[name].class_names) for name in condition},
        **{label.name: label.num_classes for label in labels},
    }


def absent_classes(config: ExperimentConfig, labels: tuple[Label, ...], evaluation: ExampleSource) -> tuple[str, ...]:
    """A line for each label of which some classes have no example in the evaluation split, where that is known."""
    lines = []
    for label in () if isinstance(evaluation, Description) else labels:
        counts = class_counts(evaluation, label.name, label.num_classes)
        absent = [] if counts is None else np.flatnonzero(counts == 0)
        if len(absent):
            names = evaluation.features[label.name].class_names
            shown = some_of([names[number] for number in absent], _MOST_SHOWN)
            lines.append(
                f"{config.eval_split} has no example of {len(absent)} of {label.num_classes} classes of {label.name}: "
                f"{shown}"
            )
    return tuple(lines)


def class_counts(source: ExampleSource, label: str, num_classes: int) -> np.ndarray | None:
    """How many examples each class has, int64 (num_classes,).

    Args:
        source: the split, its labels checked.
        label: of classes.
        num_classes: how many of them are learned; 0: the label is of numbers, which are not counted.

    Returns:
        None where nothing is to be counted, or where counting would mean to read all files of the split.
    """
    if not num_classes or not source.columns_at_hand:
        return None
    return np.bincount(source.column(label).astype(np.int64), minlength=num_classes)


def class_weights(config: ExperimentConfig, source: ExampleSource, label: Label) -> np.ndarray | None:
    """What the loss of an example of each class is multiplied by in training, float32 (classes,).

    `balanced`: n / (k * n_c) for a class of n_c of the n examples, where k classes have any (King and Zeng 2001,
    Political Analysis 9:137-163; scikit-learn's `compute_class_weight`), so that the mean over the split is 1, and the
    mean of a batch's losses, divided by its size, has the expectation of the balanced loss. A class without examples
    weighs 0.

    Args:
        config: of the run.
        source: the training split; where its labels are in files, they are read.
        label: of classes.

    Returns:
        None where classes are not weighted.

    Raises:
        RequestError: a label cannot be learned.
    """
    if not config.class_weights:
        return None
    column = checked_column(config, "train_split", source, label.name, label.num_classes)
    counts = np.bincount(column.astype(np.int64), minlength=label.num_classes)
    weights = len(column) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts, weights, 0.0).astype(np.float32)


def check_weighted(config: ExperimentConfig, labels: tuple[Label, ...], task: str) -> None:
    """Refuses class weights where numbers are learned."""
    numbers = [label.name for label in labels if not label.num_classes]
    if config.class_weights and numbers:
        raise RequestError(
            f"class_weights is {config.class_weights!r}; {task} of this config learns numbers, {numbers[0]}; leave "
            "class_weights out"
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
