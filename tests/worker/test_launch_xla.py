"""Interpreters that cannot be a runner's; no JAX is needed for these."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from amp_tuner.errors import TargetError
from amp_tuner.worker.launch import launch_xla
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.xla_client import XlaClient


def start(python: str, scratch: Path) -> XlaClient:
    return launch_xla(
        python,
        threads=Threads(),
        tf32=False,
        worker_memory_bytes=2**31,
        scratch=scratch,
        timeout_s=60,
    )


def test_an_interpreter_without_jax_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"{sys.executable} has no JAX .*; allowed: jax and jaxl"):
        start(sys.executable, tmp_path)


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such interpreter: /no/python"):
        start("/no/python", tmp_path)
