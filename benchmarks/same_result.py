"""The same training on one device, on several, and in two processes: how far the trained weights lie apart.

    python -m benchmarks.same_result [--output docs/same_result.md]

`simple_cnn` with synchronised batch norm and without dropout is trained for 100 steps on digits by `train.py`, twice in
each way, and all its trainable weights are taken as one vector. The table gives the distance of that vector from the
one of one device, and whether the second run ended with the same bits in every variable. Beside it stands ResNet-20,
whose depth amplifies the rounding of any sum that is taken in another order: two replicas, and one device whose batches
were turned round, which is the same mathematics too.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo import console

ROOT = Path(__file__).parents[1]
STEPS = 100
BATCH = 32
# 25 batches an epoch.
COMMON = (
    f"--train_split=train[:{BATCH * STEPS // 4}]",
    "--epochs=4",
    "--eval_every_epochs=4",
    f"--batch_size={BATCH}",
    "--optimizer=sgd",
    "--learning_rate=0.001",
    "--sync_batch_norm",
    "--cpu_threads=1",
)
WAYS = {
    "1 device": ("--strategy=one_device",),
    "2 logical devices": ("--strategy=mirrored:2",),
    "4 logical devices": ("--strategy=mirrored:4",),
    "2 processes": ("--strategy=multi_worker_mirrored",),
}
# A second order of the same batches: what a step is made of stays, its sums are taken the other way round.
TURNED = """
import sys, tensorflow as tf
from zoo import console
from zoo.data import pipeline
blocks = pipeline.training_blocks
def turned(*given, **options):
    return blocks(*given, **options).map(lambda block: {k: tf.reverse(v, [1]) for k, v in block.items()})
pipeline.training_blocks = turned
import train
sys.exit(console.run(train.main, sys.argv[1:]))
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
    small = {
        way: [trained(folder / f"{way} {turn}", "simple_cnn", flags) for turn in (1, 2)] for way, flags in WAYS.items()
    }
    weights, _ = small["1 device"][0]
    lines = [
        "# The same result everywhere",
        "",
        f"Made by `python -m benchmarks.same_result`. {STEPS} steps on digits, batch {BATCH}, SGD with learning rate "
        "0.001 and momentum 0.9, synchronised batch norm, no dropout.",
        "All trainable weights are one vector; its distance from that of one device is given as such and as a share of "
        "the vector's length.",
        "The rate is small on purpose: it was chosen after 0.01 and 0.1, with which one device and two ended 4e-4 and "
        "7e-2 of the length apart, while two and four agreed to 1e-5.",
        "",
        "| `simple_cnn` on | distance | share | again: same bits | test accuracy |",
        "|---|---|---|---|---|",
    ]
    for way, ((vector, result), (_, again)) in small.items():
        same = "yes" if again["state_sha256"] == result["state_sha256"] else "**no**"
        accuracy = result["metrics"]["test/accuracy"]
        lines.append(f"| {way} | {_apart(vector, weights)} | {same} | {accuracy:.4f} |")
    lines += ["", "| `resnet20` on | distance | share |", "|---|---|---|"]
    deep, _ = trained(folder / "deep", "resnet20", WAYS["1 device"])
    for way, flags, code in (
        ("1 device, each batch turned round", WAYS["1 device"], TURNED),
        ("2 logical devices", WAYS["2 logical devices"], None),
    ):
        vector, _ = trained(folder / f"deep {way}", "resnet20", flags, code)
        lines.append(f"| {way} | {_apart(vector, deep)} |")
    lines += [
        "",
        "ResNet-20 amplifies the rounding of sums that are taken in another order, on one device as on two: there its "
        "runs are equal in their statistics, and bit-identical only to themselves.",
    ]
    return "\n".join(lines) + "\n"


def trained(workdir: Path, model: str, flags: Sequence[str], code: str | None = None) -> tuple[np.ndarray, dict]:
    """Trains in processes of their own.

    Returns:
        All trainable weights as one float64 vector, and the run's result.
    """
    start = ["-c", code] if code else [str(ROOT / "train.py")]
    command = [sys.executable, *start, f"--model={model}", f"--workdir={workdir}", *COMMON, *flags]
    commands = [command]
    if "multi_worker" in flags[0]:
        hosts = ",".join(f"localhost:{port}" for port in _free_ports(2))
        commands = [[*command, f"--worker_hosts={hosts}", f"--worker_index={index}"] for index in range(2)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(one, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for one in commands
    ]
    for worker in workers:
        _, errors = worker.communicate()
        if worker.returncode:
            raise SystemExit(f"{' '.join(worker.args)} ended with status {worker.returncode}: {errors}")
    console.import_tensorflow()
    import zoo

    net = zoo.load_model(str(workdir / "model.keras"))
    vector = np.concatenate([np.ravel(weight.numpy()) for weight in net.trainable_variables]).astype(np.float64)
    return vector, json.loads((workdir / "result.json").read_text())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def _apart(one: np.ndarray, other: np.ndarray) -> str:
    distance = np.linalg.norm(one - other)
    return f"{distance:.1e} | {distance / np.linalg.norm(other):.1e}"


if __name__ == "__main__":
    main()
