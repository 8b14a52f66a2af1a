"""The process of one side: python -m benchmarks.serve SIDE WORK THREADS, with the work as JSON.

It writes a line of JSON when it is ready and another for each line that it reads, until there are no more. Whatever
libraries print goes to standard error.
"""

import dataclasses
import importlib
import json
import os
import resource
import sys

from benchmarks.works import SIDES, Unfit, Work


def main(side: str, work_json: str, threads: str) -> None:
    """Prepares the side and plays a turn for each line of the input."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**message) -> None:
        print(json.dumps(message), file=replies, flush=True)

    try:
        play = importlib.import_module(SIDES[side])
        prepared = play.prepare(side, Work(**json.loads(work_json)), int(threads))
    except (ImportError, Unfit) as error:
        reply(skipped=" ".join(str(error).split()))
        return
    ready = {field.name: getattr(prepared, field.name) for field in dataclasses.fields(prepared)}
    del ready["turn"]
    reply(**ready)
    whose = resource.RUSAGE_CHILDREN if prepared.peak_of == "children" else resource.RUSAGE_SELF
    for _ in sys.stdin:
        seconds = prepared.turn()
        reply(seconds=seconds, peak_gib=resource.getrusage(whose).ru_maxrss / 2**20)


if __name__ == "__main__":
    main(*sys.argv[1:])
