"""The compiled part: runs a block of training steps, runs a block of evaluation, lists every variable."""

import contextlib
from collections.abc import Callable, Collection, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.layers import has_convolutions, statistics, synchronizes
from zoo.tasks.base import Objective
from zoo.training.engines.tensorflow.averages import Averages
from zoo.training.engines.tensorflow.compiling import compiled, looped, steps_of
from zoo.training.engines.tensorflow.gradients import Gradients
from zoo.training.engines.tensorflow.population import PopulationStatistics
from zoo.training.engines.tensorflow.variables import Variables

Block = dict[str, tf.Tensor]


class Engine:
    """Trains and evaluates a model block by block; see `zoo.data.pipeline` for what a block is.

    Args:
        model: built under the strategy's scope.
        optimizer: built under the strategy's scope, for the model's trainable variables. Some of them may be frozen
            before the first step, and thawed later, see `retrace`.
        objective: loss and metrics.
        strategy: where steps run.
        batch_size: examples per training step over all replicas together.
        normalize: what becomes of a batch of images, within the step, before the model takes it.
        image_names: the entries of a batch that `normalize` applies to.
        jit: `auto`, `on` or `off`. Auto compiles with XLA on GPU and TPU, and on CPU for nets without
            convolutions: XLA makes small dense nets twice as fast there and convolutions ten times slower.
        ema_decay: of the moving average of the trainable variables, see `Averages`; 0: none.
        **of_gradients: `l2`, `decayed`, `clip_norm` and `accumulate_steps`, see `Gradients`.

    Attributes:
        jit: whether XLA compiles anything of a training step.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        objective: Objective,
        *,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        normalize: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
        image_names: Collection[str] = (),
        jit: str = "auto",
        ema_decay: float = 0.0,
        **of_gradients: Any,
    ):
        self._model = model
        self._optimizer = optimizer
        self._objective = objective
        self._normalize = normalize
        self._image_names = frozenset(image_names)
        self._strategy = strategy
        self._batch_size = batch_size
        self._averages = Averages(model, ema_decay, strategy)
        self._names = ("loss", *objective.metric_names)
        # XLA takes the whole block on one replica. On several it takes the gradients alone, since the
        # all-reduce lies outside, and nothing at all where batch norm reduces across replicas within.
        one = strategy.num_replicas_in_sync == 1
        self._alone = one or not synchronizes(model)
        self.jit = self._alone and uses_xla(model, jit)
        self._gradients = Gradients(
            model,
            optimizer,
            objective,
            replicas=strategy.num_replicas_in_sync,
            batch_size=batch_size,
            jit=self.jit and not one,
            **of_gradients,
        )
        self._population = PopulationStatistics(
            model,
            lambda batch: objective.call(model, batch, training=True),
            strategy=strategy,
            batch_of=self._batch,
            parts_per_step=of_gradients.get("accumulate_steps", 1),
            jit=self.jit and one,
        )
        self._variables = Variables(model, [*optimizer.variables, *self._averages.variables])
        self._evaluate_block = compiled(self._evaluate_block_of, jit=self.jit and one)
        self.retrace()

    def retrace(self) -> None:
        """Has what trains compiled anew, for the variables that are trainable from now on.

        They must be among those that were when the engine and the optimizer were made.
        """
        self._gradients.retrace()
        self._population.retrace()
        self._train_block = compiled(self._train_block_of, jit=self.jit and self._strategy.num_replicas_in_sync == 1)

    def train_block(self, block: Block) -> dict[str, np.ndarray]:
        """Takes the block's K steps.

        Returns:
            `loss` and the objective's metrics, each float32 (K,): the mean over the examples of each step, taken
            before its update. The loss is the objective's alone, without l2.
        """
        means = self._train_block(block).numpy()
        return dict(zip(self._names, means.T, strict=True))

    def evaluate_block(self, block: Block) -> dict[str, np.ndarray]:
        """The objective's answers to the block's examples.

        Returns:
            By name the answers to those examples that count, (n,), in the order of the examples whatever the
            number of replicas.
        """
        answers = self._evaluate_block(block)
        whole = {name: np.concatenate([part.numpy() for part in self._parts(answers[name])], 1) for name in answers}
        counts = whole.pop("weight") > 0
        if counts.all():
            # All but the last block, at no copy.
            return {name: values.reshape(-1, *values.shape[2:]) for name, values in whole.items()}
        return {name: values[counts] for name, values in whole.items()}

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The model has its averaged weights in here, where there are any."""
        return self._averages.in_place()

    def state(self) -> dict[str, np.ndarray]:
        """Every variable there is: weights, statistics, dropout seeds, optimizer, averages; in a fixed order."""
        return self._variables.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Sets every variable.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """
        self._variables.restore(state)

    def recompute_statistics(self, blocks: Iterable[Block]) -> None:
        """Takes the statistics of batch normalisation anew, see `PopulationStatistics`.

        Args:
            blocks: of training.
        """
        self._population.recompute(blocks)

    def _train_block_of(self, block: Block) -> tf.Tensor:
        def one_step(step, means):
            sums = self._strategy.run(self._train_step, args=(block, step))
            sums = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
            self._averages.update(self._optimizer.iterations.value)
            return means.write(step, sums / self._batch_size)

        steps = steps_of(self._strategy, block)
        means = tf.TensorArray(tf.float32, size=steps, element_shape=[len(self._names)])
        # The loop encloses `strategy.run`: a loop within it cannot merge gradients across replicas.
        means = looped(steps, one_step, means)
        if self._alone and self._strategy.num_replicas_in_sync > 1 and statistics(self._model):
            self._strategy.run(self._average_statistics)
        return means.stack()

    def _average_statistics(self) -> None:
        """Gives every replica the mean of what each has seen alone, so that all evaluate and save one model."""
        context, own = tf.distribute.get_replica_context(), statistics(self._model)
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, [tf.identity(v.value) for v in own])
        for variable, mean in zip(own, means, strict=True):
            variable.assign(mean)

    def _train_step(self, block: Block, step: tf.Tensor) -> tf.Tensor:
        batch = self._batch(block, step)
        gradients, sums = self._gradients(batch)
        self._optimizer.apply(self._gradients.with_penalties(gradients), self._model.trainable_variables)
        return sums

    def _evaluate_block_of(self, block: Block) -> Block:
        # Nothing is merged across replicas in a share, so the loop may lie within.
        answers = self._strategy.run(self._evaluate_share, args=(block,))
        if len(self._parts(answers["weight"])) == self._strategy.num_replicas_in_sync:
            return answers
        # The other replicas are those of other processes.
        return {name: self._strategy.gather(value, axis=1) for name, value in answers.items()}

    def _evaluate_share(self, block: Block) -> Block:
        def one_step(step, stacks):
            batch = self._batch(block, step)
            answers = self._objective.answers(self._objective.call(self._model, batch, training=False), batch)
            return {name: stack.write(step, answers[name]) for name, stack in stacks.items()}

        steps = tf.shape(block["weight"])[0]
        stacks = {name: tf.TensorArray(dtype, size=steps) for name, dtype in self._objective.answer_types.items()}
        stacks = looped(steps, one_step, stacks)
        return {name: stack.stack() for name, stack in stacks.items()} | {"weight": block["weight"]}

    def _batch(self, block: Block, step: tf.Tensor) -> Block:
        """What the model takes of one step."""
        batch = {name: value[step] for name, value in block.items()}
        return {name: self._normalize(value) if name in self._image_names else value for name, value in batch.items()}

    def _parts(self, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return self._strategy.experimental_local_results(value)


def uses_xla(model: keras.Model, jit: str) -> bool:
    """The rule of `jit`, see `Engine`."""
    if jit != "auto":
        return jit == "on"
    return bool(tf.config.list_physical_devices("GPU")) or not has_convolutions(model)
