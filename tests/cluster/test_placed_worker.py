"""What an actor does with its worker's process, without Ray."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from amp_tuner.cluster.placed_worker import RESTARTS, PlacedWorker

#: Notes that it ran; then ends as told, the first of the ways that are left.
_WAYS = """
import os, signal, sys
from pathlib import Path
sys.stdin.read()
runs = Path(sys.argv[1])
count = len(runs.read_text()) if runs.exists() else 0
runs.write_text("x" * (count + 1))
way = sys.argv[2:][min(count, len(sys.argv) - 3)]
if way == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(way))
"""


class Made(PlacedWorker):
    """Its process ends in these ways, one after the other."""

    def __init__(self, runs: Path, *ways: str) -> None:
        super().__init__()
        self._words = [sys.executable, "-c", _WAYS, str(runs), *ways]

    def _command(self) -> list[str]:
        return self._words


@pytest.mark.parametrize(
    ("ways", "status", "runs"),
    [
        (("0",), 0, 1),
        (("killed", "0"), 0, 2),
        (("130", "killed", "0"), 0, 3),
        (("2", "0"), 2, 1),
        (("killed",), -9, RESTARTS + 1),
    ],
)
def test_a_worker_that_is_killed_is_started_again(
    ways: tuple[str, ...], status: int, runs: int, tmp_path: Path
) -> None:
    worker = Made(tmp_path / "runs", *ways)
    assert asyncio.run(worker.work(2, {}, None)).status == status
    assert len((tmp_path / "runs").read_text()) == runs


def test_a_worker_that_was_told_to_stop_is_not(tmp_path: Path) -> None:
    worker = Made(tmp_path / "runs", "130", "0")
    asyncio.run(worker.stop())
    assert asyncio.run(worker.work(2, {}, None)).status == 130
