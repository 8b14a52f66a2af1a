"""Works of kind `start`: a whole command, from its start to its end."""

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.works import Work

# What configs/mlp_digits.py trains on.
TRAIN_EXAMPLES, TEST_EXAMPLES, EPOCHS = 1437, 360, 60


def command_turn(command_of: Callable[[Path, int], list[str]]) -> Callable[[], float]:
    """A turn that runs Python once.

    Args:
        command_of: makes Python's arguments from a folder in TMPDIR and the number of the turn.

    Returns:
        The turn; it raises CalledProcessError where the command fails.
    """
    folder = Path(tempfile.mkdtemp())
    numbers = itertools.count()

    def turn() -> float:
        command = [sys.executable, *command_of(folder, next(numbers))]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return turn


def script_turn(script: str, work: Work) -> Callable[[], float]:
    """A turn of a script beside this file that does the work as a user of another library would write it."""
    sizes = (1, work.batch_size, work.batch_size) if work.model == "step" else (EPOCHS, TRAIN_EXAMPLES, TEST_EXAMPLES)
    return command_turn(lambda folder, number: [str(Path(__file__).with_name(script)), *map(str, sizes)])
