"""How long ResNet-50 takes from a file to its first prediction, beside timm: python -m benchmarks.first_prediction

Both read the same .safetensors file, in processes of their own, in turns: the zoo by `zoo.build_model(weights=FILE)`,
timm by `create_model(pretrained=True)`. Seconds of importing, of building with the weights and of the prediction are
said apart; a ratio is timm's time divided by the zoo's, the median of all rounds and both ends of the middle half.
timm may be in another Python, --peer_python.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from zoo.cli import console
from zoo.errors import RunError

ROOT = Path(__file__).parents[1]
PARTS = ("importing", "building", "predicting")
ZOO = """
import json, sys, time
times = [time.perf_counter()]
import numpy as np
import zoo
from zoo import frameworks
frameworks.import_keras()
times.append(time.perf_counter())
model = zoo.build_model("resnet50", (224, 224, 3), weights=sys.argv[1])
times.append(time.perf_counter())
images = np.random.default_rng(0).standard_normal((1, 224, 224, 3), "float32")
logits = np.asarray(model(images, training=False))
times.append(time.perf_counter())
print(json.dumps({"times": times, "logits": logits[0, :4].tolist()}))
"""
TIMM = """
import json, sys, time
times = [time.perf_counter()]
import numpy as np
import torch
sys.path.insert(0, sys.argv[2])
import torch_peer
torch_peer.import_torchvision()
import timm
times.append(time.perf_counter())
overlay = {"file": sys.argv[1], "url": "", "hf_hub_id": None}
model = timm.create_model("resnet50", pretrained=True, pretrained_cfg_overlay=overlay).eval()
times.append(time.perf_counter())
images = np.random.default_rng(0).standard_normal((1, 224, 224, 3), "float32").transpose(0, 3, 1, 2)
with torch.no_grad():
    logits = model(torch.from_numpy(images.copy())).numpy()
times.append(time.perf_counter())
print(json.dumps({"times": times, "logits": logits[0, :4].tolist()}))
"""
FILE = """
import sys
sys.path.insert(0, sys.argv[2])
import torch_peer
net, _, _ = torch_peer.make("timm", "resnet50")
torch_peer.randomise(net)
torch_peer.write_state(net, sys.argv[1])
"""


def main(argv: Sequence[str]) -> None:
    """Prints a line for each part, for all that follows the imports, and for the whole process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_prediction", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="counted turns of each side")
    parser.add_argument("--peer_python", default=os.environ.get("PEER_PYTHON", sys.executable))
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "resnet50.safetensors"))
        _run(given.peer_python, FILE, file)
        seconds = {"zoo": [], "timm": []}
        # The first round brings the file and the libraries into memory. Who begins changes.
        for number in range(given.rounds + 1):
            sides = [("zoo", sys.executable, ZOO), ("timm", given.peer_python, TIMM)]
            logits = {}
            for name, python, code in sides[:: -1 if number % 2 else 1]:
                found = json.loads(_run(python, code, file))
                logits[name] = found["logits"]
                seconds[name].append([b - a for a, b in zip(found["times"], found["times"][1:], strict=False)])
            largest = max(map(abs, logits["timm"]))
            # Not `>`, which no NaN is.
            if not all(abs(a - b) <= 1e-4 * largest for a, b in zip(*logits.values(), strict=True)):
                raise RunError(f"they do not predict the same: {logits}")
    show({name: rounds[1:] for name, rounds in seconds.items()})


def show(seconds: dict[str, list[list[float]]]) -> None:
    """Prints the lines of both sides' rounds, each a list of the seconds of every part."""
    kinds = {name: [number] for number, name in enumerate(PARTS)}
    kinds |= {"building and predicting": [1, 2], "the whole process": [0, 1, 2]}
    for kind, parts in kinds.items():
        zoo, timm = ([sum(one[part] for part in parts) for one in seconds[name]] for name in ("zoo", "timm"))
        low, middle, high = statistics.quantiles([b / a for a, b in zip(zoo, timm, strict=True)])
        print(
            f"{kind}: zoo {statistics.median(zoo):.2f} s, timm {statistics.median(timm):.2f} s, ratio {middle:.2f} "
            f"({low:.2f} to {high:.2f})"
        )


def _run(python: str, code: str, file: str) -> str:
    """What a program prints that is given a file of weights and the folder of the peers."""
    command = [python, "-c", code, file, str(ROOT / "zoo" / "pretrained" / "peers")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({"PYTHONPATH": str(ROOT)} if python == sys.executable else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RunError((done.stderr.strip().splitlines() or ["it did not run"])[-1])
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


if __name__ == "__main__":
    sys.exit(console.run(main, sys.argv[1:]))
