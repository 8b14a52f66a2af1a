"""Stochastic gradient descent with momentum, by one kernel of TensorFlow's."""

import keras
import tensorflow as tf


class MomentumSGD(keras.optimizers.SGD):
    """Keras' SGD with momentum, whose update is one pass over each weight in place of several: the same bits sooner."""

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable and its momentum, all of one shape and dtype."""
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.constant(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )
