"""What docs/performance.md says of the bits of other CPUs, which are imitated here: see other_cpu.c."""

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What an AMD EPYC of family 25 model 1 itself ended with, seed 0, under these versions.
VERSIONS = {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6"}
EPYC = {
    "simple_cnn_digits": "23716ed6dcb3c7d25d9858430043a50e43df145fc05b4526a62495c5d7c71f1f",
    "mlp_digits": "a3dce56bd50ec7bb22fefc155d693d665bbd5d0f287097bd9f542405d05fe105",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def other_cpu(tmp_path_factory) -> Path:
    """The library, where this machine can build and use it."""
    compiler = shutil.which("cc")
    if not compiler or sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("needs a C compiler, and Linux on a 64-bit x86")
    library = tmp_path_factory.mktemp("other_cpu") / "other_cpu.so"
    source = Path(__file__).with_name("other_cpu.c")
    subprocess.run([compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "OTHER_CPU": "none"}
    if subprocess.run([sys.executable, "-c", ""], env=environment).returncode == 77:
        pytest.skip("this machine cannot keep CPUID from a process")
    return library


def trained(folder: Path, *flags: str, **environment: str) -> str:
    """What a run ended with."""
    names = {"TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS"}
    own = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "train.py", f"--workdir={folder}", *flags]
    done = subprocess.run(command, cwd=ROOT, env=own | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text())["state_sha256"]


@pytest.mark.parametrize("recipe", EPYC)
def test_an_imitated_cpu_ends_as_the_real_one(other_cpu, tmp_path, recipe):
    if {name: metadata.version(name) for name in VERSIONS} != VERSIONS:
        pytest.skip("these versions have other bits")
    config = f"--config=configs/{recipe}.py"
    assert trained(tmp_path / "run", config, LD_PRELOAD=str(other_cpu), OTHER_CPU="epyc") == EPYC[recipe]


def test_the_imitation_of_the_own_cpu_changes_nothing(other_cpu, tmp_path):
    flags = ("--config=configs/mlp_digits.py", "--epochs=2")
    own = trained(tmp_path / "own", *flags)
    assert trained(tmp_path / "none", *flags, LD_PRELOAD=str(other_cpu), OTHER_CPU="none") == own
    assert trained(tmp_path / "laptop", *flags, LD_PRELOAD=str(other_cpu), OTHER_CPU="laptop") != own


@pytest.mark.parametrize("recipe", ["mlp_digits", "simple_cnn_digits", "lenet5_digits", "resnet20_digits"])
def test_with_avx2_and_no_xla_the_recipes_for_digits_are_alike_on_all(other_cpu, tmp_path, recipe):
    flags = (f"--config=configs/{recipe}.py", "--jit=off", "--epochs=1", "--warmup_epochs=0")
    ends = {
        name: trained(tmp_path / name, *flags, LD_PRELOAD=str(other_cpu), OTHER_CPU=name, ONEDNN_MAX_CPU_ISA="AVX2")
        for name in ("none", "epyc", "laptop")
    }
    assert len({*ends.values()}) == 1, ends
