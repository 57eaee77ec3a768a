"""``trials.csv``: one row a trial, rewritten whole after each one.

Rewriting beside the file and renaming, rather than appending: a reader never sees half a row, a
full disk leaves the table of before, and after a crash the table is made again from the trials
instead of being repaired. 4,000 rows are written in some tens of milliseconds.

``pandas.read_csv("trials.csv")`` reads it back. Each trial is one line: line breaks in texts become
spaces. What has no value is empty.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amp_tuner.files import write_text
from amp_tuner.records import Interval, Measurement, Trial
from amp_tuner.text import one_line

FORMAT = 1
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


def write_trials(path: Path, trials: Iterable[Trial]) -> None:
    """Writes the table of ``trials``, by number, whole or not at all.

    Raises:
        OSError: it cannot be written; the table of before is untouched.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(trial) for trial in sorted(trials, key=lambda trial: trial.number))
    write_text(path, text.getvalue())


def _row(trial: Trial) -> dict[str, Any]:
    setting, effective = trial.setting, trial.effective
    row = {
        "number": trial.number,
        "state": trial.state,
        "anchor": one_line(trial.anchor or ""),
        "data_type": setting.data_type,
        "moves": json.dumps(dict(sorted(setting.moves.items()))),
        "level": setting.level,
        "onednn": setting.onednn,
        "tf32": setting.tf32,
        "cached_from": trial.cached_from,
        "cause": one_line(trial.cause or ""),
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


def _measured(measurement: Measurement) -> dict[str, Any]:
    accuracy, timing = measurement.accuracy, measurement.timing
    notices = list(measurement.notices)
    row = {
        **_interval("accuracy", accuracy.score),
        "drop": accuracy.drop.value,
        "feasible": accuracy.verdict == "meets",
    }
    if timing is not None:
        row |= _interval("speedup", timing.speedup)
        notices += timing.notices
    return row | {"notices": json.dumps(notices) if notices else None}


def _interval(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
