"""The matrix product of the device, by TensorFlow: what the rate of every net on a GPU is divided by.

It takes its turn as a side does. In float32 the product takes TF32, as convolutions do.
"""

import time
from collections.abc import Callable

from benchmarks.works import Prepared, Unfit, Work
from zoo.cli import console

# Large enough for the whole of a card; a CPU has one that takes as long.
SIZES = {"GPU": 8192, "CPU": 1024}
PRODUCTS = 20


def prepare(side: str, work: Work, threads: int) -> Prepared:
    """See `Prepared`."""
    console.import_tensorflow()
    check_device(work)
    return Prepared(product_turn(work), "matrix product", {})


def check_device(work: Work) -> None:
    """Raises `Unfit` where a work is for a GPU and TensorFlow sees none."""
    import tensorflow as tf

    if work.device == "GPU" and not tf.config.list_physical_devices("GPU"):
        raise Unfit("TensorFlow sees no GPU")


def operations(work: Work) -> int:
    """Of a turn: two for a multiply-accumulate."""
    return PRODUCTS * 2 * SIZES[work.device] ** 3


def product_turn(work: Work) -> Callable[[], float]:
    """Products of random square matrices, one after the other."""
    import tensorflow as tf

    size = SIZES[work.device]
    matrix = tf.cast(tf.random.normal([size, size], stddev=size**-0.5, seed=0), work.precision)

    @tf.function
    def products(matrix):
        # Each is a factor of the next one, so none can be left out.
        last = tf.while_loop(lambda i, x: i < PRODUCTS, lambda i, x: (i + 1, x @ matrix), (0, matrix))[1]
        return tf.reduce_sum(tf.cast(last, tf.float32))

    def turn() -> float:
        began = time.perf_counter()
        products(matrix).numpy()
        return time.perf_counter() - began

    return turn
