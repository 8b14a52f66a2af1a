"""One work: a process for each side, turn by turn, and what becomes of the seconds.

All sides of a work live at the same time and take turns, so that a machine that slows down slows all. The first round,
which compiles and touches memory for the first time, is not counted; every second round goes the other way round.
NumPy's float32 matrix product takes its turn with them.
"""

import contextlib
import dataclasses
import datetime
import functools
import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import side_product
from benchmarks.works import NO_SUCH_SIDE, OF_PHOTOS, PEERS, SIDES, TUNABLE, Work, flops
from zoo import processor

ROOT = Path(__file__).parents[1]
# Seconds after which a side that does not answer is given up: torch.compile takes minutes for a large net.
PATIENCE = 900
MATRIX = 2048
SIDE_FIELDS = (
    *("title", "median", "least", "most", "images_per_second", "peak_gib"),
    *("fraction_of_matmul", "times_slower", "fraction_of_decoder", "gpu_peak_gib", "waiting", "skipped"),
)
Say = Callable[[str], None]


class Dropped(Exception):  # noqa: N818 - the others go on
    """A side takes no further part; the message says why in a line."""


class Player:
    """The process of a side.

    Args:
        side: one of `SIDES`.
        work: what it does.
        threads: of one operation, 0: as the side comes.
        python: the interpreter.
        folder: for whatever it writes.
    """

    def __init__(self, side: str, work: Work, threads: int, python: str, folder: Path):
        self.side, self.threads = side, threads
        self.seconds: list[float] = []
        self.peak_gib = 0.0
        self.measured: dict[str, float] = {}
        self.ready: dict[str, Any] = {}
        self._errors = (folder / f"{side}-{threads}").open("w+")
        # Compiled nets are kept from one run to the next, as they are for a user.
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(Path(tempfile.gettempdir()) / "torchinductor")}
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.serve", side, json.dumps(dataclasses.asdict(work)), str(threads)],
            cwd=ROOT,
            env=cache | processor.environment_of_user() | {"TMPDIR": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # Ctrl-C is for us alone; we end them.
            start_new_session=True,
        )

    @property
    def counted(self) -> list[float]:
        """The seconds of the rounds that count."""
        return self.seconds[1:]

    def begin(self) -> None:
        """Waits until it is ready.

        Raises:
            Dropped: it cannot take part.
        """
        self.ready = self._answer()
        if "skipped" in self.ready:
            raise Dropped(self.ready["skipped"])

    def turn(self) -> None:
        """Plays a turn.

        Raises:
            Dropped: it has crashed.
        """
        self.ask()
        self.hear()

    def ask(self) -> None:
        """Lets it begin a turn."""
        with contextlib.suppress(OSError):  # the answer will be missing
            print("turn", file=self._process.stdin, flush=True)

    def hear(self) -> None:
        """Waits until it has played the turn that it was asked for.

        Raises:
            Dropped: it has crashed.
        """
        answer = self._answer()
        self.seconds.append(answer.pop("seconds"))
        self.peak_gib = answer.pop("peak_gib")
        self.measured = answer

    def end(self) -> None:
        """Ends the process and what it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not readable:
            raise Dropped(f"no answer for {PATIENCE} s")
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors if line.strip()]
        cause = f"was stopped by signal {-status}" if status < 0 else f"ended with status {status}"
        raise Dropped(f"the process {cause}{': ' + said[-1] if said else ''}")


def play(work: Work, rounds: int, peer_python: str, say: Say) -> dict[str, Any]:
    """Times all sides of a work.

    Args:
        work: what they do.
        rounds: counted turns of each side.
        peer_python: the interpreter of the peers.
        say: takes a line of progress.

    Returns:
        The record of the work and the `versions` it was made with, see `record`.

    Raises:
        Dropped: the zoo itself has failed.
    """
    skipped = {side: NO_SUCH_SIDE for side in SIDES if side not in work.sides}
    products = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        if work.kind == "input" and work.model in OF_PHOTOS:
            write_photos(folder)
        players = []
        for side in work.sides:
            for threads in choices(side, work):
                python = peer_python if side in PEERS else sys.executable
                players.append(Player(side, work, threads, python, Path(folder)))
                stack.callback(players[-1].end)
        players = each(players, Player.begin, skipped, say)
        product = matrix_product
        if work.device == "GPU":
            player = Player("product", work, 0, sys.executable, Path(folder))
            stack.callback(player.end)
            player.begin()
            product = functools.partial(product_of, player, work)
        for number in range(rounds + 1):
            if work.kind in ("train", "inference"):
                products.append(product())
            if work.device == "GPU" and not number:
                # Nothing is timed yet, and compiling for a GPU takes each side a minute of other cores.
                for player in players:
                    player.ask()
                players = each(players, Player.hear, skipped, say)[::-1]
            else:
                players = each(players, Player.turn, skipped, say)[::-1]
            say(f"round {number} of {rounds}" if number else "warm")
    return record(work, rounds, players, skipped, products[1:])


def write_photos(folder: str) -> None:
    """Lets a process of its own write the photographs that every side reads, since only some Pythons can.

    Raises:
        Dropped: it could not.
    """
    command = [sys.executable, "-m", "benchmarks.photos"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TMPDIR": folder}, capture_output=True, text=True)
    if done.returncode:
        raise Dropped(f"the photographs cannot be written: {' '.join(done.stderr.splitlines()[-1:])}")


def choices(side: str, work: Work) -> list[int]:
    """The numbers of threads that a side is tried with; the better one counts.

    The zoo has the recipe's, Keras as it comes its own. Who is tuned would try both.
    """
    if side == "zoo":
        return [work.threads]
    return [0, work.threads] if work.threads and side in TUNABLE else [0]


def each(players: list[Player], act: Callable[[Player], None], skipped: dict[str, str], say: Say) -> list[Player]:
    """Lets players act one after the other; returns those that go on."""
    left = []
    for player in players:
        with dropping(player.side, skipped, say):
            act(player)
            left.append(player)
    return left


@contextlib.contextmanager
def dropping(side: str, skipped: dict[str, str], say: Say) -> Iterator[None]:
    """Notes why a side is dropped, and goes on without it; without the zoo there is nothing to compare."""
    try:
        yield
    except Dropped as error:
        if side == "zoo":
            raise
        skipped[side] = str(error)
        say(f"{side} skipped: {error}")


def matrix_product() -> float:
    """What this machine does in a float32 matrix product by NumPy: operations per second, the best of three."""
    matrix = np.ones((MATRIX, MATRIX), np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        np.matmul(matrix, matrix)
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds)


def product_of(player: Player, work: Work) -> float:
    """What the device of a work does in a matrix product of its precision: operations per second."""
    player.turn()
    return side_product.operations(work) / player.seconds[-1]


def record(
    work: Work, rounds: int, players: list[Player], skipped: dict[str, str], products: list[float]
) -> dict[str, Any]:
    """What the results hold of a work, from the seconds of its players and the matrix products of its rounds."""
    best: dict[str, Player] = {}
    for player in players:
        other = best.get(player.side)
        if other is None or statistics.median(player.counted) < statistics.median(other.counted):
            best[player.side] = player
    zoo = best["zoo"]
    for side, player in best.items():
        if player.ready["parameters"] != zoo.ready["parameters"]:
            found = f"{player.ready['parameters']} parameters, that of the zoo {zoo.ready['parameters']}"
            raise Dropped(f"{side} has another net: it has {found}")
    empty = dict.fromkeys(SIDE_FIELDS)
    return {
        "title": work.title,
        "kind": work.kind,
        "batch_size": work.batch_size,
        "steps": work.steps,
        "forward_macs": zoo.ready["forward_macs"],
        "parameters": zoo.ready["parameters"],
        "rounds": rounds,
        "date": datetime.date.today().isoformat(),
        "matmul_gflops": significant(statistics.median(products) / 1e9) if products else None,
        "sides": {
            side: empty | (side_record(work, best[side], zoo, products) if side in best else {"skipped": skipped[side]})
            for side in SIDES
        },
        "versions": {name: version for player in players for name, version in player.ready["versions"].items()},
    }


def side_record(work: Work, player: Player, zoo: Player, products: list[float]) -> dict[str, Any]:
    """What a side did, all but why it was skipped."""
    of_start = work.kind == "start"
    unit = 1.0 if of_start else 1000 / work.steps
    title, macs = player.ready["title"], zoo.ready["forward_macs"]
    if player.threads:
        title += f", {player.threads} thread" + "s" * (player.threads > 1)
    counted = player.counted
    ratios = [seconds / zoos for seconds, zoos in zip(counted, zoo.counted, strict=True)]
    rate, fraction = None, None
    if not of_start:
        rate = significant(work.batch_size * work.steps / statistics.median(counted))
    if macs:
        needed = flops(work, macs) * work.steps
        fractions = [needed / seconds / product for seconds, product in zip(counted, products, strict=True)]
        fraction = significant(statistics.median(fractions))
    return {
        "title": title,
        **spread([seconds * unit for seconds in counted]),
        "images_per_second": rate,
        "peak_gib": significant(player.peak_gib),
        "fraction_of_matmul": fraction,
        "times_slower": None if player is zoo else spread(ratios),
        **{name: significant(value) for name, value in player.measured.items()},
    }


def spread(values: list[float]) -> dict[str, float]:
    """The median and both ends."""
    ends = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: significant(value) for name, value in ends.items()}


def significant(value: float, digits: int = 4) -> float:
    """A number rounded to so many digits, which can be compared by eye."""
    return 0.0 if value == 0 else round(value, digits - 1 - math.floor(math.log10(abs(value))))
