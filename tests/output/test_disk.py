"""What an output folder takes, and what may pile up in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amp_tuner.files import tree_bytes, write_text
from amp_tuner.output.disk import DiskUse, keep_words, room_bytes
from amp_tuner.output.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_every_file_counts_trials_and_scratch_included(folder: RunFolder) -> None:
    write_text(folder.trial(0), "x" * 1000)
    write_text(folder.work / "worker" / "outputs.npz", "x" * 500)
    use = DiskUse(folder, limit_bytes=10_000)
    assert use.bytes() == tree_bytes(folder.root) == 1500
    write_text(folder.trial(1), "x" * 2000)
    use.wrote_trial(1)
    assert use.bytes() == tree_bytes(folder.root) == 3500
    (folder.work / "worker" / "outputs.npz").unlink()
    assert use.bytes() == 3000


def test_there_is_room_for_so_many_measurements_of_twice_the_largest(folder: RunFolder) -> None:
    for number, size in enumerate((100, 1000, 400)):
        write_text(folder.trial(number), "x" * size)
    use = DiskUse(folder, limit_bytes=10_000)
    # A tenth of the limit is for what else is written.
    assert use.has_room_for((9000 - 1500) // 2000)
    assert not use.has_room_for((9000 - 1500) // 2000 + 1)


def test_what_a_link_points_to_does_not_count(folder: RunFolder, tmp_path: Path) -> None:
    write_text(tmp_path / "package" / "large.py", "x" * 10_000)
    folder.work.mkdir(parents=True)
    (folder.work / "import").symlink_to(tmp_path / "package")
    assert tree_bytes(folder.root) < 1000


def test_a_worker_gets_what_is_left_and_never_less_than_a_tenth() -> None:
    assert room_bytes(1000, used_bytes=300) == 700
    assert room_bytes(1000, used_bytes=990) == pytest.approx(100, abs=1)


def test_only_the_newest_last_words_are_kept(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amp_tuner.output.disk.KEPT_WORDS", 3)
    for number in range(5):
        keep_words(folder, f"{number:04d}", f"words of {number}")
        os.utime(folder.failures / f"{number:04d}.log", (number, number))
    keep_words(folder, "0005", "")
    assert {path.name for path in folder.failures.iterdir()} == {
        "0002.log",
        "0003.log",
        "0004.log",
    }
    assert (folder.failures / "0004.log").read_text() == "words of 4"
