"""What a step costs whose trunk is frozen: python -m benchmarks.frozen [--model=NAME] [--rounds=N]

Training steps of one net with everything trained and with freeze=trunk, in turns, on synthetic images. Below the
classifier a frozen net is not differentiated, and what its convolutions put out is not kept, so a step is little more
than the way up. The line says a frozen step's time divided by a full one's, the median of all rounds and both ends of
the middle half.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.cli import console
from zoo.config import ExperimentConfig
from zoo.training.engines import Block, Engine
from zoo.training.experiment import make_experiment


def main(argv: Sequence[str]) -> None:
    """Prints the line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen", description=__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--jit", default="auto", choices=("auto", "on", "off"))
    parser.add_argument("--rounds", type=int, default=15, help="counted turns of each side")
    given = parser.parse_args(argv)
    fields = {"model": given.model, "optimizer": given.optimizer, "jit": given.jit}
    low, median, high = statistics.quantiles(ratios(fields, given.image_size, given.batch_size, given.rounds))
    print(
        f"{given.model}, {given.batch_size} images of {given.image_size} x {given.image_size}, {given.optimizer}: a "
        f"step with a frozen trunk takes {median:.3f} ({low:.3f} to {high:.3f}) of the time of a full one"
    )


def ratios(fields: dict[str, Any], image_size: int, batch_size: int, rounds: int) -> list[float]:
    """By round, the time of a frozen step divided by that of a full one."""
    full, frozen = (side(fields | {"freeze": freeze}, image_size, batch_size) for freeze in ("", "trunk"))
    found = []
    # The first round compiles and warms up. Who begins changes.
    for number in range(rounds + 1):
        seconds = {}
        for engine, block in (frozen, full) if number % 2 else (full, frozen):
            began = time.perf_counter()
            metrics = engine.train_block(block)
            seconds[engine] = time.perf_counter() - began
            assert np.isfinite(metrics["loss"]).all(), "nothing was learned"
        found.append(seconds[frozen[0]] / seconds[full[0]])
    return found[1:]


def side(fields: dict[str, Any], image_size: int, batch_size: int) -> tuple[Engine, Block]:
    """An engine, and the block of one step that it takes again and again."""
    config = ExperimentConfig(
        **fields,
        dataset=f"synthetic:{image_size}x{image_size}x3,classes=10,examples={batch_size}",
        batch_size=batch_size,
        learning_rate=1e-4,
        epochs=1,
    )
    experiment = make_experiment(config)
    return experiment.engine, next(iter(experiment.training_blocks(experiment.block_plan(), 0)))


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
