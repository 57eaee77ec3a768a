"""``log.jsonl``: what happened, one JSON object a line, written as it happens.

A killed tuner loses nothing and leaves at most one torn line at the end; it is cut off when the log
is opened again, and skipped by readers. A log that has grown is put aside (``log.1.jsonl`` is the
newest of those, the oldest goes), so ``tail -F`` follows it and a long study never fills a disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from amp_tuner.errors import InputError
from amp_tuner.output.lines import LineFile

FORMAT = 1
#: A log is put aside before it grows beyond this.
ROTATED_BYTES = 16 * 2**20
#: So many older ones are kept.
KEPT = 3
_NOTHING: Mapping[str, Any] = MappingProxyType({})

Event = Mapping[str, Any]


def nobody(_: Event) -> None:
    """Follows nothing."""


class EventLog:
    """The log of one output folder, open for appending; one writer at a time.

    Args:
        path: the file; made if it is not there, a torn last line is cut off.
        follow: told each event once it is written.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, follow: Callable[[Event], None] = nobody) -> None:
        self._path = path
        self._follow = follow
        self._file = LineFile(path)

    def write(
        self, event: str, facts: Mapping[str, Any] = _NOTHING, *, durable: bool = False
    ) -> None:
        """Adds one line: format, time (ISO 8601 with offset), ``event``, then ``facts``.

        Args:
            event: its name.
            facts: plain values.
            durable: the line survives a power cut once this returns.

        Raises:
            ValueError: a fact is not JSON (NaN and Inf are not).
            OSError: it cannot be written (a full disk); the log keeps the lines before it.
        """
        head = {"format": FORMAT, "time": datetime.now().astimezone().isoformat(), "event": event}
        happened = {**head, **facts}
        line = f"{json.dumps(happened, allow_nan=False)}\n".encode()
        if self._file.size_bytes() + len(line) > ROTATED_BYTES:
            self._rotate()
        self._file.append(line, durable=durable)
        self._follow(happened)

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT, 0, -1):
            newer = _older(self._path, number - 1)
            if newer.exists():
                newer.replace(_older(self._path, number))
        self._file = LineFile(self._path)

    def close(self) -> None:
        """Closes the file; calling it again does nothing."""
        self._file.close()


def _older(path: Path, number: int) -> Path:
    """``log.1.jsonl`` for number 1; 0 is the log itself."""
    return path if number == 0 else path.with_suffix(f".{number}{path.suffix}")


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a log and of the older ones beside it, oldest first; no torn last line.

    Raises:
        InputError: a line before the last is not an event, or is of a newer format.
    """
    for number in range(KEPT, -1, -1):
        file = _older(path, number)
        if number == 0 or file.exists():
            yield from _events_of(file)


def _events_of(path: Path) -> Iterator[dict[str, Any]]:
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
