"""Moving averages of what is trained, which are what is evaluated and saved."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class Averages:
    """The moving average of each variable that is trained.

    Args:
        model: built under the strategy's scope. Of its trainable variables some may be frozen later, and thawed again:
            the average of a frozen one stands still as it does.
        decay: after n updates it is (1 + n) / (10 + n) where that is less, as in `tf.train.ExponentialMovingAverage`;
            0: there are no averages.
        strategy: where steps run.
    """

    def __init__(self, model: keras.Model, decay: float, strategy: tf.distribute.Strategy):
        self._model = model
        self._decay = decay
        self._strategy = strategy
        self._of: dict[int, keras.Variable] = {}
        if decay:
            with strategy.scope():
                self._of = {
                    id(v): keras.Variable(v.numpy(), trainable=False, dtype=v.dtype, name=f"average_{number}")
                    for number, v in enumerate(model.trainable_variables)
                }

    @property
    def variables(self) -> list[keras.Variable]:
        """The averages, in the order of the variables."""
        return [*self._of.values()]

    def update(self, updates: tf.Tensor) -> None:
        """Moves the averages after an update, which is the one of this number."""
        if not self._of:
            return
        updates = tf.cast(updates, tf.float32)
        moves = 1 - tf.minimum(self._decay, (1 + updates) / (10 + updates))
        for variable in self._model.trainable_variables:
            self._strategy.extended.update(
                self._of[id(variable)].value,
                lambda average, weight, moves: average.assign_add(moves * (weight - average)),
                args=(variable.value, moves),
                group=False,
            )

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has its averaged weights in here, where there are any."""
        averaged = [variable for variable in self._model.variables if id(variable) in self._of]
        with contextlib.ExitStack() as restoring:
            for variable in averaged:
                restoring.callback(variable.assign, variable.numpy())
                variable.assign(self._of[id(variable)].numpy())
            yield
