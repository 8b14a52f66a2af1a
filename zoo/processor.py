"""The CPU: which one it is, which of its instructions are used, and the environment variables that decide that.

The last bits of a result follow from all three. It imports no TensorFlow, since what it sets must be set before.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Any

from zoo.errors import RequestError

ONEDNN, MAX_ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"
# What TensorFlow reads as a truth value; it passes over anything else with a line in its log.
_TRUTH = {"0": False, "false": False, "1": True, "true": True}
# oneDNN's names of instruction sets, rising, and the flags by which Linux says that a CPU has one (oneDNN, "CPU
# dispatcher control"). A CPU that lacks AVX-512 may have AVX2_VNNI, one that has it may not: the last one counts.
_INSTRUCTION_SETS = {
    "SSE41": {"sse4_1"},
    "AVX": {"avx"},
    "AVX2": {"avx2", "fma"},
    "AVX2_VNNI": {"avx2", "fma", "avx_vnni"},
    "AVX2_VNNI_2": {"avx_vnni", "avx_vnni_int8", "avx_ne_convert"},
    "AVX512_CORE": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "AVX512_CORE_VNNI": {"avx512f", "avx512vl", "avx512_vnni"},
    "AVX512_CORE_BF16": {"avx512_vnni", "avx512_bf16"},
    "AVX512_CORE_FP16": {"avx512_bf16", "avx512_fp16"},
    "AVX512_CORE_AMX": {"avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"},
    "AVX512_CORE_AMX_FP16": {"amx_tile", "amx_fp16"},
}
# Other names for sets of the table, and those that set no limit.
_ALIASES = {
    "AVX10_1_512": "AVX512_CORE_FP16",
    "AVX10_1_512_AMX": "AVX512_CORE_AMX",
    "AVX10_1_512_AMX_FP16": "AVX512_CORE_AMX_FP16",
}
_NO_LIMIT = ("", "ALL", "DEFAULT")
# TensorFlow switches oneDNN on by itself where a CPU has one of these (the release notes of 2.9).
_ONEDNN_BY_DEFAULT = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
# What convolutions in half precision need of a limit: oneDNN computes bfloat16 by AVX-512, float16 by its newer parts.
_HALF_PRECISION = {"bfloat16": "AVX512_CORE", "float16": "AVX512_CORE_FP16"}
_X86_64 = ("x86_64", "amd64")
_set_here = False
_OTHERS_THAT_CHANGE_BITS = (
    "NPY_DISABLE_CPU_FEATURES",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL",
    "TF_DETERMINISTIC_OPS",
    "TF_NUM_INTRAOP_THREADS",
    "XLA_FLAGS",
)


def prefer_onednn() -> None:
    """Switches oneDNN on for a TensorFlow that is yet to be imported, unless the user has decided.

    TensorFlow leaves it off on CPUs without AVX512_VNNI or its like. There Eigen computes instead: convolutions take
    up to twice as long, and the gradient of a grouped one is that of each group alone. Only 64-bit x86 has been tried.
    """
    global _set_here
    if ONEDNN not in os.environ and "tensorflow" not in sys.modules and platform.machine().lower() in _X86_64:
        os.environ[ONEDNN] = "1"
        _set_here = True


def environment_of_user() -> dict[str, str]:
    """The environment without what `prefer_onednn` has set: for a process that is to have TensorFlow as it comes."""
    return {name: value for name, value in os.environ.items() if not (_set_here and name == ONEDNN)}


def check_environment() -> None:
    """Refuses values of the environment that TensorFlow and oneDNN would pass over without a word.

    Raises:
        RequestError: a variable has a value that is not one of its own, or names instructions this CPU does not have.
    """
    value = os.environ.get(ONEDNN, "")
    if value and value.lower() not in _TRUTH:
        raise RequestError(f"{ONEDNN} is {value!r} in the environment; it must be 0 or 1")
    value = os.environ.get(MAX_ISA, "")
    name = _ALIASES.get(value.upper(), value.upper())
    if name in _NO_LIMIT:
        return
    if name not in _INSTRUCTION_SETS:
        raise RequestError(
            f"{MAX_ISA} is {value!r} in the environment; it must be one of {', '.join(_INSTRUCTION_SETS)}"
        )
    flags = _cpuinfo().get("flags", "").split()
    if flags and not _INSTRUCTION_SETS[name] <= {*flags}:
        raise RequestError(
            f"{MAX_ISA} is {value!r} in the environment; this CPU does not have that, at most {_most(flags)}; unset it"
        )


def check_precision(precision: str) -> None:
    """Refuses half precision under a limit of oneDNN's instructions that lacks it, where the CPU itself has it.

    TensorFlow asks the CPU, not the limit, and leaves to oneDNN what oneDNN then cannot compute: the process ends with
    pages of text, or at once. A CPU that has no such instructions is well: there Eigen computes.

    Args:
        precision: `float32`, `bfloat16` or `float16`.

    Raises:
        RequestError: it must be another precision or another limit.
    """
    flags = _cpuinfo().get("flags", "").split()
    used, most, order = _used(flags), _most(flags), list(_INSTRUCTION_SETS)
    if precision not in _HALF_PRECISION or most is None or not _onednn(flags):
        return
    needed = order.index(_HALF_PRECISION[precision])
    if order.index(used) < needed <= order.index(most):
        raise RequestError(
            f"precision is {precision!r}; oneDNN has it from {_HALF_PRECISION[precision]} on, and {MAX_ISA} is "
            f"{os.environ[MAX_ISA]!r}; take float32, unset that, or set {ONEDNN}=0"
        )


def name() -> str:
    """The CPU's name; Linux tells it in a file, other systems through `platform`."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def facts() -> dict[str, Any]:
    """What decides the last bits of a result on this CPU.

    Returns:
        `vendor`, `family` and `model` as the CPU says them itself, None where the system does not pass them on;
        `instructions`, the largest instruction set that oneDNN may use, by its own name; `onednn`, whether it
        computes; `environment`, the variables that change bits, with their values.
    """
    cpu = _cpuinfo()
    return {
        "vendor": cpu.get("vendor_id"),
        "family": _number(cpu.get("cpu family")),
        "model": _number(cpu.get("model")),
        "instructions": _used(cpu.get("flags", "").split()),
        "onednn": _onednn(cpu.get("flags", "").split()),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("ONEDNN_", "DNNL_")) or name in (ONEDNN, *_OTHERS_THAT_CHANGE_BITS)
        },
    }


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first CPU; nothing on other systems."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _most(flags: list[str]) -> str | None:
    """The largest instruction set that a CPU with these flags has."""
    had = [name for name, needed in _INSTRUCTION_SETS.items() if needed <= {*flags}]
    return had[-1] if had else None


def _used(flags: list[str]) -> str | None:
    """The largest instruction set that oneDNN may use, by the CPU and by the limit of the environment."""
    limit = os.environ.get(MAX_ISA, "").upper()
    limit = _ALIASES.get(limit, limit)
    most, order = _most(flags), list(_INSTRUCTION_SETS)
    if most is None or limit not in order:
        return most
    return min(most, limit, key=order.index)


def _onednn(flags: list[str]) -> bool:
    """Whether oneDNN computes: what the environment says, else TensorFlow's own rule."""
    said = _TRUTH.get(os.environ.get(ONEDNN, "").lower())
    return bool(_ONEDNN_BY_DEFAULT & {*flags}) if said is None else said


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
