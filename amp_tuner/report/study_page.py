"""``report.html``: one study as a page for people; it needs no network."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from amp_tuner.errors import RewriteError
from amp_tuner.records import MEASURED, OUTCOMES, Measurement, Point, Trial
from amp_tuner.report import charts
from amp_tuner.report.effects import Effect, single_moves
from amp_tuner.report.layers import Layers, layers_of, shown_nodes
from amp_tuner.report.study_folder import StudyFolder
from amp_tuner.report.study_rows import (
    blocks,
    card,
    effect_rows,
    failures,
    is_16bit,
    plotted,
    unplaced,
)
from amp_tuner.report.rendering import page
from amp_tuner.report.words import (
    VERDICTS,
    AccuracyAxis,
    all_moves,
    duration,
    figures,
    setting_in_words,
    significant,
)
from amp_tuner.results.conclusion import conclusion
from amp_tuner.study.planning import Painter

#: The plot shows the largest effects, the table all.
_EFFECTS_DRAWN = 25
_ENDINGS = {
    "narrow": "known as exactly as asked for",
    "time": "its time was used up",
    "dominated": "another setting is certainly better",
}


def study_page(study: StudyFolder) -> str:
    """The page as text."""
    axis, names = AccuracyAxis.of(study.accuracy), study.names()
    layers = {number: _layers(study, point) for number, point in study.points.items()}
    effects = single_moves(study.trials.values(), _graph_of(study))
    first = study.front.knee if study.front.best is None else study.front.best
    rows, without = plotted(study), unplaced(study)
    data = {
        "first": first,
        "points": list(study.points),
        "trials": rows,
        "unplaced": without,
        "cards": [card(study, trial, names) for trial in study.trials.values()],
        "effects": effect_rows(effects, _EFFECTS_DRAWN),
        "layers": {
            number: {"data_type": study.points[number].setting.data_type, **one.to_json()}
            for number, one in layers.items()
            if one is not None
        },
        "graphs": {name: shown_nodes(prepared) for name, prepared in study.graphs.items()},
        "blocks": _blocks(study),
        "specs": {
            "front": charts.front_chart(axis.title, upwards=axis.upwards, limit=axis.limit),
            "unplaced": charts.unplaced_chart(),
            "effects": charts.effects_chart(),
            "blocks": charts.blocks_chart(),
        },
    }
    layer_counts = Counter(row["layer"] for row in rows)
    values = {
        "study": study,
        "axis": axis,
        "first": first,
        "conclusion": conclusion(study.accuracy, study.front, study.points),
        "counts": _counts(study),
        "spent": None if study.spent_s is None else duration(study.spent_s),
        "machine": _machine(study.points[first]),
        "hidden": {
            "misses": layer_counts["misses"],
            "cached": layer_counts["cached"],
            "unplaced": len(without),
        },
        "points": [
            {"number": number, "cells": _point_cells(point, names[number])}
            for number, point in study.points.items()
        ],
        "effects": [_effect_cells(one, axis) for one in effects],
        "details": [
            _details(study, point, names[number], layers[number])
            for number, point in study.points.items()
        ],
        "accuracies": [
            _accuracy_cells(point, names[number], axis) for number, point in study.points.items()
        ],
        "timings": _timing_rows(study, names),
        "failures": [_failure_cells(trial) for trial in failures(study)],
        "not_confirmed": [
            (number, cause) for number, cause in study.confirmed.items() if isinstance(cause, str)
        ],
        "machine_facts": _facts(study.points[first]),
        "notices": list(dict.fromkeys(n for point in study.points.values() for n in point.notices)),
        "commands": _commands(study),
        "study_file": yaml.safe_dump(dict(study.config), sort_keys=False, allow_unicode=True),
        "identity": [
            ("Model", study.points[first].model_digest),
            ("Data", study.points[first].data_digest),
        ],
    }
    return page("study.html", data, values)


def _graph_of(study: StudyFolder) -> Any:
    painters = {name: Painter(prepared.rules, prepared) for name, prepared in study.graphs.items()}

    def graph_of(setting: Any) -> str | None:
        painter = painters.get(setting.data_type)
        if painter is None:
            return None
        try:
            return painter.plan(setting, served=False).effective.graph_id
        except RewriteError:
            return None

    return graph_of


def _layers(study: StudyFolder, point: Point) -> Layers | None:
    prepared = study.graphs.get(point.setting.data_type)
    return None if prepared is None else layers_of(point, prepared)


def _blocks(study: StudyFolder) -> dict[int, Any]:
    found = {}
    for number in study.points:
        measured = study.measured(number)
        if measured is not None and measured.timing is not None and measured.timing.blocks:
            found[number] = blocks(measured.timing)
    return found


def _called(number: int, names: list[str]) -> str:
    return f"{number}: {', '.join(names)}" if names else str(number)


def _point_cells(point: Point, names: list[str]) -> tuple[Any, ...]:
    accuracy = point.accuracy
    moves = all_moves(point.setting.moves)
    return (
        _called(point.number, names),
        setting_in_words(point.setting) + (f": {moves}" if moves else ""),
        figures(point.speedup, unit="x") or "never timed",
        "" if point.search_speedup is None else f"{point.search_speedup:.3f}x",
        figures(accuracy.score, 6),
        "" if point.search_accuracy is None else f"{point.search_accuracy:.6f}",
        point.effective.nodes_16bit,
        point.effective.casts,
        VERDICTS[accuracy.verdict],
    )


def _effect_cells(effect: Effect, axis: AccuracyAxis) -> tuple[Any, ...]:
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


def _details(
    study: StudyFolder, point: Point, names: list[str], layers: Layers | None
) -> dict[str, Any]:
    measured = study.measured(point.number)
    flips = (measured and measured.accuracy.flips) or ()
    return {
        "number": point.number,
        "title": f"{_called(point.number, names)}, {setting_in_words(point.setting)}",
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


def _accuracy_cells(point: Point, names: list[str], axis: AccuracyAxis) -> tuple[Any, ...]:
    accuracy = point.accuracy
    also = ", ".join(f"{name} {value:.6g}" for name, value in accuracy.also.items())
    worse = "" if accuracy.p_worse is None else f"{accuracy.p_worse:.2g} ({accuracy.paired_test})"
    return (
        _called(point.number, names),
        figures(accuracy.score, 6),
        significant(axis.loss(accuracy)) + (" %" if axis.goal.relative else ""),
        VERDICTS[accuracy.verdict],
        accuracy.samples,
        also,
        worse,
    )


def _timing_rows(study: StudyFolder, names: Mapping[int, list[str]]) -> list[tuple[Any, ...]]:
    return [
        _timing_cells(study, point, names[number])
        for number, point in study.points.items()
        if point.latency_ms
    ]


def _timing_cells(study: StudyFolder, point: Point, names: list[str]) -> tuple[Any, ...]:
    baseline, candidate = (point.latency_ms[side] for side in ("baseline", "candidate"))
    measured = study.measured(point.number)
    drift = "" if measured is None or measured.timing is None else f"{measured.timing.drift:.1%}"

    def both(label: str) -> str:
        return f"{baseline[label]:.4g}, {candidate[label]:.4g}" if label in candidate else ""

    return (
        _called(point.number, names),
        *(both(label) for label in ("p50", "p90", "p99")),
        ", ".join(f"{point.throughput[side]:,.0f}" for side in ("baseline", "candidate")),
        ", ".join(str(point.runs[side]) for side in ("baseline", "candidate")),
        drift,
        _ENDINGS.get(point.stop_reason or "", point.stop_reason or ""),
    )


def _failure_cells(trial: Trial) -> tuple[Any, ...]:
    setting = trial.setting
    moves = all_moves(setting.moves) or "none"
    return trial.number, setting_in_words(setting), moves, trial.outcome, trial.cause or "unknown"


def _counts(study: StudyFolder) -> str:
    outcomes = Counter(trial.outcome for trial in study.trials.values())
    parts = [f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes[name] or name == MEASURED]
    return f"{len(study.trials)} trials: {', '.join(parts)}"


def _machine(point: Point) -> str:
    cpu = point.hardware.get("cpu") or point.device
    version = point.software.get("tensorflow")
    software = f"TensorFlow {version}, " if version else ""
    return f"{software}runtime {point.runtime}, {cpu}, batches of {point.batch_size}"


def _facts(point: Point) -> list[tuple[str, Any]]:
    """Everything that the figures depend on, flat."""
    own = {
        "runtime": point.runtime,
        "device": point.device,
        "batch_size": point.batch_size,
        **{f"threads, {name}": size for name, size in point.threads.items()},
    }
    facts = {**own, **point.hardware, **{f"software: {k}": v for k, v in point.software.items()}}
    return [
        (name.replace("_", " "), value) for name, value in facts.items() if value not in (None, "")
    ]


def _commands(study: StudyFolder) -> list[tuple[str, str]]:
    folder, file = shlex.quote(str(study.root)), shlex.quote(study.study_file)
    return [
        ("The same study once more, in another folder:", f"amp-tune --config {file} --output NEW"),
        ("More trials in this one: raise search.trials, then", f"amp-tune --config {file}"),
        ("Does the best setting still hold, here or elsewhere?", f"amp-tune verify {folder}"),
        ("The best setting for deployment:", f"amp-tune export {folder} --format savedmodel"),
        ("This page again:", f"amp-tune report {folder}"),
    ]
