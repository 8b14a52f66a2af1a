"""What an image goes through: stored -> uint8 of one size -> augmented -> mixed -> float32, normalised.

The last step is the engine's, where the model is: until then a pixel takes one byte, in memory and on the way to the
device.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.data import augment, images
from zoo.data.sources.example_source import (
    ExampleSource,
    Feature,
    InMemorySource,
    adopt,
    empty_array,
    example_names,
)
from zoo.data.sources.reading import progress_bar
from zoo.errors import RequestError

# By channel, of pixels from 0 to 1: torchvision's, which most published ImageNet weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
# Mean and deviation by channel, of pixels from 0 to 255.
Statistics = tuple[Sequence[float], Sequence[float]]
# How many images are sized at once where a whole split is gone through.
CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Sizing:
    """How stored images of any size become images of one size, uint8.

    Attributes:
        size: height and width; 0: as they are.
        center_crop: the central square of this fraction of the shorter side is taken; 0: the whole image, squeezed.
        interpolation: see `zoo.data.images`.
        turn: encoded images are turned as their EXIF data say.
    """

    size: int = 0
    center_crop: float = 0.0
    interpolation: str = "bilinear"
    turn: bool = True

    @classmethod
    def of(cls, config: ExperimentConfig) -> "Sizing":
        """That of a config."""
        return cls(config.image_size, config.center_crop, config.interpolation)

    def suited(self, stored: Feature) -> "Sizing":
        """The same for images of a dataset; where it declares one size they are not turned, see `zoo.data.images`."""
        return dataclasses.replace(self, turn=None in stored.shape)

    def __call__(self, stored: tf.Tensor, shape: tuple[int | None, ...]) -> tf.Tensor:
        """Stored images, of this shape once they are decoded, to uint8 (n, height, width, channels)."""
        if not self.size:
            return images.decode(stored, shape) if stored.dtype == tf.string else stored
        if self.center_crop:
            return images.center_crop(stored, self.size, shape[-1], self.center_crop, self.interpolation, self.turn)
        return images.squeeze(stored, self.size, shape[-1], self.interpolation, self.turn)

    def feature(self, stored: Feature) -> Feature:
        """What becomes of the image feature."""
        return Feature((self.size, self.size, stored.shape[-1]) if self.size else stored.shape, "uint8")


class SizedSource:
    """A source whose images come in one size; see `ExampleSource`.

    Args:
        source: the examples as they are stored.
        sizing: what is done to their images.

    Raises:
        RequestError: the stored images differ in size, and no size is asked for.
    """

    def __init__(self, source: ExampleSource, sizing: Sizing):
        stored = source.features["image"]
        if not sizing.size and stored.encoded and None in stored.shape:
            raise RequestError(f"the images of {source.name} may differ in size; set image_size")
        self.name, self.version, self.fingerprint = source.name, source.version, source.fingerprint
        self.num_examples = source.num_examples
        self.default_label, self.columns_at_hand = source.default_label, source.columns_at_hand
        self.features = {**source.features, "image": sizing.feature(stored)}
        self.stored = source
        self._sizing = sizing.suited(stored)

    def fetch(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `indices`, int64 of shape (n,)."""
        batch = self.stored.fetch(indices)
        return {**batch, "image": self._sizing(batch["image"], self.stored.features["image"].shape)}

    def column(self, name: str) -> np.ndarray:
        """One label of all examples, in order."""
        return self.stored.column(name)


def sized(source: ExampleSource, sizing: Sizing, memory_bytes: int) -> ExampleSource:
    """The source with images of one size: sized once where that fits in memory, else at each fetch, with equal pixels.

    Args:
        source: the examples as they are stored.
        sizing: what is done to their images.
        memory_bytes: what the sized images of the split may take.
    """
    stored = source.features["image"]
    if not sizing.size or (not stored.encoded and not sizing.center_crop and stored == sizing.feature(stored)):
        return source if not stored.encoded else SizedSource(source, sizing)
    result = SizedSource(source, sizing)
    if source.num_examples * int(np.prod(result.features["image"].shape)) > memory_bytes:
        return result
    pixels = empty_array((source.num_examples, *result.features["image"].shape), "uint8")
    for start, chunk in image_chunks(result, "resizing"):
        pixels[start : start + len(chunk)] = chunk
    columns = {name: source.column(name) for name in source.features if name != "image"}
    return InMemorySource(
        {**columns, "image": adopt(pixels)},
        name=source.name,
        version=source.version,
        class_names={name: feature.class_names for name, feature in source.features.items()},
        default_label=source.default_label,
        # The data are the same whether their images are sized once or at each fetch.
        fingerprint=source.fingerprint,
        names=example_names(source),
    )


class UnreadableChunkError(Exception):
    """Some of a source's images could not be read.

    Attributes:
        indices: of the examples among which they are, int64 (n,).
    """

    def __init__(self, indices: np.ndarray, message: str):
        super().__init__(message)
        self.indices = indices


def image_chunks(source: ExampleSource, doing: str) -> Iterator[tuple[int, np.ndarray]]:
    """All images of a source in order, as (index of the first one, uint8 (n, ...)).

    Args:
        source: the split.
        doing: what a progress bar says, should it take long.
    """

    # See `zoo.data.pipeline`.
    @tf.autograph.experimental.do_not_convert
    def fetch(start):
        return start, source.fetch(tf.range(start, tf.minimum(start + CHUNK, source.num_examples)))["image"]

    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    chunks = tf.data.Dataset.range(0, source.num_examples, CHUNK)
    chunks = chunks.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).with_options(options)
    done = 0
    with progress_bar(source.num_examples, f"{doing} {source.name}") as bar:
        try:
            for start, chunk in chunks.as_numpy_iterator():
                yield int(start), chunk
                done += len(chunk)
                bar.update(len(chunk))
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            indices = np.arange(done, min(done + CHUNK, source.num_examples))
            raise UnreadableChunkError(indices, images.reason(error.message)) from error


@dataclasses.dataclass(frozen=True)
class ImageTransform:
    """Augments the images of training; leaves those of evaluation as they are.

    Attributes:
        augmentation: as a config names it, `pad_crop:4,flip`.
        fill: what is painted over, by channel, in levels from 0 to 255; the mean.
        crop: what a `random_resized_crop` makes of stored images; the training images must then come as stored.
    """

    augmentation: str = ""
    fill: tuple[float, ...] = (0.0,)
    crop: Sizing | None = None

    def __call__(self, pixels: tf.Tensor, keys: tf.Tensor | None) -> tf.Tensor:
        """The images as a person would look at them, uint8 (n, height, width, channels).

        Args:
            pixels: uint8 (n, height, width, channels), or as stored where they are cropped at random.
            keys: uint64 (n,), see `randomness.example_keys`; None to evaluate.
        """
        if keys is None or not self.augmentation:
            return pixels
        if self.crop is not None:
            area = augment.random_crop_area(self.augmentation)
            pixels = images.random_resized_crop(
                pixels, keys, self.crop.size, len(self.fill), area, self.crop.interpolation, self.crop.turn
            )
        return augment.make_augmentation(self.augmentation, self.fill)(pixels, keys)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """`(pixels - mean) / deviation`.

    Attributes:
        mean: by channel, in levels from 0 to 255.
        deviation: likewise.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, pixels: tf.Tensor) -> tf.Tensor:
        """Images (n, height, width, channels), uint8 or of mixed ones float32, to float32."""
        # A row per image and the channels repeated: TensorFlow broadcasts over 3 channels at a quarter of the speed.
        repeats = math.prod(pixels.shape[1:3])
        rows = tf.reshape(tf.cast(pixels, tf.float32), [-1, math.prod(pixels.shape[1:])])
        rows = (rows - np.tile(np.float32(self.mean), repeats)) * np.tile(1 / np.float32(self.deviation), repeats)
        return tf.reshape(rows, [-1, *pixels.shape[1:]])


def make_normalization(source: ExampleSource, normalize: str, known: Statistics | None = None) -> Normalization:
    """The normalisation of a config, with mean and deviation taken from the training split where it says so.

    Args:
        source: the training split, sized.
        normalize: see `ExperimentConfig.normalize`.
        known: mean and deviation, where they need not be found out.

    Raises:
        RequestError: the normalisation is for images of three channels.
    """
    channels = source.features["image"].shape[-1]
    if known is not None:
        mean, deviation = known
    elif normalize == "unit":
        mean, deviation = [0.0] * channels, [255.0] * channels
    elif normalize == "signed":
        mean, deviation = [127.5] * channels, [127.5] * channels
    elif normalize == "imagenet":
        if channels != 3:
            raise RequestError(f"normalize is 'imagenet'; the images of {source.name} have {channels} channel, not 3")
        mean, deviation = [255 * m for m in IMAGENET_MEAN], [255 * d for d in IMAGENET_DEVIATION]
    else:
        mean, deviation = statistics(source)
    return Normalization(tuple(mean), tuple(deviation))


def statistics(source: ExampleSource) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the pixels by channel, over all examples; exact."""
    # Pixels are whole numbers, and so are the sums: Python's own, since their products do not fit into 64 bits.
    count, total, squares = 0, 0, 0
    for _, chunk in image_chunks(source, "averaging the pixels of"):
        pixels = chunk.reshape(-1, chunk.shape[-1]).astype(np.int64)
        count += len(pixels)
        total += pixels.sum(0).astype(object)
        squares += (pixels**2).sum(0).astype(object)
    mean = total / count
    variance = (squares * count - total**2) / count**2
    # A channel that never changes is left as it is.
    return mean.tolist(), [float(v**0.5) or 1.0 for v in variance]
