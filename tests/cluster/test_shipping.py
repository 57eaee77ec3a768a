from __future__ import annotations

import dataclasses
import io
import os
import tempfile
import zipfile
from pathlib import Path

import pytest
import yaml

from amp_tuner.cluster.shipping import packed, unpacked
from amp_tuner.config.load import check_study, load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.files import digest


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study of a folder as its model, with a function; machines unpack beside it."""
    for name, text in {"m/a/graph": "model", "d.npz": "data", "mine.py": "import os"}.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    plain = {"name": "n", "model": {"path": "m"}, "data": {"path": "d.npz"}}
    path = tmp_path / "here" / "study.yaml"
    path.write_text(yaml.safe_dump(plain))
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    return load_study(path)


def test_another_machine_has_the_same_study(study: StudyConfig, tmp_path: Path) -> None:
    with unpacked(packed(study)) as told:
        there = check_study(told["config"], Path(told["study_file"]))
        assert there.model.path.is_relative_to(tmp_path / "there")
        assert there.data.path is not None
        assert study.data.path is not None
        assert digest(there.model.path) == digest(study.model.path)
        assert digest(there.data.path) == digest(study.data.path)
        assert (there.folder / "mine.py").read_text() == "import os"
        assert there.identity() == study.identity()
        assert there.output.is_relative_to(tmp_path / "there")


def test_equal_files_are_one_shipment_whenever_they_were_written(study: StudyConfig) -> None:
    first = packed(study)
    graph = study.model.path / "a" / "graph"
    os.utime(graph, (1, 1))
    assert packed(study) == first
    graph.write_text("another model")
    assert packed(study).name != first.name


def test_empty_folders_are_shipped(study: StudyConfig) -> None:
    (study.model.path / "variables").mkdir()
    with unpacked(packed(study)) as told:
        assert Path(told["config"]["model"]["path"], "variables").is_dir()


def test_nothing_is_written_outside_of_the_folder(study: StudyConfig, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../outside", "escaped")
    with unpacked(dataclasses.replace(packed(study), archive=buffer.getvalue())):
        assert [path.read_text() for path in (tmp_path / "there").rglob("outside")] == ["escaped"]
    assert not list(tmp_path.rglob("outside"))


def test_a_machine_unpacks_it_once_and_keeps_nothing(study: StudyConfig, tmp_path: Path) -> None:
    shipment = packed(study)
    assert packed(study).name == shipment.name
    with unpacked(shipment) as one:
        model = Path(one["config"]["model"]["path"])
        made = model.stat().st_ino
        with unpacked(shipment) as other:
            assert other == one
            assert model.stat().st_ino == made
        assert model.is_dir()
    assert not model.exists()
    assert [path.suffix for path in (tmp_path / "there").iterdir()] == [".lock"]


def test_what_is_unpacked_is_the_users_alone(study: StudyConfig) -> None:
    with unpacked(packed(study)) as told:
        model = Path(told["config"]["model"]["path"])
        assert model.parents[1].stat().st_mode & 0o077 == 0
