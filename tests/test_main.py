"""python -m zoo, as a user meets it."""

import json

import pytest

import zoo
from zoo import console
from zoo.__main__ import main, short


@pytest.fixture
def command(capsys):
    def run(*argv):
        status = console.run(main, list(argv))
        return status, *capsys.readouterr()

    return run


def test_list_has_a_row_per_model(command):
    status, out, err = command("list")
    assert (status, err) == (0, "")
    rows = out.splitlines()
    assert rows[0].split() == ["name", "style", "family", "task", "input", "parameters", "paper"]
    assert [row.split()[0] for row in rows[1:]] == zoo.list_models()
    assert (
        "resnet20    functional  resnet_cifar  classification  32x32x3     269,722  He, Zhang, Ren and Sun 2015" in rows
    )


def test_list_filters(command):
    _, out, _ = command("list", "resnet*", "--style=functional", "--task=classification", "--json")
    models = json.loads(out)
    assert [model["name"] for model in models] == zoo.list_models("resnet*")
    assert models[1]["parameters"] == 269_722
    assert models[1]["hyperparameters"] == {"shortcut": "A"}


def test_inspect_says_whether_it_could_be_sequential(command):
    _, out, _ = command("inspect", "lenet5")
    assert "c3       Conv2D            10 x 10 x 16       2,416  s2" in out
    assert "could be Sequential    yes\n" in out
    _, out, _ = command("inspect", "resnet20")
    assert "inputs                 image (32 x 32 x 3)\n" in out
    assert "outputs                logits (10)\n" in out
    assert "trainable parameters   269,722\n" in out
    assert "could be Sequential    no, because the output of stem_relu goes to stage1_block1_1_conv and" in out


def test_inspect_json(command):
    _, out, _ = command("inspect", "resnet20", "--json")
    facts = json.loads(out)
    assert facts["inputs"] == {"image": [32, 32, 3]}
    assert facts["outputs"] == {"logits": [10]}
    assert facts["total_parameters"] == 271_098
    assert facts["could_be_sequential"] is False
    assert facts["reason"].startswith("the output of stem_relu goes to")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: COMMAND; see python -m zoo --help"),
        (["lst"], "invalid choice: 'lst'"),
        (["inspect"], "required: name"),
        (["inspect", "resnet21"], "unknown model 'resnet21'; did you mean resnet"),
        (["list", "resnet21"], "unknown model 'resnet21'; did you mean resnet"),
        (["list", "zzz*"], "no model fits 'zzz*'"),
        (["list", "--style=seq"], "unknown style 'seq'"),
        (["list", "--nope"], "unrecognized arguments: --nope"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_line(command, argv, message):
    status, out, err = command(*argv)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_short_citation():
    assert short("He, Zhang, Ren and Sun 2015, Deep Residual Learning") == "He, Zhang, Ren and Sun 2015"
    assert short("a private net") == "a private net"
