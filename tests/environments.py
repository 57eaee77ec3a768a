"""Interpreters of older targets, which ``make environments`` makes."""

from __future__ import annotations

from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[1] / ".environments"


def interpreter(name: str) -> Path:
    """The interpreter of an environment; skips the test, with the reason, where there is none."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"`make environments` found no interpreter for {name}")
    return python
