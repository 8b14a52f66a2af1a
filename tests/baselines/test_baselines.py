"""Recipes over seeds: the rule by which they hold, records and bands, what disagrees, and runs that fail or stop."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import baselines
from zoo.baselines import Band
from zoo.cli import console
from zoo.cli.commands import run_zoo
from zoo.errors import RequestError

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
BAND = "Measured:  test/accuracy 0.9200 +- 0.0200, mean and standard deviation of the last epoch over seeds 0 to 2\n"
# 5, 7 and 30 s.
TIME = "Time:      7 s, median of 3 runs on 2 cores of P, without the import of TensorFlow\n"
BAND += TIME
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
(workdir / "metrics.jsonl").write_text('{"step": 11, "accuracy": 0.5}\\n')
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
        for name, path in (("ROOT", root), ("CONFIGS", root / "configs"), ("RESULTS", root / "results")):
            monkeypatch.setattr(baselines, name, path)
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

    def record(self, seed: int) -> dict:
        return json.loads((self.root / "results" / "tiny" / f"{seed}.json").read_text())

    def change_record(self, number: int, **changes) -> None:
        file = self.root / "results" / "tiny" / f"{number}.json"
        file.write_text(json.dumps({**self.record(number), **changes}))


@pytest.fixture
def clone(tmp_path, monkeypatch, capsys):
    # A shell that runs the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Clone(tmp_path, monkeypatch, capsys)
    signal.signal(signal.SIGINT, before)


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


@pytest.fixture
def recorded(clone):
    """With three records such as the stub makes, the band, and a README that says so."""
    folder = clone.root / "results" / "tiny"
    folder.mkdir(parents=True)
    for seed in range(3):
        (folder / f"{seed}.json").write_text(json.dumps(record(seed, 0.9 + 0.02 * seed)))
    clone.write(BAND)
    clone.readme("0.9200 ± 0.0200")
    assert baselines.disagreements(["tiny"]) == []
    return clone


# Quantiles from printed tables: t(0.995) with 8 degrees of freedom 3.3554, with 4 4.6041; F(0.995; 4, 4) 23.15.
@pytest.mark.parametrize(
    ("measured", "band", "allowed"),
    [
        # Equal deviations d of five seeds each: 3.3554 d sqrt(2 / 5).
        (Band(0.9, 0.01, 5), Band(0.9, 0.01, 5), 3.3554 * 0.01 * 0.63246),
        # Pooled: sqrt((4 0.01^2 + 4 0.02^2) / 8) = 0.015811.
        (Band(0.9, 0.01, 5), Band(0.9, 0.02, 5), 3.3554 * 0.015811 * 0.63246),
        # A single seed: the band's own deviation, 4.6041 d sqrt(1 + 1 / 5).
        (Band(0.9, 0.0, 1), Band(0.9, 0.01, 5), 4.6041 * 0.01 * 1.09545),
        # 0.001 is less than the worth of an example, 0.002.
        (Band(0.9, 0.001, 5), Band(0.9, 0.001, 5), 3.3554 * 0.002 * 0.63246),
    ],
)
def test_the_means_may_differ_by_what_the_tables_say(measured, band, allowed):
    for sign in (-1, 1):
        inside = Band(measured.mean + sign * 0.999 * allowed, measured.deviation, measured.seeds)
        outside = Band(measured.mean + sign * 1.001 * allowed, measured.deviation, measured.seeds)
        assert baselines.compare(inside, band, 0.002)[0] is True
        assert baselines.compare(outside, band, 0.002)[0] is False
    assert f"at most {allowed:.4f}" in baselines.compare(measured, band, 0.002)[1]


def test_the_spreads_may_differ_by_what_the_tables_say():
    most = 23.15**0.5
    band = Band(0.9, 0.01, 5)
    for ratio, expected in ((0.999 * most, True), (1.001 * most, False)):
        assert baselines.compare(Band(0.9, 0.01 * ratio, 5), band, 0.001)[0] is expected
        assert baselines.compare(Band(0.9, 0.01 / ratio, 5), band, 0.001)[0] is expected
    # Ten seeds above five: F(0.995; 9, 4) = 21.14; below: F(0.995; 4, 9) = 7.96.
    assert baselines.compare(Band(0.9, 0.01 * 4.59, 10), band, 0.001)[0] is True
    assert baselines.compare(Band(0.9, 0.01 * 4.61, 10), band, 0.001)[0] is False
    assert baselines.compare(Band(0.9, 0.01 / 2.81, 10), band, 0.001)[0] is True
    assert baselines.compare(Band(0.9, 0.01 / 2.83, 10), band, 0.001)[0] is False
    # One seed has no spread.
    assert "spread" not in baselines.compare(Band(0.9, 0.0, 1), band, 0.001)[1]


@pytest.mark.parametrize("update", [[], ["--update"]], ids=["held", "update"])
def test_seeds_without_effect_do_not_hold(recorded, monkeypatch, update):
    """Their spread is within that of the band, and only the digests tell."""
    monkeypatch.setenv("STUB", "same")
    files = {file: file.read_bytes() for file in recorded.root.rglob("results/*/*.json")}
    config = recorded.config.read_text()
    status, out, err = recorded("tiny", "--seeds=3", *update)
    assert (status, err.splitlines()[-1]) == (1, "error: not reproduced: tiny")
    words = "seeds 0, 1, 2 ended with the same variables: the seed had no effect"
    assert out.splitlines()[1].endswith(f" no     {words}")
    assert recorded.config.read_text() == config
    assert files == {file: file.read_bytes() for file in files}
    for seed in (1, 2):
        result = recorded.record(seed)["result"]
        recorded.change_record(seed, result={**result, "state_sha256": 64 * "f"})
    assert "results/tiny: seeds 1, 2 ended with the same variables: the seed had no effect\n" in recorded("--check")[1]


def test_an_episode_is_worth_more_than_a_pair():
    assert baselines.worth("one_shot/roc_auc", 4824) == 1 / 4824
    assert baselines.worth("one_shot/one_shot_accuracy", 4824) == 1 / 400
    # What was measured is a whole number of episodes.
    for record in baselines.read_records("siamese_glyphs"):
        episodes = 400 * record["result"]["metrics"]["one_shot/one_shot_accuracy"]
        assert episodes == pytest.approx(round(episodes))


def test_records_of_unknown_code_are_noted_and_no_error(recorded):
    for seed, commit in ((0, None), (2, None), (1, "abc+changes")):
        run = recorded.record(seed)["run"]
        recorded.change_record(seed, run={**run, "versions": {"zoo_commit": commit}})
    status, out, err = recorded("--check")
    assert (status, out) == (0, "1 recipes: configs, records and README agree\n")
    assert err.splitlines() == [
        "note: results/tiny, made at no commit: seeds 0, 2",
        "note: results/tiny, made at abc+changes: seeds 1",
    ]


def test_mean_and_deviation_are_those_of_a_sample():
    records = [{"config": "tiny", "result": {"metrics": {"test/accuracy": value}}} for value in (0.90, 0.92, 0.94)]
    assert str(baselines.bands_of(records, ["test/accuracy"])["test/accuracy"]) == "0.9200 +- 0.0200 (3)"
    assert str(baselines.bands_of(records[:1], ["test/accuracy"])["test/accuracy"]) == "0.9000 (1)"
    with pytest.raises(RequestError, match="unknown metric of tiny 'test/acuracy'; did you mean test/accuracy"):
        baselines.bands_of(records, ["test/acuracy"])


def test_a_recipe_is_read_as_it_is_written(clone):
    bands = {"test/a_accuracy": Band(0.8817, 0.006, 5), "one_shot/roc_auc": Band(0.99, 0.001, 5)}
    lines = baselines.measured_lines(bands) + "Time:      5 s\n"
    clone.write(lines, "none on this dataset; near it is test/accuracy 0.9")
    recipe = baselines.read_recipe("tiny")
    assert (recipe.title, recipe.tier, recipe.time, recipe.bands) == ("A recipe: of seconds.", "cpu", "5 s", bands)
    assert recipe.published_figures == {}
    clone.write(NOT_RUN)
    recipe = baselines.read_recipe("tiny")
    assert recipe.bands == {"test/accuracy": None}
    assert recipe.published_figures == {"test/accuracy": "0.921"}
    assert recipe.published == "test/accuracy 0.921, Someone 1999, table 1 (7.9 % error)"


def test_figures_of_another_net_are_marked(clone):
    clone.write(NOT_RUN, "test/loss 0.5, A; test/accuracy 0.9, B\n           (another net: wider); test/error 0.1, C")
    recipe = baselines.read_recipe("tiny")
    assert list(recipe.published_figures) == ["test/loss", "test/accuracy", "test/error"]
    assert recipe.other_nets == {"test/accuracy"}


@pytest.mark.parametrize(
    ("measured", "published", "message"),
    [
        ("Measured:  0.92 or so\n", PUBLISHED, "says neither that it is not yet run here, nor METRIC 0.0000 [+]- 0.0"),
        ("", PUBLISHED, "has no line that begins with Measured:"),
        (
            BAND.replace("0 to 2", "0 to 0"),
            PUBLISHED,
            "configs/tiny.py states a band of 1 seed; a mean and a deviation n",
        ),
        (NOT_RUN, "none", "configs/tiny.py names no metric"),
        (NOT_RUN.replace("M", "Tier:      big\nM"), PUBLISHED, "the tier of configs/tiny.py is 'big'"),
    ],
)
def test_a_recipe_that_says_too_little_is_refused(clone, measured, published, message):
    clone.write(measured, published)
    if "big" in message:
        clone.config.write_text(clone.config.read_text().replace("Tier:      cpu\n", ""))
    with pytest.raises(RequestError, match=message):
        baselines.read_recipe("tiny")
    assert clone("tiny", "--check")[0] == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "name a recipe, a pattern, or --tier=cpu|cpu-hours|gpu-hours|cluster"),
        (["tinny"], "unknown recipe 'tinny'; did you mean tiny?"),
        (["--tier=gpu"], "unknown tier 'gpu'; did you mean cpu"),
        (["--tier=cluster"], "no recipe fits both '*' and the tier cluster"),
        (["tiny", "--seeds=0"], "seeds is 0; it must be at least 1"),
        (["tiny", "--seeds=1", "--update"], "seeds is 1; a mean and a deviation need at least 2"),
    ],
)
def test_a_wrong_request_is_one_line(clone, argv, message):
    status, out, err = clone(*argv)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert clone.started() == []


def test_outside_of_a_repository_it_says_so(clone):
    shutil.rmtree(clone.root / "configs")
    status, _, err = clone("tiny")
    assert status == 2
    assert err == f"error: there is no folder of recipes in {clone.root}; work in a clone, after pip install -e .\n"


def test_update_writes_records_and_the_band_and_nothing_else(clone):
    before = clone.config.read_text()
    status, out, err = clone("configs/tiny.py", "--seeds=3", "--update", "--data_dir=data")
    assert (status, clone.config.read_text()) == (0, before.replace(NOT_RUN, BAND))
    assert "configs/tiny.py: test/accuracy not yet run here -> 0.9200 +- 0.0200 (3)\n" in out
    assert f"configs/tiny.py: time not yet run here -> {TIME[11:]}" in out
    assert "published: test/accuracy 0.921, Someone 1999, table 1 (7.9 % error)\n" in out
    assert re.findall(r"^\[(\d/3)\] tiny seed (\d): (begins|test/accuracy 0.9\d00  \d+ s)$", err, re.MULTILINE) == [
        (f"{seed + 1}/3", str(seed), what)
        for seed in range(3)
        for what in ("begins", re.search(rf"seed {seed}: (test.*)", err)[1])
    ]
    # Each is the user's own command, started in the repository.
    assert clone.started() == [f"{clone.root.name} train.py {seed} {clone.root}/data" for seed in range(3)]
    record = clone.record(1)
    assert record["run"]["command"] == ["train.py", "--config=configs/tiny.py", "--seed=1"]
    assert (record["config"], record["seed"], record["fields"]["seed"]) == ("tiny", 1, 1)
    assert record["result"]["metrics"] == {"test/accuracy": 0.92}
    assert record["curve"] == [{"step": 11, "accuracy": 0.5}]
    assert str(clone.root) not in (clone.root / "results" / "tiny" / "1.json").read_text()
    # Again: nothing is run, nothing changes.
    files = {file: file.read_bytes() for file in [clone.config, *(clone.root / "results").rglob("*.json")]}
    status, out, err = clone("tiny", "--seeds=3", "--update")
    assert (status, len(clone.started()), err.count("finished before")) == (0, 3, 3)
    assert out.endswith("configs/tiny.py: the same band\n")
    assert files == {file: file.read_bytes() for file in files}
    status, _, err = clone("tiny", "--seeds=2", "--update")
    assert (status, err) == (2, "error: seeds is 2; tiny has records of 3, so that --update needs as many\n")


def test_what_holds_ends_with_0(recorded):
    files = {file: file.read_bytes() for file in recorded.root.rglob("results/*/*.json")}
    status, out, _ = recorded("tiny", "--seeds=3", "--runs=again")
    assert status == 0
    row = out.splitlines()[1]
    assert re.search(r"0\.9200 \+- 0\.0200 \(3\)  0\.9200 \+- 0\.0200 \(3\)  yes +mean 0.0000 off", row)
    assert row.endswith("same bits")
    # Records are of --update alone.
    assert files == {file: file.read_bytes() for file in files}


@pytest.mark.parametrize(("more", "status"), [(0.07, 0), (-0.08, 1), (0.08, 1)])
def test_what_does_not_hold_ends_with_1(recorded, monkeypatch, more, status):
    def finished_run(recipe, seed, *_):
        return record(seed, 0.9 + 0.02 * seed + more)

    monkeypatch.setattr(baselines, "_finished_run", finished_run)
    ended, out, err = recorded("tiny", "--seeds=3")
    assert (ended, err) == (status, "error: not reproduced: tiny\n" if status else "")
    # t(0.995) with 4 degrees of freedom: 4.604 x 0.02 x sqrt(2 / 3) = 0.0752.
    row = out.splitlines()[1]
    assert f" {'no ' if status else 'yes'}    mean {abs(more):.4f} off, at most 0.0752" in row


def changed(records: list[dict], *, digest: str | None = None, **hardware) -> list[dict]:
    """What runs leave that end like records, but the second one with another digest, and all on another machine."""
    copies = json.loads(json.dumps(records))
    for copy in copies:
        copy.pop("digests", None)
        copy["run"]["hardware"] |= hardware
    copies[1]["result"]["state_sha256"] = digest or copies[1]["result"]["state_sha256"]
    return copies


def test_other_bits_are_named_on_the_same_kind_of_machine(recorded):
    records = baselines.read_records("tiny")
    assert baselines.same_bits(records, []) == ""
    assert baselines.same_bits(records, records) == "same bits"
    other = changed(records, digest=64 * "f")
    other[1]["run"]["versions"]["zoo_commit"] = "def"
    assert baselines.same_bits(records, other) == "other bits than recorded on this kind of machine (1 of 3)"


@pytest.mark.parametrize(
    "facts",
    [
        *({"vendor": "W"}, {"family": 7}, {"model": 2}, {"instructions": "AVX512_CORE"}, {"onednn": False}),
        *({"environment": {"XLA_FLAGS": "--x"}}, {"cores": 3}, {"gpus": [{"name": "G"}]}),
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_bits_of_other_kinds_of_machines_say_nothing(recorded, facts):
    records = baselines.read_records("tiny")
    other = changed(records, digest=64 * "f", **facts)
    assert baselines.same_bits(records, other) == "no record of this kind of machine: bits not compared"
    alike = changed(records, **facts)
    said = "no record of this kind of machine, but the same bits as recorded"
    assert baselines.same_bits(records, alike) == said
    # A record that knows this kind beside its own.
    other[1]["digests"] = baselines.digests_of(records[1])
    assert baselines.same_bits(records, other) == "same bits (1 of 3 are recorded)"


@pytest.mark.parametrize("side", [0, 1])
def test_where_the_kind_is_unknown_bits_are_not_compared(recorded, side):
    """Older records know the name of the processor alone, and some systems do not tell more."""
    records = baselines.read_records("tiny")
    old = changed(records, digest=64 * "f")
    for own in old:
        own["run"]["hardware"] = {"cores": 2, "processor": "P"}
    pair = (records, old) if side else (old, records)
    assert baselines.same_bits(*pair) == "no record of this kind of machine: bits not compared"
    assert baselines.same_bits(old, changed(old, digest=64 * "0")).startswith("no record of this kind of machine: bits")


def test_a_name_is_no_kind_and_fixed_threads_make_cores_alike(recorded):
    records = baselines.read_records("tiny")
    assert baselines.same_bits(records, changed(records, processor="Q")) == "same bits"
    for own in records:
        own["fields"]["cpu_threads"] = 1
    assert baselines.same_bits(records, changed(records, cores=64)) == "same bits"


def test_digests_of_another_machine_are_added_and_nothing_else(recorded, monkeypatch):
    before = [recorded.record(seed) for seed in range(3)]
    config = recorded.config.read_text()
    monkeypatch.setenv("STUB_MODEL", "2")
    status, out, _ = recorded("tiny", "--seeds=3", "--add_digests")
    assert (status, recorded.config.read_text()) == (0, config)
    assert "but the same bits as recorded" in out.splitlines()[1]
    machine = "V family 6 model 2, AVX2, oneDNN on, 2 threads"
    assert out.splitlines()[-1] == f"results/tiny: 3 digests added of {machine}"
    for seed, old in enumerate(before):
        new = recorded.record(seed)
        (added,) = new.pop("digests")
        assert new == old
        assert (added["kind"]["model"], added["zoo_commit"], added["state_sha256"]) == (2, "abc", f"{seed:064x}")
    assert baselines.disagreements(["tiny"]) == []
    # Again there is nothing to add, and now there is something to compare with.
    status, out, _ = recorded("tiny", "--seeds=3", "--add_digests")
    assert out.splitlines()[1].endswith("; same bits")
    assert "results/tiny: 0 digests added of" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": 64 * "f"}, "since this kind of machine is recorded with other bits"),
        ({"fields": {"epochs": 1, "seed": 1}}, "since the config of its records is another one; --update replaces"),
        ({"missing": True}, "since it has records of 2 seeds; --update makes them"),
        ({"vendor": None}, "since this system does not tell what kind of processor it has"),
        ({"more": 0.2}, "since it does not hold"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_digests_that_belong_to_no_record_are_not_added(recorded, change, said):
    recipe, before = baselines.read_recipe("tiny"), baselines.read_records("tiny")
    hardware = {"vendor": None} if "vendor" in change else {}
    made = [record(seed, 0.9 + 0.02 * seed + change.get("more", 0), **hardware) for seed in range(3)]
    made = changed(made, digest=change.get("digest"))
    made[1]["fields"] = change.get("fields", made[1]["fields"])
    files = {file: file.read_bytes() for file in recorded.root.rglob("results/*/*.json")}
    kept = before[:2] if "missing" in change else before
    (line,) = baselines.add_digests(baselines.Outcome(recipe, kept, made))
    assert line.startswith("tiny: nothing added, ")
    assert said in line
    assert files == {file: file.read_bytes() for file in files}


def test_an_update_keeps_the_digests_that_still_belong_to_the_code(recorded):
    recipe, before = baselines.read_recipe("tiny"), baselines.read_records("tiny")

    def updated(records: list[dict]) -> dict[int, str]:
        """The digests that the record of seed 1 holds after an update by these runs, by model of the processor."""
        baselines.update(baselines.Outcome(recipe, before, records))
        return {own["kind"]["model"]: own["state_sha256"] for own in baselines.digests_of(recorded.record(1))}

    same, ones, twos = f"{1:064x}", 64 * "1", 64 * "2"
    before[1]["digests"] = baselines.digests_of(changed(before, digest=ones, model=7)[1])
    assert updated(before) == {1: same, 7: ones}
    # Another machine's runs take the place of the records, which stay as digests.
    assert updated(changed(before, digest=twos, model=2)) == {2: twos, 1: same, 7: ones}
    assert updated(changed(before, digest=ones, model=7)) == {7: ones, 1: same}
    # The code gives other bits now on a kind that is known.
    assert updated(changed(before, digest=twos)) == {1: twos}
    assert updated(changed(before, digest=twos, model=7)) == {7: twos}
    other = changed(before, model=2)
    other[1]["fields"] = {**other[1]["fields"], "batch_size": 64}
    assert updated(other) == {2: same}
    # What an older record ended with cannot be kept, since nobody knows on what.
    made = changed(before, model=2)
    before[1]["run"]["hardware"] = {"cores": 2, "processor": "P"}
    assert updated(made) == {2: same, 7: ones}


def test_without_a_band_nothing_holds(clone):
    status, out, err = clone("tiny", "--seeds=1")
    assert (status, err.splitlines()[-1]) == (1, "error: not reproduced: tiny")
    assert re.search(r"0\.9000 \(1\) +not yet run here  -      published: test/accuracy 0\.921, Someone 1999", out)
    assert not (clone.root / "results").exists()


def test_a_recipe_that_fails_is_left_and_the_next_one_begins(clone, monkeypatch):
    shutil.copy(clone.config, clone.root / "configs" / "uncle.py")
    monkeypatch.setenv("STUB", "fail:1")
    before = clone.config.read_text()
    status, out, err = clone("--tier=cpu", "--seeds=3", "--update")
    assert (status, err.splitlines()[-1]) == (1, "error: not reproduced: tiny, uncle")
    assert [line.split()[2] for line in clone.started()] == ["0", "1", "0", "1"]
    assert err.count("dataset 'none' is not prepared") == 2
    assert "noise" not in err
    why = "did not run: dataset 'none' is not prepared; published: test/accuracy 0.921"
    assert [line.split()[0] for line in out.splitlines() if why in line] == ["tiny", "uncle"]
    assert clone.config.read_text() == before
    assert not (clone.root / "results").exists()


def test_a_stopped_run_goes_on_with_the_same_command(clone, monkeypatch):
    monkeypatch.setenv("STUB", "stop:1")
    status, out, err = clone("tiny", "--seeds=3")
    assert (status, out) == (130, "")
    assert err.splitlines()[-2:] == [
        "to go on: python -m zoo reproduce tiny --seeds=3",
        "tiny seed 1: stopped at step 3 of 11, which is saved",
    ]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.delenv("STUB")
    _, out, err = clone("tiny", "--seeds=3")
    assert [line.split()[2] for line in clone.started()] == ["0", "1", "1", "2"]
    assert re.findall(r"seed \d: .*(before|on|begins)$", err, re.MULTILINE) == ["before", "on", "begins"]
    assert "0.9200 +- 0.0200 (3)" in out


def test_a_folder_with_another_run_is_refused_in_train_s_words(clone):
    clone("tiny", "--seeds=1")
    clone.write(NOT_RUN, epochs=1)
    clone.config.write_text(clone.config.read_text().replace("batch_size=128", "batch_size=64"))
    status, out, _ = clone("tiny", "--seeds=1")
    assert status == 1
    assert "did not run: workdir" in out
    assert "holds a run with another batch_size (128 there, 64 here)" in out
    # A run that was made longer at its end is not the recipe from its beginning.
    clone.write(NOT_RUN)
    file = clone.root / "runs" / "tiny-0" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "extended": [{"from": 1}]}))
    assert "was given more epochs at its end" in clone("tiny", "--seeds=1")[1]
    assert len(clone.started()) == 1


def test_all_that_disagrees_is_named(recorded):
    def said() -> list[str]:
        status, out, err = recorded("--check")
        assert (status, err[:15]) == (1, f"error: {len(out.splitlines())} disagr")
        return out.splitlines()

    assert recorded("--check")[:2] == (0, "1 recipes: configs, records and README agree\n")
    recorded.readme("0.9201 ± 0.0200")
    row = "configs/tiny.py states test/accuracy 0.9200 +- 0.0200, README.md's row has other figures"
    assert said() == [row]
    recorded.readme("0.9200 ± 0.0200")
    recorded.write(BAND.replace("0.9200", "0.9300"))
    states = "configs/tiny.py states test/accuracy 0.9300 +- 0.0200 (3), results/tiny gives 0.9200 +- 0.0200 (3)"
    assert said() == [states, row.replace("0.9200", "0.9300")]
    recorded.write(BAND.replace("7 s", "3 s"))
    assert said() == [
        f"configs/tiny.py states the time {TIME[11:-1].replace('7 s', '3 s')}, results/tiny gives {TIME[11:-1]}",
        "configs/tiny.py states the time 3 s, README.md's row has another one",
    ]
    recorded.write(BAND.replace("0 to 2", "0 to 3"))
    assert said() == [states.replace("0.9300 +- 0.0200 (3)", "0.9200 +- 0.0200 (4)")]
    recorded.write(NOT_RUN)
    assert said() == [
        "configs/tiny.py states test/accuracy not yet run here, results/tiny gives 0.9200 +- 0.0200 (3)",
        f"configs/tiny.py states the time not yet run here, results/tiny gives {TIME[11:-1]}",
        "README.md states a band of configs/tiny.py, which is not yet run here",
        "README.md's row of configs/tiny.py lacks the published 0.921",
    ]
    recorded.write(BAND, epochs=2)
    assert said() == [f"results/tiny/{seed}.json was made with epochs 1, configs/tiny.py has 2" for seed in range(3)]
    recorded.write(BAND)
    (recorded.root / "README.md").write_text("nothing\n")
    assert said() == ["README.md has no row of configs/tiny.py"]


def test_records_that_do_not_belong_are_named(recorded):
    good = recorded.record(1)
    recorded.change_record(1, seed=7)
    assert "results/tiny/1.json is no record of this recipe and seed" in recorded("--check")[1]
    recorded.change_record(1, **good)
    recorded.change_record(1, fields={"epochs": 1, "colour": "red"})
    assert "results/tiny/1.json holds no config of this version" in recorded("--check")[1]
    (recorded.root / "results" / "tiny" / "1.json").unlink()
    out = recorded("--check")[1]
    assert "results/tiny has seeds 0, 2; they must be 0 to N" in out
    assert "results/tiny gives 0.9200 +- 0.0283 (2)" in out
    # Folders of something else are none of a recipe's.
    report = recorded.root / "results" / "report"
    report.mkdir()
    (report / "index.html").write_text("")
    (recorded.root / "results" / "tiny").rename(recorded.root / "results" / "gone")
    assert recorded("--check")[1].splitlines() == [
        "configs/tiny.py states a band, and results/tiny has no records of it",
        "results/gone has no configs/gone.py",
    ]


@pytest.mark.parametrize("name", baselines.find())
def test_the_band_is_written_as_it_stands(name):
    """The docstrings hold what `update` writes, so that it changes figures alone."""
    recipe, records = baselines.read_recipe(name), baselines.read_records(name)
    text = (ROOT / "configs" / f"{name}.py").read_text()
    assert (baselines.measured_lines(recipe.bands) if all(recipe.bands.values()) else NOT_RUN) in text
    assert not records or baselines.stated(text, recipe, records) == text


@pytest.mark.parametrize("name", baselines.find())
def test_recipe_records_and_readme_agree(name):
    assert baselines.disagreements([name]) == []


@pytest.mark.parametrize(
    "file", sorted(baselines.RESULTS.glob("*/*.json")), ids=lambda file: f"{file.parent.name}-{file.stem}"
)
def test_a_record_says_where_nothing_lies(file):
    record = json.loads(file.read_text())
    recipe, seed = file.parent.name, file.stem
    assert record["run"]["command"] == ["train.py", f"--config=configs/{recipe}.py", f"--seed={seed}"]
    assert not re.search(r"\"[^\"]*/(tmp|home|root|work|Users|mnt|data)/", file.read_text())
    assert record["curve"][-1]["step"] == record["result"]["steps"]


def test_the_check_imports_no_tensorflow():
    code = "from zoo import baselines; baselines.disagreements(baselines.find())\n"
    code += "import sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The real train.py, which is told to press Ctrl-C itself as soon as it has written a row of metrics.
STOPPING = """
import os, signal, sys
if os.environ.get("STOP"):
    from zoo.training import writers
    write = writers.JsonLines.write

    def stopping(self, row):
        write(self, row)
        if row["split"] == "test":
            arrived, tell = os.pipe()
            os.set_blocking(tell, False)
            signal.set_wakeup_fd(tell)
            os.kill(os.getppid(), signal.SIGINT)
            os.read(arrived, 1)

    writers.JsonLines.write = stopping
"""


@pytest.mark.slow
def test_real_runs_stop_go_on_and_give_the_same_bits(tmp_path, data_dir):
    root = tmp_path / "clone"
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "tiny.py").write_text(CONFIG.format(measured=NOT_RUN, published=PUBLISHED, epochs=3))
    (root / "zoo").symlink_to(ROOT / "zoo")
    (root / "train.py").write_text(STOPPING + (ROOT / "train.py").read_text())

    def reproduce(*argv, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "zoo", "reproduce", "tiny", "--seeds=2", f"--data_dir={data_dir}", *argv],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr

    status, _, err = reproduce("--update", STOP="1")
    assert status == 130, err
    assert re.search(r"^tiny seed 0: stopped at step (11|22) of 33, which is saved", err, re.MULTILINE)
    status, out, err = reproduce("--update")
    assert status == 0, err
    assert "tiny seed 0: goes on" in err
    assert "tiny seed 1: begins" in err
    text = (root / "results" / "tiny" / "0.json").read_text()
    assert not re.search(r"/(tmp|home|root|var)\b", text)
    assert len(json.loads(text)["run"]["started"]) == 2
    # A run in one go, in another folder: held against the records of one that was stopped.
    status, out, err = reproduce("--seeds=1", "--runs=again")
    assert status == 0, err
    assert out.splitlines()[1].endswith("same bits")
