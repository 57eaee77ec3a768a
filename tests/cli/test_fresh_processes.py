"""What is published was timed in several processes, from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Point
from amp_tuner.results.event_log import read_events
from amp_tuner.results.points import read_point
from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files


def converted(run: Path) -> list[Point]:
    """The points that run in 16 bits."""
    points = [read_point(path) for path in (run / "pareto").glob("[0-9]*.yaml")]
    return [point for point in points if point.setting.data_type != FLOAT32]


def processes_told(run: Path) -> set[int]:
    events = read_events(RunFolder(run).events)
    return {event["process"] for event in events if event.get("phase") == "repeating"}


@pytest.mark.all_only
def test_points_say_in_which_processes_they_were_timed_and_a_later_run_adds_some(
    amp_tune: Command, small: Files, tmp_path: Path
) -> None:
    plain = small_study.study(small.model, small.data, search={"trials": 5})
    plain["measure"]["processes"] = 2
    path, run = small_study.write_study(tmp_path, plain), tmp_path / "run"
    assert amp_tune("--config", path).code == 0
    first = converted(run)
    assert {len(point.processes) for point in first} == {2}
    assert processes_told(run) == {2}

    plain["measure"]["processes"] = 3
    assert amp_tune("--config", small_study.write_study(tmp_path, plain)).code == 0
    again = {point.number: point for point in converted(run)}
    for point in first:
        if point.number in again:
            assert again[point.number].processes[:2] == point.processes
    for point in again.values():
        assert len(point.processes) == 3
        assert point.speedup is not None
        assert min(point.processes) <= point.speedup.value <= max(point.processes)
    assert processes_told(run) == {2, 3}
