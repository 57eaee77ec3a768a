"""A disk that fills up while a study runs: what was there stays, and the same command goes on."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from amp_tuner.results.event_log import Event, EventLog
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files

#: A busy machine times for long, and every block is kept.
SIZE_BYTES = 16 * 2**20


@pytest.fixture
def mount() -> Iterator[Callable[[Path], Path]]:
    """Mounts file systems of 16 MiB."""
    mounted: list[Path] = []

    def mount_small_disk(folder: Path) -> Path:
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            pytest.skip("this user cannot mount a small file system")
        mounted.append(folder)
        return folder

    yield mount_small_disk
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path, left_bytes: int = 0) -> None:
    """Leaves so much space; the ballast can be removed."""
    size = shutil.disk_usage(disk).free - left_bytes
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        ballast.write(b"\0" * size)


@contextlib.contextmanager
def while_a_trial_runs(trouble: Callable[[], None]) -> Iterator[None]:
    """Makes trouble once the log says that the second setting is being measured.

    The study waits for it: beside a study that goes on, a file could be there for a moment, and
    what the disk is filled with would leave its room free.
    """
    write, measuring = EventLog.write, 0

    def watched(log: EventLog, event: str, *facts: Event, **options: bool) -> None:
        nonlocal measuring
        write(log, event, *facts, **options)
        if event == "measuring":
            measuring += 1
            if measuring == 2:
                trouble()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventLog, "write", watched)
        yield
    assert measuring >= 2, "there was no trouble"


@pytest.mark.parametrize(
    ("full", "moment"),
    [
        ("disk", "from the start"),
        pytest.param("disk", "while a trial runs", marks=pytest.mark.all_only),
        pytest.param("disk/run/work", "while a trial runs", marks=pytest.mark.all_only),
    ],
    ids=["at once", "later", "outputs only"],
)
def test_a_full_disk_ends_the_run_and_costs_nothing(
    quick: Command,
    small: Files,
    mount: Callable[[Path], Path],
    tmp_path: Path,
    full: str,
    moment: str,
) -> None:
    run, disk = tmp_path / "disk" / "run", mount(tmp_path / full)
    plain = small_study.study(small.model, small.data, output=str(run))
    path = small_study.write_study(tmp_path, plain)

    if moment == "from the start":
        fill(disk, left_bytes=8 * 1024)
        ended = quick("--config", path)
    else:
        with while_a_trial_runs(partial(fill, disk)):
            ended = quick("--config", path)
    assert ended.code == 2
    assert f"$.output: cannot write to {run}: No space left on device" in ended.err
    before = {trial: trial.read_bytes() for trial in (run / "trials").glob("*.json")}
    assert bool(before) == (moment == "while a trial runs")
    assert {json.loads(content)["trial"]["state"] for content in before.values()} <= {"COMPLETE"}
    assert not [path for path in run.rglob(".*") if path.is_file()], "half a file was left"

    (disk / "ballast").unlink()
    assert quick("--config", path).code == 0
    assert {trial: trial.read_bytes() for trial in before} == before
    table: Any = pd.read_csv(run / "trials.csv")
    assert set(table["state"]) == {"COMPLETE"}
    assert small_study.proposed_and_measured(table) == 10
