"""What a study may still use, and what the search for lists may use of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from amp_tuner.output.clock import Clock
from amp_tuner.output.disk import DiskUse
from amp_tuner.output.folder import RunFolder
from amp_tuner.study.budget import Budget
from amp_tuner.study.ended import EndedTrials
from tests.study.test_publishing import DEFAULT, FAST, FASTER, float32_trials, session


def budget_after(
    folder: Path,
    spent_s: float,
    *,
    start_s: float = 0.0,
    measure: dict[str, Any] | None = None,
    **search: Any,
) -> Budget:
    """Of a study in which five trials were measured, whose workers took so long to start."""
    opened = session(folder, search=search, measure=measure or {})
    opened.bench.start_s = start_s
    ended = EndedTrials(opened, RunFolder(folder))
    clock = cast("Clock", SimpleNamespace(spent_s=lambda: spent_s))
    for trial in (*float32_trials().values(), DEFAULT, FAST, FASTER):
        ended.add(trial)
    return Budget(opened, ended, clock, cast("DiskUse", None))


def test_a_share_of_the_trials_is_rounded_up(tmp_path: Path) -> None:
    budget = budget_after(tmp_path, 0.0, trials=11)
    assert (budget.trials_left(), budget.trials_left(0.5)) == (6, 1)
    assert budget.no_trials(0.5) is None


def test_a_share_ends_before_the_whole_and_says_so(tmp_path: Path) -> None:
    budget = budget_after(tmp_path, 60.0, trials=10, time_budget="100s")
    assert budget.no_trials(0.5) == "5 of 10 trials are measured"
    assert budget.no_time(0.5) == "50 % of the time budget (100s) are used up"
    assert budget.no_trials() is None
    assert budget.no_time() is None


def test_all_of_it_ends_as_ever(tmp_path: Path) -> None:
    budget = budget_after(tmp_path, 120.0, trials=5, time_budget="100s")
    assert budget.no_trials() == "all 5 trials are measured"
    assert budget.no_time() == "the time budget (100s) is used up"


def test_time_is_kept_for_the_processes_in_which_the_front_is_timed(tmp_path: Path) -> None:
    reserved_s = {}
    for processes in (1, 3):
        measure = {"processes": processes, "max_seconds": 0.25}
        budget = budget_after(tmp_path, 0.0, start_s=7.0, measure=measure)
        reserved_s[processes] = budget.confirmation_s(4)
    # Two more starts, and in each what the four members take beyond their timing.
    beyond_s = 4 * (budget.typical_s() - 0.25)
    assert beyond_s > 0
    assert reserved_s[3] == reserved_s[1] + 2 * (7.0 + beyond_s)
    assert budget.confirmation_s(0) == 0
