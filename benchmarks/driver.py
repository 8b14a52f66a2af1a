"""What the driver costs beside the compiled step that it runs: time, checkpoints, memory, a second process.

    python -m benchmarks.driver [overhead] [checkpoints] [memory] [scaling] [--rounds 7]

`overhead`: the whole loop (`zoo.training.loop` with its writers and its pipeline) beside the bare compiled call
(`Engine.train_block` on one block that is ready), for ResNet-20 at 32x32, batch 128, and for the MLP on digits of
`configs/mlp_digits.py`. The sides take turns within one run: after so many blocks of the loop come as many bare calls.
Evaluation and checkpoints wait for the end of that run, so blocks are as long as `log_every_steps` lets them be.
`checkpoints`: a run of ResNet-20 with a checkpoint every 100 steps. A checkpoint costs what lies between the block
before it and the block after it, less what lies between other blocks; the share is that of the wall time of its 100
steps. TMPDIR says on which disk. `memory`: the resident memory of the MLP on digits over 20,000 steps, with evaluation
and checkpoints as in the recipe, after the first 1,000 steps and after every 1,000. `scaling`: `train.py` on
ResNet-20 in one process, and in two on loopback (`multi_worker_mirrored`, batch norm not synchronised), each process
with one thread and pinned to a core of its own. Two processes share the batch of the one, and then have one each.
Beside what was measured stands what the formula of `benchmarks.scaling` makes of the time that one process alone takes
for such a share, and of the bandwidth and latency of a socket on loopback.

Each work but `scaling` runs in a process of its own. Ratios are medians of the ratios of the turns; beside them
stands the ratio of each side's fastest turn, for a machine whose neighbours come and go. The first turn, which
compiles, is not counted.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import loopback
from benchmarks.scaling import Link, all_reduce, gradient_bytes
from zoo.cli import console
from zoo.config import ExperimentConfig, load_config

ROOT = Path(__file__).parents[1]
# Never within a run.
NEVER = 10**9
# Blocks that a pipeline may have ready: before a turn of the loop is timed, as many go by.
READY = 5
# Longest that a run of `scaling` may take, in seconds.
PATIENCE = 900
# Sees the compiled call of a block and the block, and returns what the call gives.
Watch = Callable[[Callable, dict], dict]


def resnet20(steps: int, **fields: Any) -> ExperimentConfig:
    """One epoch of so many steps of ResNet-20 on random images of CIFAR-10's size, which cost next to nothing."""
    given = {
        "model": "resnet20",
        "dataset": f"synthetic:32x32x3,examples={128 * steps}",
        "eval_split": "test[:128]",
        "normalize": "unit",
        "batch_size": 128,
        "epochs": 1,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "checkpoint_every_steps": NEVER,
        "log_every_steps": 10,
    }
    return ExperimentConfig(**given | fields)


def mlp_digits(epochs: int, **fields: Any) -> ExperimentConfig:
    """The recipe with another number of epochs, each of 44 steps."""
    recipe = load_config(str(ROOT / "configs" / "mlp_digits.py"))
    return dataclasses.replace(recipe, epochs=epochs, **fields)


def drive(config: ExperimentConfig, watch: Watch) -> None:
    """Runs the driver in a folder that is thrown away, with `watch` before every training block."""
    console.import_tensorflow()
    from zoo.training.engines.tensorflow import Engine
    from zoo.training.loop import train_and_evaluate

    original = Engine.train_block

    def train_block(engine: Engine, block: dict) -> dict:
        return watch(lambda block: original(engine, block), block)

    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        mock.patch.object(Engine, "train_block", train_block),
    ):
        train_and_evaluate(config, folder)


def steps_of(block: dict) -> int:
    """How many steps a block has."""
    return next(iter(block.values())).shape[0]


class Turns:
    """Lets the loop run for some blocks, then makes as many bare calls on the block at hand, and so on.

    Args:
        blocks: of a turn.
        settle: blocks of the loop before a turn that do not count.

    Attributes:
        rows: milliseconds per step of loop and bare call, a row per round.
        steps: of a block.
    """

    def __init__(self, blocks: int, settle: int):
        self.rows: list[tuple[float, float]] = []
        self.steps = 0
        self._blocks, self._settle = blocks, settle
        self._done = -settle
        self._began = 0.0

    def __call__(self, call: Callable, block: dict) -> dict:
        """See `Watch`."""
        if self._done == self._blocks:
            loop = time.perf_counter() - self._began
            self.steps = steps_of(block)
            self.rows.append(tuple(1000 * side / self._blocks / self.steps for side in (loop, self._bare(call, block))))
            self._done = -self._settle
        if self._done == 0:
            self._began = time.perf_counter()
        self._done += 1
        return call(block)

    def _bare(self, call: Callable, block: dict) -> float:
        """Seconds that a turn of bare calls takes."""
        began = time.perf_counter()
        for _ in range(self._blocks):
            call(block)
        return time.perf_counter() - began


def resnet20_turns(rounds: int) -> tuple[list[tuple[float, float]], int]:
    """Rows of `Turns` for ResNet-20, and the steps of a block."""
    # Its pipeline is far ahead of it, so one block settles it.
    turns = Turns(blocks=4, settle=1)
    drive(resnet20(10 * (rounds * 5 + 1)), turns)
    return turns.rows, turns.steps


def mlp_turns(rounds: int) -> tuple[list[tuple[float, float]], int]:
    """Rows of `Turns` for the MLP on digits, and the steps of a block."""
    turns = Turns(blocks=100, settle=READY)
    # 25 epochs of 44 steps are 11 blocks of 100.
    epochs = 25 * (rounds * (100 + READY) // 11 + 1)
    drive(mlp_digits(epochs, eval_every_epochs=epochs, checkpoint_every_steps=NEVER), turns)
    return turns.rows, turns.steps


def overhead(rounds: int) -> None:
    """See `overhead` above."""
    print(
        "overhead        steps per block   loop, ms per step   bare call   more: median (least - most)   fastest turns"
    )
    for name, measure in (("resnet20", resnet20_turns), ("mlp on digits", mlp_turns)):
        # A turn more than is counted.
        rows, steps = in_own_process(measure, rounds + 1)
        rows = rows[1:]
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        fastest = [min(column) for column in zip(*rows, strict=True)]
        more = sorted(loop / bare - 1 for loop, bare in rows)
        print(
            f"{name:<14} {steps:>7} {medians[0]:>19.4f} {medians[1]:>11.4f} {statistics.median(more):>14.1%} "
            f"({more[0]:.1%} - {more[-1]:.1%}) {fastest[0] / fastest[1] - 1:>15.1%}",
            flush=True,
        )


class Spans:
    """Notes when each call of a block began and ended, in seconds."""

    def __init__(self):
        self.calls: list[tuple[float, float]] = []

    def __call__(self, call: Callable, block: dict) -> dict:
        """See `Watch`."""
        began = time.perf_counter()
        result = call(block)
        self.calls.append((began, time.perf_counter()))
        return result


def checkpoint_spans(rounds: int) -> list[tuple[float, float]]:
    """Calls of blocks of 10 steps; after every tenth one comes a checkpoint, and one call follows the last of these."""
    spans = Spans()
    drive(resnet20(100 * rounds + 10, checkpoint_every_steps=100), spans)
    return spans.calls


def checkpoints(rounds: int) -> None:
    """See `checkpoints` above."""
    calls = in_own_process(checkpoint_spans, rounds + 1)
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(calls)]
    plain = statistics.median(gap for number, gap in enumerate(gaps, 1) if number % 10)
    rows = []
    for end in range(20, len(calls), 10):
        rows.append((gaps[end - 1] - plain, calls[end][0] - calls[end - 10][0]))
    shares = sorted(cost / wall for cost, wall in rows)
    cost, wall = (statistics.median(column) for column in zip(*rows, strict=True))
    fastest = [min(column) for column in zip(*rows, strict=True)]
    print("checkpoints      ms each   100 steps, s   share: median (least - most)   fastest turns")
    print(
        f"{'resnet20':<14} {1000 * cost:>9.1f} {wall:>14.2f} {statistics.median(shares):>15.2%} "
        f"({shares[0]:.2%} - {shares[-1]:.2%}) {fastest[0] / fastest[1]:>15.2%}",
        flush=True,
    )


class Memory:
    """Samples the resident memory of the process, in MiB, once the steps so far reach a multiple of 1,000."""

    def __init__(self):
        self.samples: list[float] = []
        self._steps = 0

    def __call__(self, call: Callable, block: dict) -> dict:
        """See `Watch`."""
        if self._steps >= 1000 * (len(self.samples) + 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        self._steps += steps_of(block)
        return call(block)


def memory_samples() -> list[float]:
    """Samples of `Memory` over 20,000 steps of the recipe of the MLP on digits."""
    samples = Memory()
    drive(mlp_digits(20_000 // 44 + 3), samples)
    return samples.samples[:20]


def memory(rounds: int) -> None:
    """See `memory` above; one run, whatever the rounds."""
    samples = in_own_process(memory_samples)
    print("memory          MiB after 1,000 steps   after 20,000   most after 1,000   growth, MiB")
    print(
        f"{'mlp on digits':<14} {samples[0]:>22.1f} {samples[-1]:>14.1f} {max(samples):>18.1f} "
        f"{max(samples) - samples[0]:>13.1f}"
    )
    print("every 1,000    ", " ".join(f"{sample - samples[0]:+.1f}" for sample in samples), flush=True)


def scaling(rounds: int) -> None:
    """See `scaling` above."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("scaling needs two cores")
    sides = ((1, 128), (1, 64), (2, 128), (2, 256))
    link = Link("loopback", *loopback.bandwidth_and_latency())
    rows = []
    for number in range(rounds):
        # One process takes turns on the cores, in case one of them is slower.
        order = cores if number % 2 else cores[::-1]
        rows.append([images_per_second(batch, order[:processes]) for processes, batch in sides])
    columns = list(zip(*rows, strict=True))
    rates = {side: statistics.median(rate for rate, _ in column) for side, column in zip(sides, columns, strict=True)}
    fastest = [max(most for _, most in column) for column in columns]
    print(f"loopback: {link.bandwidth / 1e9:.2f} GB/s, {1e6 * link.latency:.1f} us a message")
    print("scaling        batch   images/s   times one process: median (least - most)   fastest blocks   by formula")
    for number, (processes, batch) in enumerate(sides):
        ratios = sorted(row[number][0] / row[0][0] for row in rows)
        share = batch // processes
        step = share / rates[1, share] + all_reduce(gradient_bytes("resnet20"), processes, link)
        print(
            f"{processes} process{'es' if processes > 1 else '':<4} {batch:>6} "
            f"{rates[processes, batch]:>10.1f} {statistics.median(ratios):>26.2f} "
            f"({ratios[0]:.2f} - {ratios[-1]:.2f}) {fastest[number] / fastest[0]:>16.2f} "
            f"{batch / step / rates[sides[0]]:>16.2f}",
            flush=True,
        )


def images_per_second(batch: int, cores: list[int], steps: int = 60) -> tuple[float, float]:
    """Runs `train.py` on ResNet-20 with a process on each of these cores.

    Args:
        batch: examples per step over all processes together.
        cores: numbers of cores.
        steps: of the run, in blocks of 10.

    Returns:
        The rate over its blocks: the median, and the fastest. The first block, which compiles, is left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = resnet20(steps, batch_size=batch, cpu_threads=1)
        config = dataclasses.replace(config, dataset=f"synthetic:32x32x3,examples={batch * steps}")
        defaults = ExperimentConfig()
        fields = {
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(config)
            if getattr(config, field.name) != getattr(defaults, field.name)
        }
        command = [sys.executable, "train.py", f"--workdir={folder}/run"]
        command += [f"--{name}={value}" for name, value in fields.items()]
        run_pinned(loopback.commands(command, len(cores)), cores)
        lines = Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    rates = [row["images_per_second"] for row in map(json.loads, lines) if row["split"] == "train"][1:]
    return statistics.median(rates), max(rates)


def run_pinned(commands: list[list[str]], cores: list[int]) -> None:
    """Runs commands at the same time, each on its core, and waits for all.

    Raises:
        RuntimeError: one failed, or took too long.
    """
    ours = os.sched_getaffinity(0)
    processes = []
    try:
        for command, core in zip(commands, cores, strict=True):
            # A child has the affinity of its parent, and TensorFlow makes as many threads as it may use cores.
            os.sched_setaffinity(0, {core})
            processes.append(
                subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            )
        os.sched_setaffinity(0, ours)
        loopback.finish(processes, PATIENCE)
    finally:
        os.sched_setaffinity(0, ours)
        for process in processes:
            process.kill()
            process.wait()


def in_own_process(function: Callable, *arguments: Any) -> Any:
    """What a function returns in a fresh process, where TensorFlow has not yet been started."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


WORKS = {"overhead": overhead, "checkpoints": checkpoints, "memory": memory, "scaling": scaling}


def main(argv: list[str] | None = None) -> None:
    """Prints the figures of each work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"any of {', '.join(WORKS)}; default: all")
    parser.add_argument("--rounds", type=int, default=7, help="counted turns of each side")
    options = parser.parse_args(argv)
    if unknown := set(options.work) - set(WORKS):
        parser.error(f"unknown work {', '.join(unknown)}; there is {', '.join(WORKS)}")
    if options.rounds < 1:
        parser.error(f"rounds is {options.rounds}; it must be at least 1")
    print(f"{os.cpu_count()} cores, {options.rounds} rounds")
    for name in options.work or WORKS:
        WORKS[name](options.rounds)


if __name__ == "__main__":
    main()
