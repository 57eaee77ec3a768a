"""``effects.csv``: which op type gives what, one row a change."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amp_tuner.files import write_text
from amp_tuner.records import Interval
from amp_tuner.search.effects import Effect

FORMAT = 1
COLUMNS = (
    *("data_type", "op_type", "change"),
    *("time", "time_low", "time_high", "error", "error_low", "error_high"),
    *("time_share", "error_share", "importance", "modelled_for", "format"),
)


def write_effects(path: Path, effects: Sequence[Effect], *, modelled_for: str | None) -> None:
    """Writes the table, whole or not at all; ``time`` 0.9 is a run that takes 10 % less.

    Args:
        path: of the table.
        effects: its rows.
        modelled_for: the device whose model gave all times; None where they were measured.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({**_row(effect), "modelled_for": modelled_for} for effect in effects)
    write_text(path, text.getvalue())


def _row(effect: Effect) -> dict[str, Any]:
    importance = effect.importance
    return {
        "data_type": effect.data_type,
        "op_type": effect.op_type,
        "change": effect.change,
        **_interval("time", effect.time),
        **_interval("error", effect.error),
        "time_share": round(effect.time_share, 4),
        "error_share": round(effect.error_share, 4),
        "importance": None if importance is None else round(importance, 4),
        "format": FORMAT,
    }


def _interval(name: str, interval: Interval) -> dict[str, float]:
    values = {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: float(f"{value:.6g}") for key, value in values.items()}
