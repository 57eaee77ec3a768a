"""ITEX's environment as tests use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import interpreter
from tests.instructions import HAS_AVX512

#: Its BF16 kernels end the process on other CPUs; what only rewrites graphs runs everywhere.
runs_bfloat16 = pytest.mark.skipif(
    not HAS_AVX512,
    reason="NOT TESTED: ITEX's BF16 kernels need AVX-512",
)


def without_bfloat16(folder: Path) -> Path:
    """An interpreter under which oneDNN takes this CPU for one without 16-bit units."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexport ONEDNN_MAX_CPU_ISA=AVX2\nexec {interpreter("itex")} "$@"\n')
    path.chmod(0o755)
    return path
