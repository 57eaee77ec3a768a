"""Budgets and limits of whole studies: they hold, and what they ended says so."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from amp_tuner.files import tree_bytes
from amp_tuner.records import Trial
from amp_tuner.study.ended import EndedTrials
from tests import small_study
from tests.cli.conftest import Command
from tests.cli.processes import events
from tests.cli.test_full_disk import while_a_trial_runs
from tests.conftest import Files

#: More than there is time or space for.
MANY = 10**6


@pytest.mark.all_only
def test_the_time_budget_bounds_the_wall_clock_to_within_a_trial(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    budget_s, trial_s = 6, 10
    plain = small_study.study(
        small.model,
        small.data,
        search={"trials": MANY, "time_budget": f"{budget_s}s", "sampler": "tpe"},
        measure={"ci_half_width": 0.001},
        limits={"trial_seconds": trial_s, "max_proposals": MANY},
    )
    path = small_study.write_study(tmp_path, plain)
    began = time.monotonic()
    ended = quick("--config", path)
    assert time.monotonic() - began <= budget_s + trial_s
    assert ended.code == 0
    assert f"the time budget ({budget_s}s) is used up" in ended.out
    spent_s = json.loads((tmp_path / "run" / "clock.json").read_text())["spent_s"]
    assert spent_s <= time.monotonic() - began

    # Totals are totals: there is nothing left of the budget.
    before = set((tmp_path / "run" / "trials").iterdir())
    assert quick("--config", path).code == 0
    assert set((tmp_path / "run" / "trials").iterdir()) == before


def test_a_budget_that_fp32_alone_uses_up_says_so_and_ends_with_fp32(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    plain = small_study.study(small.model, small.data, search={"time_budget": "0.1s"})
    ended = quick("--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 0
    assert "the time budget (0.1s) is used up before a 16-bit setting was timed" in ended.out
    assert "FP32 is best on this machine" in ended.out
    front = yaml.safe_load((tmp_path / "run" / "pareto" / "front.yaml").read_text())
    assert front["best"] is not None


@pytest.mark.all_only
def test_the_disk_limit_holds(quick: Command, small: Files, tmp_path: Path) -> None:
    plain = small_study.study(
        small.model,
        small.data,
        search={"trials": MANY},
        # Many short blocks, all of which are kept.
        measure={"ci_half_width": 0.0001, "max_seconds": 0.5, "min_block_ms": 0.1},
        limits={"disk": "2MiB", "max_proposals": MANY},
    )
    path = small_study.write_study(tmp_path, plain)
    for _ in range(2):
        ended = quick("--config", path)
        assert ended.code == 0
        assert "has no room for another trial in 2MiB (limits.disk)" in ended.out
        assert tree_bytes(tmp_path / "run") <= 2 * 2**20


@pytest.mark.all_only
def test_a_folder_that_is_removed_under_its_tuner_is_not_written_to_again(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    with while_a_trial_runs(lambda: run.rename(tmp_path / "gone")):
        ended = quick("--config", path)
    assert ended.code == 2
    assert "the folder was removed or replaced while this tuner was writing to it" in ended.err
    assert not [path for path in run.rglob("*") if path.is_file()]
    assert quick("--config", path).code == 0
    assert len(events(run, "started")) == 1


def test_trials_stay_in_their_files_until_the_search_is_over(
    quick: Command, small: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_study.write_study(tmp_path, small_study.study(small.model, small.data))
    asked: list[bool] = []
    by_number = EndedTrials.by_number

    def watched(self: EndedTrials) -> Mapping[int, Trial]:
        names = [event["event"] for event in events(tmp_path / "run")]
        starts = [place for place, name in enumerate(names) if name in ("started", "resumed")]
        begun = starts[-1] if starts else len(names)
        asked.append("search_ended" in names[begun:])
        found: Mapping[int, Trial] = by_number.__get__(self)
        return found

    monkeypatch.setattr(EndedTrials, "by_number", property(watched))
    # Resumed as well: what an earlier run left is read, and not kept.
    for trials in ("3", "5"):
        asked.clear()
        assert quick("--config", path, "--trials", trials, "--quiet").code == 0
        assert asked
        assert all(asked)
