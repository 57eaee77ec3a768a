"""What a published point is and how it was measured, in lines for people.

The lines stand as comments in files that are executed: nothing in a name can end its line.
"""

from __future__ import annotations

from collections.abc import Mapping

from amp_tuner.judge.metrics import samples_word
from amp_tuner.records import FLOAT32, Interval, Point, baseline_name
from amp_tuner.text import one_line

FORMAT = 1


def certificate(point: Point) -> list[str]:
    """Lines of plain text, each free of line breaks and control characters."""
    setting, accuracy = point.setting, point.accuracy
    moves = ", ".join(f"{op_type} to {place}" for op_type, place in sorted(setting.moves.items()))
    figures = f"{_figures(accuracy.score)} on {accuracy.samples} {samples_word(accuracy.metric)}"
    graph = f"{point.effective.nodes_16bit} nodes in 16 bits, {point.effective.casts} casts"
    batches = f"batches of {point.batch_size}, threads {_facts(point.threads)}"
    modelled = "" if point.modelled_for is None else "modelled "
    lines = [
        f"format: {FORMAT}",
        f"study {point.study}, point {point.number}: {_described(point)}",
        f"moves: {moves or 'none'}",
        f"{modelled}speed-up over {baseline_name(setting)}: {_speedup(point.speedup)}",
        f"{accuracy.metric}: {figures}; drop against FP32 {_figures(accuracy.drop)}",
        f"effective graph {point.effective.graph_id}: {graph}",
        f"{_how(point)}, {batches}",
        f"model {point.model_digest}",
        f"data {point.data_digest}",
        f"software: {_facts(point.software)}",
        f"hardware: {_facts(point.hardware)}",
        *(f"note: {notice}" for notice in point.notices),
    ]
    return [one_line(line) for line in lines]


def _how(point: Point) -> str:
    if point.modelled_for is None:
        return f"measured with runtime {point.runtime} on {point.device}"
    return f"speed modelled for {point.modelled_for}, not measured; accuracy measured on a CPU"


def _described(point: Point) -> str:
    if point.setting.data_type == FLOAT32:
        return f"{baseline_name(point.setting)}, nothing is converted"
    level = "" if point.setting.level == "default" else f", level {point.setting.level}"
    return f"{point.setting.data_type}, rules {point.rules}{level}"


def _speedup(interval: Interval | None) -> str:
    return "never timed" if interval is None else _figures(interval)


def _figures(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{interval.value:.4g}"
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def _facts(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
