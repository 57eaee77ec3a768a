"""A study's journal as others may see it: read while it grows, never locked, never written to.

Some of it is put in other words, for optuna-dashboard 0.21: it knows a trial's constraints by the
attribute that Optuna had for them before version 5 (Optuna 5 knows it, too), but does not show in
its list of trials who violates one; and it names objectives that have a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

#: Of Optuna's journal: the numbers of some operations.
_CREATE_STUDY, _SET_STUDY_ATTRIBUTE, _SET_TRIAL_ATTRIBUTE = 0, 3, 8
#: Optuna 5 keeps each constraint under a key of its own, older ones all in one list.
_CONSTRAINT, _CONSTRAINTS = "constraints:", "constraints"
_OBJECTIVES = {"study:metric_names": ["speed-up", "loss of accuracy"]}


class ReadOnlyJournal(BaseJournalBackend):
    """The journal of one study, which a tuner may be writing.

    It follows the file that was opened: a study that is moved aside is still the same one.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """The entries that were written since the last call; a line that is not whole waits."""
        while True:
            start = self._file.tell()
            line = self._file.readline()
            if not line.endswith(b"\n"):
                self._file.seek(start)
                return
            yield from _in_other_words(json.loads(line))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
        """Refuses.

        Raises:
            PermissionError: always.
        """
        raise PermissionError("the study's journal is only read")


def _in_other_words(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    writer = {"worker_id": entry["worker_id"]}
    attributes = entry.get("system_attr", {})
    violations = [value for key, value in attributes.items() if key.startswith(_CONSTRAINT)]
    if violations:
        yield {**entry, "system_attr": {_CONSTRAINTS: violations}}
        met = "certainly met" if max(violations) <= 0 else "not certainly met"
        told = {"trial_id": entry["trial_id"], "user_attr": {"accuracy goal": met}}
        yield {**writer, **told, "op_code": _SET_TRIAL_ATTRIBUTE}
        return
    yield entry
    if entry["op_code"] == _CREATE_STUDY:
        # A journal of ours holds one study, the first.
        named = {"study_id": 0, "system_attr": _OBJECTIVES}
        yield {**writer, **named, "op_code": _SET_STUDY_ATTRIBUTE}
