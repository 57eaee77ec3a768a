"""Interpreters that cannot be a runner's; no JAX is needed for these."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amp_tuner.errors import TargetError
from tests.conftest import started_xla


def test_an_interpreter_without_jax_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        TargetError, match=f"{sys.executable} has no JAX .*; allowed: 0\\.6\\.2 or n"
    ):
        started_xla(tmp_path, python=sys.executable)


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such interpreter: /no/python"):
        started_xla(tmp_path, python="/no/python")
