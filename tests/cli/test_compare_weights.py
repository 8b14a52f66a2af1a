"""python -m zoo compare-weights: what it prints, where it fails, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli import commands, console
from zoo.pretrained import comparing
from zoo.pretrained.comparing import Comparison


def ran(*arguments):
    return console.run(commands.run_zoo, ["compare-weights", *arguments])


@pytest.mark.parametrize(
    ("largest", "status"), [(1e-5, 0), (2e-5, 1), (float("nan"), 1), (float("inf"), 1)], ids=lambda value: str(value)
)
def test_a_difference_that_is_too_large_or_no_number_fails(largest, status, monkeypatch, capsys):
    found = Comparison(arrays=3, largest=largest, first=("stem_conv", "conv1", largest), layers=2)
    monkeypatch.setattr(comparing, "compare", lambda *_, **__: found)
    assert ran("timm/resnet18.a1_in1k") == status
    printed = capsys.readouterr()
    assert f"timm/resnet18.a1_in1k       3       2  {largest:>10.1e}" in printed.out
    assert ("differs" in printed.err) == ("stem_conv (conv1)" in printed.err) == (status == 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense*"], "no weights fit 'nonsense*'; python -m zoo weights shows all of them"),
        (["timm/resnet18.a1_in2k"], "unknown weights 'timm/resnet18.a1_in2k'; did you mean"),
        (["timm/resnet18.a1_in1k", "--random", "--peer_python=/no/python"], "--peer_python is '/no/python', which ca"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, message, capsys):
    assert ran(*arguments) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_a_python_without_the_publisher_is_named(capsys, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'timm'\" >&2\nexit 1\n")
    python.chmod(0o755)
    assert ran("timm/resnet18.a1_in1k", "--random", f"--peer_python={python}") == 2
    assert "lacks the publisher's package (No module named 'timm')" in capsys.readouterr().err


@pytest.mark.parametrize("fits", [True, False])
def test_operators_are_declared_for_a_torchvision_that_lacks_them_alone(fits, tmp_path):
    """To declare those of one that has its own ends the process."""
    (tmp_path / "torch.py").write_text(
        "class Tensor: pass\n"
        "class nn:\n    class Module: pass\n"
        "class library:\n    class Library:\n        defined = []\n        def __init__(self, *_): pass\n"
        "        def define(self, signature): self.defined.append(signature.partition('(')[0])\n"
    )
    check = "" if fits else "import torch\nif not torch.library.Library.defined: raise RuntimeError('no nms')\n"
    (tmp_path / "torchvision.py").write_text(check)
    code = "import torch_peer, torch; torch_peer.import_torchvision(); print(*torch.library.Library.defined)"
    path = os.pathsep.join([str(tmp_path), str(Path(comparing.__file__).parent / "peers")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ([] if fits else ["nms", "qnms"])


@pytest.mark.slow
def test_a_net_is_held_against_keras_own(capsys):
    assert ran("keras/resnet50_v1", "--random", "--image_size=64") == 0
    printed = capsys.readouterr()
    _, arrays, layers, difference = printed.out.splitlines()[1].split()
    assert (int(arrays), int(layers)) == (320, 107)
    assert 0 < float(difference) < 1e-5
