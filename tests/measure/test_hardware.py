from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from amp_tuner.measure.hardware import hardware_facts
from tests.measure.machines import machine

CPU_INFO = """processor\t: 0
model name\t: Imaginary 9000
flags\t\t: fpu avx2 f16c avx512f hypervisor amx_bf16

processor\t: 1
model name\t: Other
"""


def test_facts_of_this_machine_are_flat_and_travel_as_json() -> None:
    facts = hardware_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["python"] == platform.python_version()
    assert facts["memory_bytes"]
    assert facts["usable_threads"]


def test_a_machine_that_tells_nothing_gives_the_same_keys(tmp_path: Path) -> None:
    facts = hardware_facts(tmp_path)
    assert facts.keys() == hardware_facts().keys()
    assert facts["governor"] is facts["turbo"] is facts["cpu_limit"] is None
    assert facts["cpu_flags"] == ""


def test_pinned_processes_have_the_threads_of_their_cores() -> None:
    facts = hardware_facts(cores=(0, 1, 5))
    assert (facts["pinned_to_cores"], facts["usable_threads"]) == ("0-1,5", 3)
    assert hardware_facts()["pinned_to_cores"] is None


def test_the_cpu_and_its_flags_of_interest_are_read(tmp_path: Path) -> None:
    facts = hardware_facts(machine(tmp_path, {"proc/cpuinfo": CPU_INFO}))
    assert facts["cpu"] == "Imaginary 9000"
    assert facts["cpu_flags"] == "avx2 f16c avx512f amx_bf16"
    assert facts["virtual"] is True


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "0\n", True),
        ("intel_pstate/no_turbo", "1\n", False),
        ("cpufreq/boost", "1\n", True),
        ("cpufreq/boost", "0\n", False),
    ],
)
def test_turbo_is_read_from_either_driver(
    tmp_path: Path, file: str, text: str, turbo: bool
) -> None:
    root = machine(tmp_path, {f"sys/devices/system/cpu/{file}": text})
    assert hardware_facts(root)["turbo"] is turbo


@pytest.mark.parametrize(
    ("text", "limit"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("\x00broken", None)]
)
def test_the_limit_of_a_container_is_read(tmp_path: Path, text: str, limit: float | None) -> None:
    root = machine(tmp_path, {"sys/fs/cgroup/cpu.max": text})
    assert hardware_facts(root)["cpu_limit"] == limit
