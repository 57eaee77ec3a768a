"""``log.jsonl``: what happened, one JSON object a line, written as it happens.

A killed tuner loses nothing and leaves at most one torn line at the end; it is cut off when the log
is opened again, and skipped by readers. A log that has grown is put aside (``log.1.jsonl`` is the
newest of those, the oldest goes), so ``tail -F`` follows it and a long study never fills a disk.

Whoever follows a study (the terminal, ``amp-tune run --json-progress``) is told these same objects.
Each has ``format``, ``time`` (ISO 8601 with offset) and ``event``. In what follows ``trial`` is a
trial's number, ``…_s`` are seconds, and ``speedup`` is ``{value, low, high}`` over the FP32
baseline, with its 95 % interval, or null where nothing was timed.

phase
    What is done now, as ``phase``: loading (of ``study``), fp32, counting (distinct graphs), trial
    (``trial``), minimising and confirming (``trial``, ``position``/``of``), repeating (``trial``,
    in the ``process``-th ``of`` processes), settling (``trial``, one of ``of`` in doubt), waiting
    (for trials of other workers), report; bundling, judging. Within one, what the device does is
    its ``step``: starting (a worker), building, accuracy (on ``samples``), timing (for
    ``at_most_s``).
started, resumed
    ``config``: the study file's keys, every default filled in.
notice
    ``text``: what the user should know.
distinct_graphs
    ``found``: how many there are, in words.
swept, repaired
    What a kill left behind: ``trial`` and whether it is ``repeated``; ``bytes_cut`` of a journal.
progress
    ``measured`` of ``trials`` settings; ``cached``, ``refused``, ``quarantined`` and ``failed``
    proposals; ``spent_s``; ``left_s``, an estimate (null before there can be one); ``best``, the
    fastest trial that certainly meets the goal (null before there is one), with its
    ``best_speedup``; ``front``: its trials, the fastest first; ``modelled``: speed is.
asked
    ``trial``, ``parameters``, and what the sampler ``predicted`` (null if nothing).
measuring
    ``trial``, ``anchor`` (its name, or null), ``setting``; ``graph_id``, ``onednn``, ``tf32`` and
    ``deaths`` of workers by it so far.
measured, died
    ``trial`` and how many ``seconds`` its measuring took; ``cause`` of a worker's death.
ended
    ``trial``, ``state`` (COMPLETE or FAIL), ``cause`` (of a failure), ``cached_from`` (the trial
    that had the same graph), ``anchor``, ``data_type``. What was measured itself: ``speedup``;
    ``modelled_for`` (a device); ``accuracy``: ``metric``, ``value``, ``low``, ``high``, ``drop``
    against FP32, ``verdict`` (meets, misses, uncertain), ``samples``.
waits, superseded
    Of a shared study: ``trial`` whose graph another worker is measuring, and which ends as that
    one does; ``trial`` whose graph was measured elsewhere meanwhile, ``by`` a trial.
storage_lost, storage_back
    The database (``storage``, without credentials) is away, and ``why``; after how many
    ``seconds`` it was back.
interrupted
    ``trial``: it is repeated when the study goes on.
search_ended, stopped
    ``why``: the search is over; the run was interrupted or its target cannot go on.
ladder, calibration
    How many settings accuracy ended early; how good the sampler's predictions were.
idle_moves_dropped, minimal_tried, minimal
    ``trial`` and fewer ``moves`` for it; why they were ``refused``; ``replaced_by``, a trial.
published
    The answer so far: ``best`` (null if nothing certainly meets the goal), ``knee``, ``fastest``
    and ``safest`` (trials), ``conclusion``; ``front``: of each point ``trial``, ``member``,
    ``reference``, ``data_type``, ``speedup``, ``modelled_for``, ``accuracy``.
not_confirmed
    ``trial`` that failed when it was measured again, and the ``cause``.
bundled, ingested
    ``bundle`` and its ``trials`` or ``results``.
finished
    ``exit_code`` and ``output``, the folder; the last event of a run that was not stopped.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def new_event(name: str, facts: Mapping[str, Any] = _NOTHING) -> Event:
    """An event that happens now."""
    now = datetime.now().astimezone().isoformat()
    return {"format": FORMAT, "time": now, "event": name, **facts}


def event_line(event: Event) -> str:
    """An event as the log holds it, without its line feed.

    Raises:
        ValueError: a fact is not JSON (NaN and Inf are not).
    """
    return json.dumps(event, allow_nan=False)


def nobody(_: Event) -> None:
    """Follows nothing."""


class EventLog:
    """The log of one output folder, open for appending; one writer at a time.

    Args:
        path: the file; made if it is not there, a torn last line is cut off.
        follow: told each event once it is written.
        before: what happened, and was told, before the folder was known to be this study's.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: Path, follow: Callable[[Event], None] = nobody, before: Iterable[Event] = ()
    ) -> None:
        self._path = path
        self._follow = follow
        self._file = LineFile(path)
        # Reentrant: who follows may have something to tell.
        self._writing = threading.RLock()
        try:
            for event in before:
                self._append(event)
        except OSError:
            self.close()
            raise

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
        with self._writing:
            happened = new_event(event, facts)
            self._append(happened, durable=durable)
            self._follow(happened)

    def _append(self, event: Event, *, durable: bool = False) -> None:
        line = f"{event_line(event)}\n".encode()
        if self._file.size_bytes() + len(line) > ROTATED_BYTES:
            self._rotate()
        self._file.append(line, durable=durable)

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
