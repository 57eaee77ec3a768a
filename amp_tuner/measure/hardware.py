"""Facts about the machine and its state that a measurement depends on.

Read from Linux's own files; a fact that is not to be had is None, never an error.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Collection
from pathlib import Path

from amp_tuner.measure.cores import cores_text

Fact = str | int | float | bool | None

#: CPU flags that decide which 16-bit kernels run fast, or at all (x86, then Arm).
_FLAGS = (
    "avx2",
    "f16c",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_fp16",
    "asimdhp",
    "bf16",
    "sve",
)


#: What is noted with each measurement.
_STATE = ("governor", "turbo", "load_average", "cpu_flags")


def hardware_facts(root: Path = Path("/"), cores: Collection[int] | None = None) -> dict[str, Fact]:
    """A flat mapping of facts; the keys are always the same.

    Args:
        root: where ``proc`` and ``sys`` are.
        cores: what the processes that measure are pinned to; None: they are not.
    """
    cpu = _cpu_info(root / "proc/cpuinfo")
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    system = root / "sys/devices/system/cpu"
    return {
        "cpu": cpu.get("model name") or platform.processor() or None,
        "cpu_flags": " ".join(flag for flag in _FLAGS if flag in flags),
        "virtual": "hypervisor" in flags,
        "architecture": platform.machine(),
        "cores": _cores(system),
        "threads": os.cpu_count(),
        "usable_threads": _usable_threads() if cores is None else len(cores),
        "pinned_to_cores": None if cores is None else cores_text(cores),
        "cpu_limit": _cpu_limit(root / "sys/fs/cgroup/cpu.max"),
        "governor": _text(system / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(system),
        "load_average": _load_average(),
        "memory_bytes": _memory_bytes(root / "proc/meminfo"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def machine_state(root: Path = Path("/")) -> dict[str, Fact]:
    """The facts that may change from one measurement to the next, and the CPU's flags."""
    facts = hardware_facts(root)
    return {key: facts[key] for key in _STATE}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _cpu_info(path: Path) -> dict[str, str]:
    """The first processor's lines, by name."""
    first = (_text(path) or "").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _usable_threads() -> int | None:
    with contextlib.suppress(AttributeError, OSError):
        return len(os.sched_getaffinity(0))
    return None


def _cpu_limit(path: Path) -> float | None:
    """CPUs that a control group (a container) may use at once; None: no limit."""
    quota, _, period = (_text(path) or "").partition(" ")
    with contextlib.suppress(ValueError, ZeroDivisionError):
        return int(quota) / int(period)
    return None


def _turbo(system: Path) -> bool | None:
    no_turbo, boost = _text(system / "intel_pstate/no_turbo"), _text(system / "cpufreq/boost")
    if no_turbo is not None:
        return no_turbo == "0"
    return None if boost is None else boost == "1"


def _load_average() -> float | None:
    """Over the last minute."""
    with contextlib.suppress(AttributeError, OSError):
        return os.getloadavg()[0]
    return None


def _cores(system: Path) -> int | None:
    """Physical cores: processors that share one name the same processors."""
    shared = {_text(path) for path in system.glob("cpu[0-9]*/topology/core_cpus_list")}
    return len(shared - {None}) or None


def _memory_bytes(path: Path) -> int | None:
    lines = dict(line.split(":", 1) for line in (_text(path) or "").splitlines() if ":" in line)
    with contextlib.suppress(KeyError, ValueError):
        return 1024 * int(lines["MemTotal"].removesuffix("kB"))
    return None
