"""Holds a net with published weights against the publisher's own net: python -m zoo compare-weights keras/resnet50_v1

Both load the file and take the same random images; where their outputs differ, the first layer that does is named.
timm and torchvision may be in another Python. With --random the publisher's net draws its weights and writes them into
a file, so that no published one is needed.
"""

import os
import sys
from types import SimpleNamespace

from zoo.cli import console
from zoo.cli.options import Argument, Option
from zoo.errors import RequestError, RunError
from zoo.pretrained.catalog import find_entry, list_weights
from zoo.waiting import said_if_slow

ARGUMENTS = (Argument("source", "a name of python -m zoo weights, or a pattern in quotes: every one that fits"),)
OPTIONS = (
    Option(
        "peer_python", "", "a Python with timm or torchvision; default: PEER_PYTHON of the environment, else this one"
    ),
    Option("random", False, "with random weights, in place of the published file"),
    Option("images", 2, "how many random images", least=1),
    Option("image_size", 0, "their side; default: that of the published weights", least=0),
    Option("tolerance", 1e-5, "the largest difference that passes, as a share of the largest output", least=0.0),
)


def main(options: SimpleNamespace) -> None:
    """Prints a line for each; status 1 where one differs by more than allowed."""
    names = list_weights(options.source) if {*"*?["} & {*options.source} else [options.source]
    if not names:
        raise RequestError(f"no weights fit {options.source!r}; python -m zoo weights shows all of them")
    entries = [find_entry(name) for name in names]
    console.import_tensorflow()
    from zoo.pretrained.comparing import compare

    worse, column = [], max(len(entry.name) for entry in entries)
    print(f"{'weights':<{column}}  arrays  layers  difference", flush=True)
    for entry in entries:
        with said_if_slow(f"comparing {entry.name}"):
            found = compare(
                entry,
                options.peer_python or os.environ.get("PEER_PYTHON", sys.executable),
                random=options.random,
                images=options.images,
                image_size=options.image_size,
            )
        # Each by itself, since all of them take minutes.
        print(f"{entry.name:<{column}}  {found.arrays:>6}  {found.layers:>6}  {found.largest:>10.1e}", flush=True)
        # Not `>`, which no NaN is.
        if not found.largest <= options.tolerance:
            where = f", first in {found.first[0]} ({found.first[1]}): {found.first[2]:.1e}" if found.first else ""
            worse.append(f"{entry.name} differs by {found.largest:.1e}{where}")
    if worse:
        raise RunError("; ".join(worse))
