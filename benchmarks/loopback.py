"""Several processes of `train.py` on this machine, which find each other on loopback."""

import contextlib
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

# A process that was killed is gone by then, unless something else holds what it wrote to.
GONE_SECONDS = 30


class End(NamedTuple):
    """How a process ended.

    Attributes:
        status: its exit status, minus the signal's number where a signal ended it; None where it was killed here.
        out, errors: what it said, where that was piped.
    """

    status: int | None
    out: str
    errors: str


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def bandwidth_and_latency(size: int = 2**26, pings: int = 1000) -> tuple[float, float]:
    """What a socket does between two threads here: bytes per second in one direction, seconds of a short message.

    Args:
        size: bytes by which the bandwidth is measured.
        pings: round trips of one byte; half the median one is the latency.
    """

    def read(end: socket.socket, count: int) -> None:
        while count:
            count -= len(end.recv(min(count, 2**20)))

    def answer(server: socket.socket) -> None:
        end, _ = server.accept()
        with end:
            for asked in (*[1] * pings, size):
                read(end, asked)
                end.sendall(b".")

    def seconds(end: socket.socket, message: bytes) -> float:
        began = time.perf_counter()
        end.sendall(message)
        read(end, 1)
        return time.perf_counter() - began

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as executor:
        answered = executor.submit(answer, server)
        with socket.create_connection(server.getsockname()) as end:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            latency = statistics.median(seconds(end, b".") for _ in range(pings)) / 2
            bandwidth = size / seconds(end, bytes(size))
        answered.result()
    return bandwidth, latency


def commands(command: Sequence[str], count: int) -> list[list[str]]:
    """What to start for processes that train together: each is the command with further flags; one is the command."""
    if count == 1:
        return [list(command)]
    hosts = ",".join(f"localhost:{port}" for port in free_ports(count))
    together = (*command, "--strategy=multi_worker_mirrored", f"--worker_hosts={hosts}")
    return [[*together, f"--worker_index={index}"] for index in range(count)]


def ends(processes: Sequence[subprocess.Popen], seconds: float) -> list[End]:
    """Waits for processes, all at once; those that have not ended after so many seconds are killed.

    Args:
        processes: started with text=True.
        seconds: together.
    """
    with ThreadPoolExecutor(len(processes)) as executor:
        return list(executor.map(lambda process: _end(process, seconds), processes))


def finish(processes: Sequence[subprocess.Popen], seconds: float) -> None:
    """Waits for processes as `ends` does.

    Raises:
        RuntimeError: one failed, or did not end in time.
    """
    for process, end in zip(processes, ends(processes, seconds), strict=True):
        if end.status != 0:
            what = f"did not end in {seconds:g} s" if end.status is None else f"ended with status {end.status}"
            raise RuntimeError(f"{' '.join(map(str, process.args))} {what}: {end.errors[-2000:]}")


def _end(process: subprocess.Popen, seconds: float) -> End:
    try:
        out, errors = process.communicate(timeout=seconds)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate(timeout=GONE_SECONDS)
        status = None
    return End(status, out or "", errors or "")
