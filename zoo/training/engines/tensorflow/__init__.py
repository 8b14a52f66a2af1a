"""TensorFlow's engine. Nothing of the training outside this folder knows of `tf.function`, XLA and gradients."""

from zoo.training.engines.tensorflow.engine import Engine

__all__ = ["Engine"]
