from __future__ import annotations

import json
import math
import stat
from pathlib import Path

import pytest

from amp_tuner.batch.standing import Standing
from amp_tuner.batch.summary import Summary, found_facts, time_words
from tests.report import studies

WAITING = Standing("/x/one.yaml", "one", "/x/one")


@pytest.mark.parametrize(("shared", "others"), [(True, 0o044), (False, 0)])
def test_the_files_are_handed_on_only_if_they_have_a_named_place(
    tmp_path: Path, shared: bool, others: int
) -> None:
    summary = Summary(tmp_path, math.inf, shared=shared)
    summary.write_data([WAITING], None)
    summary.write_page([WAITING])
    for path in (summary.data, summary.page):
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == others


def test_the_data_are_plain_json_with_a_format(tmp_path: Path) -> None:
    summary = Summary(tmp_path, math.inf, shared=False)
    summary.write_data([WAITING], 130)
    told = json.loads(summary.data.read_text())
    assert (told["format"], told["time_budget_s"], told["exit_code"]) == (1, None, 130)
    assert told["studies"][0]["state"] == "waiting"


def test_what_a_study_found_is_its_best_points_figures(tmp_path: Path) -> None:
    one = Standing("one.yaml", "flights", str(studies.write_folder(tmp_path / "one")))
    summary = Summary(tmp_path / "batch", 60.0, shared=False)
    summary.read(0, one)
    study = summary.found[0]
    assert study.front.best is not None
    best = study.points[study.front.best]
    found = found_facts(study)["best"]
    assert (found["trial"], found["moves"]) == (best.number, best.setting.moves)
    assert best.speedup is not None
    assert found["speedup"]["high"] == best.speedup.high
    assert found["accuracy"]["verdict"] == "meets"


def test_a_study_that_ended_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    run = studies.write_folder(tmp_path / "one", trials=6)
    summary = Summary(tmp_path / "batch", 60.0, shared=False)
    one = Standing("one.yaml", "flights", str(run), state="ended", exit_code=0)
    summary.read(0, one)
    assert summary.cause(0, one) is None
    (run / "pareto" / "front.yaml").write_text("format: 2")
    summary.read(0, one)
    summary.write_data([one], 0)
    (told,) = json.loads(summary.data.read_text())["studies"]
    assert f"{run / 'pareto' / 'front.yaml'}: " in told["cause"]
    assert (told["conclusion"], told["best"]) == (None, None)


def test_a_study_that_waits_has_its_own_cause_alone(tmp_path: Path) -> None:
    summary = Summary(tmp_path, 60.0, shared=False)
    summary.read(0, WAITING)
    assert summary.cause(0, WAITING) is None


def test_time_stands_beside_the_share() -> None:
    assert time_words(WAITING) == "0.0 s"
    one = Standing("one.yaml", "one", "one", spent_s=750, share_s=7200.0)
    assert time_words(one) == "12 min 30 s of 2 h 00 min"
