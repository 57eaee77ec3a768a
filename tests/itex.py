"""ITEX's environment as tests use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.measure.hardware import hardware_facts
from tests.environments import interpreter

#: Its BF16 kernels end the process on other CPUs; what only rewrites graphs runs everywhere.
runs_bfloat16 = pytest.mark.skipif(
    "avx512bw" not in str(hardware_facts()["cpu_flags"]),
    reason="NOT TESTED: ITEX's BF16 kernels need AVX-512",
)


def without_bfloat16(folder: Path) -> Path:
    """An interpreter under which oneDNN takes this CPU for one without 16-bit units."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexport ONEDNN_MAX_CPU_ISA=AVX2\nexec {interpreter("itex")} "$@"\n')
    path.chmod(0o755)
    return path
