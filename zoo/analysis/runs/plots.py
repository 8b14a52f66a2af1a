"""Pictures: what training sees, and images with captions."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from zoo.analysis.nets import find
from zoo.config import ExperimentConfig
from zoo.data import pipeline
from zoo.tasks.base import builder_arguments
from zoo.training.data import Data

CELL_INCHES = 1.15
CAPTION_INCHES = 0.3  # three lines
# Pictures of an example, in the order in which they stand side by side.
IMAGES = ("image", "left", "right", "anchor", "positive", "negative")


def training_examples(config: ExperimentConfig, data: Data, count: int) -> dict[str, np.ndarray]:
    """The first `count` training examples as the model gets them, by name (count, ...); at most an epoch."""
    arguments = builder_arguments(data.task, config)
    with find.opened(config.model, input_shape=data.image_shape, **arguments) as (model, _):
        batches = data.train_batches([tensor.name for tensor in model.inputs])
    # The order is the same for any batch size, and two neighbours are what mixing needs.
    batch_size = min(2, batches.num_examples)
    steps = min(-(-count // batch_size), batches.num_examples // batch_size)
    plan = pipeline.BlockPlan.of(steps, steps, steps)
    blocks = pipeline.training_blocks(batches, batch_size=batch_size, seed=config.seed, plan=plan)
    (block,) = blocks.as_numpy_iterator()
    return {name: value.reshape(-1, *value.shape[2:])[:count] for name, value in block.items()}


def data_grid(config: ExperimentConfig, data: Data, count: int, path: Path) -> int:
    """Draws training examples with their labels, as augmented, and writes them as a PNG.

    Args:
        config: of the run.
        data: its data.
        count: how many examples.
        path: the file.

    Returns:
        How many examples are shown.
    """
    examples = training_examples(config, data, count)
    shown = len(next(iter(examples.values())))
    pictures = np.concatenate([examples[name] for name in IMAGES if name in examples], axis=2)
    captions = [data.task.caption({name: value[number] for name, value in examples.items()}) for number in range(shown)]
    grid(pictures, captions, path)
    return shown


def grid(images: np.ndarray, captions: Sequence[str], path: Path, columns: int | None = None) -> None:
    """Draws images with a caption above each, row by row, and writes them as a PNG.

    Args:
        images: (n, height, width, 1 or 3), from 0 to 255; mixed ones are float32.
        captions: of each.
        path: the file.
        columns: default: as many as make the picture half as wide again as it is high.
    """
    images = np.rint(images).astype(np.uint8)
    wide = images.shape[2] / images.shape[1]
    columns = columns or min(len(images), max(1, round(math.sqrt(len(images) * 1.5 / wide))))
    rows = -(-len(images) // columns)
    # A caption may hold dollars, and letters that matplotlib's own font lacks.
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        width, height = CELL_INCHES * wide, CELL_INCHES + CAPTION_INCHES
        figure = Figure(figsize=(columns * width, rows * height))
        # One pair of axes, in inches: a pair for each image takes seconds.
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for number, (image, text) in enumerate(zip(images, captions, strict=True)):
            row, column = divmod(number, columns)
            left, bottom = (column + 0.03) * width, (rows - row - 1) * height + 0.02
            right, top = left + 0.94 * width, bottom + 0.94 * CELL_INCHES
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, extent=(left, right, bottom, top))
            axes.text((left + right) / 2, top + 0.02, text, fontsize=6, ha="center", va="bottom")
        axes.set(xlim=(0, columns * width), ylim=(0, rows * height), aspect="auto")
        figure.savefig(path, format="png", dpi=150)
