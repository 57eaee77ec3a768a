from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.report.runs_page import Outcome, runs_page
from amp_tuner.report.study_folder import read_study
from tests.report import studies
from tests.report.html_text import Page

BOATS = {"name": "boats", "accuracy": {"metric": "sqnr", "goal": {"min": 40}}}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("runs")
    first = studies.write_folder(folder / "first")
    second = studies.write_folder(
        folder / "second", trials=9, config=BOATS, hardware={"cpu": "Other"}
    )
    return Page(runs_page([read_study(first), read_study(second)]))


def test_each_study_has_a_row_a_conclusion_and_a_front(page: Page) -> None:
    assert "flights (first)" in page.text
    assert "boats (second)" in page.text
    assert page.text.count("Best is trial") == 2
    assert {one["id"] for one in page.data["charts"]} == {"front-0", "front-1"}
    assert "Imaginary 9000" in page.text
    assert "Other" in page.text


def test_unequal_metrics_have_axes_of_their_own_but_speed_ups_share_one(page: Page) -> None:
    first, second = (page.data["specs"][name] for name in ("0", "1"))
    titles = [[axis.get("title") for axis in spec["axes"]] for spec in (first, second)]
    assert "loss of agreement against FP32, %" in titles[0]
    assert "sqnr" in titles[1]
    spans = [
        next(scale["domain"] for scale in spec["scales"] if scale["name"] == "x")
        for spec in (first, second)
    ]
    assert spans[0] == spans[1]
    shown = [row for one in page.data["charts"] for row in one["rows"]["trials"]]
    assert spans[0][1] == max(row["x1"] for row in shown if row["layer"] == "front")


def test_the_library_is_there_once(page: Page) -> None:
    assert page.source.count("window.vegaEmbed=") == 1
    assert page.allowed_scripts() == page.script_digests()


FAILED = Outcome("boats & <b>", "", "failed", "6.1 s", "$.model.path: <gone>")
ENDED = Outcome("flights", "../first/report%20one.html", "ended", "40 s of 2 min 00 s", "")


def test_of_a_batch_every_study_has_its_outcome_those_without_figures_too(tmp_path: Path) -> None:
    study = read_study(studies.write_folder(tmp_path / "first", trials=6))
    page = Page(runs_page([study], [FAILED, ENDED]))
    assert "A batch of 2 studies: 1 failed, 1 ended" in page.text
    assert "boats & <b> failed 6.1 s $.model.path: <gone>" in page.text
    assert "ended 40 s of 2 min 00 s" in page.text
    assert [facts["href"] for tag, facts in page.tags if tag == "a"] == [ENDED.report]
    assert page.allowed_scripts() == page.script_digests()


def test_a_batch_without_any_figures_has_a_page() -> None:
    page = Page(runs_page([], [FAILED]))
    assert "A batch of 1 study: 1 failed" in page.text
    assert "Fronts" not in page.text
    assert page.data["charts"] == []
