"""The process of one side: python -m benchmarks.serve SIDE WORK THREADS, with the work as JSON.

It writes a line of JSON when it is ready and another for each line that it reads, until there are no more. Whatever
libraries print goes to standard error.
"""

import dataclasses
import importlib
import json
import os
import re
import resource
import sys
from pathlib import Path

from benchmarks.works import PRODUCT, SIDES, Unfit, Work


def main(side: str, work_json: str, threads: str) -> None:
    """Prepares the side and plays a turn for each line of the input."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**message) -> None:
        print(json.dumps(message), file=replies, flush=True)

    try:
        play = importlib.import_module((SIDES | PRODUCT)[side])
        prepared = play.prepare(side, Work(**json.loads(work_json)), int(threads))
    except (ImportError, Unfit) as error:
        reply(skipped=" ".join(str(error).split()))
        return
    ready = {field.name: getattr(prepared, field.name) for field in dataclasses.fields(prepared)}
    del ready["turn"], ready["measured"]
    reply(**ready)
    for _ in sys.stdin:
        seconds = prepared.turn()
        reply(seconds=seconds, peak_gib=peak_gib(prepared.peak_of), **prepared.measured())


def peak_gib(whose: str) -> float:
    """The largest resident size so far in GiB, of `self` or of the largest of the `children`."""
    if whose == "children":
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    # RUSAGE_SELF remembers across exec how large the process was that started this one.
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)[1]) / 2**20


if __name__ == "__main__":
    main(*sys.argv[1:])
