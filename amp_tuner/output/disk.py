"""How much of the disk an output folder takes, and the bounds of what may pile up in it."""

from __future__ import annotations

from amp_tuner.files import size_bytes, tree_bytes, write_text
from amp_tuner.output.folder import RunFolder

#: This share of the limit is for measurements; the rest is for what else is written.
MEASURED_SHARE = 0.9
#: So many failed trials' last words are kept, the newest.
KEPT_WORDS = 1000


def room_bytes(limit_bytes: int, used_bytes: int) -> int:
    """What a worker may write, so that the folder stays within its limit."""
    return int(max((1 - MEASURED_SHARE) * limit_bytes, limit_bytes - used_bytes))


class DiskUse:
    """The bytes of an output folder, held against its limit.

    The trials' files are looked at once: each stays as it was written, and a long study has
    thousands of them.
    """

    def __init__(self, folder: RunFolder, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._trials_bytes = tree_bytes(folder.trials)
        self._largest_bytes = max(map(size_bytes, folder.trials.glob("*")), default=0)

    def wrote_trial(self, number: int) -> None:
        """Counts a trial's file that was just written for the first time."""
        written_bytes = size_bytes(self._folder.trial(number))
        self._trials_bytes += written_bytes
        self._largest_bytes = max(self._largest_bytes, written_bytes)

    def bytes(self) -> int:
        """All files, the workers' scratch included."""
        return self._trials_bytes + tree_bytes(self._folder.root, but=self._folder.trials)

    def fits(self, size_bytes: int) -> bool:
        """Whether a file of that size may be added once nothing more is measured."""
        return self.bytes() + size_bytes <= self._limit_bytes

    def has_room_for(self, measurements: int) -> bool:
        """Whether so many more fit, each of twice the size of the largest trial."""
        wanted_bytes = measurements * 2 * self._largest_bytes
        return self.bytes() + wanted_bytes <= MEASURED_SHARE * self._limit_bytes


def keep_words(folder: RunFolder, name: str, words: str) -> None:
    """Keeps a failure's last words as ``failures/NAME.log``, and only the newest of all."""
    if not words:
        return
    write_text(folder.failures / f"{name}.log", words)
    kept = sorted(folder.failures.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    for path in kept[:-KEPT_WORDS]:
        path.unlink()
