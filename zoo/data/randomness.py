"""Random numbers and permutations as functions of a counter: no generator, no state, a whole batch at once.

Everything is made of SplitMix64's output function (Steele, Lea and Flood 2014, Fast splittable pseudorandom
number generators, OOPSLA, figure 17), a bijection of 64-bit integers that passes as a hash.
"""

import math
from collections.abc import Callable

import tensorflow as tf

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
# Fewer rounds can be told from a random permutation by counting, see the tests.
_ROUNDS = 8
# A multiple of the float32 elements that any processor computes at once.
_PACKET = 64


def mix(x: tf.Tensor) -> tf.Tensor:
    """SplitMix64's output function; uint64 of any shape to uint64."""
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _uint64(30)))
    x *= _uint64(0xBF58476D1CE4E5B9)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _uint64(27)))
    x *= _uint64(0x94D049BB133111EB)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, _uint64(31)))


def derive(keys: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """The key that is number `number` of those that descend from each key: SplitMix64's own stream.

    Args:
        keys: uint64 of any shape.
        number: whole number(s) from 0 on, int64 of a shape that broadcasts with it, or a Python int.
    """
    if isinstance(number, int):
        return mix(keys + _uint64((number + 1) * _GOLDEN_GAMMA % 2**64))
    return mix(keys + (tf.cast(number, tf.uint64) + _uint64(1)) * _uint64(_GOLDEN_GAMMA))


def example_keys(seed: int, epochs: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """One key per example and epoch.

    Args:
        seed: of the run.
        epochs: int64, the epoch in which each example is seen; shapes broadcast.
        indices: int64, its index in the split.

    Returns:
        uint64 of the broadcast shape.
    """
    return derive(derive(_seed_key(seed, 0), epochs), indices)


def batch_keys(seed: int, steps: tf.Tensor) -> tf.Tensor:
    """One key per step, for what all examples of a batch have in common.

    Args:
        seed: of the run.
        steps: int64 of any shape, counted from the start of the run.

    Returns:
        uint64 of that shape.
    """
    return derive(_seed_key(seed, 2), steps)


def random_integers(keys: tf.Tensor, draw: int, bound: int | tf.Tensor) -> tf.Tensor:
    """Whole numbers from 0 to `bound - 1`, int32 (n,), one per key; another `draw` gives independent ones.

    Args:
        keys: uint64 (n,).
        draw: which of a key's numbers.
        bound: at most 2**31, one for all keys or one for each; no number is favoured by more than bound / 2**32.
    """
    return tf.cast(_scaled(derive(keys, draw), tf.cast(bound, tf.uint64)), tf.int32)


def random_uniform(keys: tf.Tensor, draw: tf.Tensor | int) -> tf.Tensor:
    """Numbers from 0 up to but not including 1, float32, multiples of 2**-24; see `random_integers`.

    Args:
        keys: uint64 of any shape.
        draw: which of a key's numbers, int64 of a shape that broadcasts with it, or a Python int.
    """
    bits = tf.bitwise.right_shift(derive(keys, draw), _uint64(40))
    return tf.cast(bits, tf.float32) * 2.0**-24


def steady(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """An elementwise function that gives an element the same bits wherever it stands in a tensor.

    TensorFlow computes cos, exp and their like on packets of elements, and the last elements that fill no packet by
    other code, which differs in the last bit.

    Args:
        function: float32 (m,) to float32 (m,).
        x: float32 of any shape.
    """
    flat = tf.reshape(x, [-1])
    padded = tf.pad(flat, [[0, -tf.size(flat) % _PACKET]])
    return tf.reshape(function(padded)[: tf.size(flat)], tf.shape(x))


def permuted(positions: tf.Tensor, epochs: tf.Tensor, *, seed: int, size: int) -> tf.Tensor:
    """Which example stands at each position of each epoch's permutation, without making the permutation.

    A Feistel network over pairs (l, r) with l < a and r < b, where a * b is just above `size`: each round adds a
    random function of one half to the other. What falls beyond `size` is sent through again until it does not
    (Black and Rogaway 2002, Ciphers with arbitrary finite domains, CT-RSA). The halves are small, about the root
    of `size`, so the random functions are tables.

    TensorFlow's `index_shuffle` is of the same kind over at least 2**16 values: it takes 45 times as many passes
    for 1,437 examples, and the places where examples come to stand are far from evenly spread.

    Args:
        positions: int64 (rows, n), from 0 to size - 1.
        epochs: int64 (rows,), one for each row.
        seed: of the run.
        size: number of examples.

    Returns:
        int64 (rows, n): for each (seed, epoch) a permutation of the positions.
    """
    a = max(2, math.isqrt(size - 1) + 1)
    b = max(2, -(-size // a))
    width = max(a, b)
    # Rows of one epoch share its tables.
    distinct, which = tf.unique(epochs)
    tables = _round_tables(derive(_seed_key(seed, 1), distinct), a, b)
    row = which[:, None] * width

    def once(x):
        left, right = tf.cast(x // b, tf.int32), tf.cast(x % b, tf.int32)
        for number, table in enumerate(tf.unstack(tables)):
            if number % 2:
                right = (right + tf.gather(table, row + left)) % b
            else:
                left = (left + tf.gather(table, row + right)) % a
        return tf.cast(left, tf.int64) * b + tf.cast(right, tf.int64)

    def sent_through(x, outside):
        x = tf.where(outside, once(x), x)
        return x, x >= size

    # The first pass, which all take, is one of the loop's: a graph is opened with every iterator, and that takes as
    # long as it is large.
    everywhere = tf.ones_like(positions, tf.bool)
    inside, _ = tf.while_loop(lambda x, outside: tf.reduce_any(outside), sent_through, (positions, everywhere))
    return inside


def _round_tables(keys: tf.Tensor, a: int, b: int) -> tf.Tensor:
    """The network's random functions: a table per round, int32 (rounds, rows * max(a, b)), below a and b by turns."""
    rounds = tf.range(_ROUNDS, dtype=tf.int64)
    bits = derive(derive(keys, rounds[:, None])[:, :, None], tf.range(max(a, b), dtype=tf.int64))
    bounds = tf.constant([(a, b)[number % 2] for number in range(_ROUNDS)], tf.uint64)
    tables = tf.cast(_scaled(bits, bounds[:, None, None]), tf.int32)
    return tf.reshape(tables, [_ROUNDS, -1])


def _scaled(bits: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
    """The upper 32 bits to 0..bound - 1 by a multiplication, which is many times faster than a remainder."""
    return tf.bitwise.right_shift(tf.bitwise.right_shift(bits, _uint64(32)) * bound, _uint64(32))


def _seed_key(seed: int, number: int) -> tf.Tensor:
    """A key that descends from a seed, uint64 (), computed where it is asked for: in a graph it is a constant."""
    with tf.init_scope(), tf.device("CPU:0"):
        return derive(_uint64(seed), number)


def _uint64(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint64)
