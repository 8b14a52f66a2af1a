"""What the weights of a run begin as: random, or those of a file, which are loaded once, when the run begins."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from zoo import registry
from zoo.config import ExperimentConfig
from zoo.data.transform import Statistics
from zoo.errors import RequestError
from zoo.places.workers import Workers
from zoo.pretrained import files
from zoo.pretrained.sources import Source, is_run, open_source
from zoo.runs.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class Start:
    """What `init_weights` of a config stand for.

    Attributes:
        source: the weights, of a run that begins; None: of one that goes on, which has them in its checkpoint.
        record: what `run.json` says of them, see `opened`.
    """

    source: Source | None
    record: Mapping[str, Any]

    @property
    def statistics(self) -> Statistics | None:
        """Mean and deviation by channel that the weights take images with; None where nothing says it."""
        recorded = self.record["statistics"]
        return recorded and tuple(map(tuple, recorded))

    @property
    def arguments(self) -> dict[str, Any]:
        """What the builder is given for their sake."""
        return dict(self.record["arguments"])

    def load(self, model: keras.Model, config: ExperimentConfig, class_names: Mapping[str, tuple[str, ...]]) -> "Start":
        """Gives a model its weights.

        Args:
            model: built with `arguments`.
            config: of the run.
            class_names: by label, of what it will learn.

        Returns:
            The same with what was decided of the classifier in its record.

        Raises:
            RequestError: they do not fit; then the model is as it was.
        """
        reason = self._reason_for_a_new_head(config, class_names)
        pairing = self.source.pairing(
            model, config.model, keep_head=not reason, sum_channels=config.init_channels == "sum"
        )
        pairing.assign()
        return Start(self.source, {**self.record, "new_layers": list(pairing.left_new), "new_because": reason})

    def _reason_for_a_new_head(self, config: ExperimentConfig, class_names: Mapping[str, tuple[str, ...]]) -> str:
        """Why the classifier of the weights is not taken; empty: it is."""
        if config.init_head == "new":
            return "init_head is new"
        if registry.model_info(config.model).task == "verification":
            # Its logit or distance is of two images, whatever the classes are.
            return ""
        theirs = self.source.class_names and sorted(self.source.class_names.values())
        count, here = self.source.classes(config.model), sorted(class_names.values())
        if count is None and not theirs:
            return "the weights have none"
        if len(here) == 1 and count is not None and count != len(here[0]):
            if config.init_head == "keep":
                raise RequestError(
                    f"init_head is keep; {self.source.name} has {count} classes, the dataset {len(here[0])}; take new"
                )
            return f"{len(here[0])} classes in place of {count}"
        if config.init_head == "keep":
            return ""
        if theirs and all(theirs) and theirs != here:
            return "other classes; init_head=keep keeps those of the weights"
        return ""


def open_start(config: ExperimentConfig, recorded: Mapping[str, Any] | None, workers: Workers) -> Start | None:
    """Finds the weights that a run begins with, downloads them where they are published, and reads what they bring.

    Args:
        config: of the run.
        recorded: what `run.json` says of them, where the run has begun already: it does not load them again, and their
            file need not be there any more.
        workers: all must have the same file.

    Returns:
        None where the weights are random.

    Raises:
        RequestError: there are none, or they are of another net.
    """
    if not config.init_weights:
        return None
    if recorded is not None:
        return Start(None, recorded)
    # The chief alone downloads; the others find the file where it has put it, or fetch their own.
    with workers.chief_first("fetch the weights"):
        source = open_source(config.init_weights, config.model)
    different = workers.first_different(source.sha256)
    if different is not None:
        raise RequestError(
            f"worker {different} has other init_weights than worker 0 in {config.init_weights}; give all workers the "
            "same file"
        )
    record = {
        "name": config.init_weights,
        "file": source.file.path.name,
        "sha256": source.sha256,
        "licence": source.licence,
        "arguments": source.builder_arguments(config.model, config.model_args),
        "statistics": source.preprocessing and json.loads(json.dumps(source.preprocessing.statistics)),
    }
    return Start(source, record)


def known_statistics(config: ExperimentConfig, start: Start | None, statistics: Statistics | None) -> Statistics | None:
    """Mean and deviation that are known before any image is read: of a run that goes on, or of the weights.

    Raises:
        RequestError: `normalize=weights`, and the weights do not say.
    """
    if statistics is not None or config.normalize != "weights":
        return statistics
    found = start.statistics
    if found is None:
        raise RequestError(
            f"normalize is 'weights'; {config.init_weights} does not say what images go through; "
            "take another, such as --normalize=imagenet"
        )
    if config.init_channels == "sum":
        # A grey image is one whose channels are the same, so it takes what they have in common.
        return tuple((sum(values) / len(values),) for values in found)
    return found


def check_same_weights(config: ExperimentConfig, recorded: Mapping[str, Any] | None) -> None:
    """Refuses to go on with a run whose `init_weights` name another file by now; one that is gone is no other.

    Args:
        config: of the run.
        recorded: as `open_start` takes it.

    Raises:
        RequestError: it is another one.
    """
    if not config.init_weights or recorded is None:
        return
    path = Path(config.init_weights).expanduser()
    if path.is_dir():
        path = Workdir(path).model if is_run(path) else files.read_weights(path).path
    if path.exists() and files.sha256(path) != recorded["sha256"]:
        raise RequestError(
            f"init_weights is {config.init_weights}, which is another file than the run began with; put the old one "
            "back, or name another --workdir"
        )
