"""Interpreters of older targets, which ``make environments`` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[1] / ".environments"
#: TensorFlow 2.15: on the tuner's Python, on the oldest Python.
OLDER = ("tf215", "tf215-py39")


def interpreter(name: str) -> str:
    """The interpreter of an environment; skips the test, with the reason, where there is none."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"NOT TESTED: `make environments` has not made {name}")
    return str(python)
