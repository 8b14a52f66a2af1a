"""What is said of the CPU, and oneDNN switched on before TensorFlow is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import processor
from zoo.errors import RequestError

ROOT = Path(__file__).parents[1]
AVX2_ONLY = "sse4_1 avx avx2 fma f16c bmi2"
EPYC = f"""processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
flags\t\t: fpu {AVX2_ONLY}

processor\t: 1
vendor_id\t: of the second
"""
XEON_FLAGS = f"{AVX2_ONLY} avx_vnni avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nothing is set that would be looked at."""
    for name in [name for name in os.environ if name.startswith(("ONEDNN_", "DNNL_"))]:
        monkeypatch.delenv(name)
    for name in ("TF_ENABLE_ONEDNN_OPTS", *processor._OTHERS_THAT_CHANGE_BITS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def cpu(monkeypatch, flags: str):
    """A CPU that has these flags."""
    monkeypatch.setattr(processor, "_cpuinfo", lambda: {"flags": flags})


def loaded(code: str, **environment: str) -> str:
    """What a fresh Python prints that runs `code`, with its environment."""
    names = {"TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"}
    own = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", code], env=own | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOWN = "import os; print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"


@pytest.mark.parametrize("ways", ["zoo", "zoo.config", "benchmarks.side_zoo"])
def test_every_way_through_the_zoo_switches_onednn_on(ways):
    assert loaded(f"import {ways}; {SHOWN}") == "1"


def test_the_user_decides():
    assert loaded(f"import zoo; {SHOWN}", TF_ENABLE_ONEDNN_OPTS="0") == "0"


@pytest.mark.parametrize(("environment", "left"), [({}, "None"), ({"TF_ENABLE_ONEDNN_OPTS": "1"}, "1")])
def test_processes_of_others_have_the_environment_of_the_user(environment, left):
    code = "from zoo import processor; print(processor.environment_of_user().get('TF_ENABLE_ONEDNN_OPTS'))"
    assert loaded(code, **environment) == left


def test_tensorflow_that_is_there_already_is_left_alone():
    assert loaded(f"import sys; sys.modules['tensorflow'] = None; import zoo; {SHOWN}") == "None"


def test_other_machines_than_x86_are_left_alone(monkeypatch):
    monkeypatch.setattr(processor.platform, "machine", lambda: "arm64")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    processor.prefer_onednn()
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ


def test_the_first_cpu_is_described(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(EPYC)
    monkeypatch.setattr(processor, "Path", lambda path: tmp_path / "cpuinfo")
    assert processor.name() == "AMD EPYC"
    assert processor.facts() == {
        "vendor": "AuthenticAMD",
        "family": 25,
        "model": 1,
        "instructions": "AVX2",
        "onednn": False,
        "environment": {},
    }


def test_a_system_that_does_not_say(monkeypatch):
    monkeypatch.setattr(processor, "_cpuinfo", dict)
    assert processor.name()
    found = processor.facts()
    assert found["vendor"] is found["family"] is found["instructions"] is None
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    processor.check_environment()  # what cannot be known is not refused


@pytest.mark.parametrize(
    ("limit", "used"),
    [("", "AVX512_CORE_BF16"), ("avx2", "AVX2"), ("AVX512_CORE", "AVX512_CORE"), ("DEFAULT", "AVX512_CORE_BF16")],
)
def test_the_instructions_are_those_that_may_be_used(monkeypatch, limit, used):
    cpu(monkeypatch, XEON_FLAGS)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    processor.check_environment()
    assert processor.facts()["instructions"] == used


@pytest.mark.parametrize(
    ("value", "flags", "on"),
    [(None, XEON_FLAGS, True), (None, AVX2_ONLY, False), ("0", XEON_FLAGS, False), ("TRUE", AVX2_ONLY, True)],
)
def test_whether_onednn_computes(monkeypatch, value, flags, on):
    cpu(monkeypatch, flags)
    if value is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
    assert processor.facts()["onednn"] is on


@pytest.mark.slow
def test_tensorflow_agrees_on_whether_onednn_computes():
    code = "import tensorflow.python.util._pywrap_util_port as port; from zoo import processor\n"
    code += "print(port.IsMklEnabled() == processor.facts()['onednn'])"
    # Without a word of ours, where its own rule decides; with ours; and with the user's.
    assert loaded(f"import tensorflow; {code}") == "True"
    assert loaded(f"import zoo, tensorflow; {code}") == "True"
    assert loaded(f"import zoo, tensorflow; {code}", TF_ENABLE_ONEDNN_OPTS="0") == "True"


def test_variables_that_change_bits_are_recorded(monkeypatch):
    for name, value in {"XLA_FLAGS": "--x", "ONEDNN_VERBOSE": "0", "TF_DETERMINISTIC_OPS": "1", "PATH_": "no"}.items():
        monkeypatch.setenv(name, value)
    assert processor.facts()["environment"] == {"ONEDNN_VERBOSE": "0", "TF_DETERMINISTIC_OPS": "1", "XLA_FLAGS": "--x"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TF_ENABLE_ONEDNN_OPTS", "banana", "TF_ENABLE_ONEDNN_OPTS is 'banana' in the environment; it must be 0 or 1"),
        ("ONEDNN_MAX_CPU_ISA", "AVX3", "must be one of SSE41, AVX, AVX2"),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core_amx", "this CPU does not have that, at most AVX512_CORE_BF16; unset it"),
        ("ONEDNN_MAX_CPU_ISA", "AVX10_1_512", "this CPU does not have that"),
    ],
)
def test_what_would_be_passed_over_is_refused(monkeypatch, name, value, said):
    cpu(monkeypatch, XEON_FLAGS)
    monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="environment") as error:
        processor.check_environment()
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("flags", "limit", "precision", "refused"),
    [
        (XEON_FLAGS, "AVX2", "bfloat16", True),
        (XEON_FLAGS, "AVX2", "float32", False),
        (XEON_FLAGS, "AVX512_CORE", "bfloat16", False),
        (XEON_FLAGS, "", "bfloat16", False),
        # TensorFlow sees that this CPU has no such instructions, and takes Eigen.
        (XEON_FLAGS, "AVX2", "float16", False),
        (AVX2_ONLY, "AVX2", "bfloat16", False),
        (f"{XEON_FLAGS} avx512_fp16", "AVX512_CORE_BF16", "float16", True),
    ],
)
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_half_precision_under_a_limit_that_lacks_it(monkeypatch, flags, limit, precision, refused, onednn):
    cpu(monkeypatch, flags)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    if not refused or onednn == "0":
        processor.check_precision(precision)
        return
    with pytest.raises(RequestError, match=f"precision is '{precision}'; .* and ONEDNN_MAX_CPU_ISA is '{limit}'"):
        processor.check_precision(precision)


@pytest.mark.parametrize(
    "command",
    [[str(ROOT / "train.py")], ["-m", "zoo", "list"], ["-c", "import zoo; zoo.list_models()"]],
    ids=["train.py", "python -m zoo", "zoo.list_models"],
)
def test_commands_and_the_registry_refuse_it(command, tmp_path):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_ENABLE_ONEDNN_OPTS": "banana"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (1 if "-c" in command else 2)
    assert done.stderr.splitlines()[-1].endswith(
        "TF_ENABLE_ONEDNN_OPTS is 'banana' in the environment; it must be 0 or 1"
    )
    assert not done.stdout
    assert not [*tmp_path.iterdir()]
