"""A repository with one recipe, whose runs are made by a stub in place of `train.py`, and records made by hand."""

import json
from pathlib import Path

from zoo.baselines import recipes, records
from zoo.cli import console
from zoo.cli.commands import run_zoo

ROOT = Path(__file__).parents[2]
CONFIG = '''"""A recipe: of seconds.

Command:   python train.py --config=configs/tiny.py
Tier:      cpu
{measured}Published: {published}
"""

from zoo.config import ExperimentConfig


def get_config() -> ExperimentConfig:
    return ExperimentConfig(model="mlp", model_args={{"hidden_sizes": [8]}}, epochs={epochs}, batch_size=128, jit="off")
'''
NOT_RUN = "Measured:  not yet run here\n"
PUBLISHED = "test/accuracy 0.921, Someone 1999,\n           table 1 (7.9 % error)"
# 0.90, 0.92, 0.94: mean 0.92, sample deviation 0.02.
MEASURED = (
    "Measured:  test/accuracy 0.9200 +- 0.0200, mean and standard deviation of the last epoch over seeds 0 to 2\n"
)
# 5, 7 and 30 s.
TIME = "Time:      7 s, median of 3 runs on 2 cores of P, without the import of TensorFlow\n"
BAND = MEASURED + TIME
SECONDS = (5.25, 30.0, 7.25)
README = "| recipe | figure | time |\n|---|---|---|\n| `configs/tiny.py` | {} | {} |\n"
# In place of train.py: the same files, and no TensorFlow. STUB says what shall happen to a seed.
STUB = """
import dataclasses, json, os, signal, sys
from pathlib import Path
from zoo.config import load_config

flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
seed, workdir = int(flags["seed"]), Path(flags["workdir"])
config = dataclasses.replace(load_config(flags["config"]), seed=seed)
with open("started.txt", "a") as log:
    log.write(f"{Path.cwd().name} {sys.argv[0]} {seed} {flags.get('data_dir', '')}\\n")
what, _, at = os.environ.get("STUB", "").partition(":")
if (what, at) == ("fail", str(seed)):
    sys.exit(print("noise\\nerror: dataset 'none' is not prepared\\nmore noise", file=sys.stderr) or 2)
(workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
(workdir / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
if (what, at) == ("stop", str(seed)):
    # The user presses Ctrl-C: it reaches the command, and from there this process.
    arrived, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGINT, lambda *_: None)
    os.kill(os.getppid(), signal.SIGINT)
    os.read(arrived, 1)
    sys.exit(print("epoch 1\\nstopped at step 3 of 11, which is saved", file=sys.stderr) or 130)
accuracy = 0.9 + 0.02 * seed + float(os.environ.get("STUB_MORE", 0))
digest = f"{0 if what == 'same' else seed:064x}"
result = {"epochs": config.epochs, "metrics": {"test/accuracy": accuracy}, "state_sha256": digest,
          "wall_seconds": (5.25, 30.0, 7.25)[seed]}
hardware = {"cores": 2, "processor": "P", "vendor": "V", "family": 6, "model": int(os.environ.get("STUB_MODEL", 1)),
            "instructions": "AVX2", "onednn": True, "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"}, "gpus": []}
run = {"versions": {"zoo": "1", "zoo_commit": "abc"}, "hardware": hardware, "command": sys.argv,
       "dataset": {"eval_examples": 360}}
(workdir / "metrics.jsonl").write_text('{"step": 11, "epoch": 1, "split": "test", "accuracy": 0.5}\\n')
(workdir / "run.json").write_text(json.dumps(run))
(workdir / "result.json").write_text(json.dumps(result))
"""


class Clone:
    """A repository with one recipe, whose runs are made by a stub."""

    def __init__(self, root: Path, monkeypatch, capsys):
        self.root, self._capsys = root, capsys
        self.config = root / "configs" / "tiny.py"
        self.config.parent.mkdir()
        self.write(NOT_RUN)
        self.readme(0.921)
        (root / "train.py").write_text(STUB)
        monkeypatch.setattr(recipes, "ROOT", root)
        monkeypatch.setattr(recipes, "CONFIGS", root / "configs")
        monkeypatch.setattr(records, "RESULTS", root / "results")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.chdir(root)

    def write(self, measured: str, published: str = PUBLISHED, epochs: int = 1) -> None:
        self.config.write_text(CONFIG.format(measured=measured, published=published, epochs=epochs))

    def readme(self, figure, time="7 s") -> None:
        (self.root / "README.md").write_text(README.format(figure, time))

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        status = console.run(run_zoo, ["reproduce", *argv])
        return status, *self._capsys.readouterr()

    def started(self) -> list[str]:
        file = self.root / "started.txt"
        return file.read_text().splitlines() if file.exists() else []

    def file(self, seed: int) -> Path:
        return self.root / "results" / "tiny" / f"{seed}.json"

    def record(self, seed: int) -> dict:
        return json.loads(self.file(seed).read_text())

    def change_record(self, number: int, **changes) -> None:
        self.file(number).write_text(json.dumps({**self.record(number), **changes}))


# What the stub says of its machine.
HARDWARE = {"cores": 2, "processor": "P", "vendor": "V", "family": 6, "model": 1, "instructions": "AVX2"}
HARDWARE |= {"onednn": True, "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"}, "gpus": []}


def record(seed: int, accuracy: float, **hardware) -> dict:
    run = {"versions": {"zoo": "1", "zoo_commit": "abc"}, "hardware": HARDWARE | hardware}
    fields = {"model": "mlp", "model_args": {"hidden_sizes": [8]}, "epochs": 1, "batch_size": 128, "jit": "off"}
    return {
        "config": "tiny",
        "seed": seed,
        "fields": {**fields, "seed": seed},
        "result": {
            "metrics": {"test/accuracy": accuracy},
            "state_sha256": f"{seed:064x}",
            "wall_seconds": SECONDS[seed],
        },
        "run": {**run, "dataset": {"eval_examples": 360}},
        "curve": [],
    }


def changed(records: list[dict], *, digest: str | None = None, **hardware) -> list[dict]:
    """What runs leave that end like records, but the second one with another digest, and all on another machine."""
    copies = json.loads(json.dumps(records))
    for copy in copies:
        copy.pop("digests", None)
        copy["run"]["hardware"] |= hardware
    copies[1]["result"]["state_sha256"] = digest or copies[1]["result"]["state_sha256"]
    return copies
