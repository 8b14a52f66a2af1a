"""Pictures: what training sees, and images with captions."""

import dataclasses
import math
import textwrap
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from zoo.analysis.nets import find
from zoo.config import ExperimentConfig
from zoo.data import pipeline
from zoo.data.transform import ImageTransform, sized
from zoo.tasks.base import builder_arguments
from zoo.training.data import Data

IMAGE_INCHES = 1.15  # the height of an image
FONT_POINTS = 8
CHARACTER_INCHES = 0.6 * FONT_POINTS / 72  # how wide a letter is, on average
LINE_INCHES = 1.25 * FONT_POINTS / 72
NAME_CHARACTERS = 24  # for so much of a caption's line a cell has room, however narrow its image is
CAPTION_LINES = 3
COUNTED_CLASSES = 12  # up to so many classes are counted one by one
# Pictures of an example, in the order in which they stand side by side.
IMAGES = ("image", "left", "right", "anchor", "positive", "negative")


def model_inputs(config: ExperimentConfig, data: Data) -> list[str]:
    """What the inputs of a config's model are called, which decides what a batch holds."""
    arguments = builder_arguments(data.task, config)
    with find.opened(config.model, input_shape=data.image_shape, **arguments) as (model, _):
        return [tensor.name for tensor in model.inputs]


def training_examples(
    config: ExperimentConfig, data: Data, count: int, inputs: Collection[str]
) -> dict[str, np.ndarray]:
    """The first `count` training examples as the model gets them, by name (count, ...); at most an epoch.

    Args:
        config: of the run.
        data: its data.
        count: how many examples.
        inputs: of the model, see `model_inputs`.
    """
    batches = data.train_batches(inputs)
    # How a batch is mixed hangs on its number, so batches are those of training.
    batch_size = min(config.batch_size, batches.num_examples)
    steps = min(-(-count // batch_size), batches.num_examples // batch_size)
    plan = pipeline.BlockPlan.of(steps, steps, 1)
    blocks = [
        *pipeline.training_blocks(batches, batch_size=batch_size, seed=config.seed, plan=plan).as_numpy_iterator()
    ]
    return {name: np.concatenate([block[name][0] for block in blocks])[:count] for name in blocks[0]}


def data_grid(config: ExperimentConfig, data: Data, count: int, path: Path, *, header: Sequence[str] = ()) -> int:
    """Draws training examples with their labels, as augmented and as they were before, and writes them as a PNG.

    Args:
        config: of the run.
        data: its data.
        count: how many examples.
        path: the file.
        header: lines above all, such as `split_facts`.

    Returns:
        How many examples are shown.
    """
    inputs = model_inputs(config, data)
    examples = training_examples(config, data, count, inputs)
    shown = len(next(iter(examples.values())))
    pictures, header, height = _side_by_side(examples), [*header], IMAGE_INCHES
    if config.augment:
        originals = _side_by_side(training_examples(config, _unaugmented(data), count, inputs))
        # What is several images wide already has the originals above it.
        above = pictures.shape[2] >= 2 * pictures.shape[1]
        pictures, height = _joined(originals, pictures, above), height * (1 + above)
        places = ("above", "below") if above else ("left", "right")
        header.append("Each example {} as it is, {} as augmented: {}".format(*places, config.augment))
    captions = [data.task.caption({name: value[number] for name, value in examples.items()}) for number in range(shown)]
    grid(pictures, captions, path, header=header, height=height)
    return shown


def split_facts(config: ExperimentConfig, data: Data) -> list[str]:
    """How many examples the training split has, in all and of each class, in sentences."""
    facts = [f"{config.train_split} of {config.dataset}: {data.train.num_examples:,} examples"]
    for label, names in data.class_names().items():
        if not names:
            continue
        counts = np.bincount(data.train.column(label), minlength=len(names))
        if len(names) <= COUNTED_CLASSES:
            listed = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
        else:
            # A split of pairs may have some of the classes only.
            held = counts[counts > 0]
            each = f"{held.min():,}" if held.min() == held.max() else f"{held.min():,} to {held.max():,}"
            listed = f"{len(held)} of {len(names)} classes with {each} examples each"
        facts.append(f"{label}: {listed}")
    return facts


def _unaugmented(data: Data) -> Data:
    """The data with the same training images before anything is done to them but sizing."""
    train = sized(data.train, data.sizing, memory_bytes=0)
    return dataclasses.replace(data, train=train, transform=ImageTransform(fill=data.transform.fill))


def _side_by_side(examples: dict[str, np.ndarray]) -> np.ndarray:
    """The images of each example as one."""
    return np.concatenate([examples[name] for name in IMAGES if name in examples], axis=2)


def _joined(one: np.ndarray, other: np.ndarray, above: bool) -> np.ndarray:
    """Two pictures of each example as one, with a white gap between them."""
    axis = 1 if above else 2
    gap = list(one.shape)
    gap[axis] = max(1, one.shape[1] // 32)
    return np.concatenate([one, np.full(gap, 255, one.dtype), other], axis)


def grid(
    images: np.ndarray,
    captions: Sequence[str],
    path: Path,
    *,
    columns: int | None = None,
    header: Sequence[str] = (),
    height: float = IMAGE_INCHES,
) -> None:
    """Draws images with a caption above each, row by row, and writes them as a PNG.

    Args:
        images: (n, height, width, 1 or 3), from 0 to 255; mixed ones are float32.
        captions: of each; where one is longer than its image is wide, it goes on in the next line.
        path: the file.
        columns: default: as many as make the picture half as wide again as it is high.
        header: lines above all.
        height: of an image in inches.
    """
    images = np.rint(images).astype(np.uint8)
    image_width = height * images.shape[2] / images.shape[1]
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    width = max(image_width, min(longest, NAME_CHARACTERS) * CHARACTER_INCHES) + 0.2
    captions = [_wrapped(caption, width, CAPTION_LINES) for caption in captions]
    cell = height + LINE_INCHES * max(caption.count("\n") + 1 for caption in captions) + 0.12
    columns = columns or min(len(images), max(1, round(math.sqrt(len(images) * 1.5 * cell / width))))
    rows = -(-len(images) // columns)
    title = "\n".join(_wrapped(line, columns * width, 4) for line in header)
    top = rows * cell
    whole = top + (LINE_INCHES * (title.count("\n") + 1) + 0.02 if title else 0)
    # A caption may hold dollars, and letters that matplotlib's own font lacks.
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        figure = Figure(figsize=(columns * width, whole))
        # One pair of axes, in inches: a pair for each image takes seconds.
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        style = {"fontsize": FONT_POINTS, "linespacing": 1.1}
        axes.text(0.04, whole - 0.04, title, ha="left", va="top", **style)
        for number, (image, text) in enumerate(zip(images, captions, strict=True)):
            row, column = divmod(number, columns)
            middle, bottom = (column + 0.5) * width, top - (row + 1) * cell + 0.04
            extent = (middle - image_width / 2, middle + image_width / 2, bottom, bottom + height)
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent)
            axes.text(middle, bottom + height + 0.02, text, ha="center", va="bottom", **style)
        axes.set(xlim=(0, columns * width), ylim=(0, whole), aspect="auto")
        figure.savefig(path, format="png", dpi=150)


def _wrapped(text: str, width: float, most: int) -> str:
    """A text in lines of a width in inches, each of its own lines in `most` of them at the most."""
    options = {
        "width": max(4, int(width / CHARACTER_INCHES)),
        "max_lines": most,
        "placeholder": "\N{HORIZONTAL ELLIPSIS}",
    }
    return "\n".join(textwrap.fill(line, **options) for line in text.split("\n"))
