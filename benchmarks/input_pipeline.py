"""Images per second of the data pipeline, beside the usual ways to write one, and the time to resume.

    python -m benchmarks.input_pipeline [--rounds 7] [WORK ...]

`memory`: 32x32x3 in memory, shuffled, pad-4 crop and flip, to float32, batch 128; beside
`from_tensor_slices.shuffle.map.batch` with one call per image. `jpeg`: photographs of about 300x375, random resized
crop to 224, flip; the zoo reads array_record by index, beside TFDS `as_dataset` on the TFRecord of the same set with
the same augmentation. `folder`: the same photographs in folders, squeezed to 224; beside
`keras.utils.image_dataset_from_directory`. The zoo's blocks are made as the driver makes them, and nothing is held in
memory for the last two works, as for a set that would not fit: TFDS would keep one as small as this decoded. Images are
normalised in `memory` alone, on both sides: the zoo does it within the compiled step, Keras in a layer of the model.
Sides take turns in one process, and the ratio is the median of the ratios of the turns; beside it stands that of each
side's fastest turn. `resume`: the first batch of a run that goes on at step 1,000,000 of a set of 1,281,167 examples.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo import console
from zoo.config import ExperimentConfig

console.import_tensorflow()

import tensorflow as tf  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402

from benchmarks.photos import CLASSES, PHOTOS, Photos, jpegs  # noqa: E402
from zoo.data import pipeline  # noqa: E402
from zoo.data.batches import Singles  # noqa: E402
from zoo.data.sources import InMemorySource, load_source  # noqa: E402
from zoo.data.transform import ImageTransform, make_normalization  # noqa: E402
from zoo.training.data import open_data  # noqa: E402

# A turn goes through the photographs so often, so that beginning to read does not count.
EPOCHS = 8
# A side is a function that reads so many images; images per turn.
Side = Callable[[], int]


def zoo_side(config: ExperimentConfig, data_dir: str | None) -> Side:
    """Some epochs of the driver's pipeline, with nothing held in memory."""
    batches = open_data(config, data_dir=data_dir, memory_gib=0).train_batches()
    steps = EPOCHS * (batches.num_examples // config.batch_size)
    plan = pipeline.BlockPlan.of(steps, steps, pipeline.longest_block(batches, config.batch_size))
    blocks = pipeline.training_blocks(batches, batch_size=config.batch_size, seed=0, plan=plan)
    return lambda: sum(int(np.prod(block["image"].shape[:2])) for block in blocks)


def memory_sides(folder: Path) -> tuple[Side, Side]:
    """See `memory` above."""
    rng = np.random.RandomState(0)
    images, labels = rng.randint(0, 256, (50_000, 32, 32, 3)).astype(np.uint8), rng.randint(0, 10, 50_000)
    source = InMemorySource({"image": images, "label": labels}, name="random")
    normalization = make_normalization(source, "standardize")
    batches = Singles(source, ImageTransform("pad_crop:4,flip"), (32, 32, 3), ["label"])
    plan = pipeline.BlockPlan.of(390, 390, pipeline.longest_block(batches, 128))
    blocks = pipeline.training_blocks(batches, batch_size=128, seed=0, plan=plan)
    mean, deviation = np.float32(normalization.mean), np.float32(normalization.deviation)

    def augment(image, label):
        image = tf.image.random_crop(tf.pad(image, [[4, 4], [4, 4], [0, 0]]), (32, 32, 3))
        image = tf.image.random_flip_left_right(image)
        return (tf.cast(image, tf.float32) - mean) / deviation, label

    usual = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images))
    usual = usual.map(augment, num_parallel_calls=tf.data.AUTOTUNE).batch(128, drop_remainder=True)
    # A fifth of an epoch of the slow side takes long enough.
    usual = usual.take(78).prefetch(tf.data.AUTOTUNE)
    finished = blocks.map(lambda block: normalization(tf.reshape(block["image"], [-1, 32, 32, 3])))
    return lambda: sum(len(batch) for batch in finished), lambda: sum(len(label) for _, label in usual)


def jpeg_sides(folder: Path) -> tuple[Side, Side]:
    """See `jpeg` above."""
    for file_format in ("array_record", "tfrecord"):
        tfds.disable_progress_bar()
        Photos(data_dir=folder / file_format, file_format=file_format).download_and_prepare()
    config = ExperimentConfig(
        dataset="benchmarks.photos:Photos",
        image_size=224,
        augment="random_resized_crop,flip",
        normalize="unit",
        batch_size=64,
    )
    no_box = tf.zeros([1, 0, 4])

    def augment(image, label):
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), no_box, aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.08, 1.0),
            max_attempts=10, use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        image = tf.image.resize(tf.slice(image, begin, size), (224, 224))
        return tf.image.random_flip_left_right(image), label

    usual = Photos(data_dir=folder / "tfrecord").as_dataset(
        split="train",
        shuffle_files=True,
        as_supervised=True,
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    usual = usual.shuffle(PHOTOS).map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    usual = usual.batch(64, drop_remainder=True).repeat(EPOCHS).prefetch(tf.data.AUTOTUNE)
    return zoo_side(config, str(folder / "array_record")), lambda: sum(len(label) for _, label in usual)


def folder_sides(folder: Path) -> tuple[Side, Side]:
    """See `folder` above."""
    import keras

    for number, content in enumerate(jpegs(PHOTOS)):
        file = folder / "photos" / "train" / f"class{number % CLASSES}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if number < CLASSES:
            copy = folder / "photos" / "test" / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    config = ExperimentConfig(dataset=f"folder:{folder / 'photos'}", image_size=224, normalize="unit", batch_size=64)
    usual = keras.utils.image_dataset_from_directory(
        folder / "photos" / "train", image_size=(224, 224), batch_size=64, shuffle=True, seed=0, verbose=False
    )
    usual = usual.repeat(EPOCHS)
    return zoo_side(config, None), lambda: sum(len(label) for _, label in usual)


def resume() -> None:
    """See `resume` above; a fresh pipeline each time."""
    source = load_source("synthetic:8x8x1,classes=1000,examples=1281167", "train")
    transform = ImageTransform()
    batches = Singles(source, transform, (8, 8, 1), ["label"])
    print(f"{'step':>12} {'first batch, s':>16} {'peak memory, MiB':>18}")
    for step in (0, 1_000, 1_000_000, 3_000_000):
        began = time.perf_counter()
        plan = pipeline.BlockPlan.of(90 * 40_036, 40_036, 1)
        blocks = pipeline.training_blocks(batches, batch_size=32, seed=0, plan=plan, first_step=step)
        next(iter(blocks))
        seconds = time.perf_counter() - began
        print(f"{step:>12,} {seconds:>16.3f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>18.0f}")


SIDES = {"memory": memory_sides, "jpeg": jpeg_sides, "folder": folder_sides}


def measure(sides: tuple[Side, Side], rounds: int) -> list[tuple[float, float]]:
    """Images per second of both sides, a row per counted round; the first round is not counted."""
    rows = []
    for _ in range(rounds + 1):
        row = []
        for side in sides:
            began = time.perf_counter()
            count = side()
            row.append(count / (time.perf_counter() - began))
        rows.append(tuple(row))
    return rows[1:]


def main(argv: list[str] | None = None) -> None:
    """Prints a row per work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"any of {', '.join(SIDES)}, resume; default: all")
    parser.add_argument("--rounds", type=int, default=7, help="counted turns of each side")
    options = parser.parse_args(argv)
    if unknown := set(options.work) - {*SIDES, "resume"}:
        parser.error(f"unknown work {', '.join(unknown)}; there is {', '.join(SIDES)}, resume")
    wanted = options.work or ["resume", *SIDES]
    if "resume" in wanted:
        resume()
    print(f"{os.cpu_count()} cores, medians of {options.rounds} rounds in turns, images per second")
    print("work            zoo    usual   times faster (least - most)   fastest turns")
    for name in wanted:
        if name == "resume":
            continue  # it came first, since the others fill the memory
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(SIDES[name](Path(folder)), options.rounds)
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        ratios = sorted(row[0] / row[1] for row in rows)
        fastest = [max(column) for column in zip(*rows, strict=True)]
        print(
            f"{name:<10} {medians[0]:>8,.0f} {medians[1]:>8,.0f} {statistics.median(ratios):>14.2f} "
            f"({ratios[0]:.2f} - {ratios[-1]:.2f}) {fastest[0] / fastest[1]:>15.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
