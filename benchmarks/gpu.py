"""Training on a GPU in the zoo and in PyTorch, side by side: python -m benchmarks.gpu [WORK ...]

Every side is a process of its own on the same card, and they take turns. PyTorch is eager and by torch.compile, with
channels last, fused optimizers, cuDNN's algorithms tried once, autocast where half precision is asked for, and its data
on the card before the clock starts; the zoo reads uint8 from the machine's memory. What they did is merged into
results/gpu.json, of which the part of docs/benchmarks.md on GPUs is made. With --rehearse the same is played on the CPU
at small size, and not recorded.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence

from benchmarks.__main__ import checked, keeper, make_parser, play_all, read
from benchmarks.works import ON_GPU, Work
from zoo.cli import console
from zoo.errors import RequestError

# The most of a side of an image, of examples in a batch and of steps in a rehearsal.
SMALL = {"side": 96, "batch_size": 8, "steps": 4}


def main(argv: Sequence[str]) -> None:
    """Plays the works, and writes what came of each at once."""
    parser = make_parser("python -m benchmarks.gpu", __doc__, ON_GPU, rounds=3)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, at small size, not recorded")
    parser.add_argument("--jit", choices=("auto", "on", "off"), default="auto", help="of the zoo; recorded if auto")
    options = checked(parser.parse_args(argv), ON_GPU)
    works = {name: dataclasses.replace(ON_GPU[name], jit=options.jit) for name in options.works}
    if options.rehearse:
        print("a rehearsal on the CPU: nothing of this is recorded", flush=True)
        play_all({name: rehearsal(work) for name, work in works.items()}, options, None)
        return
    card = find_card()
    results = options.output / "results" / "gpu.json"
    recorded = read(results, card=card)
    if options.jit == "auto" and recorded["machine"].get("card") != card:
        raise RequestError(
            f"{results} is of another card, {recorded['machine'].get('card')}; move it away, or name another --output"
        )
    print(f"on one {card}", flush=True)
    play_all(works, options, keeper(recorded, results, ON_GPU) if options.jit == "auto" else None)


def find_card() -> str:
    """The name of the first GPU.

    Raises:
        RequestError: TensorFlow sees none.
    """
    console.import_tensorflow()
    from zoo.places.strategy import gpus

    cards = gpus()
    if not cards:
        raise RequestError("TensorFlow sees no GPU here; --rehearse plays the same at small size on the CPU")
    return cards[0]["name"]


def rehearsal(work: Work) -> Work:
    """The work at small size on the CPU."""
    height, width, channels = work.image_shape
    side = SMALL["side"] if work.model != "inception_v3" else 139  # its smallest
    return dataclasses.replace(
        work,
        device="CPU",
        image_shape=(min(height, side), min(width, side), channels),
        batch_size=min(work.batch_size, SMALL["batch_size"]),
        steps=min(work.steps, SMALL["steps"]),
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(console.run(main, sys.argv[1:]))
