"""What a trained model says of images that are in no dataset: photographs in files, arrays in memory.

TensorFlow is imported when it is asked.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo.errors import RequestError
from zoo.runs.trained import Trained, load_trained

# How many images go through the model at once.
BATCH = 32
Path = str | os.PathLike[str]
_SIDES = ("height", "width", "channels")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of an image.

    Attributes:
        label: the name of the most probable class; of equally probable ones the first.
        confidence: its probability.
        probabilities: of each class by its name, in the order of the class numbers.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]


def predict(run: Path | Trained, images: Path | np.ndarray | Sequence[Path | np.ndarray]) -> list[Prediction]:
    """The classes of some images.

    They are decoded, brought to the model's size and normalised as the run did it in its evaluation.

    Args:
        run: the folder of a finished run, or what `zoo.load_trained` made of it, which is loaded once for many calls.
        images: the path of an image file, or uint8 of shape (height, width, channels), or of several images of one
            size (n, height, width, channels); or a list of such paths and images.

    Returns:
        One prediction for each image, in order.

    Raises:
        RequestError: the run cannot be used, or is not of a classifier whose only input is an image; or an image is
            not there, cannot be decoded, or has another shape than the model takes. The message names it.
    """
    trained = run if isinstance(run, Trained) else load_trained(run)
    names = _class_names(trained)
    shape = tuple(trained.model.inputs[0].shape[1:])
    chosen = _listed(images)
    predictions: list[Prediction] = []
    for start in range(0, len(chosen), BATCH):
        levels = [
            _levels(image, number, trained, shape) for number, image in enumerate(chosen[start : start + BATCH], start)
        ]
        predictions += _predictions(trained, np.stack(levels), names)
    return predictions


def _class_names(trained: Trained) -> tuple[str, ...]:
    """The names of the classes; refuses what is no classifier of images alone."""
    if trained.task != "classification":
        raise RequestError(f"the run is of {trained.task}; predict is for classification, zoo.load_trained for others")
    if trained.config.condition:
        raise RequestError(f"the model takes {trained.config.condition} beside the image; predict is for images alone")
    (names,) = trained.class_names.values()
    return names


def _listed(images: Path | np.ndarray | Sequence[Path | np.ndarray]) -> list[Path | np.ndarray]:
    """One or several images as a list of images."""
    if isinstance(images, str | os.PathLike):
        return [images]
    if isinstance(images, np.ndarray):
        return [images] if images.ndim == 3 else list(images)
    chosen = list(images) if isinstance(images, Iterable) and not isinstance(images, bytes) else [images]
    for number, image in enumerate(chosen):
        if not isinstance(image, str | os.PathLike | np.ndarray):
            raise RequestError(f"image {number} is {image!r}; it must be a path, or uint8 pixels in an array")
    return chosen


def _levels(image: Path | np.ndarray, number: int, trained: Trained, shape: tuple[int, ...]) -> np.ndarray:
    """An image as the model takes it but for its normalisation, uint8 of this shape."""
    import tensorflow as tf

    sizing = trained.preprocessing.sizing()
    # Without a size of its own an image must have the model's.
    wanted = (None, None, shape[-1]) if sizing.size else shape
    size = " x ".join(name if side is None else str(side) for name, side in zip(_SIDES, wanted, strict=True))
    if isinstance(image, np.ndarray):
        fits = (
            image.ndim == 3
            and image.size
            and all(side in (None, has) for side, has in zip(wanted, image.shape, strict=True))
        )
        if image.dtype != np.uint8 or not fits or not image.size:
            raise RequestError(f"image {number} is {image.dtype} {image.shape}; it must be uint8, {size}")
        return sizing(tf.constant(image[None]), wanted)[0].numpy()
    try:
        with open(image, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        # A name may hold what no file's can.
        raise RequestError(f"{os.fspath(image)} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return sizing(tf.constant([content]), wanted)[0].numpy()
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        raise RequestError(f"{os.fspath(image)} cannot be decoded as an image, {size}; mend or remove it") from error


def _predictions(trained: Trained, levels: np.ndarray, names: tuple[str, ...]) -> Iterator[Prediction]:
    """What the model says of images uint8 (n, height, width, channels)."""
    import tensorflow as tf
    from keras import ops

    outputs: Any = trained.model(trained.preprocessing.normalization()(tf.constant(levels)), training=False)
    # Beside the logits there may be auxiliary heads.
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    for row in ops.convert_to_numpy(ops.softmax(logits)):
        probabilities = dict(zip(names, row.tolist(), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        yield Prediction(label, probabilities[label], probabilities)
