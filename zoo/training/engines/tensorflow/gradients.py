"""The gradient of a replica's share of a batch: in one go or in parts, scaled, clipped, with the penalty on weights."""

import keras
import tensorflow as tf

from zoo.tasks.base import Objective
from zoo.training.engines.tensorflow.compiling import compiled, looped, parts_of

Batch = dict[str, tf.Tensor]


class Gradients:
    """Computes gradients of the mean loss; see `zoo.training.engines.tensorflow.engine.Engine`.

    Args:
        model: built under the strategy's scope.
        optimizer: likewise; where it scales the loss the gradients are scaled too.
        objective: loss and metrics.
        replicas: how many there are.
        batch_size: examples per training step over all replicas together.
        jit: compile with XLA.
        l2: adds l2 * w to the gradient of the `decayed` variables.
        decayed: the variables that `l2` acts on.
        clip_norm: largest global norm of the gradient of the loss, taken before l2 is added; 0: no limit.
        accumulate_steps: a replica's share of a batch goes through the model in so many parts.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        objective: Objective,
        *,
        replicas: int,
        batch_size: int,
        jit: bool,
        l2: float = 0.0,
        decayed: tuple[keras.Variable, ...] = (),
        clip_norm: float = 0.0,
        accumulate_steps: int = 1,
    ):
        self._model = model
        self._optimizer = optimizer
        self._objective = objective
        self._replicas = replicas
        self._batch_size = batch_size
        self._l2 = l2
        self._decayed = {variable.path for variable in decayed}
        self._clip_norm = clip_norm
        self._scales_loss = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._parts_per_step = accumulate_steps
        self._jit = jit
        self.retrace()

    def retrace(self) -> None:
        """Has what is compiled compiled anew, for the variables that are trainable from now on."""
        gradients = self._accumulated_gradients_of if self._parts_per_step > 1 else self._gradients_of
        self._compute = compiled(gradients, jit=True) if self._jit else gradients

    def __call__(self, batch: Batch) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradient of this replica's share of the mean loss, and the sums of loss and metrics over the share."""
        return self._compute(batch)

    def _accumulated_gradients_of(self, batch: Batch) -> tuple[list[tf.Tensor], tf.Tensor]:
        """What `_gradients_of` gives, from parts of the batch that go through the model one after the other."""
        count = self._parts_per_step
        parts = parts_of(batch, count)

        def one_part(number, so_far):
            gradients, sums = so_far
            more, more_sums = self._gradients_of({name: value[number] for name, value in parts.items()})
            return [one + other for one, other in zip(gradients, more, strict=True)], sums + more_sums

        nothing = [tf.zeros_like(variable.value) for variable in self._model.trainable_variables]
        return looped(count, one_part, (nothing, tf.zeros([1 + len(self._objective.metric_names)])))

    def _gradients_of(self, batch: Batch) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradient of this replica's share of the mean loss, and the sums of loss and metrics."""
        variables = self._model.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # What is not watched is not differentiated: of frozen layers below all others only the way up is taken.
            tape.watch([variable.value for variable in variables])
            outputs = self._objective.call(self._model, batch, training=True)
            losses = self._objective.losses(outputs, batch)
            loss = tf.reduce_sum(losses) / self._batch_size
            if self._model.losses:
                loss += tf.add_n(self._model.losses) / (self._replicas * self._parts_per_step)
            scaled = loss * self._loss_scale()
        gradients = tape.gradient(scaled, variables)
        return gradients, self._sums(losses, self._objective.metrics(outputs, batch))

    def _loss_scale(self) -> tf.Tensor | float:
        """What the optimizer takes gradients to be multiplied by: float16 knows none below 6e-8."""
        return tf.convert_to_tensor(self._optimizer.dynamic_scale) if self._scales_loss else 1.0

    def with_penalties(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The same, clipped and with the penalty on weights: what the optimizer takes in this replica."""
        replicas, scale = self._replicas, self._loss_scale()
        # The norm is that of the whole batch's gradient, and so is whether a scaled one is finite: no replica knows it
        # alone. The optimizer sums over replicas, so each hands on its equal share.
        whole = replicas > 1 and (self._clip_norm or self._scales_loss)
        if whole:
            gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm * scale)
        if whole:
            gradients = [gradient / replicas for gradient in gradients]
        if self._l2:
            share = self._l2 * scale / replicas
            gradients = [
                gradient + share * variable.value if variable.path in self._decayed else gradient
                for gradient, variable in zip(gradients, self._model.trainable_variables, strict=True)
            ]
        return gradients

    def _sums(self, losses: tf.Tensor, metrics: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack(
            [tf.reduce_sum(losses), *(tf.reduce_sum(metrics[name]) for name in self._objective.metric_names)]
        )
