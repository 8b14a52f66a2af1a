"""The pipeline: step numbers in, blocks of batches out, and nothing else decides what is in them.

Epoch e visits the split in a permutation seeded by (seed, e), batch i of it is a slice, and what happens to
an example depends on (seed, e, its index). So the pipeline starts at any step at no cost, gives the same
batches whatever the number of threads, workers and replicas, and has no state to save.

A block is the batches of K consecutive steps in one element, each tensor of shape
`(K, batch / replicas, ...)`. The training loop consumes it in one compiled call.
"""

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from zoo.data import randomness
from zoo.data.batches import EvaluationBatches, TrainBatches

# A block's images are at most so many numbers (of a byte each, or of four where images are mixed), and a block has at
# most so many steps: long enough that the call costs nothing, and no longer, since a signal is answered at the end of a
# block only, however long a large net takes for one on a slow machine.
MAX_BLOCK_SIZE = 4 * 2**20
MAX_BLOCK_STEPS = 128
# A GPU takes as long for so many numbers as a CPU for the fewer above, and waits for Python between two blocks.
MAX_BLOCK_SIZE_OF_GPU = 128 * 2**20
# Batches of an evaluation are joined to batches of so many numbers. A step of a tiny net costs more than what is
# computed in it: 512 images of 8x8 at once instead of 32 take the MLP of configs/mlp_digits.py and the small CNN half
# the time for each. Batches of larger images keep the processor busy as they are.
MAX_JOINED_SIZE = 2**15
# Larger batches are made in pieces of this size.
MAX_PIECE_SIZE = 5 * 2**19


@dataclasses.dataclass(frozen=True)
class BlockPlan:
    """Where blocks of steps end: arithmetic, so that a plan of a million blocks is as small as one of ten.

    Every multiple of `interval` (an evaluation) ends a block. Within an interval all blocks have one length, save a
    shorter last one where `length` does not divide the interval.

    Attributes:
        total_steps: where the last block ends.
        interval: see above; at most total_steps.
        length: see above; at most interval.
    """

    total_steps: int
    interval: int
    length: int

    @classmethod
    def of(cls, total_steps: int, interval: int, longest: int) -> "BlockPlan":
        """The plan whose blocks are as long as may be, at most `longest`, and rather of one length than of two."""
        interval = min(interval, total_steps)
        count = -(-interval // longest)
        length = -(-interval // count)
        # One length for all blocks is worth shorter ones: a second length is compiled a second time.
        divisor = next(k for k in range(min(longest, interval), 0, -1) if interval % k == 0)
        return cls(total_steps, interval, divisor if 2 * divisor >= length else length)

    @property
    def num_blocks(self) -> int:
        """How many blocks there are."""
        whole, rest = divmod(self.total_steps, self.interval)
        return whole * self._per_interval + -(-rest // self.length)

    def bounds(self, number):
        """First step and end of a block, for a number from 0 to num_blocks - 1, a Python int or an int64 tensor."""
        start = number // self._per_interval * self.interval + number % self._per_interval * self.length
        least = tf.minimum if isinstance(number, tf.Tensor) else min
        interval_end = (number // self._per_interval + 1) * self.interval
        return start, least(least(start + self.length, interval_end), self.total_steps)

    def block_of(self, step: int) -> int:
        """The number of the block that holds a step; num_blocks at the end."""
        if step >= self.total_steps:
            return self.num_blocks
        return step // self.interval * self._per_interval + step % self.interval // self.length

    def ends(self, first_step: int = 0) -> Iterator[int]:
        """The ends of the blocks from a step on."""
        for number in range(self.block_of(first_step), self.num_blocks):
            yield self.bounds(number)[1]

    @property
    def _per_interval(self) -> int:
        return -(-self.interval // self.length)


def longest_block(batches: TrainBatches | EvaluationBatches, batch_size: int, *limits: int) -> int:
    """How many steps a block may have: by memory, by count and by the further `limits` given."""
    size = MAX_BLOCK_SIZE_OF_GPU if tf.config.list_physical_devices("GPU") else MAX_BLOCK_SIZE
    return max(1, min(size // (batches.example_size * batch_size), MAX_BLOCK_STEPS, *limits))


def training_blocks(
    batches: TrainBatches,
    *,
    batch_size: int,
    seed: int,
    plan: BlockPlan,
    first_step: int = 0,
    replicas: int = 1,
    local: range | None = None,
) -> tf.data.Dataset:
    """Blocks of training batches from `first_step` to the end of the plan.

    Args:
        batches: of the training split; what is left of it after the last whole batch of an epoch is not visited
            in that epoch.
        batch_size: examples per step, over all replicas together.
        seed: of order and augmentation.
        plan: where blocks end.
        first_step: where to begin; any step.
        replicas: of the whole job. Elements come in the order block 0 replica 0..R-1, block 1 replica 0.., as
            `tf.distribute` hands them out.
        local: the replicas of this process, whose shares alone are made; default: all. Every process together makes
            what one makes for as many replicas.

    Returns:
        A dataset of dictionaries, each tensor of shape (K, batch_size / replicas, ...).
    """

    def draw(steps, offsets):
        indices, epochs = _indices(steps, offsets, batch_size, seed, batches.num_examples)
        keys = randomness.example_keys(seed, epochs[:, None], indices)
        batch_keys = randomness.batch_keys(seed, steps)[:, None]
        return indices, keys, *(tf.broadcast_to(values, tf.shape(indices)) for values in (offsets, batch_keys))

    return _blocks(draw, batches.train, batches, batch_size, plan, first_step, replicas, local)


def evaluation_blocks(
    batches: EvaluationBatches, *, batch_size: int, replicas: int = 1, local: range | None = None
) -> tf.data.Dataset:
    """Blocks that visit every example once, in order.

    The last batch is filled up with repeated examples; `weight`, float32 (K, batch_size / replicas), is 1
    for the examples that count and 0 for the filling. Otherwise as `training_blocks`.
    """

    def draw(steps, offsets):
        return ((steps * batch_size)[:, None] + offsets,)

    def make(positions):
        batch = batches.evaluate(tf.minimum(positions, batches.num_examples - 1))
        batch["weight"] = tf.cast(positions < batches.num_examples, tf.float32)
        return batch

    return _blocks(draw, make, batches, batch_size, evaluation_plan(batches, batch_size), 0, replicas, local)


def training_examples(batches: TrainBatches, *, batch_size: int, seed: int, plan: BlockPlan, number: int) -> np.ndarray:
    """The indices of the examples that a block of `training_blocks` is made of, int64 (n,)."""
    steps, offsets = tf.range(*plan.bounds(number), dtype=tf.int64), tf.range(batch_size, dtype=tf.int64)
    indices, epochs = _indices(steps, offsets, batch_size, seed, batches.num_examples)
    keys = randomness.example_keys(seed, epochs[:, None], indices)
    offsets = tf.broadcast_to(offsets, tf.shape(indices))
    return batches.train_examples(*(tf.reshape(value, [-1]) for value in (indices, keys, offsets)))


def evaluation_examples(batches: EvaluationBatches, *, batch_size: int, number: int) -> np.ndarray:
    """The indices of the examples that a block of `evaluation_blocks` is made of, int64 (n,)."""
    start, end = evaluation_plan(batches, batch_size).bounds(number)
    positions = tf.range(start * batch_size, min(end * batch_size, batches.num_examples), dtype=tf.int64)
    return np.concatenate([*batches.evaluation_examples(positions).values()])


def evaluation_batch_size(batches: EvaluationBatches, batch_size: int) -> int:
    """How many examples a step of an evaluation takes: a whole number of batches, several where images are tiny.

    It decides how long an evaluation takes and not what it answers, since every example is answered alone.
    """
    total_steps = -(-batches.num_examples // batch_size)
    most = max(1, MAX_JOINED_SIZE // (batches.example_size * batch_size))
    # Steps of one size, so that little of the last one is filling.
    joined_steps = -(-total_steps // most)
    return batch_size * -(-total_steps // joined_steps)


def evaluation_plan(batches: EvaluationBatches, batch_size: int) -> BlockPlan:
    """The blocks of an evaluation."""
    total_steps = -(-batches.num_examples // batch_size)
    return BlockPlan.of(total_steps, total_steps, longest_block(batches, batch_size))


def _indices(steps, offsets, batch_size, seed, num_examples):
    """Which example stands at each offset of each step, (steps, offsets), and the epoch of each step."""
    steps_per_epoch = num_examples // batch_size
    epochs = steps // steps_per_epoch
    positions = (steps % steps_per_epoch * batch_size)[:, None] + offsets
    return randomness.permuted(positions, epochs, seed=seed, size=num_examples), epochs


def _blocks(draw, make, batches, batch_size, plan, first_step, replicas, local) -> tf.data.Dataset:
    """Blocks from a step on: `draw` says which examples they hold, `make` makes a batch of them.

    Large images are made in pieces of a batch, which fit into the processor's cache, and joined.
    """
    share = batch_size // replicas
    local = range(replicas) if local is None else local
    first_block = plan.block_of(first_step)
    pieces = _pieces(batches, share) if plan.length == 1 else 1

    # Nothing here needs AutoGraph, whose first use takes two seconds.
    @tf.autograph.experimental.do_not_convert
    def drawn(number):
        start, end = plan.bounds(number // len(local))
        steps = tf.range(tf.maximum(start, first_step), end)
        replica = local.start + number % len(local)
        values = draw(steps, replica * share + tf.range(share, dtype=tf.int64))
        return tuple(tf.reshape(value, [pieces, -1]) for value in values)

    @tf.autograph.experimental.do_not_convert
    def piece(*values):
        return make(*(tf.reshape(value, [-1]) for value in values))

    @tf.autograph.experimental.do_not_convert
    def block(batch):
        # The block has one step. Its pieces come side by side, (pieces, examples of a piece, ...), and are joined here.
        return {name: tf.reshape(value, [1, share, *value.shape[2:]]) for name, value in batch.items()}

    @tf.autograph.experimental.do_not_convert
    def steps_of(number):
        return {name: tf.reshape(value, [-1, share, *value.shape[1:]]) for name, value in piece(*drawn(number)).items()}

    options = tf.data.Options()
    # TensorFlow's rewriting of the graph would copy a whole split that is held in memory.
    options.experimental_optimization.apply_default_optimizations = False
    # Autotuning is off: there is nothing for it to choose, and an iterator would wait for its thread when it ends.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    numbers = tf.data.Dataset.range(first_block * len(local), plan.num_blocks * len(local))
    cores = os.cpu_count() or 2
    if pieces == 1:
        # Within a block images are decoded at once too, so a few blocks keep many cores busy.
        blocks = numbers.map(steps_of, num_parallel_calls=max(2, min(cores // 4, 8)), deterministic=True)
    else:
        parts = numbers.map(drawn).unbatch().map(piece, num_parallel_calls=max(2, cores), deterministic=True)
        blocks = parts.batch(pieces, drop_remainder=True).map(block)
    return blocks.prefetch(2).with_options(options)


def _pieces(batches: TrainBatches | EvaluationBatches, share: int) -> int:
    """Into how many pieces a batch of large images is cut, so that one fits into the processor's cache."""
    largest = max(2, MAX_PIECE_SIZE // batches.example_size)
    # Two neighbours stay together, since they may be mixed.
    return next((share // size for size in range(min(largest, share), 1, -1) if share % size == 0 and size % 2 == 0), 1)
