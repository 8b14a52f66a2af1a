"""The statistics of batch normalisation over many batches, in place of those that moved along with training."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.layers import batch_normalizations
from zoo.training.engines.tensorflow.compiling import compiled, looped, parts_of, steps_of

Batch = dict[str, tf.Tensor]


class PopulationStatistics:
    """Takes mean and variance of every batch normalisation anew, with the weights as they are.

    Moving statistics are those of weights that training has left behind, and in a short run they still hold what they
    began with. Here each is the mean over batches that go through the model as in training: the mean of the batches'
    means, and the mean of their variances plus the variance of their means. So it was done after training by He, Zhang,
    Ren and Sun 2015, arXiv:1512.03385, and before each evaluation by Wu and Johnson 2021, arXiv:2105.07576, section 3.

    Of a layer that is called several times for a batch, as in the tower of a siamese net, the last call counts.

    Args:
        model: built under the strategy's scope; its layers that are frozen keep what they have.
        forward: calls the model on a replica's share of a batch as in training.
        strategy: where it runs.
        batch_of: a replica's share of a step's batch, of a block and the step's number.
        parts_per_step: into how many parts a share is cut in training, each of which is a batch to the layers.
        jit: compile with XLA.
    """

    def __init__(
        self,
        model: keras.Model,
        forward: Callable[[Batch], Any],
        *,
        strategy: tf.distribute.Strategy,
        batch_of: Callable[[Batch, tf.Tensor], Batch],
        parts_per_step: int,
        jit: bool,
    ):
        self._model = model
        self._forward = forward
        self._strategy = strategy
        self._batch_of = batch_of
        self._parts_per_step = parts_per_step
        self._jit = jit
        self.retrace()

    def retrace(self) -> None:
        """Has what is compiled compiled anew, for the layers that are trained from now on."""
        self._moments = compiled(self._moments_of, jit=self._jit)

    def recompute(self, blocks: Iterable[Batch]) -> None:
        """Sets the statistics to those over all steps of some blocks; where that fails they are left as they were.

        The sums are taken in float64, in the order of the steps, so that they do not depend on how the steps are split
        into blocks.
        """
        if not batch_normalizations(self._model):
            # All are frozen.
            return
        variables = self._model.non_trainable_variables
        # Seeds of dropout among them, which go on as if no batch had come between.
        before = [variable.numpy() for variable in variables]
        total, steps = 0.0, 0
        try:
            for block in blocks:
                for moments in self._moments(block).numpy():
                    total, steps = total + moments, steps + 1
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)
        mean, square = total / steps
        self._assign(mean, np.maximum(square - mean**2, 0))

    def _assign(self, mean: np.ndarray, variance: np.ndarray) -> None:
        start = 0
        for layer in batch_normalizations(self._model):
            end = start + layer.moving_mean.shape[0]
            layer.moving_mean.assign(mean[start:end])
            layer.moving_variance.assign(variance[start:end])
            start = end

    def _moments_of(self, block: Batch) -> tf.Tensor:
        """Of each step the mean and the mean square of every channel, float64 (K, 2, channels of all layers)."""

        def one_step(step, stack):
            # Around all replicas: each is traced in a thread, and they wait for each other within.
            with _without_memory(batch_normalizations(self._model)):
                moments = self._strategy.run(self._moments_of_share, args=(block, step))
            return stack.write(step, self._strategy.reduce(tf.distribute.ReduceOp.MEAN, moments, axis=None))

        steps = steps_of(self._strategy, block)
        return looped(steps, one_step, tf.TensorArray(tf.float64, size=steps)).stack()

    def _moments_of_share(self, block: Batch, step: tf.Tensor) -> tf.Tensor:
        count = self._parts_per_step
        parts = parts_of(self._batch_of(block, step), count)
        layers = batch_normalizations(self._model)

        def one_part(number, so_far):
            self._forward({name: value[number] for name, value in parts.items()})
            mean, variance = (
                tf.cast(
                    tf.concat([tf.convert_to_tensor(getattr(layer, name).value) for layer in layers], 0), tf.float64
                )
                for name in ("moving_mean", "moving_variance")
            )
            return so_far + tf.stack([mean, variance + mean**2]) / count

        nothing = tf.zeros([2, sum(layer.moving_mean.shape[0] for layer in layers)], tf.float64)
        # What is synchronised across replicas cannot be within a loop.
        return one_part(0, nothing) if count == 1 else looped(count, one_part, nothing)


@contextlib.contextmanager
def _without_memory(layers: list[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Makes the moving statistics those of the last batch alone."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
