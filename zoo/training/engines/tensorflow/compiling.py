"""How functions become graphs: compiled without AutoGraph, and loops over the steps of a block that stay loops."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(function: Callable, *, jit: bool) -> Callable:
    """A `tf.function`, with or without XLA."""
    # AutoGraph would rewrite everything that is called, Keras' layers among it: two seconds at the start of a run.
    return tf.function(function, jit_compile=jit, autograph=False)


def looped(count: tf.Tensor | int, body: Callable[[tf.Tensor, Any], Any], state: Any) -> Any:
    """What becomes of a nest of tensors after `state = body(number, state)` for the numbers from 0 to `count` - 1."""

    def advance(number, state):
        return number + 1, body(number, state)

    return tf.while_loop(lambda number, _: number < count, advance, (0, state), maximum_iterations=count)[1]


def steps_of(strategy: tf.distribute.Strategy, block: dict[str, tf.Tensor]) -> tf.Tensor:
    """How many steps a block has, read off the first replica's part of one of its tensors."""
    return tf.shape(strategy.experimental_local_results(next(iter(block.values())))[0])[0]


def parts_of(batch: dict[str, tf.Tensor], count: int) -> dict[str, tf.Tensor]:
    """A batch, (n, ...), as so many parts that go through the model one after the other, (count, n / count, ...)."""
    return {name: tf.reshape(value, [count, -1, *value.shape[1:]]) for name, value in batch.items()}
