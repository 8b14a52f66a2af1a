"""The same training on one device, on several, and in two processes: how far the trained weights lie apart.

    python -m benchmarks.same_result [--output docs/same_result.md]

`simple_cnn` with synchronised batch norm and without dropout is trained for 100 steps on digits by `train.py`, twice in
each way, and all its trainable weights are taken as one vector. The table gives the distance of that vector from the
one of one device, and whether the second run ended with the same bits in every variable. Beside it stands one device
whose batches were turned round, which is the same mathematics in another order of sums: what that alone does at higher
learning rates, and to ResNet-20, whose depth amplifies rounding, several devices cannot undercut.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import loopback
from zoo.cli import console

ROOT = Path(__file__).parents[1]
STEPS = 100
BATCH = 32
# Chosen after the higher ones, which the table shows too: rounding grows with the rate.
RATE = 0.001
HIGHER_RATES = (0.01, 0.1)
# 25 batches an epoch.
COMMON = (
    f"--train_split=train[:{BATCH * STEPS // 4}]",
    "--epochs=4",
    "--eval_every_epochs=4",
    f"--batch_size={BATCH}",
    "--optimizer=sgd",
    "--sync_batch_norm",
    "--cpu_threads=1",
)
TURNED_ROUND = "1 device, each batch turned round"
WAYS = {
    "1 device": "one_device",
    "2 logical devices": "mirrored:2",
    "4 logical devices": "mirrored:4",
    "2 processes": "multi_worker_mirrored",
}
# Longest that a run may take, in seconds.
PATIENCE = 900
# A second order of the same batches: what a step is made of stays, its sums are taken the other way round.
TURNED = """
import sys, tensorflow as tf
from zoo.cli import console
from zoo.data import pipeline
blocks = pipeline.training_blocks
def turned(*given, **options):
    return blocks(*given, **options).map(lambda block: {k: tf.reverse(v, [1]) for k, v in block.items()})
pipeline.training_blocks = turned
from zoo.cli.commands import run_train
sys.exit(console.run(run_train, sys.argv[1:]))
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs every way twice and prints or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a file for the text; default: it is printed")
    output = parser.parse_args(argv).output
    with tempfile.TemporaryDirectory() as folder:
        text = table(Path(folder))
    if output is None:
        print(text, end="")
    else:
        output.write_text(text)


def table(folder: Path) -> str:
    """The text with its figures, made in a folder."""
    small = {way: [trained(folder / f"{way} {turn}", way) for turn in (1, 2)] for way in WAYS}
    one, _ = small["1 device"][0]
    lines = [
        "# The same result everywhere",
        "",
        f"Made by `python -m benchmarks.same_result`: {STEPS} steps on digits, batch {BATCH}, SGD with momentum 0.9, "
        "synchronised batch norm, no dropout.",
        "All trainable weights are one vector; its distance from that of one device is given as such and as a share of "
        f"the vector's length. `simple_cnn`, learning rate {RATE}:",
        "",
        "| trained on | distance | share | again: same bits | test accuracy |",
        "|---|---|---|---|---|",
    ]
    for way, ((vector, result), (_, again)) in small.items():
        same = "yes" if again["state_sha256"] == result["state_sha256"] else "**no**"
        accuracy = result["metrics"]["test/accuracy"]
        lines.append(f"| {way} | {_apart(vector, one)} | {same} | {accuracy:.4f} |")
    lines += [
        "",
        "Training itself amplifies rounding, the more the higher the rate and the deeper the net. So beside a second "
        "device stands one that takes the sums of a step in another order, its batches turned round:",
        "",
        "| model, learning rate | trained on | distance | share |",
        "|---|---|---|---|",
    ]
    for model, rate in (*(("simple_cnn", rate) for rate in (RATE, *HIGHER_RATES)), ("resnet20", 0.1)):
        vectors = {
            way: trained(folder / f"{model} {rate} {way}", way, model, rate)[0]
            for way in ("1 device", TURNED_ROUND, "2 logical devices")
        }
        one = vectors.pop("1 device")
        lines += [f"| `{model}`, {rate} | {way} | {_apart(vector, one)} |" for way, vector in vectors.items()]
    lines += [
        "",
        "What another order of sums does on one device, no number of devices can be asked to undercut. The rate of the "
        "first table was chosen after the higher ones.",
    ]
    return "\n".join(lines) + "\n"


def trained(workdir: Path, way: str, model: str = "simple_cnn", rate: float = RATE) -> tuple[np.ndarray, dict]:
    """Trains in processes of their own, in one of `WAYS` or turned round.

    Returns:
        All trainable weights as one float64 vector, and the run's result.
    """
    start, strategy = [str(ROOT / "train.py")], WAYS.get(way, "one_device")
    if way == TURNED_ROUND:
        start = ["-c", TURNED]
    fields = [f"--model={model}", f"--learning_rate={rate}", f"--strategy={strategy}", f"--workdir={workdir}"]
    commands = loopback.commands(
        [sys.executable, *start, *fields, *COMMON], 2 if strategy == "multi_worker_mirrored" else 1
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    loopback.finish(
        [
            subprocess.Popen(one, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for one in commands
        ],
        PATIENCE,
    )
    console.import_tensorflow()
    import zoo

    net = zoo.load_model(str(workdir / "model.keras"))
    vector = np.concatenate([np.ravel(weight.numpy()) for weight in net.trainable_variables]).astype(np.float64)
    return vector, json.loads((workdir / "result.json").read_text())


def _apart(one: np.ndarray, other: np.ndarray) -> str:
    distance = np.linalg.norm(one - other)
    return f"{distance:.1e} | {distance / np.linalg.norm(other):.1e}"


if __name__ == "__main__":
    main()
