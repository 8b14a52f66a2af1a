"""The zoo's side: its engine fed by its own pipeline, its pipeline alone, or its command line."""

import itertools
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks import side_product
from benchmarks.commands import command_turn
from benchmarks.works import CLASSES, OF_PHOTOS, Prepared, Work, arrays
from zoo.cli import console
from zoo.version import __version__

ROOT = Path(__file__).parents[1]
# More than anybody plays.
MOST_TURNS = 10**6
# Blocks that may lie ready when a turn begins: on the device, behind it, and in the making.
MOST_READY = 8


def prepare(side: str, work: Work, threads: int) -> Prepared:
    """See `Prepared`; `threads` is the number that the zoo's recipe names."""
    versions = {"zoo": __version__} | {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    if work.kind == "start" and work.model != "resume":
        return Prepared(command_turn(command_of(work)), "`train.py`", versions, peak_of="children")
    console.import_tensorflow()
    side_product.check_device(work)
    from zoo.places.strategy import set_cpu_threads

    set_cpu_threads(threads)
    if work.kind in ("start", "input"):
        from benchmarks import input_pipeline

        turn = input_pipeline.zoo_turn(work)
        if work.model not in OF_PHOTOS:
            return Prepared(turn, "zoo", versions)
        turn, fraction = beside_decoder(turn, input_pipeline.decoder_turn(work), work.batch_size * work.steps)
        return Prepared(turn, "zoo", versions, measured=lambda: {"fraction_of_decoder": fraction()})
    turn, model, waited = engine_turn(work)
    title = "zoo" if work.precision == "float32" else f"zoo, {work.precision}"
    title += "" if work.jit == "auto" else f", jit={work.jit}"
    return Prepared(
        turn, title, versions, *size_of(model), measured=lambda: {"waiting": waited[-1], **gpu_memory(work)}
    )


def beside_decoder(
    turn: Callable[[], float], decoder: Callable[[], float], images: int
) -> tuple[Callable[[], float], Callable[[], float]]:
    """The turn of a pipeline, and what plays the decoder after it and says the pipeline's share of its rate.

    Args:
        turn: makes so many `images`.
        decoder: gives seconds per image.
        images: of a turn.

    Returns:
        The turn; and the median of the shares of all turns but the first, which is not counted.
    """
    seconds, shares = [], []

    def timed() -> float:
        seconds.append(turn())
        return seconds[-1]

    def fraction() -> float:
        shares.append(decoder() * images / seconds[-1])
        return statistics.median(shares[1:] or shares)

    return timed, fraction


def gpu_memory(work: Work) -> dict[str, float]:
    """The most memory of the card that TensorFlow has had in use, in GiB; nothing on a CPU."""
    import tensorflow as tf

    return (
        {"gpu_peak_gib": tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30}
        if work.device == "GPU"
        else {}
    )


def command_of(work: Work) -> Callable[[Path, int], list[str]]:
    """What makes the arguments of Python for a work of kind `start`: train.py in a fresh workdir."""
    if work.model == "help":
        return lambda folder, number: [str(ROOT / "train.py"), "--help"]
    one_step = ["--epochs=1", f"--train_split=train[:{work.batch_size}]", f"--eval_split=test[:{work.batch_size}]"]
    return lambda folder, number: [
        str(ROOT / "train.py"),
        f"--config={ROOT / 'configs' / 'mlp_digits.py'}",
        f"--workdir={folder / str(number)}",
        f"--data_dir={folder / 'data'}",
        *(one_step if work.model == "step" else []),
    ]


def engine_turn(work: Work):
    """One epoch of training or one pass of evaluation, by the engine of zoo.training.

    The blocks of training run on from turn to turn, as those of a run do from epoch to epoch: a run starts its pipeline
    once. So up to four blocks lie ready when a turn begins, which is less than 2 % of any turn's work on a CPU. On a
    GPU it may be all of it, so there as many blocks are trained on before the clock starts.

    The blocks of an evaluation are made before the clock starts, since a run keeps such small ones from its first
    evaluation to the last.

    Returns:
        The turn, the model, and a list to which each turn adds the share of its time spent waiting for the pipeline.
    """
    import keras
    import tensorflow as tf

    import zoo
    from zoo.config import ExperimentConfig
    from zoo.data import pipeline
    from zoo.data.sources import InMemorySource
    from zoo.data.transform import make_normalization
    from zoo.places.strategy import ahead_on_device
    from zoo.training.engines.tensorflow import Engine
    from zoo.training.engines.tensorflow.momentum import MomentumSGD
    from zoo.training.experiment import computing_in
    from zoo.training.optimizers import make_optimizer

    config = ExperimentConfig(optimizer=work.optimizer, batch_size=work.batch_size, precision=work.precision)
    source = InMemorySource(arrays(work), name="random")
    keras.utils.set_random_seed(0)
    classes = None if work.pairs else CLASSES
    with computing_in(work.precision):
        model = zoo.build_model(work.model, work.image_shape, classes, **work.model_args)
    task, batches = task_and_batches(work, source)
    engine = Engine(
        model,
        make_optimizer(config, work.steps, model.trainable_variables, MomentumSGD),
        task,
        strategy=tf.distribute.get_strategy(),
        batch_size=work.batch_size,
        normalize=make_normalization(source, "unit"),
        image_names=batches.image_names,
        jit=work.jit,
    )
    waited = [0.0]
    if work.kind == "train":
        longest = pipeline.longest_block(batches, work.batch_size, config.log_every_steps)
        plan = pipeline.BlockPlan.of(work.steps * MOST_TURNS, work.steps, longest)
        blocks = iter(ahead_on_device(pipeline.training_blocks(batches, batch_size=work.batch_size, seed=0, plan=plan)))
        count, play = plan.block_of(work.steps), engine.train_block
    else:
        joined = pipeline.evaluation_batch_size(batches, work.batch_size)
        blocks = list(ahead_on_device(pipeline.evaluation_blocks(batches, batch_size=joined)))
        count, play = None, engine.evaluate_block

    def turn() -> float:
        if work.device == "GPU" and work.kind == "train":
            for block in itertools.islice(blocks, MOST_READY):
                play(block)
        waiting, began = 0.0, time.perf_counter()
        ready = began
        for block in itertools.islice(blocks, count):
            waiting += time.perf_counter() - ready
            play(block)
            ready = time.perf_counter()
        waited.append(waiting / (ready - began))
        return ready - began

    return turn, model, waited


def task_and_batches(work: Work, source):
    """What the net is trained for, and its batches of one image or of pairs."""
    from zoo.data.batches import FixedPairs, Pairs, Singles
    from zoo.data.pairs import PartnerDraw, fixed_pairs
    from zoo.data.transform import ImageTransform
    from zoo.tasks.base import Label
    from zoo.tasks.classification import ClassificationObjective
    from zoo.tasks.verification import VerificationObjective

    transform, labels = ImageTransform(), np.asarray(source.column("label"))
    if not work.pairs:
        batches = Singles(source, transform, work.image_shape, ["label"])
        return ClassificationObjective(Label("label", CLASSES)), batches
    if work.kind == "train":
        return VerificationObjective(), Pairs(source, transform, work.image_shape, PartnerDraw(labels, "label"))
    pairs = fixed_pairs(labels, "label")
    return VerificationObjective(num_pairs=len(labels)), FixedPairs(source, transform, work.image_shape, [pairs])


def size_of(model) -> tuple[int, int]:
    """Trainable parameters, and multiply-accumulates of one example."""
    from zoo.analysis.nets import complexity, graph

    return graph.count_parameters(model.trainable_variables), complexity.macs(graph.calls(model))
