"""The pipeline: step numbers in, blocks of batches out, and nothing else decides what is in them.

Epoch e visits the split in a permutation seeded by (seed, e), batch i of it is a slice, and what happens to
an example depends on (seed, e, its index). So the pipeline starts at any step at no cost, gives the same
batches whatever the number of threads, workers and replicas, and has no state to save.

A block is the batches of K consecutive steps in one element, each tensor of shape
`(K, batch / replicas, ...)`. The training loop consumes it in one compiled call.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from zoo.data import augment, randomness
from zoo.data.sources import ExampleSource, InMemorySource

# A block's images take at most this much memory, and a block has at most so many steps: long enough that
# the call costs nothing, short enough that a signal is answered within seconds on a slow machine.
MAX_BLOCK_BYTES = 16 * 2**20
MAX_BLOCK_STEPS = 128


@dataclasses.dataclass(frozen=True)
class ImageTransform:
    """What every image goes through: resize, augment (training only), `(pixels - mean) / deviation`.

    Attributes:
        image_size: height and width to resize to, bilinear with antialiasing; 0 leaves the size.
        mean: by channel, in the units of the stored pixels (0 to 255).
        deviation: likewise.
        augmentation: as a config names it, `pad_crop:4,flip`.
    """

    image_size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    augmentation: str = ""

    def __call__(self, images: tf.Tensor, keys: tf.Tensor | None) -> tf.Tensor:
        """Images (n, height, width, channels) uint8 to float32; `keys` as of `randomness.example_keys`."""
        if self.image_size and images.shape[1:3] != (self.image_size, self.image_size):
            images = tf.image.resize(images, (self.image_size, self.image_size), "bilinear", antialias=True)
        if keys is not None and self.augmentation:
            images = augment.make_augmentation(self.augmentation)(images, keys)
        return (tf.cast(images, tf.float32) - np.float32(self.mean)) * (1 / np.float32(self.deviation))

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an image after the transform."""
        return (self.image_size, self.image_size, shape[-1]) if self.image_size else shape


def make_transform(
    source: InMemorySource, normalize: str, image_size: int = 0, augmentation: str = ""
) -> ImageTransform:
    """The transform of a config, with mean and deviation taken from the training split where it says so.

    Args:
        source: the training split.
        normalize: `unit`, `signed` or `standardize`, see `ExperimentConfig.normalize`.
        image_size: see `ImageTransform`.
        augmentation: see `ImageTransform`.
    """
    channels = source.features["image"].shape[-1]
    if normalize == "unit":
        mean, deviation = [0.0] * channels, [255.0] * channels
    elif normalize == "signed":
        mean, deviation = [127.5] * channels, [127.5] * channels
    else:
        images = source.arrays["image"]
        mean = images.mean(axis=(0, 1, 2), dtype=np.float64).tolist()
        # A channel that never changes is left as it is.
        deviation = [d or 1.0 for d in images.std(axis=(0, 1, 2), dtype=np.float64).tolist()]
    return ImageTransform(image_size, tuple(mean), tuple(deviation), augmentation)


def block_boundaries(total_steps: int, interval: int, longest: int) -> np.ndarray:
    """The steps at which blocks end, int64, rising, the first 0 and the last `total_steps`.

    Every multiple of `interval` (an evaluation) is among them. Within an interval all blocks have one
    length, at most `longest`, save a shorter last one where no such length divides the interval.
    """
    interval = min(interval, total_steps)
    count = -(-interval // longest)
    length = -(-interval // count)
    # One length for all blocks is worth shorter ones: a second length is compiled a second time.
    divisor = next(k for k in range(min(longest, interval), 0, -1) if interval % k == 0)
    if 2 * divisor >= length:
        length = divisor
    starts = np.arange(0, total_steps, interval)[:, None] + np.arange(0, interval, length)
    starts = starts[starts < total_steps]
    return np.append(starts, total_steps).astype(np.int64)


def longest_block(example_bytes: int, batch_size: int, *limits: int) -> int:
    """How many steps a block may have: by memory, by count and by the further `limits` given."""
    return max(1, min(MAX_BLOCK_BYTES // (example_bytes * batch_size), MAX_BLOCK_STEPS, *limits))


def training_blocks(
    source: ExampleSource,
    transform: ImageTransform,
    *,
    batch_size: int,
    seed: int,
    boundaries: np.ndarray,
    first_step: int = 0,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Blocks of training batches from `first_step` to the last boundary.

    Args:
        source: the training split; what is left of it after the last whole batch of an epoch is not
            visited in that epoch.
        transform: of the images.
        batch_size: examples per step, over all replicas together.
        seed: of order and augmentation.
        boundaries: where blocks end, see `block_boundaries`.
        first_step: where to begin; any step.
        replicas: elements come in the order block 0 replica 0..R-1, block 1 replica 0.., as
            `tf.distribute` hands them out.

    Returns:
        A dataset of dictionaries, each tensor of shape (K, batch_size / replicas, ...).
    """
    steps_per_epoch = source.num_examples // batch_size

    def examples(steps, offsets):
        epochs = steps // steps_per_epoch
        positions = (steps % steps_per_epoch * batch_size)[:, None] + offsets
        indices = randomness.permuted(positions, epochs, seed=seed, size=source.num_examples)
        keys = randomness.example_keys(seed, epochs[:, None], indices)
        batch = source.fetch(tf.reshape(indices, [-1]))
        batch["image"] = transform(batch["image"], tf.reshape(keys, [-1]))
        return batch

    return _blocks(examples, batch_size, boundaries, first_step, replicas)


def evaluation_blocks(
    source: ExampleSource, transform: ImageTransform, *, batch_size: int, replicas: int = 1
) -> tf.data.Dataset:
    """Blocks that visit every example once, in order.

    The last batch is filled up with repeated examples; `weight`, float32 (K, batch_size / replicas), is 1
    for the examples that count and 0 for the filling. Otherwise as `training_blocks`.
    """
    total_steps = -(-source.num_examples // batch_size)
    longest = longest_block(_example_bytes(source, transform), batch_size)

    def examples(steps, offsets):
        positions = tf.reshape((steps * batch_size)[:, None] + offsets, [-1])
        batch = source.fetch(tf.minimum(positions, source.num_examples - 1))
        batch["image"] = transform(batch["image"], None)
        batch["weight"] = tf.cast(positions < source.num_examples, tf.float32)
        return batch

    return _blocks(examples, batch_size, block_boundaries(total_steps, total_steps, longest), 0, replicas)


def _blocks(examples, batch_size, boundaries, first_step, replicas) -> tf.data.Dataset:
    ends = boundaries[boundaries > first_step]
    starts = np.concatenate([[first_step], ends[:-1]]).astype(np.int64) if len(ends) else ends
    share = batch_size // replicas

    def block(start, end, replica):
        steps = tf.range(start, end)
        batch = examples(steps, replica * share + tf.range(share, dtype=tf.int64))
        return {name: tf.reshape(value, [-1, share, *value.shape[1:]]) for name, value in batch.items()}

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = tf.data.Dataset.from_tensor_slices(
        (np.repeat(starts, replicas), np.repeat(ends, replicas), np.tile(np.arange(replicas), len(ends)))
    )
    return dataset.map(block, num_parallel_calls=2, deterministic=True).prefetch(2).with_options(options)


def _example_bytes(source: ExampleSource, transform: ImageTransform) -> int:
    return 4 * int(np.prod(transform.output_shape(source.features["image"].shape)))
