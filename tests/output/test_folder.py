from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder, claim, move_aside, open_folder

STUDY_FILE = Path("study.yaml")
IDENTITY = {"model": {"signature": "serving_default"}, "digests": {"data": "sha256:1"}}


def test_the_same_study_resumes(tmp_path: Path) -> None:
    folder, lock = open_folder(tmp_path / "run")
    assert not claim(folder, IDENTITY, {}, STUDY_FILE)
    lock.release()
    folder, lock = open_folder(tmp_path / "run")
    assert claim(folder, IDENTITY, {}, STUDY_FILE)
    lock.release()


def test_another_study_is_refused_with_every_difference_and_nothing_touched(
    tmp_path: Path,
) -> None:
    folder, lock = open_folder(tmp_path / "run")
    claim(folder, IDENTITY, {}, STUDY_FILE)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    other = {"model": {"signature": "other"}, "digests": {"data": "sha256:2"}}
    with pytest.raises(InputError) as caught:
        claim(folder, other, {}, STUDY_FILE)
    text = str(caught.value)
    assert "$.model.signature" in text
    assert "'serving_default', this one 'other'" in text
    assert "$.digests.data" in text
    assert "--fresh" in text
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    lock.release()


def test_two_tuners_never_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from amp_tuner.output.folder import open_folder\n"
        f"held = open_folder(Path({str(tmp_path / 'run')!r}))\n"
        "print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"another tuner.*pid {other.pid}"):
        open_folder(tmp_path / "run")
    other.kill()
    other.wait()
    _, lock = open_folder(tmp_path / "run")
    lock.release()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"holds no study but other files \(thesis\.tex"):
        open_folder(tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        open_folder(tmp_path / "file" / "run")


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    folder, lock = open_folder(tmp_path / "run")
    folder.identity.write_text(json.dumps({"format": 2, "identity": IDENTITY}))
    with pytest.raises(InputError, match="format 2 is newer"):
        claim(folder, IDENTITY, {}, STUDY_FILE)
    lock.release()


def test_a_fresh_study_moves_the_old_one_aside(tmp_path: Path) -> None:
    for expected in ("run.1", "run.2"):
        folder, lock = open_folder(tmp_path / "run")
        claim(folder, IDENTITY, {}, STUDY_FILE)
        lock.release()
        assert move_aside(tmp_path / "run") == tmp_path / expected
    assert move_aside(tmp_path / "run") is None
    assert RunFolder(tmp_path / "run.1").identity.exists()


def test_a_folder_that_was_replaced_under_its_tuner_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "run"
    _, lock = open_folder(root)
    lock.check()
    shutil.rmtree(root)
    with pytest.raises(InputError, match="removed or replaced while this tuner"):
        lock.check()
    _, other = open_folder(root)
    other.check()
    with pytest.raises(InputError, match="another run may be under way there"):
        lock.check()


def test_half_files_of_a_killed_tuner_are_removed(tmp_path: Path) -> None:
    folder, lock = open_folder(tmp_path / "run")
    claim(folder, IDENTITY, {}, STUDY_FILE)
    lock.release()
    half = [folder.root / ".clock.json.05f1a2b3", folder.trials / ".0003.json.abc01234"]
    kept = [folder.trials / "0002.json", folder.root / ".hidden"]
    for path in (*half, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{")
    open_folder(tmp_path / "run")[1].release()
    assert not [path for path in half if path.exists()]
    assert all(path.exists() for path in kept)
