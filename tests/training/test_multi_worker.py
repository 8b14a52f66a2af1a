"""Jobs of several processes on loopback: one result, one writer, and an end in good order whatever befalls a worker."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from moments import INTRODUCTION

from benchmarks import loopback
from zoo.cli import options, train
from zoo.training.loop import train_and_evaluate

# Each starts processes that import TensorFlow and wait for each other.
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# 22 steps an epoch of 64 examples; the last evaluation batch is not full.
ARGV = [
    "--model=mlp",
    "--model_args=hidden_sizes=[16],dropout=0.2,batch_norm=true",
    "--batch_size=64",
    "--epochs=2",
    "--checkpoint_every_steps=10",
    "--jit=off",
]
TRAIN = """
import sys
from zoo.cli import console
from zoo.cli.commands import run_train
sys.exit(console.run(run_train, sys.argv[1:]))
"""
LONG = [*ARGV, "--epochs=100", "--eval_every_epochs=25", "--checkpoint_every_steps=100"]


@contextlib.contextmanager
def job(workdir, data_dir, argv, count=2, *, of_one=(), code_of_one=""):
    """Starts the workers of a job, worker 1 with more flags or after some code; whatever runs at the end is killed."""
    flags = [f"--data_dir={data_dir}", f"--workdir={workdir}", *argv]
    workers = []
    try:
        for index, one in enumerate(loopback.commands(flags, count)):
            start = ["-c", f"{code_of_one}{TRAIN}"] if index == 1 and code_of_one else [str(ROOT / "train.py")]
            workers.append(
                subprocess.Popen(
                    [sys.executable, *start, *one, *(of_one if index == 1 else ())],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def ends(workers, timeout=120):
    """Exit status, output and errors of each worker."""
    return loopback.ends(workers, timeout)


def in_this_process(argv, workdir, data_dir):
    """The result of the same flags with two devices in one process."""
    config = options.config_of(options.parse(train, "train.py", argv))
    return train_and_evaluate(config, str(workdir), strategy="mirrored:2", data_dir=data_dir)


def wait_for_checkpoint(workdir, workers, timeout=120):
    """Returns when the job has written a checkpoint."""
    deadline = time.monotonic() + timeout
    while not any((workdir / "checkpoints").glob("step-*")):
        assert all(worker.poll() is None for worker in workers)
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the other processes need the processor


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    # One of them has to prepare the data too.
    with job(workdir, data_dir, ARGV) as workers:
        return workdir, ends(workers)


def test_only_the_chief_speaks_and_writes(finished):
    workdir, ((status, out, err), other) = finished
    result = json.loads((workdir / "result.json").read_text())
    assert status == 0, err
    assert result["state_sha256"] in out
    lines = [line for line in err.splitlines() if not line.endswith(" ...")]
    assert lines[0].startswith("worker 0 of 2 waits for the others of --worker_hosts: localhost:")
    assert lines[1] == "strategy multi_worker_mirrored took 2 CPUs"
    assert all(re.match(rf"{INTRODUCTION}|epoch ", line) for line in lines[2:])
    assert other == (0, "", "")
    assert len(list((workdir / "tensorboard").iterdir())) == 1
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == 4
    assert not list(workdir.rglob("*.tmp"))


def test_two_processes_give_the_bits_of_one_with_two_devices(finished, tmp_path, data_dir):
    """Order, masks, statistics and sums are the same, and each example of an evaluation counts once."""
    workdir, _ = finished
    result = json.loads((workdir / "result.json").read_text())
    one = in_this_process(ARGV, tmp_path / "one", data_dir)
    assert result["metrics"] == pytest.approx(one["metrics"], rel=1e-5)
    assert result["state_sha256"] == one["state_sha256"]


@pytest.mark.parametrize("count", [2, 3])
def test_a_second_job_is_the_same(finished, tmp_path, data_dir, count):
    results = []
    argv = [*ARGV, "--batch_size=66"]
    for name in ("one", "two"):
        with job(tmp_path / name, data_dir, argv, count) as workers:
            assert [status for status, *_ in ends(workers)] == [0] * count
        results.append(json.loads((tmp_path / name / "result.json").read_text()))
    assert results[0]["state_sha256"] == results[1]["state_sha256"]
    assert results[0]["metrics"] == results[1]["metrics"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    with job(workdir, data_dir, LONG) as workers:
        assert [status for status, *_ in ends(workers, 300)] == [0, 0]
    return json.loads((workdir / "result.json").read_text())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_one_worker_stops_all_at_one_step(uninterrupted, tmp_path, data_dir, number, status):
    workdir = tmp_path / "run"
    with job(workdir, data_dir, LONG) as workers:
        wait_for_checkpoint(workdir, workers)
        workers[1].send_signal(number)
        (one, _, err), (two, out, other) = ends(workers)
    assert (one, two) == (status, status)
    assert out == ""
    last = err.splitlines()[-1]
    assert last.endswith(" of 2200, which is saved; the same command goes on")
    assert other.splitlines()[-1] == last
    assert (workdir / "checkpoints" / f"step-{int(last.split()[3]):08d}").is_dir()
    with job(workdir, data_dir, LONG) as workers:
        assert [status for status, *_ in ends(workers, 300)] == [0, 0]
    assert json.loads((workdir / "result.json").read_text())["state_sha256"] == uninterrupted["state_sha256"]


@pytest.mark.parametrize("killed", [0, 1])
def test_when_a_worker_is_killed_the_other_says_so_and_all_go_on_later(uninterrupted, tmp_path, data_dir, killed):
    workdir = tmp_path / "run"
    with job(workdir, data_dir, LONG) as workers:
        wait_for_checkpoint(workdir, workers)
        workers[killed].kill()
        ((status, _, err),) = ends([workers[1 - killed]], timeout=60)
    assert status == 1
    assert err.splitlines()[-1] == (
        f"error: worker {killed} of 2 was lost; start all of them again with the same commands, and they go on from "
        "the last checkpoint"
    )
    with job(workdir, data_dir, LONG) as workers:
        assert [status for status, *_ in ends(workers, 300)] == [0, 0]
    assert json.loads((workdir / "result.json").read_text())["state_sha256"] == uninterrupted["state_sha256"]


def test_workers_that_do_not_fit_together_are_refused(tmp_path, data_dir):
    def refused(message, argv, *, of_one=()):
        with job(tmp_path / "run", data_dir, argv, of_one=of_one) as workers:
            for status, out, err in ends(workers):
                assert (status, out) == (2, "")
                assert message in err.splitlines()[-1]

    refused("error: batch_size is 65; it must be a multiple of the 2 replicas", [*ARGV, "--batch_size=65"])
    refused(
        "error: worker 1 has another config than worker 0; start all with the same flags", ARGV, of_one=["--seed=1"]
    )
    assert os.listdir(tmp_path) == []
    refused(
        "error: worker 1 does not see what worker 0 writes to workdir",
        ARGV,
        of_one=[f"--workdir={tmp_path / 'another'}"],
    )


def test_device_options_give_the_bits_of_one_process_too(tmp_path, data_dir):
    """Float16, averages, parts of a batch, the best checkpoint, an early stop and a trace, all in one run."""
    argv = [
        *ARGV,
        "--epochs=8",
        "--precision=float16",
        "--ema_decay=0.9",
        "--accumulate_steps=2",
        "--keep_best=accuracy",
        "--early_stop_metric=accuracy",
        "--early_stop_patience=1",
        "--learning_rate=0.03",
    ]
    workdir = tmp_path / "two"
    with job(workdir, data_dir, [*argv, "--profile_steps=10:20"]) as workers:
        (status, _, err), other = ends(workers)
    assert (status, other) == (0, (0, "", "")), err
    result = json.loads((workdir / "result.json").read_text())
    one = in_this_process(argv, tmp_path / "one", data_dir)
    for field in ("state_sha256", "steps", "best", "stopped_early"):
        assert result[field] == one[field], field
    assert result["stopped_early"]
    assert (workdir / "checkpoints" / f"step-{result['best']['accuracy']['step']:08d}").is_dir()
    assert list(workdir.glob("tensorboard/plugins/profile/*/*"))


def test_workers_that_go_apart_fail_again_and_again(tmp_path, data_dir):
    """As with a faulty machine: a second start must not take the chief's checkpoint up everywhere and end well."""
    apart = """
from zoo.training.engines.tensorflow.engine import Engine
own = Engine.state
def state(self):
    values = own(self)
    name = next(iter(values))
    return {**values, name: values[name] + 1}
Engine.state = state
"""
    for _ in range(2):
        with job(tmp_path / "run", data_dir, ARGV, code_of_one=apart) as workers:
            results = ends(workers)
        assert [status for status, _, _ in results] == [1, 1]
        for _, _, err in results:
            assert re.search(r"worker 1 has other variables than worker 0 at step \d+; are the machines of", err)
    assert not (tmp_path / "run" / "model.keras").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_several_evaluate_what_several_trained_and_write_nothing(finished, data_dir):
    workdir, ((_, trained, _), _) = finished

    def content():
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in workdir.rglob("*") if path.is_file()}

    before = content()
    with job(workdir, data_dir, ["--mode=evaluate"]) as workers:
        (status, out, err), other = ends(workers)
    assert (status, other) == (0, (0, "", "")), err
    *metrics, step, evaluated = out.splitlines()
    assert {*map(str.strip, metrics)} <= {*map(str.strip, trained.splitlines())}
    assert metrics
    assert step.split() == ["step", "44"]
    assert evaluated.split() == ["workdir", str(workdir)]
    assert content() == before


def test_a_worker_that_sees_another_folder_tells_the_others(finished, tmp_path, data_dir):
    """Each of these is refused before it has joined, where the others would wait for it for ever."""
    workdir, _ = finished

    def refused(message, argv, of_one):
        with job(workdir, data_dir, argv, of_one=of_one) as workers:
            (status, out, err), (other_status, _, other) = ends(workers)
        assert (status, out, other_status) == (2, "", 2)
        assert err.splitlines()[-1] == (
            "error: worker 1 has another config than worker 0; start all with the same flags, in the same workdir"
        )
        assert message in other.splitlines()[-1]

    elsewhere = f"--workdir={tmp_path}"
    refused(f"error: there is no run in {tmp_path}; train first", ["--mode=evaluate"], [elsewhere])
    shutil.copy(workdir / "config.json", tmp_path)
    refused("error: there is no checkpoint of step 44", ["--mode=evaluate", "--checkpoint=44"], [elsewhere])
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    refused("error: ", [*ARGV, "--epochs=3"], [elsewhere])


@pytest.mark.parametrize("hanging", [0, 1])
def test_when_a_worker_hangs_the_other_says_so(tmp_path, data_dir, hanging):
    workdir = tmp_path / "run"
    with job(workdir, data_dir, LONG) as workers:
        wait_for_checkpoint(workdir, workers)
        workers[hanging].send_signal(signal.SIGSTOP)
        ((status, _, err),) = ends([workers[1 - hanging]], timeout=60)
    assert status == 1
    assert err.splitlines()[-1].startswith(f"error: worker {hanging} of 2 was lost; start all of them again")


def test_when_a_worker_is_lost_while_the_others_build_the_model_they_say_so(tmp_path, data_dir):
    dies = "import os, signal, zoo.training.experiment as e; e._built = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    with job(tmp_path / "run", data_dir, ARGV, code_of_one=dies) as workers:
        (status, out, err), other = ends(workers)
    assert (status, out, other.status) == (1, "", -signal.SIGKILL)
    assert err.splitlines()[-1].startswith("error: worker 1 of 2 was lost; start all of them again"), err


def test_a_worker_that_waits_alone_can_be_stopped(tmp_path, data_dir):
    with job(tmp_path / "run", data_dir, ARGV) as workers:
        workers[1].kill()
        lines = (line for line in workers[0].stderr if not line.endswith(" ...\n"))
        assert next(lines).startswith("worker 0 of 2 waits for the others of --worker_hosts: ")
        workers[0].send_signal(signal.SIGTERM)
        assert workers[0].wait(timeout=60) == -signal.SIGTERM
    assert os.listdir(tmp_path) == []


def test_fine_tuning_gives_the_bits_of_one_process_too(tmp_path, data_dir):
    """A classifier alone at first, then all at rates of their own; late variables count their own updates."""
    argv = [
        *ARGV,
        "--epochs=3",
        "--freeze=trunk",
        "--unfreeze_epoch=1",
        "--layer_decay=0.5",
        "--optimizer=adamw",
        "--weight_decay=0.05",
        "--ema_decay=0.9",
        "--eval_every_epochs=2",
    ]
    with job(tmp_path / "two", data_dir, argv) as workers:
        (status, _, err), (other_status, *_) = ends(workers)
    assert (status, other_status) == (0, 0), err
    assert "step 22: all 1,226 parameters are trained from here on" in err
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert result["state_sha256"] == in_this_process(argv, tmp_path / "one", data_dir)["state_sha256"]


def test_all_workers_begin_with_the_weights_that_one_process_begins_with(tmp_path, data_dir):
    in_this_process([*ARGV, "--epochs=1"], tmp_path / "source", data_dir)
    argv = [*ARGV, f"--init_weights={tmp_path / 'source'}", "--normalize=weights", "--freeze=hidden*", "--seed=1"]
    with job(tmp_path / "two", data_dir, argv) as workers:
        (status, _, err), (other_status, *_) = ends(workers)
    assert (status, other_status) == (0, 0), err
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert result["state_sha256"] == in_this_process(argv, tmp_path / "one", data_dir)["state_sha256"]
    records = [json.loads((tmp_path / name / "run.json").read_text())["init_weights"] for name in ("one", "two")]
    assert records[0] == records[1]
