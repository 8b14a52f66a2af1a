"""Time per training step, data pipeline included, and peak memory, against the same net in Keras `fit` as it comes.

    python -m benchmarks.train_step [--rounds 7] [WORK ...]

Each side is a process of its own, set up as its user would have it: the zoo with the threads that its recipe names,
Keras with `compile(optimizer, loss, metrics)` and `fit(x, y, batch_size)` on arrays in memory, and nothing else set.
Keras' net is the one of `keras.applications` where a work names it, otherwise the zoo's with Keras' own layers in
place of those of the zoo that the work names. A third side is Keras with the zoo's number of threads. They take
turns, and the ratio is the median of the ratios of the turns, so that a machine that slows down slows all; beside it
stands the ratio of each side's fastest turn, for a machine whose neighbours come and go. Compilation and first touches
are in a turn that is not counted. Memory is the largest resident size that a process had.
"""

import argparse
import dataclasses
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo import console

Turn = Callable[[], float]
CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Work:
    """A net, its data, and how it is trained.

    Attributes:
        model: a registered model.
        model_args: its hyperparameters.
        image_shape: height, width, channels.
        batch_size: examples per step.
        steps: how many a turn takes.
        optimizer: `adam` or `sgd`.
        threads: of the zoo's recipe; 0: all cores.
        application: the net of `keras.applications` that Keras trains; None: the zoo's.
        swapped: the layers of the zoo in whose place Keras has its own.
    """

    model: str
    model_args: dict[str, Any]
    image_shape: tuple[int, int, int]
    batch_size: int
    steps: int
    optimizer: str
    threads: int = 0
    application: str | None = None
    swapped: tuple[str, ...] = ("BatchNormalization",)


WORK = {
    "mlp_digits": Work("mlp", {"hidden_sizes": (64, 64)}, (8, 8, 1), 32, 2200, "adam", 1),
    "cnn_digits": Work("simple_cnn", {"filters": (16, 32)}, (8, 8, 1), 32, 880, "adam", 1),
    "resnet20": Work("resnet20", {}, (32, 32, 3), 128, 20, "sgd"),
    "resnet50_v1": Work("resnet50_v1", {}, (224, 224, 3), 16, 4, "sgd", application="ResNet50"),
    "resnet50": Work("resnet50", {}, (224, 224, 3), 16, 4, "sgd", application="ResNet50"),
    "inception_v3": Work("inception_v3", {}, (299, 299, 3), 8, 4, "sgd", application="InceptionV3"),
    "resnext50": Work("resnext50_32x4d", {}, (112, 112, 3), 4, 1, "sgd", swapped=("GroupedConv2D",)),
}


def arrays(work: Work) -> dict[str, np.ndarray]:
    """Random images and labels; how long a step takes does not depend on them."""
    rng = np.random.default_rng(0)
    size = work.batch_size * work.steps
    return {
        "image": rng.integers(0, 256, (size, *work.image_shape), dtype=np.uint8),
        "label": rng.integers(0, CLASSES, size),
    }


def zoo_turn(work: Work) -> Turn:
    """One epoch of the zoo's engine fed by its pipeline; the turn returns the milliseconds per step."""
    import keras
    import tensorflow as tf

    import zoo
    from zoo.config import ExperimentConfig
    from zoo.data import pipeline
    from zoo.data.batches import Singles
    from zoo.data.sources import InMemorySource
    from zoo.data.transform import ImageTransform, make_normalization
    from zoo.tasks import Classification, Label
    from zoo.training.engine import Engine
    from zoo.training.optimizers import make_optimizer

    config = ExperimentConfig(optimizer=work.optimizer, batch_size=work.batch_size)
    source = InMemorySource(arrays(work), name="random")
    keras.utils.set_random_seed(0)
    model = zoo.build_model(work.model, work.image_shape, CLASSES, **work.model_args)
    optimizer = make_optimizer(config, work.steps, model.trainable_variables)
    strategy = tf.distribute.get_strategy()
    task = Classification(Label("label", CLASSES))
    engine = Engine(
        model,
        optimizer,
        task,
        strategy=strategy,
        batch_size=work.batch_size,
        normalize=make_normalization(source, "unit"),
        image_names=["image"],
    )
    batches = Singles(source, ImageTransform(), work.image_shape, ["label"])
    longest = pipeline.longest_block(batches, work.batch_size, config.log_every_steps)
    plan = pipeline.BlockPlan.of(work.steps, work.steps, longest)
    blocks = pipeline.training_blocks(batches, batch_size=work.batch_size, seed=0, plan=plan)

    def turn() -> float:
        began = time.perf_counter()
        for block in blocks:
            engine.train_block(block)
        return (time.perf_counter() - began) / work.steps * 1000

    return turn


def keras_turn(work: Work) -> Turn:
    """One epoch of Keras `fit` on the same net; the turn returns the milliseconds per step."""
    import keras

    data = arrays(work)
    images, labels = data.pop("image").astype("float32") / 255, data["label"]
    keras.utils.set_random_seed(0)
    model = keras_model(work)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9) if work.optimizer == "sgd" else work.optimizer
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])

    def turn() -> float:
        began = time.perf_counter()
        model.fit(images, labels, batch_size=work.batch_size, verbose=0)
        return (time.perf_counter() - began) / work.steps * 1000

    return turn


def keras_model(work: Work):
    """The net of `keras.applications`, or the zoo's with Keras' own layers."""
    import keras

    import zoo

    if work.application:
        application = getattr(keras.applications, work.application)
        return application(weights=None, input_shape=work.image_shape, classes=CLASSES, classifier_activation=None)
    own = {"BatchNormalization": keras.layers.BatchNormalization, "GroupedConv2D": keras.layers.Conv2D}

    def plain(layer):
        kind = type(layer).__name__
        return (own[kind] if kind in work.swapped else type(layer)).from_config(layer.get_config())

    model = zoo.build_model(work.model, work.image_shape, CLASSES, **work.model_args)
    return keras.models.clone_model(model, clone_function=plain)


def serve(make_turn: Callable[[Work], Turn], work: Work, threads: int, connection) -> None:
    """What a side's process does: a turn for every message, until the connection closes."""
    console.import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    turn = make_turn(work)
    while connection.recv():
        connection.send((turn(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def measure(work: Work, rounds: int) -> tuple[list[list[float]], list[float]]:
    """Times zoo, Keras, and Keras with the zoo's threads in turns.

    Returns:
        The milliseconds per step of each side, a row per counted round, and each side's peak memory in GiB.
    """
    sides = [(zoo_turn, work.threads), (keras_turn, 0)]
    if work.threads:
        sides.append((keras_turn, work.threads))
    context = multiprocessing.get_context("spawn")
    connections = []
    for make_turn, threads in sides:
        here, there = context.Pipe()
        context.Process(target=serve, args=(make_turn, work, threads, there), daemon=True).start()
        connections.append(here)
    rows = []
    for _ in range(rounds + 1):
        replies = []
        for connection in connections:
            connection.send(True)
            replies.append(connection.recv())
        milliseconds, memory = zip(*replies, strict=True)
        rows.append(milliseconds)
    for connection in connections:
        connection.send(False)
    return rows[1:], memory


def main(argv: list[str] | None = None) -> None:
    """Prints one row per work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"any of {', '.join(WORK)}; default: all")
    parser.add_argument("--rounds", type=int, default=7, help="counted turns of each side")
    options = parser.parse_args(argv)
    if unknown := set(options.work) - set(WORK):
        parser.error(f"unknown work {', '.join(unknown)}; there is {', '.join(WORK)}")
    print(f"{os.cpu_count()} cores, medians of {options.rounds} rounds in turns, ms per step")
    print(
        "work          threads        zoo  Keras fit   times faster (least - most)   fastest turns   "
        "with the same threads   peak GiB, zoo - Keras"
    )
    for name in options.work or WORK:
        work = WORK[name]
        rows, memory = measure(work, options.rounds)
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        ratios = sorted(row[1] / row[0] for row in rows)
        fastest = [min(column) for column in zip(*rows, strict=True)]
        same = statistics.median(row[-1] / row[0] for row in rows)
        print(
            f"{name:<14} {work.threads or 'all':>6} {medians[0]:>10.3f} {medians[1]:>10.3f} "
            f"{statistics.median(ratios):>13.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f}) "
            f"{fastest[1] / fastest[0]:>14.2f} {same:>23.2f} {memory[0]:>17.2f} - {memory[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
