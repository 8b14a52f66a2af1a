"""The devices of a place, taken by TensorFlow; see `zoo.training.engines.Backend`."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.places import strategy as devices
from zoo.places.joining import join
from zoo.places.place import Place
from zoo.places.workers import Workers
from zoo.training.engines import Block, UnreadableError
from zoo.training.engines.tensorflow.engine import Engine
from zoo.training.engines.tensorflow.memory import is_out_of_memory, memory_shortage_named
from zoo.training.engines.tensorflow.momentum import MomentumSGD
from zoo.training.engines.tensorflow.profiling import Profiler


def make_backend(place: Place, config: ExperimentConfig) -> "TensorFlowBackend":
    """See `zoo.training.engines.make_backend`."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices.set_cpu_threads(config.cpu_threads)
    return TensorFlowBackend(*join(place))


class TensorFlowBackend:
    """A `tf.distribute.Strategy` and its workers; see `zoo.training.engines.Backend`.

    Args:
        strategy: where steps run.
        workers: the processes of the job.
    """

    memory_shortage_named = staticmethod(memory_shortage_named)
    momentum_sgd = MomentumSGD

    def __init__(self, strategy: tf.distribute.Strategy, workers: Workers):
        self.strategy = strategy
        self.workers = workers
        self.replicas = strategy.num_replicas_in_sync
        self.strategy_name = devices.strategy_name(strategy)
        self.compiles_everything = self.strategy_name == "tpu"
        self.has_gpu = bool(tf.config.list_physical_devices("GPU"))

    @property
    def description(self) -> str:
        """See `zoo.places.strategy.describe`."""
        return devices.describe(self.strategy)

    @property
    def gpus(self) -> list[dict[str, str]]:
        """See `zoo.places.strategy.gpus`."""
        return devices.gpus()

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's."""
        return self.strategy.scope()

    def make_engine(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, **options: Any) -> Engine:
        """See `Engine`."""
        return Engine(model, optimizer, strategy=self.strategy, **options)

    def blocks(self, make_blocks: Callable[[range | None], tf.data.Dataset], num_blocks: int) -> Iterator[Block]:
        """See `zoo.training.engines.Backend`."""
        number = 0
        try:
            for block in self._distributed(make_blocks, num_blocks):
                yield block
                number += 1
        except tf.errors.OpError as error:
            if is_out_of_memory(error):
                raise
            raise UnreadableError(number, error.message) from error

    def make_profiler(self, folder: Path, first_step: int, end: int, warn: Callable[[str], None]) -> Profiler:
        """See `Profiler`."""
        return Profiler(folder, first_step, end, warn)

    def _distributed(self, make_blocks: Callable[[range | None], tf.data.Dataset], num_blocks: int) -> Iterator[Block]:
        """The blocks, for the replicas of this process where there are several."""
        if self.replicas == 1:
            return iter(devices.ahead_on_device(make_blocks(None)))

        def dataset_of(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = self.replicas // context.num_input_pipelines
            blocks = make_blocks(range(context.input_pipeline_id * count, (context.input_pipeline_id + 1) * count))
            if context.num_input_pipelines == 1:
                return blocks
            # Before each element of a dataset that ends, all processes would ask each other whether it has ended.
            return blocks.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

        return itertools.islice(self.strategy.distribute_datasets_from_function(dataset_of), num_blocks)
