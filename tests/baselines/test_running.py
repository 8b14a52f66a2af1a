"""Recipes run again: what is run, what is only read, and runs that fail or stop."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import made
import pytest
from clones import BAND, CONFIG, NOT_RUN, PUBLISHED, ROOT, TIME, record

from zoo.baselines import running
from zoo.errors import RequestError


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
    assert record["curve"] == [{"step": 11, "epoch": 1, "split": "test", "accuracy": 0.5}]
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

    monkeypatch.setattr(running, "_finished_run", finished_run)
    ended, out, err = recorded("tiny", "--seeds=3")
    assert (ended, err) == (status, "error: not reproduced: tiny\n" if status else "")
    # t(0.995) with 4 degrees of freedom: 4.604 x 0.02 x sqrt(2 / 3) = 0.0752.
    row = out.splitlines()[1]
    assert f" {'no ' if status else 'yes'}    mean {abs(more):.4f} off, at most 0.0752" in row


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


@pytest.mark.parametrize(("content", "message"), [(None, r"has no rows in metrics\.jsonl"), ("{", "is damaged")])
def test_a_run_without_its_rows_becomes_no_record(tmp_path, content, message):
    folder = made.workdir(tmp_path / "run", made.config(), None, {"test/accuracy": 0.5})
    (folder / "metrics.jsonl").write_text(content) if content else (folder / "metrics.jsonl").unlink()
    with pytest.raises(RequestError, match=message):
        running.read_run("mine", made.config(), folder)
