"""``amp-tune report``: of one study, of several, and what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.report import studies


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return studies.write_folder(tmp_path / "run one", trials=6)


def test_a_study_that_ended_has_a_report(finished: Path) -> None:
    page = (finished / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h1>small</h1>" in page
    assert "This folder does not hold the graph" not in page
    assert stat.S_IMODE((finished / "run" / "report.html").stat().st_mode) == 0o600


def test_it_is_written_again_where_it_was_or_elsewhere(
    amp_tune: Command, run: Path, tmp_path: Path
) -> None:
    ended = amp_tune("report", run)
    assert (ended.code, ended.out) == (0, f"{run / 'report.html'}: the report\n")
    other = tmp_path / "for_others.html"
    assert amp_tune("report", run, "--output", other).code == 0
    assert other.read_bytes() == (run / "report.html").read_bytes()


def test_several_studies_are_one_page(
    amp_tune: Command, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = studies.write_folder(tmp_path / "second", trials=6)
    monkeypatch.chdir(tmp_path)
    assert amp_tune("report", run, second).code == 0
    assert "2 studies side by side" in (tmp_path / "reports.html").read_text(encoding="utf-8")
    assert not (run / "report.html").exists()


def test_every_folder_without_a_finished_study_is_named(
    amp_tune: Command, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    ended = amp_tune("report", run, tmp_path / "empty", tmp_path / "none")
    assert ended.code == 2
    assert ended.err.startswith("amp-tune: 2 problems\n")
    assert ended.err.count("holds no finished study (no pareto/front.yaml)") == 2
    assert not (run / "report.html").exists()
