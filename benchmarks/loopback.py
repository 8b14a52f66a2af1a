"""Several processes of `train.py` on this machine, which find each other on loopback."""

import contextlib
import socket
import subprocess
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
