"""A finished folder as a program reads it: the files' names and values."""

from __future__ import annotations

import html
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from amp_tuner import InputError, StudyResult, read_result
from amp_tuner.results.points import read_lists
from tests.report import studies


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return read_result(studies.write_folder(tmp_path_factory.mktemp("results") / "run"))


def test_points_are_those_of_the_front_file_in_its_order(result: StudyResult) -> None:
    listed = yaml.safe_load((result.folder / "pareto" / "front.yaml").read_text())
    assert [point.number for point in result] == [entry["number"] for entry in listed["points"]]
    assert len(result) == len(result.points) > 2
    members = [entry["number"] for entry in listed["points"] if entry["member"]]
    assert [point.number for point in result.front] == members
    for name in ("best", "knee", "fastest", "safest"):
        assert getattr(result, name).number == listed[name]


def test_a_point_has_the_names_and_values_of_its_file(result: StudyResult) -> None:
    for point in result:
        path = result.folder / "pareto" / f"{point.number:03d}.yaml"
        written = yaml.safe_load(path.read_text())
        assert point.to_dict() == written
        nested = {"format", "speedup", "accuracy", "lists", "tied_with", "notices"}
        for key in written.keys() - nested:
            assert getattr(point, key) == written[key], key
        assert point.lists.to_json() == written["lists"]
        assert point.accuracy.score.value == written["accuracy"]["value"]


def test_the_baseline_is_float32(result: StudyResult) -> None:
    assert result.baseline is not None
    assert (result.baseline.data_type, result.baseline.moves) == ("float32", {})
    assert result.baseline.environment == {}


def test_a_result_reads_as_its_conclusion(result: StudyResult) -> None:
    assert result.best is not None
    assert str(result) == result.conclusion
    assert str(result).startswith(f"Best is trial {result.best.number}: float16 with ")
    assert html.unescape(result._repr_html_()) == f"<p>{result.conclusion}</p>"
    assert repr(result).startswith("StudyResult(folder=")
    assert len(repr(result)) < 1000


def test_what_a_notebook_shows_is_no_markup_of_a_names(tmp_path: Path) -> None:
    folder = studies.write_folder(tmp_path / "run", modelled_for="<b>T4</b>")
    shown = read_result(folder)._repr_html_()
    assert "modelled for &lt;b&gt;T4&lt;/b&gt;, not measured" in shown


def test_the_table_has_a_row_for_every_trial(result: StudyResult) -> None:
    table = result.to_pandas()
    assert list(table["number"]) == [trial.number for trial in result.trials] == list(range(24))
    assert table["cause"].notna().sum() == sum(trial.state == "FAIL" for trial in result.trials) > 0


@pytest.mark.parametrize("form", ["yaml", "env", "python", "docker", "kubernetes"])
def test_a_point_is_saved_in_the_forms_of_export(
    result: StudyResult, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "saved"
    result.knee.save(path, form)
    assert path.read_text() == result.knee.text(form)
    assert str(result.knee.number) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_a_saved_point_is_a_file_of_lists(result: StudyResult, tmp_path: Path) -> None:
    result.knee.save(str(tmp_path / "knee.yaml"))
    assert read_lists(tmp_path / "knee.yaml").moves == result.knee.moves


def test_an_unknown_form_is_refused_with_those_that_are(result: StudyResult) -> None:
    with pytest.raises(InputError, match="form: found 'toml'; allowed: yaml, env, python"):
        result.knee.text("toml")


def test_a_folder_without_a_finished_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished study"):
        read_result(tmp_path)


def test_no_best_and_no_new_path_are_refused_before_anything_is_baked(tmp_path: Path) -> None:
    folder = studies.write_folder(tmp_path / "run")
    result = read_result(folder)
    with pytest.raises(InputError, match="run exists; name a new path"):
        result.bake(folder, result.knee)
    without = replace(result, best=None)
    with pytest.raises(InputError, match="point: no setting certainly meets the accuracy goal"):
        without.bake(tmp_path / "baked")
