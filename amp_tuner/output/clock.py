"""The time that a study has taken."""

from __future__ import annotations

import time

from amp_tuner.files import write_json
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredClock, read_stored

#: A kill loses at most so many seconds of the total.
_SAVED_EVERY_S = 5.0


class Clock:
    """Wall-clock seconds of all runs of a study, kept in its folder; runs from its making on."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.root / "clock.json"
        self._began = time.monotonic()
        self._before = 0.0
        self._saved_s = 0.0
        if self._path.exists():
            self._before = read_stored(self._path, StoredClock).spent_s

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
