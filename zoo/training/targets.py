"""What of a dataset is learned: labels, the second input, and the episodes of one-shot classification."""

import numpy as np
import tensorflow as tf

from zoo.config import EPISODES, ExperimentConfig, parse_labels
from zoo.data.pairs import Episodes, make_episodes
from zoo.data.sources import ExampleSource, Feature
from zoo.errors import RequestError, unknown
from zoo.metrics import episode_accuracy
from zoo.tasks import OWN_SHARE, Label

# What a batch holds beside features.
RESERVED = ("weight", OWN_SHARE, "same")


def labels_of(config: ExperimentConfig, kind: str, source: ExampleSource) -> tuple[Label, ...]:
    """What the config, or else the dataset, says is learned."""
    weights = parse_labels(config.labels)
    if not weights and kind == "multi_output":
        weights = {name: 1.0 for name, feature in source.features.items() if feature.class_names}
    elif not weights and source.default_label is not None:
        weights = {source.default_label: 1.0}
    if not weights:
        raise RequestError(f"labels must say what is learned; {_features(source)}")
    if kind != "multi_output" and len(weights) > 1:
        raise RequestError(f"labels is {config.labels!r}; {kind} learns one label")
    labels = []
    for name, weight in weights.items():
        feature = _feature(source, "labels", name)
        regression = kind == "multi_output" and feature.dtype.startswith("float")
        if not feature.class_names and not regression:
            raise RequestError(f"labels is {name!r}, which is no class label; {_features(source)}")
        labels.append(Label(name, _num_classes(config, kind, name, source), weight))
    return tuple(labels)


def _num_classes(config: ExperimentConfig, kind: str, label: str, source: ExampleSource) -> int:
    """As many as the dataset names, unless `model_args` says fewer: some hold the last classes out of training."""
    known = len(source.features[label].class_names)
    heads = config.model_args.get("heads")
    if kind == "classification":
        wanted = config.model_args.get("num_classes", known)
    elif kind == "multi_output" and isinstance(heads, dict):
        wanted = heads.get(label, known)
    else:
        wanted = known
    if known and (type(wanted) is not int or not 2 <= wanted <= known):
        raise RequestError(f"model_args gives {label} {wanted!r} classes; {source.name} has {known}")
    return wanted if known else 0


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


def condition_of(config: ExperimentConfig, source: ExampleSource) -> tuple[str, str] | None:
    """The second input and the feature that goes into it."""
    if not config.condition:
        return None
    feature = _feature(source, "condition", config.condition)
    if feature.class_names:
        return "category", config.condition
    if not feature.dtype.startswith("float"):
        raise RequestError(f"condition is {config.condition!r}, neither class label nor numbers; {_features(source)}")
    return "vector", config.condition


def episodes_of(config: ExperimentConfig, label: str, source: ExampleSource) -> Episodes:
    """The fixed episodes of the evaluation split."""
    columns = []
    for field in ("episode_group", "episode_view"):
        name = getattr(config, field)
        if name:
            _feature(source, field, name)
        columns.append(source.column(name) if name else None)
    what = f"{config.eval_split} of {source.name}"
    return make_episodes(
        source.column(label), *columns, ways=config.ways, shots=config.shots, count=EPISODES, what=what
    )


def check_classes(
    config: ExperimentConfig, labels: tuple[Label, ...], train: ExampleSource, evaluation: ExampleSource
) -> None:
    """Refuses splits of which one has classes that the other has not, or that the model does not learn."""
    for label in labels:
        _check_same(config, label.name, train, evaluation)
        _check_shown(label, config.train_split, train)
        _check_shown(label, config.eval_split, evaluation)


def _check_same(config: ExperimentConfig, label: str, train: ExampleSource, evaluation: ExampleSource) -> None:
    ours, theirs = (set(source.features[label].class_names) for source in (train, evaluation))
    if ours != theirs:
        raise RequestError(
            f"the classes of {config.train_split} and {config.eval_split} differ: "
            f"{', '.join(sorted(ours ^ theirs)[:5])} are in one only"
        )


def _feature(source: ExampleSource, field: str, name: str) -> Feature:
    if name in RESERVED:
        raise RequestError(f"{field} is {name!r}, a name that batches use themselves; rename it in the dataset")
    if name not in source.features:
        raise unknown(f"feature in {field}", name, source.features)
    return source.features[name]


def _features(source: ExampleSource) -> str:
    return f"{source.name} has {', '.join(source.features)}"


def pixel_accuracy(source: ExampleSource, episodes: Episodes) -> float:
    """One-shot accuracy of the Euclidean distance between pixels, without any learning."""
    scores = np.empty(episodes.supports.shape)
    for number, (query, supports) in enumerate(zip(episodes.queries, episodes.supports, strict=True)):
        images = source.fetch(tf.constant([query, *supports.reshape(-1)], tf.int64))["image"].numpy().astype(np.float64)
        distances = ((images[1:] - images[0]) ** 2).sum((1, 2, 3))
        # Of several shots the mean is taken, as of the model's scores.
        scores[number] = -np.sqrt(distances).reshape(supports.shape)
    return episode_accuracy(scores, episodes.answers)
