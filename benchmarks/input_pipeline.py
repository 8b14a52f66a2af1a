"""The data pipeline alone, beside the usual ways to write one: works of kind `input`, and `resume`.

`memory`: 32x32x3 in memory, shuffled, pad-4 crop and flip, to float32; beside `from_tensor_slices.shuffle.map.batch`
with one call per image. `jpeg`: photographs of about 300x375, random resized crop to 224, flip; the zoo reads
array_record by index, beside TFDS `as_dataset` on the TFRecord of the same set with the same augmentation. `folder`:
the same photographs in folders, squeezed to 224; beside `keras.utils.image_dataset_from_directory`. The zoo's blocks
are made as the driver makes them, and nothing is held in memory for the last two works, as for a set that would not
fit: TFDS would keep one as small as this decoded. Images are normalised in `memory` alone, on both sides: the zoo does
it within the compiled step, Keras in a layer of the model. `resume`: the first batch of a run that goes on at step
1,000,000 of a set of 1,281,167 examples.

What is written goes to TMPDIR, which whoever starts the process removes.
"""

import tempfile
import time
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.photos import PHOTOS, Photos
from benchmarks.works import Work, photo_folder
from zoo.config import ExperimentConfig
from zoo.data import images, pipeline, randomness
from zoo.data.batches import Singles
from zoo.data.sources import InMemorySource, load_source
from zoo.data.transform import ImageTransform, make_normalization
from zoo.training.data import open_data

MEMORY_EXAMPLES = 50_000
RESUMED_STEP = 1_000_000
SIDE = 224


def zoo_turn(work: Work) -> Callable[[], float]:
    """A turn of the zoo's pipeline."""
    if work.model == "resume":
        return resume_turn(work)
    return reading({"memory": zoo_memory, "jpeg": zoo_jpeg, "folder": zoo_folder}[work.model](work))


def usual_turn(work: Work) -> tuple[Callable[[], float], str]:
    """A turn of the usual pipeline, and what that is."""
    make, title = {
        "memory": (usual_memory, "`from_tensor_slices.shuffle.map.batch`"),
        "jpeg": (usual_jpeg, "TFDS `as_dataset`"),
        "folder": (usual_folder, "`keras.utils.image_dataset_from_directory`"),
    }[work.model]
    return reading(make(work)), title


def reading(batches: Iterable) -> Callable[[], float]:
    """A turn that takes all there is."""

    def turn() -> float:
        began = time.perf_counter()
        for _ in batches:
            pass
        return time.perf_counter() - began

    return turn


def memory_examples() -> tuple[np.ndarray, np.ndarray]:
    """Random images of `memory` and their labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (MEMORY_EXAMPLES, 32, 32, 3), dtype=np.uint8)
    return images, rng.integers(0, 10, MEMORY_EXAMPLES)


def zoo_memory(work: Work) -> tf.data.Dataset:
    """See `memory` above."""
    images, labels = memory_examples()
    source = InMemorySource({"image": images, "label": labels}, name="random")
    normalization = make_normalization(source, "standardize")
    batches = Singles(source, ImageTransform("pad_crop:4,flip"), (32, 32, 3), ["label"])
    return blocks_of(batches, work).map(lambda block: normalization(tf.reshape(block["image"], [-1, 32, 32, 3])))


def usual_memory(work: Work) -> tf.data.Dataset:
    """See `memory` above."""
    images, labels = memory_examples()
    mean, deviation = (np.float32(of(images, (0, 1, 2))) for of in (np.mean, np.std))

    def augment(image, label):
        image = tf.image.random_crop(tf.pad(image, [[4, 4], [4, 4], [0, 0]]), (32, 32, 3))
        image = tf.image.random_flip_left_right(image)
        return (tf.cast(image, tf.float32) - mean) / deviation, label

    usual = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images))
    usual = usual.map(augment, num_parallel_calls=tf.data.AUTOTUNE).batch(work.batch_size, drop_remainder=True)
    return usual.take(work.steps).prefetch(tf.data.AUTOTUNE)


def blocks_of(batches: Singles, work: Work, total_steps: int = 0, first_step: int = 0) -> tf.data.Dataset:
    """Blocks as the driver makes them."""
    total_steps = total_steps or work.steps
    plan = pipeline.BlockPlan.of(total_steps, total_steps, pipeline.longest_block(batches, work.batch_size))
    return pipeline.training_blocks(batches, batch_size=work.batch_size, seed=0, plan=plan, first_step=first_step)


def stored_blocks(work: Work, dataset: str, augment: str, data_dir: str | None) -> tf.data.Dataset:
    """Blocks of a stored set, with nothing held in memory."""
    config = ExperimentConfig(
        dataset=dataset, image_size=SIDE, augment=augment, normalize="unit", batch_size=work.batch_size
    )
    return blocks_of(open_data(config, data_dir=data_dir, memory_gib=0).train_batches(), work)


def prepared_photos(file_format: str) -> str:
    """The folder of the photographs as TFDS prepares them."""
    folder = tempfile.mkdtemp()
    tfds.disable_progress_bar()
    Photos(data_dir=folder, file_format=file_format).download_and_prepare()
    return folder


def zoo_jpeg(work: Work) -> tf.data.Dataset:
    """See `jpeg` above."""
    return stored_blocks(work, "benchmarks.photos:Photos", "random_resized_crop,flip", prepared_photos("array_record"))


def usual_jpeg(work: Work) -> tf.data.Dataset:
    """See `jpeg` above."""
    no_box = tf.zeros([1, 0, 4])

    def augment(image, label):
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), no_box, aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.08, 1.0),
            max_attempts=10, use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        image = tf.image.resize(tf.slice(image, begin, size), (SIDE, SIDE))
        return tf.image.random_flip_left_right(image), label

    usual = Photos(data_dir=prepared_photos("tfrecord")).as_dataset(
        split="train",
        shuffle_files=True,
        as_supervised=True,
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    usual = usual.shuffle(PHOTOS).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    usual = usual.batch(work.batch_size, drop_remainder=True).repeat().take(work.steps)
    return usual.prefetch(tf.data.AUTOTUNE)


def decoder_turn(work: Work) -> Callable[[], float]:
    """What gives the seconds that TensorFlow's JPEG decoder alone takes for a photograph of the work, two at a time.

    Their bytes lie in memory. For `jpeg` the windows are those of the zoo's first epoch, decoded as the zoo does it.
    """
    contents = tf.constant([file.read_bytes() for file in sorted((photo_folder() / "train").glob("*/*.jpg"))])
    count = len(contents)
    windows = tf.zeros([count, 4], tf.int32)
    if work.model == "jpeg":
        sizes = images.header_sizes(contents)
        keys = randomness.example_keys(0, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))
        windows = images.random_windows(sizes[:, 0], sizes[:, 1], randomness.derive(keys, 0), images.MIN_AREA)

    @tf.autograph.experimental.do_not_convert
    def decoded(content, window):
        if work.model == "jpeg":
            return tf.image.decode_and_crop_jpeg(content, window, channels=3)
        return tf.io.decode_jpeg(content, channels=3)

    alone = tf.data.Dataset.from_tensor_slices((contents, windows)).map(decoded, num_parallel_calls=2)
    turn = reading(alone.prefetch(2))
    return lambda: turn() / count


def zoo_folder(work: Work) -> tf.data.Dataset:
    """See `folder` above."""
    return stored_blocks(work, f"folder:{photo_folder()}", "", None)


def usual_folder(work: Work) -> tf.data.Dataset:
    """See `folder` above."""
    import keras

    usual = keras.utils.image_dataset_from_directory(
        photo_folder() / "train",
        image_size=(SIDE, SIDE),
        batch_size=work.batch_size,
        shuffle=True,
        seed=0,
        verbose=False,
    )
    return usual.repeat().take(work.steps)


def resume_turn(work: Work) -> Callable[[], float]:
    """See `resume` above; every turn makes a fresh pipeline."""
    source = load_source("synthetic:8x8x1,classes=1000,examples=1281167", "train")
    batches = Singles(source, ImageTransform(), work.image_shape, ["label"])
    steps_per_epoch = source.num_examples // work.batch_size

    def turn() -> float:
        began = time.perf_counter()
        next(iter(blocks_of(batches, work, 90 * steps_per_epoch, RESUMED_STEP)))
        return time.perf_counter() - began

    return turn
