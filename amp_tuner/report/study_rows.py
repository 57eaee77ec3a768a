"""A study's trials as rows: of the plots, of the card that shows one of them, of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from amp_tuner.amp.environment import to_environment
from amp_tuner.errors import RewriteError
from amp_tuner.records import FLOAT32, MEASURED, Interval, Measurement, Point, Timing, Trial
from amp_tuner.report.effects import Effect
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.words import (
    VERDICTS,
    AccuracyAxis,
    all_moves,
    figures,
    setting_in_words,
    significant,
    speed_in_words,
)
from amp_tuner.results.environment_file import environment_text

_PHASES = ("timed", "warmup", "repeated")
_ROUNDED_MS = 4


def plotted(study: StudyFolder) -> list[dict[str, Any]]:
    """A row for each trial with a speed-up, those of the front last, on top."""
    axis, names = AccuracyAxis.of(study.accuracy), study.names()
    rows = [
        _plotted(study, trial, measured, axis, names)
        for trial in study.trials.values()
        if (measured := study.measured(trial.number)) and measured.timing
    ]
    speeds = [row["x"] for row in rows if row["layer"] == "front"]
    middle = (min(speeds) + max(speeds)) / 2 if speeds else 0.0
    _bound(rows)
    for row in rows:
        above = "above" if row["kind"] == "FP32" else "below"
        row["anchor"] = f"{above} {'right' if row['x'] > middle else 'left'}"
    return sorted(rows, key=lambda row: (row["layer"] == "front", row["n"]))


def _plotted(
    study: StudyFolder,
    trial: Trial,
    measured: Measurement,
    axis: AccuracyAxis,
    names: Mapping[int, list[str]],
) -> dict[str, Any]:
    assert measured.timing is not None
    speed, place = measured.timing.speedup, axis.value(measured.accuracy)
    point = study.points.get(trial.number)
    called = names.get(trial.number, [])
    return {
        "n": trial.number,
        "layer": _layer(trial, measured) if point is None else "front",
        "kind": _kind(trial, measured) if point is None else _point_kind(called),
        "label": ", ".join(_short(called)),
        **_ends("x", speed),
        **_ends("y", place),
        "trial": f"{trial.number}: {setting_in_words(trial.setting)}",
        "moves": all_moves((point or trial).setting.moves) or "none",
        "speed-up": speed_in_words(speed, measured.timing.modelled_for),
        "accuracy": f"{measured.accuracy.metric} {significant(measured.accuracy.score)}",
    }


def _bound(rows: Sequence[dict[str, Any]]) -> None:
    """Keeps bars of speeds that are hardly known from setting the scale; words have their ends."""
    least, most = (choose((row["x"] for row in rows), default=1.0) for choose in (min, max))
    for row in rows:
        row["x0"], row["x1"] = max(row["x0"], least / 2), min(row["x1"], 2 * most)


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}0": interval.low, f"{name}1": interval.high}


def _layer(trial: Trial, measured: Measurement) -> str:
    if trial.cached_from is not None:
        return "cached"
    return "misses" if measured.accuracy.verdict == "misses" else "other"


def _kind(trial: Trial, measured: Measurement) -> str:
    return "cached" if trial.cached_from is not None else measured.accuracy.verdict


def _short(called: list[str]) -> list[str]:
    """The names, of which several defaults are one: a label has little room."""
    defaults = [name for name in called if name.startswith("default ")]
    if len(defaults) < 2:
        return called
    return [*(name for name in called if name not in defaults), "default AMP"]


def _point_kind(called: list[str]) -> str:
    for kind in ("best", "knee"):
        if kind in called:
            return kind
    if called:
        return "default AMP" if all(name.startswith("default ") for name in called) else "FP32"
    return "front"


def unplaced(study: StudyFolder) -> list[dict[str, Any]]:
    """A row for each trial without a speed-up: those that failed, or that accuracy ended."""
    return [
        {
            "n": trial.number,
            "kind": trial.outcome if trial.measurement is None else "missed the goal, not timed",
            "trial": f"{trial.number}: {setting_in_words(trial.setting)}",
            "moves": all_moves(trial.setting.moves) or "none",
            "cause": trial.cause or "accuracy ended it before it was timed",
        }
        for trial in study.trials.values()
        if not trial.is_timed
    ]


def card(study: StudyFolder, trial: Trial, names: Mapping[int, list[str]]) -> dict[str, Any]:
    """What is shown of a trial that is chosen; what has no value is left out."""
    point = study.points.get(trial.number)
    setting = trial.setting if point is None else point.setting
    again = study.confirmed.get(trial.number)
    effective = trial.effective
    facts = {
        "n": trial.number,
        "names": names.get(trial.number),
        "setting": setting_in_words(setting),
        "moves": sorted(setting.moves.items()),
        "outcome": trial.outcome,
        "cause": trial.cause,
        "cached_from": trial.cached_from,
        "nodes": effective and effective.nodes_16bit,
        "casts": effective and effective.casts,
        "searched": trial.measurement and _measured(trial.measurement),
        "confirmed": _measured(again) if isinstance(again, Measurement) else None,
        "not_confirmed": again if isinstance(again, str) else None,
        "notices": list(point.notices) if point else None,
        "variables": _variables(study, trial, point),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _measured(measured: Measurement) -> list[str]:
    """Speed-up, accuracy and verdict, in words."""
    timing, accuracy = measured.timing, measured.accuracy
    return [
        "not timed" if timing is None else speed_in_words(timing.speedup, timing.modelled_for),
        f"{accuracy.metric} {significant(accuracy.score)}",
        f"{VERDICTS[accuracy.verdict]} the goal"
        if accuracy.verdict != "uncertain"
        else "not certain whether it meets the goal",
    ]


def _variables(study: StudyFolder, trial: Trial, point: Point | None) -> str | None:
    """The file ``best.env`` of a point; of another measured setting the list variables alone."""
    if point is not None:
        measured, compiled = point.runtime == point.family, point.runtime == "xla"
        if point.lists.nodes and not compiled:
            return None
        return environment_text(point, measured=measured, baked=compiled)
    graph = study.graphs.get(trial.setting.data_type)
    if graph is None or trial.outcome != MEASURED:
        return None
    lists = graph.rules.lists.moved(trial.setting.moves)
    try:
        variables = to_environment(graph.rules, lists, trial.setting.level)
    except RewriteError:
        # An op type or a node that no variable can hold: there are none to show.
        return None
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def blocks(timing: Timing) -> dict[str, list[Any]]:
    """Block times of one measurement, by column; ``side`` and ``phase`` as numbers."""
    return {
        "side": [int(block.side != "baseline") for block in timing.blocks],
        "phase": [_PHASES.index(block.phase) for block in timing.blocks],
        "s": [round(block.started_s, 3) for block in timing.blocks],
        "ms": [round(1000 * _median(block.run_s), _ROUNDED_MS) for block in timing.blocks],
    }


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2


def effect_rows(effects: Sequence[Effect]) -> list[dict[str, Any]]:
    """Rows of the plot of effects."""
    rows = [
        {
            "move": f"{one.op_type} to {one.place}",
            "data_type": one.data_type,
            **_ends("x", one.speed),
            "speed": figures(one.speed),
            "pairs": one.pairs,
        }
        for one in effects
    ]
    _bound(rows)
    return rows


def failures(study: StudyFolder) -> Iterator[Trial]:
    """Every trial that failed for itself, was refused or quarantined, with its cause."""
    return (
        trial
        for trial in study.trials.values()
        if trial.measurement is None and trial.cached_from is None
    )


def is_16bit(point: Point) -> bool:
    """Whether anything is converted."""
    return point.setting.data_type != FLOAT32
