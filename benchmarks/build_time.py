"""Seconds to build a model after TensorFlow is imported, each in a process of its own.

python -m benchmarks.build_time [--rounds 3] [NAME ...]
"""

import argparse
import multiprocessing
import statistics
import time

from zoo.cli import console

NAMES = ("resnet50", "inception_v3", "resnet152", "densenet201", "inception_resnet_v2")


def build(name: str) -> float:
    """Imports TensorFlow, touches it once, and times the build."""
    console.import_tensorflow()
    import keras

    import zoo

    # Not to be timed: the import of the builder's file.
    assert zoo.model_info(name).builder
    keras.layers.Dense(1).build((1, 1))
    began = time.perf_counter()
    zoo.build_model(name)
    return time.perf_counter() - began


def main(argv: list[str] | None = None) -> None:
    """Prints one row per model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"any models; default: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="builds of each")
    options = parser.parse_args(argv)
    context = multiprocessing.get_context("spawn")
    print(f"{'model':<24} seconds, median (least - most)")
    for name in options.name or NAMES:
        seconds = []
        for _ in range(options.rounds):
            with context.Pool(1) as pool:
                seconds.append(pool.apply(build, (name,)))
        print(f"{name:<24} {statistics.median(seconds):.2f} ({min(seconds):.2f} - {max(seconds):.2f})", flush=True)


if __name__ == "__main__":
    main()
