"""A broken graph takes no more memory than ten times its size, and a little for the allocator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What malloc keeps for itself while hundreds of small graphs come and go: about 4 MiB seen.
FLOOR_BYTES = 32 * 2**20


def uncovered_bytes(cases: int, seed: int) -> int:
    """The largest excess over ten times a case's input; see the module that measures it."""
    command = [sys.executable, "-m", "tests.rewrite.fuzz_memory", str(cases), str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert measured["before"] > FLOOR_BYTES
    return int(measured["uncovered"])


def test_broken_graphs_take_little_memory() -> None:
    assert uncovered_bytes(200, seed=0) < FLOOR_BYTES


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_ten_thousand_broken_graphs_take_little_memory() -> None:
    assert uncovered_bytes(10_000, seed=1) < FLOOR_BYTES
