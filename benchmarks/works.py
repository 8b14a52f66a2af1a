"""What is timed: a table of works, and the data that every side trains on. Imports NumPy alone, for any Python."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# The fields that say how a run goes and not what comes of it.
RUN_FIELDS = (
    "seed",
    "cpu_threads",
    "eval_every_epochs",
    "checkpoint_every_steps",
    "keep_checkpoints",
    "log_every_steps",
)
CLASSES = 10
# Side -> the module that plays it.
SIDES = {
    "zoo": "benchmarks.side_zoo",
    "keras": "benchmarks.side_keras",
    "keras_tuned": "benchmarks.side_keras",
    "torch": "benchmarks.side_torch",
    "torch_compile": "benchmarks.side_torch",
    "jax": "benchmarks.side_jax",
}
# Plays in every work on a GPU, beside the sides.
PRODUCT = {"product": "benchmarks.side_product"}
# These may live in another Python.
PEERS = ("torch", "torch_compile", "jax")
# Those of the sides whose number of threads a user would tune; the others keep what they come with.
TUNABLE = ("keras_tuned", *PEERS)
# Pipelines that read photographs; they are written once for all sides.
OF_PHOTOS = ("jpeg", "folder")
# What is said of a side that a work does not name.
NO_SUCH_SIDE = "there is none for this work"


@dataclasses.dataclass(frozen=True)
class Work:
    """Something that every side does in its own way.

    Attributes:
        title: for people.
        kind: `train`, `inference`, `input` (a data pipeline alone) or `start` (seconds until something is done).
        model: a registered model; of `input` and `start` what they are, see the module that plays them.
        model_args: its hyperparameters.
        image_shape: height, width, channels.
        batch_size: examples per step.
        steps: how many a turn takes; 1 for `start`, whose turn is not divided.
        optimizer: `adam` or `sgd` (momentum 0.9).
        threads: of the zoo's recipe; 0: all cores.
        sides: that know how.
        device: `CPU` or `GPU`, which all sides then have for themselves in turn.
        precision: `float32` or `bfloat16`, in which every side computes; its variables stay float32. On a GPU float32
            products take TF32, as TensorFlow has it by default and PyTorch for convolutions.
        jit: of the zoo, see `zoo.training.engines.tensorflow.Engine`.
    """

    title: str
    kind: str = "train"
    model: str = ""
    model_args: dict[str, Any] = dataclasses.field(default_factory=dict)
    image_shape: tuple[int, ...] = ()
    batch_size: int = 1
    steps: int = 1
    optimizer: str = "sgd"
    threads: int = 0
    sides: tuple[str, ...] = ("zoo", "keras", "keras_tuned", "torch", "torch_compile")
    device: str = "CPU"
    precision: str = "float32"
    jit: str = "auto"

    @property
    def pairs(self) -> bool:
        """Whether an example is a pair of images."""
        return self.model == "siamese"


class Unfit(Exception):  # noqa: N818 - nothing went wrong
    """A side cannot take part; the message says why in a line."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a side makes of a work.

    Attributes:
        turn: does the work's steps once and returns the seconds that they took.
        title: the side's name and settings, for people.
        versions: by package.
        parameters: trainable ones, by which it shows that all sides train one net; None: there is no net.
        forward_macs: multiply-accumulates of one example; None where the side does not count them.
        peak_of: whose memory is meant, `self` or `children`.
        measured: asked after a turn, says by name what else was measured in it: `waiting`, the share of the turn
            spent waiting for the input pipeline, and `gpu_peak_gib`, the most memory of the card that was in use.
    """

    turn: Callable[[], float]
    title: str
    versions: dict[str, str]
    parameters: int | None = None
    forward_macs: int | None = None
    peak_of: str = "self"
    measured: Callable[[], dict[str, float]] = dict


ALL = tuple(SIDES)
# Where a step takes seconds, many of them in one call are no faster.
LONG = ("zoo", "keras", "torch", "torch_compile")
DIGITS, GREY, SMALL, LARGE, LARGER = (8, 8, 1), (28, 28, 1), (32, 32, 3), (224, 224, 3), (299, 299, 3)
# fmt: off
TRAINING = {
    "mlp_digits": Work("MLP 64-64 on digits, batch 32", "train", "mlp", {"hidden_sizes": [64, 64]}, DIGITS,
                       32, 2000, "adam", 1, ALL),
    "cnn_digits": Work("CNN 16-32 on digits, batch 32", "train", "simple_cnn", {"filters": [16, 32]}, DIGITS,
                       32, 500, "adam", 1, ALL),
    "mlp": Work("MLP 784-512-512-10, batch 128", "train", "mlp", {"hidden_sizes": [512, 512]}, GREY,
                128, 400, "adam", 0, ALL),
    "cnn": Work("CNN 32-64-128 on 28x28, batch 128", "train", "simple_cnn", {"filters": [32, 64, 128]}, GREY,
                128, 50, "adam", 0, ALL),
    "resnet20": Work("ResNet-20, 32x32, batch 128", "train", "resnet20", {}, SMALL, 128, 6),
    "siamese_resnet20": Work("Siamese ResNet-20, 32x32, batch 64 pairs", "train", "siamese", {"tower": "resnet20"},
                             SMALL, 64, 6),
    "resnet50": Work("ResNet-50, 224x224, batch 16", "train", "resnet50", {}, LARGE, 16, 2, sides=LONG),
    "googlenet": Work("GoogLeNet with batch norm, 224x224, batch 16", "train", "googlenet", {"batch_norm": True},
                      LARGE, 16, 2, sides=LONG),
    "inception_v3": Work("Inception-v3, 299x299, batch 8", "train", "inception_v3", {}, LARGER, 8, 2, sides=LONG),
    "resnext50": Work("ResNeXt-50 32x4d, 112x112, batch 4", "train", "resnext50_32x4d", {}, (112, 112, 3),
                      4, 1, sides=("zoo", "keras", "torch")),
}
# A forward pass is a third of a step, so short ones are taken twice as often. Keras' grouped convolution is slow enough
# to be timed once.
INFERENCE = {
    f"{name}_inference": dataclasses.replace(work, title=f"{work.title}: inference", kind="inference",
                                             steps=work.steps * (2 if work.steps >= 50 else 1))
    for name, work in TRAINING.items() if name != "resnext50"
}
WITHOUT_NET = {
    "input_memory": Work("32x32x3 in memory: shuffle, pad-crop, flip, float32", "input", "memory",
                         batch_size=128, steps=390, sides=("zoo", "keras")),
    "input_jpeg": Work("JPEG of 300x375, prepared by TFDS: random crop to 224, flip", "input", "jpeg",
                       batch_size=64, steps=32, sides=("zoo", "keras", "torch")),
    "input_folder": Work("The same files in folders: squeezed to 224", "input", "folder",
                         batch_size=64, steps=32, sides=("zoo", "keras", "torch")),
    "resume": Work("The first batch at step 1,000,000 of 1,281,167 examples", "start", "resume",
                   image_shape=DIGITS, batch_size=32, sides=("zoo",)),
    "start_help": Work("`train.py --help`", "start", "help", sides=("zoo",)),
    "start_step": Work("One step of the MLP of configs/mlp_digits.py, from start to end", "start", "step",
                       batch_size=32, sides=("zoo", "keras", "torch")),
    "start_run": Work("The whole run of configs/mlp_digits.py, 60 epochs", "start", "run",
                      batch_size=32, sides=("zoo", "keras", "torch")),
}
# What python -m benchmarks.gpu plays.
ON_GPU = {
    name: dataclasses.replace(TRAINING[work], device="GPU", threads=0, sides=("zoo", "torch", "torch_compile"), **how)
    for name, work, how in (
        ("mlp_digits", "mlp_digits", {}),
        ("cnn_digits", "cnn_digits", {"steps": 1000}),
        ("resnet20", "resnet20", {"steps": 200}),
        ("resnet50", "resnet50", {"title": "ResNet-50, 224x224, batch 256", "batch_size": 256, "steps": 12}),
        ("resnet50_bfloat16", "resnet50", {"title": "ResNet-50, 224x224, batch 256, bfloat16",
                                           "batch_size": 256, "steps": 12, "precision": "bfloat16"}),
        ("inception_v3_bfloat16", "inception_v3", {"title": "Inception-v3, 299x299, batch 128, bfloat16",
                                                   "batch_size": 128, "steps": 12, "precision": "bfloat16"}),
    )
}
# fmt: on
WORKS = {**TRAINING, **INFERENCE, **WITHOUT_NET}


def photo_folder() -> Path:
    """Where the photographs lie: in TMPDIR, which all sides of a work share; `train` and `test`, a folder per class."""
    return Path(tempfile.gettempdir(), "photos")


def arrays(work: Work) -> dict[str, np.ndarray]:
    """Random `image`, uint8 (n, height, width, channels), and `label`, int64 (n,): how long a step takes does not
    depend on them.
    """
    rng = np.random.default_rng(0)
    size = work.batch_size * work.steps
    labels = np.arange(size) % CLASSES
    rng.shuffle(labels)
    return {"image": rng.integers(0, 256, (size, *work.image_shape), dtype=np.uint8), "label": labels}


def examples(work: Work) -> tuple[list[np.ndarray], np.ndarray]:
    """The same as others take them: normalised before the clock starts.

    Returns:
        The inputs, one array or two, float32 (n, height, width, channels) from 0 to 1, and what is learned: classes
        int64 (n,), of pairs whether they are alike, float32 (n,).
    """
    data = arrays(work)
    images, labels = data["image"].astype(np.float32), data["label"]
    images /= 255  # in place: what is timed includes peak memory
    if not work.pairs:
        return [images], labels
    return [images, np.roll(images, 1, axis=0)], (labels == np.roll(labels, 1)).astype(np.float32)


def flops(work: Work, forward_macs: int) -> float:
    """Floating-point operations of a step: two for a multiply-accumulate, three passes of that size in training."""
    passes = 3 if work.kind == "train" else 1
    return passes * 2 * forward_macs * work.batch_size
