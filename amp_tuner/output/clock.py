"""The time that a study has taken."""

from __future__ import annotations

import time
from pathlib import Path

from amp_tuner.files import write_json
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredClock, read_stored

#: A kill loses at most so many seconds of the total.
_SAVED_EVERY_S = 5.0


def spent_before_s(folder: RunFolder) -> float | None:
    """Seconds of all runs that a study's folder tells of; None where it does not say.

    Raises:
        InputError: its file is broken or of a newer format.
    """
    path = _file(folder)
    return read_stored(path, StoredClock).spent_s if path.exists() else None


def _file(folder: RunFolder) -> Path:
    return folder.root / "clock.json"


class Clock:
    """Wall-clock seconds of all runs of a study, kept in its folder; runs from its making on."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = _file(folder)
        self._began = time.monotonic()
        self._before = spent_before_s(folder) or 0.0
        self._saved_s = 0.0

    def spent_s(self) -> float:
        """Seconds so far, this run's included."""
        return self._before + time.monotonic() - self._began

    def tick(self) -> None:
        """Writes the total down if that was not done lately."""
        if self.spent_s() - self._saved_s >= _SAVED_EVERY_S:
            self.save()

    def save(self) -> None:
        """Writes the total down, so that a resumed study goes on from it."""
        self._saved_s = self.spent_s()
        write_json(self._path, {"format": 1, "spent_s": self._saved_s})
