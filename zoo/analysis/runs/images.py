"""The evaluation images of a run, as far as they are there: nothing is prepared, and only what is shown is read."""

import dataclasses
import json
import shlex
from collections.abc import Sequence

import numpy as np

from zoo.analysis.runs import page
from zoo.analysis.runs.page import Markup
from zoo.config import ExperimentConfig
from zoo.data.batches import EvaluationBatches
from zoo.data.sources import ExampleSource, NotPreparedError, load_source
from zoo.data.sources.example_source import fingerprint_kind
from zoo.data.sources.reading import fetch_images
from zoo.data.transform import ImageTransform, Sizing, sized
from zoo.errors import RequestError, RunError
from zoo.runs.records import Run
from zoo.tasks.known import task_of
from zoo.tasks.labels import label_options
from zoo.training.data import MEMORY_GIB

# The fields that decide which data a config opens; each is a flag of `show-data` too.
_DATA_FIELDS = (
    *("model", "model_args", "task", "dataset", "train_split", "eval_split", "labels", "condition", "image_size"),
    *("center_crop", "interpolation", "skip_corrupt_images", "ways", "shots", "episode_group", "episode_view"),
)


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a run's evaluation split.

    Attributes:
        source: the split, its images in the size that the model took; None where it cannot be had.
        why: the reason then, for the reader.
        batches: which images each answer is about.
    """

    source: ExampleSource | None
    why: str = ""
    batches: EvaluationBatches | None = None

    def at(self, positions: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        """The images of a few evaluation examples, by name: `image`, or `left` and `right`.

        Args:
            positions: where the examples stand among the answers, (n,).

        Returns:
            Arrays (n, height, width, channels), uint8.

        Raises:
            RequestError: an image cannot be read.
        """
        indices = self.batches.evaluation_examples(np.asarray(positions))
        return {name: fetch_images(self.source, index) for name, index in indices.items()}


def open_images(run: Run, *, data_dir: str | None = None, memory_gib: float = MEMORY_GIB) -> Images:
    """Opens the evaluation split of a run; where it is not there, or is another one now, the reason is kept.

    Args:
        run: of a workdir.
        data_dir: where datasets are prepared; default: TFDS' own.
        memory_gib: the most that a split may take which can only be read whole.
    """
    config = run.config
    memory_bytes = int(memory_gib * 2**30)
    options = {"memory_bytes": memory_bytes, "skip_corrupt": config.skip_corrupt_images, "for_a_few": True}
    try:
        stored = load_source(config.dataset, config.eval_split, data_dir, **options, **label_options(config))
        if not same_examples(stored, run.run.get("dataset", {})):
            return Images(None, f"{config.eval_split} of {config.dataset} holds other examples than in the run.")
        source = sized(stored, Sizing.of(config), memory_bytes=0)
        # What is learned can be read off this split as well as off the one that was trained on.
        task = task_of(config)(config, source, source)
        return Images(source, batches=task.evaluation_batches(ImageTransform(), source.features["image"].shape))
    except NotPreparedError as error:
        return Images(None, f"{error}; `{preparing_command(config, data_dir)}` prepares it.")
    except (RequestError, RunError) as error:
        return Images(None, str(error))


def not_shown(images: Images) -> Markup:
    """Why there are no images, for the page."""
    return page.paragraph(page.marked(f"The images cannot be shown: {images.why}"), css="soft")


def same_examples(source: ExampleSource, recorded: dict) -> bool:
    """Whether a split holds the examples that a run was evaluated on, as `run.json` has them.

    A run that held the split in memory recorded a fingerprint of its content, one that read it by index a fingerprint
    of its files. Where only the other kind is at hand, version and number of examples are compared.
    """
    fingerprint = recorded.get("eval_sha256", source.fingerprint)
    if fingerprint_kind(fingerprint) == fingerprint_kind(source.fingerprint):
        return fingerprint == source.fingerprint
    known = {"version": source.version, "eval_examples": source.num_examples}
    return all(recorded.get(name, value) == value for name, value in known.items())


def preparing_command(config: ExperimentConfig, data_dir: str | None) -> str:
    """A command that prepares the data of a config, and draws a picture of them."""
    values = {name: getattr(config, name) for name in _DATA_FIELDS if getattr(config, name) != _default(name)}
    shown = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()}
    flags = [f"--{name}={value}" for name, value in ({"dataset": config.dataset} | shown).items()]
    place = [f"--data_dir={data_dir}"] if data_dir else []
    return f"python -m zoo show-data {shlex.join([*flags, *place])}"


def _default(name: str) -> object:
    return getattr(ExperimentConfig(), name)
