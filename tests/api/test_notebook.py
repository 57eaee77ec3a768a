"""The notebook in ``docs/``: kept without outputs, and run as a reader runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from amp_tuner import read_result
from tests.configs.ready import ROOT, made, smaller

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def outputs(cell: Any, kind: str) -> str:
    """What a cell printed, or showed as a type of text."""
    if kind == "stream":
        return "".join(one.get("text", "") for one in cell.outputs)
    return "".join(one.get("data", {}).get(kind, "") for one in cell.outputs)


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 3
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the notebook, in a project of its own with the study that it reads."""
    made("flight_delays")
    configs = tmp_path / "configs"
    for path in (configs, tmp_path / "docs"):
        path.mkdir()
    smaller("quickstart", configs, samples=20_000).rename(configs / "quickstart.yaml")
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path / "docs"


@pytest.mark.all_only
@pytest.mark.timeout(900)
def test_it_runs_from_the_first_cell_to_the_last(folder: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    cells = {cell.id: cell for cell in notebook.cells}
    result = read_result(folder / "tutorial")
    assert result.best is not None
    assert outputs(cells["tune"], "text/html") == result._repr_html_()
    assert "trial 0: COMPLETE\n" in outputs(cells["tune"], "stream")
    assert outputs(cells["points"], "stream").count(", accuracy ") == len(result)
    assert "<table" in outputs(cells["trials"], "text/html")
    assert outputs(cells["read"], "stream") == f"{result}\n"
    assert (folder / "tutorial-model" / "saved_model.pb").is_file()
    saved = folder / "tutorial.env"
    assert outputs(cells["deploy"], "stream") == f"{saved.read_text()}\n"
    assert saved.read_text() == (folder / "tutorial" / "best.env").read_text()
    subprocess.run(["sh", "-eu", "-c", ". ./tutorial.env"], cwd=folder, check=True, timeout=60)
