"""``log.jsonl``: what happened, one JSON object a line, written as it happens.

Each line is one write to the operating system, so a killed tuner loses nothing and leaves at most
one torn line at the end; it is cut off when the log is opened again, and skipped by readers.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from amp_tuner.errors import InputError

FORMAT = 1
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class EventLog:
    """The log of one output folder, open for appending; one writer at a time.

    Args:
        path: the file; made if it is not there, a torn last line is cut off.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, event: str, facts: Mapping[str, Any] = _NOTHING) -> None:
        """Adds one line: format, time (ISO 8601 with offset), ``event``, then ``facts``.

        Raises:
            ValueError: a fact is not JSON (NaN and Inf are not).
            OSError: it cannot be written (a full disk); the log keeps the lines before it.
        """
        head = {"format": FORMAT, "time": datetime.now().astimezone().isoformat(), "event": event}
        line = f"{json.dumps({**head, **facts}, allow_nan=False)}\n".encode()
        size = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, line)
            if written < len(line):
                os.write(self._handle, line[written:])
        except OSError:
            os.ftruncate(self._handle, size)
            raise

    def close(self) -> None:
        """Closes the file; calling it again does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a log, oldest first; a torn last line is left out.

    Raises:
        InputError: a line before the last is not an event, or is of a newer format.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _event(line, f"{path}, line {number}")


def _event(line: bytes, where: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise InputError.one(where, f"not a JSON object: {error}") from error
    if not isinstance(event, dict) or event.get("format") != FORMAT:
        found = event.get("format") if isinstance(event, dict) else line[:40]
        raise InputError.one(where, f"format {found!r} is unknown; this amp-tune reads {FORMAT}")
    return event


def _cut_torn_line(path: Path) -> None:
    """Leaves only whole lines, reading backwards: a log may be long."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 4096)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
