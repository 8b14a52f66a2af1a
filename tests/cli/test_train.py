"""The driver's command line, as a user meets it."""

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from moments import INTRODUCTION

from zoo.cli import console
from zoo.cli.commands import run_train
from zoo.config import FIELDS

ROOT = Path(__file__).parents[2]
SMALL = ("--model=mlp", "--model_args=hidden_sizes=[16]", "--epochs=1", "--batch_size=128", "--jit=off")


@pytest.fixture
def command(tmp_path, data_dir, monkeypatch, capsys):
    """Runs train.py in this process and an empty folder; returns status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        status = console.run(run_train, [f"--data_dir={data_dir}", *argv])
        return status, *capsys.readouterr()

    return run


def only_run():
    """The folder of the one run there is, relative to the current one."""
    (folder,) = Path("runs").iterdir()
    return folder


def test_trains_prints_where_things_are_and_does_not_run_twice(command, tmp_path):
    status, out, err = command(*SMALL)
    assert status == 0
    workdir = only_run()
    assert re.fullmatch(r"mlp_digits-[0-9a-f]{6}-0", workdir.name)
    result = json.loads((workdir / "result.json").read_text())
    assert re.search(rf"^test/accuracy +{result['metrics']['test/accuracy']:.4f}$", out, re.MULTILINE)
    assert result["state_sha256"] in out
    assert str(workdir) in out
    introduction, epoch = err.splitlines()[:-1], err.splitlines()[-1]
    assert [line.split()[0] for line in introduction if not line.endswith(" ...")] == [
        "model", "data", "classes", "images", "steps", "runs", "writes",
    ]  # fmt: skip
    assert re.match(r"epoch 1/1  train loss \d", epoch)
    status, again, err = command(*SMALL)
    assert (status, again) == (0, out)
    assert err == f"{workdir} is finished already\n"


def test_evaluate_mode(command):
    _, trained, _ = command(*SMALL)
    workdir = f"--workdir={only_run()}"
    status, out, err = command("--mode=evaluate", workdir)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == trained.splitlines()[2].split()  # test/loss
    assert command("--mode=evaluate", workdir, "--eval_split=train[:64]", "--checkpoint=11")[0] == 0


def test_config_file_and_flags_before_it(command, tmp_path):
    file = tmp_path / "small.py"
    file.write_text(
        "from zoo.config import ExperimentConfig\n"
        "def get_config():\n    return ExperimentConfig(model='mlp', epochs=50, batch_size=256, jit='off')\n"
    )
    assert command("--config=small.py", "--epochs=1", "--seed=3")[0] == 0
    assert re.fullmatch(r"small-[0-9a-f]{6}-3", only_run().name)
    config = json.loads((only_run() / "config.json").read_text())
    assert (config["model"], config["epochs"], config["batch_size"], config["seed"]) == ("mlp", 1, 256, 3)


def test_help_names_every_flag_with_its_default(command):
    status, out, _ = command("--help")
    assert status == 0
    for name in FIELDS:
        assert f"--{name} " in out
    assert "[0.001]" in out
    assert re.findall(r"^\w+:$", out, re.MULTILINE) == [
        "Options:", "Model:", "Data:", "Verification:", "Optimisation:", "Regularisation:", "Devices:", "Run:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--modle=mlp"], "Unknown command line flag 'modle'. Did you mean: mode, model"),
        (["--epochs=many"], "flag --epochs=many"),
        (["epochs=3"], "what is 'epochs=3'? flags are written as --name=value"),
        (["--mode=test"], "unknown mode 'test'"),
        (["--checkpoint=3"], "--checkpoint goes with --mode=evaluate"),
        (["--model=resnet21"], "unknown model 'resnet21'; did you mean resnet"),
        (["--model=siamese"], "test of digits has no 20 classes of one group with 2 examples each; lower ways"),
        (["--model=multi_output", "--labels=lable"], "unknown feature in labels 'lable'; did you mean label?"),
        (["--model=multi_input"], "condition names the feature that is a second input"),
        (["--model=multi_input", "--condition=colour"], "unknown feature in condition 'colour'"),
        (["--model=mlp", "--condition=label"], "model is 'mlp', which has no second input"),
        (["--model=mlp", "--task=verification", "--ways=5"], "verification needs logits or distance of left and right"),
        (["--labels=label:0"], "write different labels with weights above 0, as fine:1,coarse:0.5"),
        (["--labels=image"], "labels is 'image', which is no class label; digits has image, label"),
        (["--normalize=imagenet"], "normalize is 'imagenet'; the images of digits have 1 channel, not 3"),
        (["--augment=random_resized_crop"], "random_resized_crop, which needs image_size"),
        (["--augment=mixup:0.2", "--batch_size=33"], "each replica's share must be even"),
        (["--model=siamese", "--ways=5", "--augment=cutmix:1"], "images are mixed where the image is the only input"),
        (["--memory_gib=much"], "flag --memory_gib=much: could not convert string to float"),
        (["--memory_gib=-1"], "memory_gib is -1.0; it must be at least 0"),
        (["--memory_gib=inf"], "memory_gib is inf; it must be at least 0"),
        (["--ways=1"], "ways is 1; an episode needs at least 2 classes"),
        (["--epsilon=1", "--optimizer=sgd"], "epsilon is 1.0; sgd has none"),
        (["--center_crop=1.5"], "center_crop is 1.5; it must be at most 1"),
        (
            ["--model=resnet20", "--model_args=features=true"],
            "model_args of resnet20 is {'features': True}, which gives stride2 and stride4; classification needs",
        ),
        (["--dataset=digit"], "unknown dataset 'digit'; did you mean digits?"),
        (["--optimizer=adm"], "unknown optimizer 'adm'; did you mean adam"),
        (["--schedule=cosin"], "unknown schedule 'cosin'; did you mean cosine?"),
        (["--augment=flop"], "unknown augmentation 'flop'; did you mean flip?"),
        (["--strategy=miror"], "unknown strategy 'miror'; did you mean mirrored?"),
        (["--model_args=dropout"], "model_args is 'dropout'; it must be a JSON object or key=value"),
        (["--model=mlp", "--model_args=droput=0.1"], "unknown hyperparameter of mlp 'droput'; did you mean dropout?"),
        (["--model=mlp", "--model_args=dropout=7"], "dropout of mlp is 7; it must be a fraction"),
        (["--model=mlp", '--model_args={"hidden_sizes": 3}'], "hidden_sizes is 3; it must be a list of whole numbers"),
        (["--model=lenet5"], "input_shape of lenet5 is (8, 8, 1); height and width must be at least 16"),
        (["--config=no_such.py"], "unknown config file 'no_such.py'"),
        (["--batch_size=0"], "batch_size is 0; it must be at least 1"),
        (["--batch_size=-1"], "batch_size is -1; it must be at least 1"),
        (["--batch_size=1438"], "batch_size is 1438; the training split has 1437 examples"),
        (["--batch_size=33", "--strategy=mirrored:2"], "batch_size is 33; it must be a multiple of the 2 replicas"),
        (["--augment=pad_crop:8"], "pad_crop must be smaller than the shorter side, 8 pixels"),
        (["--eval_split=train"], "eval_split is 'train', which is what the rows of training are called"),
        (["--workdir=" + "x" * 300], "name another folder"),
        (["--learning_rate=-0.1"], "learning_rate is -0.1; it must be above 0"),
        (["--train_split=train[5:5]"], "split 'train[5:5]' of digits is empty"),
        (["--eval_split=test[:0%]"], "split 'test[:0%]' of digits is empty"),
        (["--eval_split=valid"], "unknown split of digits 'valid'"),
        (["--workdir=/proc/nowhere/run"], "workdir /proc/nowhere/run cannot be written to"),
        (["--workdir=/etc/hostname"], "workdir /etc/hostname cannot be made: /etc/hostname is a file"),
        (["--mode=evaluate"], "--mode=evaluate needs --workdir"),
        (["--mode=evaluate", "--workdir=nowhere"], "there is no run in nowhere; train first"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line_and_writes_nothing(command, tmp_path, argv, message):
    status, out, err = command(*argv)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert os.listdir(tmp_path) == []


def test_evaluate_takes_the_preprocessing_of_the_run_and_not_that_of_the_config_file(command, tmp_path):
    file = tmp_path / "small.py"
    file.write_text(
        "from zoo.config import ExperimentConfig\n"
        "def get_config():\n    return ExperimentConfig(model='mlp', epochs=1, batch_size=256, jit='off')\n"
    )
    _, trained, _ = command("--config=small.py", "--normalize=unit")
    _, out, _ = command("--mode=evaluate", f"--workdir={only_run()}")
    assert out.splitlines()[0].split() == trained.splitlines()[2].split()  # test/loss


@pytest.mark.slow
def test_evaluate_finds_the_run_of_the_same_flags_whatever_it_is_evaluated_on_and_no_other(command, tmp_path):
    (tmp_path / "small.py").write_text(
        "from zoo.config import ExperimentConfig\n"
        "def get_config():\n    return ExperimentConfig(model='mlp', epochs=1, batch_size=256, jit='off')\n"
    )
    as_it_is, changed = ["--config=small.py"], ["--config=small.py", "--optimizer=sgd"]
    for flags in (as_it_is, changed):
        trained = command(*flags)[1].splitlines()[2].split()  # test/loss
        for more in ([], ["--eval_split=test[:100%]"], ["--batch_size=128", "--eval_split=test[:360]"]):
            status, out, _ = command("--mode=evaluate", *flags, *more)
            assert (status, out.splitlines()[0].split()[1]) == (0, trained[1])
    assert re.search(r"^workdir +runs/small-[0-9a-f]{6}-0$", out, re.MULTILINE)
    status, out, err = command("--mode=evaluate", *as_it_is, "--learning_rate=0.5")
    assert (status, out) == (2, "")
    assert re.match(r"error: there is no run of this config in runs/small-[0-9a-f]{6}-0; train first, or name its", err)


def test_a_config_file_is_run_once(command, tmp_path):
    (tmp_path / "small.py").write_text(
        "from zoo.config import ExperimentConfig\n"
        "print('once')\n"
        "def get_config():\n    return ExperimentConfig(model='mlp', epochs=1, batch_size=256, jit='off')\n"
    )
    assert command("--config=small.py")[1].splitlines().count("once") == 1


@pytest.mark.slow
def test_no_command_meets_the_run_of_another_and_each_finds_its_own(command, tmp_path):
    """A recipe, the same with flags, flags alone, other epochs, another strategy; then all of them once more."""
    (tmp_path / "mlp_digits.py").write_text(
        "from zoo.config import ExperimentConfig\n"
        "def get_config():\n    return ExperimentConfig(model='mlp', epochs=1, batch_size=256, jit='off')\n"
    )
    flags = ["--model=mlp", "--epochs=1", "--batch_size=256", "--jit=off"]
    asked = [["--config=mlp_digits.py"], ["--config=mlp_digits.py", "--optimizer=sgd"], flags, [*flags, "--epochs=2"]]
    asked += [["--config=mlp_digits.py", "--strategy=mirrored:2"], ["--config=mlp_digits.py", "--seed=1"]]
    outputs = []
    for argv in asked:
        status, out, err = command(*argv)
        assert (status, "finished already" in err) == (0, False)
        outputs.append(out)
    assert len([*Path("runs").iterdir()]) == len(asked)
    assert {"mlp_digits-0", "mlp_digits-1"} < {*os.listdir("runs")}
    for argv, out in zip(asked, outputs, strict=True):
        status, again, err = command(*argv)
        assert (status, again) == (0, out)
        assert err.endswith("is finished already\n")


def test_another_configs_workdir_is_refused_unharmed(command, tmp_path):
    command(*SMALL)
    workdir = only_run()
    before = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
    status, _, err = command(*SMALL, "--learning_rate=0.5", f"--workdir={workdir}")
    assert status == 2
    assert "holds a run with another learning_rate (0.001 there, 0.5 here)" in err
    assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == before


def test_when_every_checkpoint_is_damaged_it_says_so(command, tmp_path):
    command(*SMALL)
    workdir = only_run()
    (workdir / "result.json").unlink()
    for file in workdir.rglob("state.npz"):
        file.write_bytes(b"")
    status, _, err = command(*SMALL)
    assert status == 2
    assert err.splitlines()[-1] == (
        f"error: every checkpoint in {workdir}/checkpoints is damaged; remove the folder to start over"
    )


def test_a_loss_that_overflows_ends_with_status_1(command):
    status, _, err = command(*SMALL, "--optimizer=sgd", "--learning_rate=1e30", "--checkpoint_every_steps=1")
    assert status == 1
    found = re.search(r"error: the loss became (nan|inf) at step (\d+); the last good state is that of ", err)
    *before, last = [json.loads(line) for line in (only_run() / "metrics.jsonl").read_text().splitlines()]
    assert (last["split"], last["step"], str(last["loss"])) == ("train", int(found[2]), found[1])
    assert [row["step"] for row in before] == [last["step"] - 1]
    assert math.isfinite(before[0]["loss"])


@pytest.mark.parametrize("starts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_in_a_process_of_its_own_it_is_quiet_and_stops_on_ctrl_c(tmp_path, data_dir, starts):
    """Ctrl-C, then the same command again: it goes on, and nothing but its own lines is printed."""
    argv = [sys.executable, str(ROOT / "train.py"), f"--data_dir={data_dir}", "--model=mlp", "--epochs=100000"]
    env = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    for start in range(1, starts + 1):
        process = subprocess.Popen(
            argv,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        lines = list(itertools.takewhile(lambda line: not line.startswith("epoch "), process.stderr))
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=120)
        assert process.returncode == 130
        assert out == ""
        lines += rest.splitlines(keepends=True)
        assert re.match(r"stopped at step \d+ of 4400000, which is saved; the same command goes on\n", lines.pop())
        others = [line for line in lines if not re.match(rf"{INTRODUCTION}|epoch ", line)]
        if start == 2:
            assert others.pop(0).startswith("going on from the checkpoint of step")
        assert others == ["\n", "stopping as soon as the state is saved; once more to stop at once\n"]
