"""A device that has too little memory for a batch, said in a line that helps."""

import contextlib
import re
from collections.abc import Callable, Iterator

import tensorflow as tf

from zoo.config import ExperimentConfig
from zoo.errors import RunError

# A full disk has the same error code. XLA and cuDNN report theirs with other codes, and with these words.
_MEMORY = re.compile(r"\bOOM\b|[Oo]ut of memory|OUT_OF_MEMORY|allocat\w+ .*memory|memory .*allocat|RESOURCE_EXHAUSTED")


def is_out_of_memory(error: Exception) -> bool:
    """Whether TensorFlow says by an error that the memory of a device did not suffice."""
    return isinstance(error, tf.errors.OpError) and bool(_MEMORY.search(error.message))


@contextlib.contextmanager
def memory_shortage_named(config: ExperimentConfig, last_good: Callable[[], str] | None = None) -> Iterator[None]:
    """Makes a `RunError` that names the batch size of what TensorFlow raises when a device's memory is too small.

    Args:
        config: of what runs in here.
        last_good: says where the last good state is, where there may be one.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        parts = config.accumulate_steps * 2
        kept = f"; the last good state is that of {last_good()}" if last_good else ""
        raise RunError(
            f"the device has too little memory for batch_size={config.batch_size}"
            + (f" in {config.accumulate_steps} parts" if config.accumulate_steps > 1 else "")
            + f"; --accumulate_steps={parts} takes about half, a smaller batch or bfloat16 less too{kept}"
        ) from error
