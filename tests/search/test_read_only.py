from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna import load_study
from optuna.storages import JournalStorage

from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.read_only import ReadOnlyJournal
from amp_tuner.search.study import TuningStudy
from tests.search.painted_space import PaintedSpace

LEASE: dict[str, Any] = {"host": "here", "pid": 1, "started": 0.0, "expires": 0.0}


@pytest.fixture
def study(tmp_path: Path) -> TuningStudy:
    storage = OneWriterStorage(tmp_path / "study.journal")
    return TuningStudy(storage, "small", PaintedSpace().space, "random", seed=1)


def test_it_gives_what_is_written_later_but_no_line_that_is_not_whole(
    study: TuningStudy, tmp_path: Path
) -> None:
    path = tmp_path / "study.journal"
    shown = load_study(study_name="small", storage=JournalStorage(ReadOnlyJournal(path)))
    assert shown.trials == []
    study.tell(study.ask(LEASE).number, Objectives(1.5, 0.01, 0.25), {})
    whole = path.read_bytes()
    (trial,) = shown.trials
    assert trial.values == [1.5, 0.01]
    assert trial.system_attrs["constraints"] == [0.25]
    assert trial.user_attrs["accuracy goal"] == "not certainly met"
    assert shown.best_trials == [], "what misses the goal is no best for Optuna either"

    study.tell(study.ask(LEASE).number, Objectives(1.2, 0.01, -0.1), {})
    more = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + more[:-5])
    assert [one.state.name for one in shown.trials] == ["COMPLETE", "RUNNING"]
    path.write_bytes(whole + more)
    assert [one.number for one in shown.best_trials] == [1]
    assert shown.trials[1].user_attrs["accuracy goal"] == "certainly met"
    assert shown.metric_names == ["speed-up", "loss of accuracy"]


def test_it_refuses_to_be_written_to(study: TuningStudy, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    before = path.read_bytes()
    shown = load_study(study_name="small", storage=JournalStorage(ReadOnlyJournal(path)))
    with pytest.raises(PermissionError, match="only read"):
        shown.ask()
    assert path.read_bytes() == before
