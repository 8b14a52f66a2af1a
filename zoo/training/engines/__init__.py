"""What computes: a backend takes the devices of a place, and makes an engine that trains a model on them.

The loop, the experiment and everything else know these two protocols and no library's own words, so that an engine of
another library can stand beside TensorFlow's.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo.config import ExperimentConfig
from zoo.errors import RequestError
from zoo.places.place import Place

if TYPE_CHECKING:
    import keras

    from zoo.places.workers import Workers

# Keras backend -> the module whose `make_backend(place, config)` takes a place for it.
_BACKENDS = {"tensorflow": "zoo.training.engines.tensorflow.backend"}
# What a pipeline gives: by name, tensors (K, batch / replicas, ...) of the backend's library, see `zoo.data.pipeline`.
Block = dict[str, Any]


class Engine(Protocol):
    """Trains and evaluates a model block by block.

    Attributes:
        jit: whether XLA compiles anything of a training step.
    """

    jit: bool

    def train_block(self, block: Block) -> dict[str, np.ndarray]:
        """Takes the block's K steps.

        Returns:
            `loss` and the objective's metrics, each float32 (K,): the mean over the examples of each step, taken
            before its update. The loss is the objective's alone, without l2.
        """

    def evaluate_block(self, block: Block) -> dict[str, np.ndarray]:
        """The objective's answers to the block's examples.

        Returns:
            By name the answers to those examples that count, (n,), in the order of the examples whatever the
            number of replicas.
        """

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The model has its averaged weights inside, where there are any."""

    def recompute_statistics(self, blocks: Iterable[Block]) -> None:
        """Sets mean and variance of every batch normalisation to those over all steps of some training blocks.

        Frozen ones keep what they have.
        Nothing else changes, and what is raised while the blocks are made leaves everything as it was.
        """

    def retrace(self) -> None:
        """Takes note that other variables of the model are trainable from now on.

        They must be among those that were when the engine and the optimizer were made.
        """

    def state(self) -> dict[str, np.ndarray]:
        """Every variable there is: weights, statistics, dropout seeds, optimizer, averages; in a fixed order."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Sets every variable.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """


class UnreadableError(Exception):
    """A block of the pipeline could not be made.

    Attributes:
        number: which of the blocks that were asked for, from 0.
    """

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number


class Backend(Protocol):
    """The devices of a place, taken for one run.

    Attributes:
        replicas: how many copies of the model train, over all workers together.
        strategy_name: one of `zoo.places.place.STRATEGIES` but `auto`.
        description: in words, what it trains on: `1 CPU`.
        workers: the processes of the job.
        compiles_everything: whether XLA compiles every step whoever asks, as on a TPU.
        has_gpu: whether there is a GPU, on which steps then run.
        gpus: what each GPU is, for the record.
        momentum_sgd: Keras' SGD with momentum, as fast as the library has it.
    """

    replicas: int
    strategy_name: str
    description: str
    workers: "Workers"
    compiles_everything: bool
    has_gpu: bool
    gpus: list[dict[str, str]]
    momentum_sgd: "type[keras.optimizers.SGD]"

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Variables that are made inside lie on all devices."""

    def make_engine(self, model: "keras.Model", optimizer: "keras.optimizers.Optimizer", **options: Any) -> Engine:
        """The engine of a model and an optimizer that were made in `scope`; `options`: see the backend's engine."""

    def blocks(self, make_blocks: Callable[[range | None], Any], num_blocks: int) -> Iterator[Block]:
        """A pipeline's blocks, on the devices that take them.

        Args:
            make_blocks: gives the dataset of the replicas of this process; None: of all.
            num_blocks: how many there are.

        Raises:
            UnreadableError: one could not be made.
        """

    def memory_shortage_named(
        self, config: ExperimentConfig, last_good: Callable[[], str] | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Makes one line of what the library raises inside when a device has too little memory."""

    def make_profiler(self, folder: Path, first_step: int, end: int, warn: Callable[[str], None]) -> "Profiler":
        """A profiler of the steps from `first_step` up to `end`; `warn` is told where there can be no trace."""


class Profiler(Protocol):
    """Traces the blocks that hold some steps. A trace is no condition of a run, which goes on where it fails."""

    def before(self, step: int, end: int) -> None:
        """Is called before the block of the steps from `step` up to `end`."""

    def after(self, end: int) -> None:
        """Is called after a block."""

    def close(self) -> None:
        """Writes the trace, if one is being taken; says so if there was none to take."""


def make_backend(place: Place, config: ExperimentConfig) -> Backend:
    """Takes a place for the backend that Keras runs on; it waits for the other workers where there are several.

    Raises:
        RequestError: there is no engine for this backend, or the devices cannot be had.
        RunError: the workers do not come together.
    """
    import keras

    name = keras.backend.backend()
    if name not in _BACKENDS:
        raise RequestError(f"Keras runs on {name}; training needs KERAS_BACKEND={' or '.join(_BACKENDS)}")
    return importlib.import_module(_BACKENDS[name]).make_backend(place, config)
