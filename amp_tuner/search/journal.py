"""Optuna's journal in one file with one writer: many entries, few writes.

A proposal is some thirty entries, one for each parameter; Optuna's own file backend locks, writes
and flushes to the disk for each. Here they are gathered until :meth:`Journal.flush`, which is one
write and one fsync. A kill before it loses a proposal that nobody has begun; a kill in the middle
leaves a torn last line, which is cut off when the journal is opened again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from amp_tuner.output.lines import LineFile
from amp_tuner.search.storage import StudyStorage, readable


class Journal(BaseJournalBackend):
    """The entries of one study, for the holder of the output folder's lock.

    Args:
        path: the file; the format is that of Optuna's ``JournalFileBackend``, which can read it.

    Attributes:
        cut_bytes: how much of a torn line was cut off.
    """

    def __init__(self, path: Path) -> None:
        # A dead writer's lock, of Optuna's own file backend.
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
        self._path = path
        self._file = LineFile(path)
        self.cut_bytes = self._file.cut_bytes
        self._waiting: list[str] = []
        #: Added, and not yet read back.
        self._unread: list[dict[str, Any]] = []
        self._replayed = False
        self._lock = threading.Lock()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """The entries that were not read yet: first those of the file, later what was added."""
        if not self._replayed:
            self._replayed = True
            with self._path.open("rb") as file:
                yield from map(json.loads, file)
            return
        with self._lock:
            unread, self._unread = self._unread, []
        yield from unread

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds entries; they are on the disk after the next :meth:`flush`."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._lock:
            self._waiting += lines
            # As the file will give them: tuples are lists.
            self._unread += map(json.loads, lines)

    def flush(self) -> None:
        """Writes what was added; when it returns, a power cut loses none of it.

        Raises:
            OSError: the disk is full; the file is as it was, and the next flush tries again.
        """
        with self._lock:
            if self._waiting:
                text = "".join(f"{line}\n" for line in self._waiting)
                self._file.append(text.encode(), durable=True)
                self._waiting.clear()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class OneWriterStorage(JournalStorage, StudyStorage):
    """Optuna's storage on a journal that nobody else writes to.

    Before each proposal Optuna looks for waiting trials among all: 5 ms of ten thousand. Who writes
    alone knows whether there are any.

    Args:
        path: the journal's.

    Raises:
        InputError: it is no journal of Optuna's.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._journal = Journal(path)
        self.cut_bytes = self._journal.cut_bytes
        with readable(self.where):
            super().__init__(self._journal)

    def refresh(self) -> list[FrozenTrial]:
        """Nothing: nobody else writes."""
        return []

    def take(self, trial_id: int) -> None:
        """Every trial is this tuner's."""

    def flush(self) -> None:
        """Writes what was added."""
        self._journal.flush()

    def close(self) -> None:
        """Closes the journal."""
        self._journal.close()

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As Optuna's, but that waiting trials are not looked for where there are none."""
        if states == (TrialState.WAITING,) and not self.may_wait:
            return []
        return super().get_all_trials(study_id, deepcopy, states)
