"""What a study says of how far it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amp_tuner.output.clock import Clock
from amp_tuner.output.disk import DiskUse
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Interval, Setting, Trial
from amp_tuner.study.budget import Budget
from amp_tuner.study.confirming import PATIENCE
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.progress import Progress, ended_facts, progress_of
from tests.study.test_publishing import CRASHED, DEFAULT, FAST, float32_trials, session

SPENT_S = 50.0


def progress_after(folder: Path, *trials: Trial, **search: Any) -> Progress:
    """Of a study of ten trials after these."""
    opened = session(folder, search=search)
    ended = EndedTrials(opened, RunFolder(folder))
    clock = cast("Clock", SimpleNamespace(spent_s=lambda: SPENT_S))
    budget = Budget(opened, ended, clock, cast("DiskUse", None))
    for trial in trials:
        ended.add(trial)
    return progress_of(ended, budget, opened.config, SPENT_S)


def test_before_a_16_bit_setting_was_measured_nothing_is_said_of_the_time_left(
    tmp_path: Path,
) -> None:
    # FP32's trials take no time: it was measured before them.
    found = progress_after(tmp_path, *float32_trials().values())
    assert (found.measured, found.trials, found.left_s) == (2, 10, None)
    assert (found.best, found.best_speedup) == (1, Interval(1.0, 1.0, 1.0))


def test_the_time_left_is_a_typical_trials_for_each_and_the_front_measured_again(
    tmp_path: Path,
) -> None:
    taken = (replace(DEFAULT, seconds=10.0), replace(FAST, seconds=20.0))
    found = progress_after(tmp_path, *float32_trials().values(), *taken)
    assert found.left_s == pytest.approx(15 * (10 - 4) + 2 * PATIENCE * 15)
    assert set(found.front) == {1, 3}


def test_the_time_left_is_never_more_than_the_budgets(tmp_path: Path) -> None:
    found = progress_after(tmp_path, replace(FAST, seconds=1000.0), time_budget="80s")
    assert found.left_s == pytest.approx(80 - SPENT_S)


def test_an_end_is_told_with_its_figures_unless_they_are_another_trials() -> None:
    told = ended_facts(FAST)
    assert told["speedup"] == {"value": 1.3, "low": 1.29, "high": 1.31}
    assert told["accuracy"].keys() >= {"metric", "value", "low", "high", "drop", "verdict"}
    assert "speedup" not in ended_facts(replace(FAST, cached_from=2))
    assert ended_facts(CRASHED)["cause"] == "SIGSEGV"
    untimed = replace(FAST, setting=Setting("float16"), measurement=accuracy_only(FAST))
    assert ended_facts(untimed)["speedup"] is None


def accuracy_only(trial: Trial) -> Any:
    assert trial.measurement is not None
    return replace(trial.measurement, timing=None)
