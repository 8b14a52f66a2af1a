"""Runs that are killed by SIGKILL at random moments and started again end with the bits of one that was not.

    python -m tests.faults.kills --runs=30 --seed=0

Each run trains a small net with dropout, momentum and augmentation on digits and saves a checkpoint every few steps.
It is killed once, twice or three times, at moments that the seed chooses: while it starts, while it trains, while a
checkpoint is written, at its end. What happens in the workdir tells which moment it is, so that a slow machine kills at
the same ones. A line per run says at which moments it was killed and whether it ended as it should.
"""

import argparse
import dataclasses
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.loopback import End, commands, ends, finish

ROOT = Path(__file__).parents[2]
# 44 steps an epoch, 176 in all; a checkpoint every 4 steps, so that much of the time goes into writing them.
TRAIN = (
    str(ROOT / "train.py"), "--model=simple_cnn", "--model_args=dropout=0.5", "--optimizer=sgd",
    "--learning_rate=0.02", "--augment=pad_crop:1", "--schedule=cosine", "--epochs=4", "--checkpoint_every_steps=4",
    "--log_every_steps=4", "--cpu_threads=1",
)  # fmt: skip
TOTAL_STEPS = 176
MOMENTS = ("start", "training", "checkpoint", "end")
# What the chief says when all have come together.
JOINED = "strategy multi_worker_mirrored took"
# A run is played so often until a kill comes in time.
DRAWS = 5
# A run must have ended by then, and what is left of a job whose process was killed by the second.
LIMIT_SECONDS, LOST_SECONDS = 300, 60


def result(workdir: Path) -> dict:
    """What result.json holds."""
    return json.loads((workdir / "result.json").read_text())


def rows(workdir: Path) -> list[dict]:
    """The rows of metrics.jsonl, without what differs from run to run."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in lines]


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a run is killed.

    Attributes:
        moment: one of MOMENTS.
        step: for training and checkpoint: no sooner than there is a checkpoint of this step.
        delay: seconds after the moment has come.
        process: which one of several is killed.
    """

    moment: str
    step: int = 0
    delay: float = 0.0
    process: int = 0

    def __str__(self):
        step = f" {self.step}" if self.step else ""
        return f"{self.moment}{step} +{1000 * self.delay:.0f} ms"


def draw(random_numbers: random.Random, start_seconds: float, processes: int = 1) -> list[Kill]:
    """The kills of one run, in the order in which they come."""
    kills = []
    for moment in random_numbers.choices(MOMENTS, weights=(2, 3, 3, 1), k=random_numbers.randint(1, 3)):
        # The longest that anything between two moments takes is the start.
        longest = {"start": start_seconds, "training": 0.05, "checkpoint": 0.004, "end": 0.2}[moment]
        in_training = moment in ("training", "checkpoint")
        kills.append(
            Kill(
                moment,
                step=4 * random_numbers.randrange(1, TOTAL_STEPS // 4) if in_training else 0,
                delay=random_numbers.uniform(0, longest),
                process=random_numbers.randrange(processes),
            )
        )
    # A start may be killed at any time; what is killed in training must not be past that step by then.
    return sorted(kills, key=lambda kill: (kill.moment == "end", kill.step))


class Job:
    """One run, of one process or several.

    Args:
        workdir: of the run.
        data_dir: of the run.
        processes: how many train together.
        flags: further ones.
    """

    def __init__(self, workdir: Path, data_dir: str, processes: int = 1, flags: tuple[str, ...] = ()):
        self.workdir = workdir
        self._flags = (*TRAIN, f"--workdir={workdir}", f"--data_dir={data_dir}", *flags)
        self._processes = processes

    def start(self) -> list[subprocess.Popen]:
        """Starts the processes."""
        return [
            subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for argv in commands([sys.executable, *self._flags], self._processes)
        ]

    def finish(self) -> None:
        """Starts the processes and waits for their end.

        Raises:
            RuntimeError: one of them failed, or has not ended.
        """
        finish(self.start(), LIMIT_SECONDS)

    def kill(self, kill: Kill) -> bool:
        """Starts the processes, kills one at the moment, and waits for the others; False if it came too late.

        Raises:
            RuntimeError: the moment did not come, one failed before it, or the others did not end as `wrong` has it.
        """
        processes = self.start()
        reached = moment(self.workdir, kill)
        deadline = time.monotonic() + LIMIT_SECONDS
        while not reached() and all(process.poll() is None for process in processes):
            if time.monotonic() > deadline:
                ends(processes, 0)
                raise RuntimeError(f"{kill}: not come to in {LIMIT_SECONDS} s")
            time.sleep(0.0005)
        time.sleep(kill.delay)
        victim = processes[kill.process]
        in_time = victim.poll() is None
        victim.kill()
        ended = ends(processes, LOST_SECONDS)
        joined = self._processes == 1 or JOINED in ended[0].errors
        done = (self.workdir / "result.json").exists()
        for index, end in enumerate(ended):
            why = "" if in_time and index == kill.process else wrong(end, killed=in_time, joined=joined, done=done)
            if why:
                raise RuntimeError(f"{kill}, process {kill.process}: process {index} {why}: {end.errors[-2000:]}")
        return in_time


def wrong(end: End, *, killed: bool, joined: bool, done: bool) -> str:
    """What is wrong with the end of a process that was not killed; empty where nothing is.

    Args:
        end: of the process; its status is None where it had to be ended after LOST_SECONDS.
        killed: whether another one was killed.
        joined: whether the processes had come together. Until then one waits for the others as long as it takes.
        done: whether the run has a result.
    """
    if end.status == 0:
        return "" if done else "ended with status 0 and without a result"
    if not killed:
        return f"ended with status {end.status}, and none was killed"
    if end.status is None:
        return f"went on for {LOST_SECONDS} s" if joined else ""
    last = (end.errors.splitlines() or [""])[-1]
    said = " was lost" in last or (not joined and "could not join" in last)
    return "" if end.status == 1 and last.startswith("error: ") and said else f"ended with status {end.status}"


def moment(workdir: Path, kill: Kill) -> Callable[[], bool]:
    """Says whether the moment of a kill has come, by what is in the workdir."""
    checkpoints = workdir / "checkpoints"

    def newest() -> int:
        return max((int(path.name[5:]) for path in checkpoints.glob("step-*")), default=0)

    return {
        "start": lambda: True,
        "training": lambda: newest() >= kill.step,
        "checkpoint": lambda: newest() >= kill.step and any(checkpoints.glob(".*.tmp")),
        "end": lambda: newest() >= TOTAL_STEPS,
    }[kill.moment]


def difference(workdir: Path, expected: Path) -> str:
    """In what a run differs from the one that nothing happened to; empty where it is the same."""
    for name in ("state_sha256", "metrics", "steps"):
        if result(workdir)[name] != result(expected)[name]:
            return f"{name} {result(workdir)[name]} instead of {result(expected)[name]}"
    if rows(workdir) != rows(expected):
        return "metrics.jsonl"
    left = [path.name for path in (*workdir.glob(".*.tmp*"), *(workdir / "checkpoints").glob(".*"))]
    return f"{', '.join(left)} left behind" if left else ""


def run(kills: list[Kill], job: Job, expected: Path) -> tuple[list[str], str]:
    """Kills a run at the given moments, lets it end, and compares.

    Returns:
        The moments at which it was killed, and in what it differs.
    """
    done = []
    try:
        for kill in kills:
            if job.kill(kill):
                done.append(str(kill))
        job.finish()
    except RuntimeError as error:
        return done, str(error)
    return done, difference(job.workdir, expected)


def main(argv: list[str]) -> int:
    """Prints a line per run and the sum; returns 0 if every run ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        expected, data_dir = Path(folder) / "uninterrupted", f"{folder}/data"
        job = Job(expected, data_dir, given.processes)
        job.finish()
        # The wall time of a run holds its start, but for the import of TensorFlow.
        start_seconds = 4 + result(expected)["wall_seconds"] - result(expected)["train_seconds"]
        print(f"uninterrupted: {result(expected)['state_sha256']}")
        good = 0
        for number in range(given.runs):
            done, wrong = [], ""
            # A run that had ended before its first kill shows nothing: another one, with other moments.
            for again in range(DRAWS):
                kills = draw(random.Random(f"{given.seed}/{number}/{again}"), start_seconds, given.processes)
                job = Job(Path(folder) / f"run{number}-{again}", data_dir, given.processes)
                done, wrong = run(kills, job, expected)
                if done or wrong:
                    break
            good += not wrong and bool(done)
            print(
                f"run {number:2}  {'DIFFERS: ' + wrong if wrong else 'same'}  killed at {'; '.join(done)}", flush=True
            )
    print(f"{good} of {given.runs}")
    return 0 if good == given.runs else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
