"""Rows of the report's tables, as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amp_tuner.records import Interval, Measurement, Point, Trial
from amp_tuner.report.effects import Effect
from amp_tuner.report.layers import Layers, OpTypeRow
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.study_rows import is_16bit
from amp_tuner.report.words import (
    VERDICTS,
    AccuracyAxis,
    all_moves,
    figures,
    setting_in_words,
    significant,
    speed_in_words,
)

#: Of the table of timings.
TIMING_COLUMNS = (
    *("Point", "p50", "p90", "p99", "Samples a second", "Runs", "Drift of FP32", "Processes"),
    "Ended because",
)
#: The same, of a device model's times.
MODELLED_COLUMNS = ("Point", "Modelled latency", "Modelled samples a second")
_SIDES = ("baseline", "candidate")
_ENDINGS = {
    "narrow": "known as exactly as asked for",
    "time": "its time was used up",
    "dominated": "another setting is certainly better",
}


def called(number: int, names: list[str]) -> str:
    """A point by its number and what it is called."""
    return f"{number}: {', '.join(names)}" if names else str(number)


def point_cells(point: Point, names: list[str]) -> tuple[Any, ...]:
    """Of the table of points."""
    accuracy = point.accuracy
    moves = all_moves(point.setting.moves)
    found = point.search_speedup
    return (
        called(point.number, names),
        setting_in_words(point.setting) + (f": {moves}" if moves else ""),
        speed_in_words(point.speedup, point.modelled_for) or "never timed",
        "" if found is None else speed_in_words(Interval(found, found, found), point.modelled_for),
        figures(accuracy.score, 6),
        "" if point.search_accuracy is None else f"{point.search_accuracy:.6f}",
        point.effective.nodes_16bit,
        point.effective.casts,
        VERDICTS[accuracy.verdict],
    )


def effect_cells(effect: Effect, axis: AccuracyAxis) -> tuple[Any, ...]:
    """Of the table of single moves."""
    # In the goal's unit: percent where that is relative.
    factor = 100 if axis.goal.relative else 1
    drop = effect.drop
    ends = (factor * drop.value, factor * drop.low, factor * drop.high)
    return (
        f"{effect.op_type} to {effect.place}",
        effect.data_type,
        figures(effect.speed),
        f"{ends[0]:+.3g} [{ends[1]:+.3g}, {ends[2]:+.3g}]",
        effect.pairs,
    )


def details(
    study: StudyFolder, point: Point, names: list[str], layers: Layers | None
) -> dict[str, Any]:
    """What is shown of a point that is chosen."""
    measured = study.measured(point.number)
    flips = (measured and measured.accuracy.flips) or ()
    return {
        "number": point.number,
        "title": f"{called(point.number, names)}, {setting_in_words(point.setting)}",
        "layers": layers is not None,
        "no_layers": (
            "This folder does not hold the graph: it is of an earlier version."
            if is_16bit(point)
            else "Nothing is converted, so lists do nothing."
        ),
        "op_types": [] if layers is None else [_op_type_cells(row) for row in layers.op_types],
        "stayed": []
        if layers is None
        else [
            (one.op, f"{len(one.nodes)} of {one.of}", one.reason, one.example)
            for one in layers.stayed
        ],
        "flips": [
            (one.label, one.samples, one.lost, one.won, f"{one.won - one.lost:+d}") for one in flips
        ],
        "no_flips": _no_flips(measured, point),
    }


def _no_flips(measured: Measurement | None, point: Point) -> str:
    if not is_16bit(point):
        return "FP32 is what settings are held against."
    if measured is not None and measured.accuracy.flips is None:
        return "Not recorded: there are no class labels, or the metric decides nothing."
    return "No decision flipped."


def _op_type_cells(row: OpTypeRow) -> tuple[Any, ...]:
    default, chosen = row.default, row.chosen
    return (
        chosen.op,
        chosen.list,
        default.list,
        chosen.nodes,
        f"{chosen.attributes_16bit} of {chosen.attributes}",
        default.attributes_16bit,
        chosen.casts.count,
        default.casts.count,
    )


def accuracy_cells(point: Point, names: list[str], axis: AccuracyAxis) -> tuple[Any, ...]:
    """Of the table of accuracies."""
    accuracy = point.accuracy
    also = ", ".join(f"{name} {value:.6g}" for name, value in accuracy.also.items())
    worse = "" if accuracy.p_worse is None else f"{accuracy.p_worse:.2g} ({accuracy.paired_test})"
    return (
        called(point.number, names),
        figures(accuracy.score, 6),
        significant(axis.loss(accuracy)) + (" %" if axis.goal.relative else ""),
        VERDICTS[accuracy.verdict],
        accuracy.samples,
        also,
        worse,
    )


def timing_rows(study: StudyFolder, names: Mapping[int, list[str]]) -> list[tuple[Any, ...]]:
    """Of the table of timings: points that were timed, by :data:`TIMING_COLUMNS`.

    Where speed is modelled, by :data:`MODELLED_COLUMNS`.
    """
    modelled = study.modelled_for is not None
    return [
        _modelled_cells(point, names[number])
        if modelled
        else _timing_cells(study, point, names[number])
        for number, point in study.points.items()
        if point.latency_ms
    ]


def _timing_cells(study: StudyFolder, point: Point, names: list[str]) -> tuple[Any, ...]:
    baseline, candidate = (point.latency_ms[side] for side in _SIDES)
    measured = study.measured(point.number)
    drift = "" if measured is None or measured.timing is None else f"{measured.timing.drift:.1%}"

    def both(label: str) -> str:
        # Each side has the percentiles that its own number of runs supports.
        known = label in baseline and label in candidate
        return f"{baseline[label]:.4g}, {candidate[label]:.4g}" if known else ""

    return (
        called(point.number, names),
        *(both(label) for label in ("p50", "p90", "p99")),
        _samples(point),
        ", ".join(str(point.runs[side]) for side in _SIDES),
        drift,
        f"{len(ran)}: {min(ran):.3f} to {max(ran):.3f}" if (ran := point.processes) else "1",
        _ENDINGS.get(point.stop_reason or "", point.stop_reason or ""),
    )


def _modelled_cells(point: Point, names: list[str]) -> tuple[Any, ...]:
    ms = ", ".join(f"{point.latency_ms[side]['modelled']:.4g}" for side in _SIDES)
    return called(point.number, names), ms, _samples(point)


def _samples(point: Point) -> str:
    return ", ".join(f"{point.throughput[side]:,.0f}" for side in _SIDES)


def failure_cells(trial: Trial) -> tuple[Any, ...]:
    """Of the table of failures."""
    setting = trial.setting
    moves = all_moves(setting.moves) or "none"
    return trial.number, setting_in_words(setting), moves, trial.outcome, trial.cause or "unknown"
