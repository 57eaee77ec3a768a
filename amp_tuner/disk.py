"""How much of the disk an output folder takes, and the bounds of what may pile up in it."""

from __future__ import annotations

import os
from pathlib import Path

from amp_tuner.files import write_text
from amp_tuner.folder import RunFolder

#: The search ends when the folder holds this share of the limit: the rest is a worker's to use.
SEARCH_SHARE = 0.9
#: So many failed trials' last words are kept, the newest.
KEPT_WORDS = 1000


def tree_bytes(root: Path, but: Path | None = None) -> int:
    """Bytes of the files below a folder; one folder (``but``) may be left out.

    What vanishes meanwhile counts for nothing; links are not followed.
    """
    total = 0
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if Path(folder, name) != but]
        total += sum(_size_bytes(Path(folder, name)) for name in files)
    return total


def _size_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def room_bytes(limit_bytes: int, used_bytes: int) -> int:
    """What a worker may write, so that the folder stays within its limit."""
    return int(max((1 - SEARCH_SHARE) * limit_bytes, limit_bytes - used_bytes))


class DiskUse:
    """The bytes of an output folder.

    The trials' files are looked at once: each stays as it was written, and a long study has
    thousands of them.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._trials_bytes = tree_bytes(folder.trials)

    def wrote_trial(self, number: int) -> None:
        """Counts a trial's file that was just written for the first time."""
        self._trials_bytes += self._folder.trial(number).stat().st_size

    def bytes(self) -> int:
        """All files, the workers' scratch included."""
        return self._trials_bytes + tree_bytes(self._folder.root, but=self._folder.trials)


def keep_words(folder: RunFolder, name: str, words: str) -> None:
    """Keeps a failure's last words as ``failures/NAME.log``, and only the newest of all."""
    if not words:
        return
    write_text(folder.failures / f"{name}.log", words)
    kept = sorted(folder.failures.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    for path in kept[:-KEPT_WORDS]:
        path.unlink()
