"""``trials.csv``: one row a trial, added when it ends.

A run begins by writing the table whole, from the trials, beside the file; then each row is one
append, since rewriting ten thousand rows takes a third of a second. A full disk leaves the rows
before; after a crash the table is made again rather than repaired.

``pandas.read_csv("trials.csv")`` reads it back. Each trial is one line: line breaks in texts become
spaces, and one that a spreadsheet would take for a formula begins with an apostrophe. What has no
value is empty.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amp_tuner.files import write_text
from amp_tuner.output.lines import LineFile
from amp_tuner.records import Interval, Measurement, Trial
from amp_tuner.text import one_line

FORMAT = 1
_FORMULA = ("=", "+", "-", "@")
COLUMNS = (
    "number",
    "state",
    "anchor",
    "data_type",
    "moves",
    "level",
    "onednn",
    "tf32",
    "speedup",
    "speedup_low",
    "speedup_high",
    "modelled_for",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "drop",
    "feasible",
    "cached_from",
    "nodes_16bit",
    "casts",
    "graph_id",
    "cause",
    "notices",
    "started",
    "seconds",
    "overhead_s",
    "format",
)


class TrialsTable:
    """The table of a study that is running.

    Args:
        path: the file, written whole at once.
        trials: those that have ended.

    Raises:
        OSError: it cannot be written; the table of before is untouched.
    """

    def __init__(self, path: Path, trials: Iterable[Trial]) -> None:
        write_text(path, table_text(trials))
        self._file = LineFile(path)

    def add(self, trial: Trial) -> None:
        """Adds a row.

        Raises:
            OSError: it cannot be written; the table keeps the rows before it.
        """
        self._file.append(_line(trial).encode("utf-8"))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def table_text(trials: Iterable[Trial]) -> str:
    """The whole table, rows by number."""
    ordered = sorted(trials, key=lambda trial: trial.number)
    return f"{','.join(COLUMNS)}\n" + "".join(map(_line, ordered))


def _line(trial: Trial) -> str:
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow(_row(trial))
    return text.getvalue()


def _row(trial: Trial) -> dict[str, Any]:
    setting, effective = trial.setting, trial.effective
    row = {
        "number": trial.number,
        "state": trial.state,
        "anchor": _text(trial.anchor),
        "data_type": setting.data_type,
        "moves": json.dumps(dict(sorted(setting.moves.items()))),
        "level": setting.level,
        "onednn": setting.onednn,
        "tf32": setting.tf32,
        "cached_from": trial.cached_from,
        "cause": _text(trial.cause),
        "started": trial.started,
        "seconds": round(trial.seconds, 3),
        "overhead_s": round(trial.overhead_s, 3),
        "format": FORMAT,
    }
    if effective is not None:
        row |= {
            "nodes_16bit": effective.nodes_16bit,
            "casts": effective.casts,
            "graph_id": effective.graph_id,
        }
    return row if trial.measurement is None else row | _measured(trial.measurement)


def _text(text: str | None) -> str:
    """One line that no spreadsheet takes for a formula."""
    line = one_line(text or "").strip()
    return f"'{line}" if line.startswith(_FORMULA) else line


def _measured(measurement: Measurement) -> dict[str, Any]:
    accuracy, timing = measurement.accuracy, measurement.timing
    notices = list(measurement.notices)
    row: dict[str, Any] = {
        **_interval("accuracy", accuracy.score),
        "drop": accuracy.drop.value,
        "feasible": accuracy.verdict == "meets",
    }
    if timing is not None:
        row |= _interval("speedup", timing.speedup)
        row |= {"modelled_for": _text(timing.modelled_for)}
        notices += timing.notices
    return row | {"notices": json.dumps(notices) if notices else None}


def _interval(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
