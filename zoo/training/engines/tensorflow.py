"""The compiled part: run a block of training steps, run a block of evaluation, list every variable.

Nothing but this file knows of `tf.function`, XLA and gradients. An engine for another backend has the same
four methods.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.tasks.base import Objective

Block = dict[str, tf.Tensor]


class Engine:
    """Trains and evaluates a model block by block; see `zoo.data.pipeline` for what a block is.

    Args:
        model: built under the strategy's scope.
        optimizer: built under the strategy's scope, for the model's trainable variables.
        objective: loss and metrics.
        strategy: where steps run.
        batch_size: examples per training step over all replicas together.
        normalize: what becomes of a batch of images, within the step, before the model takes it.
        image_names: the tensors of a batch that it is for.
        jit: `auto`, `on` or `off`. Auto compiles with XLA on GPU and TPU, and on CPU for nets without
            convolutions: XLA makes small dense nets twice as fast there and convolutions ten times slower.
        l2: adds l2 * w to the gradient of the `decayed` variables.
        decayed: the variables that `l2` acts on.
        clip_norm: largest global norm of the gradient of the loss, taken before l2 is added; 0: no limit.
        accumulate_steps: a replica's share of a batch goes through the model in so many parts.
        ema_decay: of the moving average of the trainable variables; 0: none. After n updates it is
            (1 + n) / (10 + n) where that is less, as in `tf.train.ExponentialMovingAverage`.

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
        l2: float = 0.0,
        decayed: tuple[keras.Variable, ...] = (),
        clip_norm: float = 0.0,
        accumulate_steps: int = 1,
        ema_decay: float = 0.0,
    ):
        self._model = model
        self._optimizer = optimizer
        self._objective = objective
        self._normalize = normalize
        self._image_names = frozenset(image_names)
        self._strategy = strategy
        self._batch_size = batch_size
        self._l2 = l2
        self._decayed = {variable.path for variable in decayed}
        self._clip_norm = clip_norm
        self._scales_loss = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        self._parts_per_step = accumulate_steps
        self._ema_decay = ema_decay
        self._averages = []
        if ema_decay:
            with strategy.scope():
                self._averages = [
                    keras.Variable(v.numpy(), trainable=False, dtype=v.dtype, name=f"average_{number}")
                    for number, v in enumerate(model.trainable_variables)
                ]
        self._names = ("loss", *objective.metric_names)
        # XLA takes the whole block on one replica. On several it takes the gradients alone, since the
        # all-reduce lies outside, and nothing at all where batch norm reduces across replicas within.
        one = strategy.num_replicas_in_sync == 1
        alone = one or not synchronizes(model)
        self.jit = alone and uses_xla(model, jit)
        self._own_statistics = _statistics(model) if alone and not one else []
        gradients = self._accumulated_gradients_of if accumulate_steps > 1 else self._gradients_of
        self._gradients = _compiled(gradients, jit=True) if self.jit and not one else gradients
        self._train_block = _compiled(self._train_block_of, jit=self.jit and one)
        self._evaluate_block = _compiled(self._evaluate_block_of, jit=self.jit and one)

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

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The model has its averaged weights in here, where there are any."""
        if not self._averages:
            yield
            return
        variables = self._model.trainable_variables
        raw = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, self._averages, strict=True):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(variables, raw, strict=True):
                variable.assign(value)

    def state(self) -> dict[str, np.ndarray]:
        """Every variable there is: weights, statistics, dropout seeds, optimizer, averages; in a fixed order."""
        return {name: variable.numpy() for name, variable in self._variables()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Sets every variable.

        Raises:
            ValueError: the state is not one of this model and optimizer.
        """
        variables = self._variables()
        expected = [(tuple(v.shape), v.dtype) for _, v in variables]
        if expected != [(value.shape, value.dtype.name) for value in state.values()]:
            raise ValueError("the saved variables are not those of this model and optimizer")
        for (_, variable), value in zip(variables, state.values(), strict=True):
            variable.assign(value)

    def _variables(self) -> list[tuple[str, keras.Variable]]:
        # Keras numbers unnamed layers by process, so a path alone does not identify a variable; the order does.
        variables = [*self._model.variables, *self._optimizer.variables, *self._averages]
        return [(f"{number:04d}/{variable.path}", variable) for number, variable in enumerate(variables)]

    def _train_block_of(self, block: Block) -> tf.Tensor:
        def one_step(step, means):
            sums = self._strategy.run(self._train_step, args=(block, step))
            sums = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
            if self._averages:
                self._average()
            return means.write(step, sums / self._batch_size)

        steps = self._steps(block)
        means = tf.TensorArray(tf.float32, size=steps, element_shape=[len(self._names)])
        # The loop encloses `strategy.run`: a loop within it cannot merge gradients across replicas.
        means = _loop(steps, one_step, means)
        if self._own_statistics:
            self._strategy.run(self._average_statistics)
        return means.stack()

    def _average(self) -> None:
        updates = tf.cast(self._optimizer.iterations.value, tf.float32)
        moves = 1 - tf.minimum(self._ema_decay, (1 + updates) / (10 + updates))
        for variable, average in zip(self._model.trainable_variables, self._averages, strict=True):
            self._strategy.extended.update(
                average.value,
                lambda average, weight, moves: average.assign_add(moves * (weight - average)),
                args=(variable.value, moves),
                group=False,
            )

    def _average_statistics(self) -> None:
        """Gives every replica the mean of what each has seen alone, so that all evaluate and save one model."""
        context = tf.distribute.get_replica_context()
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, [tf.identity(v.value) for v in self._own_statistics])
        for variable, mean in zip(self._own_statistics, means, strict=True):
            variable.assign(mean)

    def _train_step(self, block: Block, step: tf.Tensor) -> tf.Tensor:
        batch = self._batch(block, step)
        gradients, sums = self._gradients(batch)
        self._optimizer.apply(self._with_penalties(gradients), self._model.trainable_variables)
        return sums

    def _accumulated_gradients_of(self, batch: Block) -> tuple[list[tf.Tensor], tf.Tensor]:
        """What `_gradients_of` gives, from parts of the batch that go through the model one after the other."""
        count = self._parts_per_step
        parts = {name: tf.reshape(value, [count, -1, *value.shape[1:]]) for name, value in batch.items()}

        def one_part(number, so_far):
            gradients, sums = so_far
            more, more_sums = self._gradients_of({name: value[number] for name, value in parts.items()})
            return [one + other for one, other in zip(gradients, more, strict=True)], sums + more_sums

        nothing = [tf.zeros_like(variable.value) for variable in self._model.trainable_variables]
        return _loop(count, one_part, (nothing, tf.zeros([len(self._names)])))

    def _gradients_of(self, batch: Block) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradient of this replica's share of the mean loss, and the sums of loss and metrics."""
        with tf.GradientTape() as tape:
            outputs = self._objective.call(self._model, batch, training=True)
            losses = self._objective.losses(outputs, batch)
            loss = tf.reduce_sum(losses) / self._batch_size
            if self._model.losses:
                loss += tf.add_n(self._model.losses) / (self._strategy.num_replicas_in_sync * self._parts_per_step)
            scaled = loss * self._loss_scale()
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        return gradients, self._sums(losses, self._objective.metrics(outputs, batch))

    def _loss_scale(self) -> tf.Tensor | float:
        """What the optimizer takes gradients to be multiplied by: float16 knows none below 6e-8."""
        return tf.convert_to_tensor(self._optimizer.dynamic_scale) if self._scales_loss else 1.0

    def _with_penalties(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        replicas, scale = self._strategy.num_replicas_in_sync, self._loss_scale()
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
        stacks = _loop(steps, one_step, stacks)
        return {name: stack.stack() for name, stack in stacks.items()} | {"weight": block["weight"]}

    def _batch(self, block: Block, step: tf.Tensor) -> Block:
        """What the model takes of one step."""
        batch = {name: value[step] for name, value in block.items()}
        return {name: self._normalize(value) if name in self._image_names else value for name, value in batch.items()}

    def _sums(self, losses: tf.Tensor, metrics: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack(
            [tf.reduce_sum(losses), *(tf.reduce_sum(metrics[name]) for name in self._objective.metric_names)]
        )

    def _steps(self, block: Block) -> tf.Tensor:
        """How many steps the block has, read off the first replica's part of one of its tensors."""
        return tf.shape(self._parts(next(iter(block.values())))[0])[0]

    def _parts(self, value: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return self._strategy.experimental_local_results(value)


def _compiled(function: Callable, *, jit: bool) -> Callable:
    # AutoGraph would rewrite everything that is called, Keras' layers among it: two seconds at the start of a run.
    return tf.function(function, jit_compile=jit, autograph=False)


def _loop(count: tf.Tensor | int, body: Callable[[tf.Tensor, Any], Any], state: Any) -> Any:
    """What becomes of a nest of tensors after `state = body(number, state)` for the numbers from 0 to `count` - 1."""

    def advance(number, state):
        return number + 1, body(number, state)

    return tf.while_loop(lambda number, _: number < count, advance, (0, state), maximum_iterations=count)[1]


def uses_xla(model: keras.Model, jit: str) -> bool:
    """The rule of `jit`, see `Engine`."""
    if jit != "auto":
        return jit == "on"
    # A kernel of rank 4 or 5 is a convolution's.
    convolutions = any(len(variable.shape) >= 4 for variable in model.trainable_variables)
    return bool(tf.config.list_physical_devices("GPU")) or not convolutions


def synchronizes(model: keras.Model) -> bool:
    """Whether any batch normalisation of the model reduces across replicas."""
    return any(getattr(layer, "synchronized", False) for layer in all_layers(model))


def _statistics(model: keras.Model) -> list[keras.Variable]:
    """What layers learn of the batches they see: moving means and variances."""
    return [variable for variable in model.non_trainable_variables if variable.dtype.startswith("float")]


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, those of nested models included."""
    layers = []
    for layer in model.layers:
        layers += all_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return layers
