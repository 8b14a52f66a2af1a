"""What it costs to turn photographs as their EXIF data say: python -m benchmarks.orientation [--rounds=N]

Encoded photographs to 224x224, with turning and without, in turns. Without it is the same code but for the branch that
turns and the reading of EXIF data. A line is of one kind of photograph: the rate with turning divided
by that without, by processor time, the median of all rounds and both ends of the middle half.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import tensorflow as tf
from PIL import Image, ImageOps

from benchmarks.photos import jpegs
from zoo.cli import console
from zoo.data import headers, images, randomness

SIDE = 224
# Photographs of a turn by the length of their sides: about as large as in works of kind `input`, and as of a camera.
# They are square, so that with turning and without random crops are of one size.
COUNTS = {280: 64, 3024: 8}
LIES_UPRIGHT, QUARTER_TURN = 1, 6


def main(argv: Sequence[str]) -> None:
    """Prints a line for every kind of photograph and way to size it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orientation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="counted turns of each side")
    rounds = parser.parse_args(argv).rounds
    for title, photos in kinds():
        for way, size in {"squeezed": squeezed, "cropped at random": cropped}.items():
            ratios = compared(photos, size, rounds)
            low, median, high = statistics.quantiles(ratios)
            print(f"{title}, {way}: {median:.3f} ({low:.3f} to {high:.3f})", flush=True)


def kinds() -> Iterator[tuple[str, list[bytes]]]:
    """Photographs without EXIF data, with data that say to leave them, and with data that say to turn them."""
    for side, count in COUNTS.items():
        contents = [square(content, side) for content in jpegs(count)]
        turned = [tagged(content, QUARTER_TURN) for content in contents]
        yield f"{side}x{side}, no EXIF data", contents
        yield f"{side}x{side}, upright", [tagged(content, LIES_UPRIGHT) for content in contents]
        yield f"{side}x{side}, every second turned", [*contents[::2], *turned[1::2]]
        yield f"{side}x{side}, all turned", turned


def square(content: bytes, side: int) -> bytes:
    """A square photograph of a photograph."""
    file = io.BytesIO()
    ImageOps.fit(Image.open(io.BytesIO(content)), (side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def tagged(content: bytes, orientation: int) -> bytes:
    """A JPEG with EXIF data before its first segment."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    # What cameras note beside.
    exif.update({0x010F: "maker", 0x0110: "model", 0x011A: 72.0, 0x011B: 72.0, 0x0132: "2020:01:01 00:00:00"})
    data = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    return content[:2] + b"\xff\xe1" + (2 + len(data)).to_bytes(2, "big") + data + content[2:]


def squeezed(contents: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Whole photographs."""
    del numbers
    return images.squeeze(contents, SIDE, 3)


def cropped(contents: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Random parts of them, always the same."""
    return images.random_resized_crop(contents, randomness.example_keys(0, tf.zeros_like(numbers), numbers), SIDE, 3)


def compared(photos: list[bytes], size: Callable, rounds: int) -> list[float]:
    """By round, the processor time without turning divided by that with it."""
    contents, numbers = tf.constant(photos), tf.range(len(photos), dtype=tf.int64)
    turning = compiled(size, contents, numbers)
    with without_turning():
        leaving = compiled(size, contents, numbers)
    ratios = []
    # The first round warms up. Who begins changes.
    for number in range(rounds + 1):
        seconds = {}
        for side in (turning, leaving) if number % 2 else (leaving, turning):
            with without_turning() if side is leaving else contextlib.nullcontext():
                began = time.process_time()
                side(contents, numbers)
                seconds[side] = time.process_time() - began
        ratios.append(seconds[leaving] / seconds[turning])
    return ratios[1:]


def compiled(size: Callable, contents: tf.Tensor, numbers: tf.Tensor) -> Callable:
    """The graph that sizes a batch, made now."""
    return tf.function(size, autograph=False).get_concrete_function(contents, numbers)


@contextlib.contextmanager
def without_turning() -> Iterator[None]:
    """Leaves photographs as they are stored: graphs that are made inside, and called inside."""
    with (
        mock.patch.object(headers, "exif_orientation", return_value=1),
        mock.patch.object(images, "turned", lambda images, orientations: images),
    ):
        yield


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
