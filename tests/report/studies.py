"""Folders of finished studies, written as a run writes them, but with figures made up here."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amp_tuner.files import write_json
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.judge.front import CANDIDATE, DEFAULT_AMP, FLOAT32, Contender, front_of
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import (
    FLOAT32_GRAPH,
    Accuracy,
    Block,
    ClassFlips,
    EffectiveGraph,
    Interval,
    Measurement,
    Point,
    Setting,
    Timing,
    Trial,
)
from amp_tuner.results.points import write_pareto
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.study.planning import Painter
from amp_tuner.study.stored_graphs import write_graphs
from tests.report.pages import RULES
from tests.results.examples import point, trial
from tests.rewrite import graphs
from tests.rewrite.painted import prepared_graph

CHAIN = graphs.chain("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", source="x")
#: What each op type in ALLOW makes of the speed, and of the share of decisions that is lost.
SPEED = {"Exp": 1.10, "Log": 0.95, "Relu": 1.02, "Sqrt": 1.05}
LOSS = {"Exp": 0.004, "Log": 0.002, "Relu": 0.0, "Sqrt": 0.0005}
LIMIT = 0.005
_HALF = 0.004
_CONFIG: dict[str, Any] = {
    "name": "flights",
    "accuracy": {"metric": "agreement", "threshold": 0.5, "goal": "99.5%", "also": ["auc"]},
    "search": {"trials": 20, "seed": 3},
}


def chain_graph() -> TypedGraph:
    """The graph of CHAIN, with the default lists."""
    return replace(prepared_graph(CHAIN, RULES).graph, lists=RULES.lists, shapes=None)


def write_folder(
    root: Path,
    trials: int = 24,
    *,
    cached: bool = True,
    graph: TypedGraph | None = None,
    config: Mapping[str, Any] | None = None,
    moved: Mapping[str, str] | None = None,
    **facts: Any,
) -> Path:
    """Writes a study of ``trials`` trials, and gives its folder back.

    Args:
        root: the folder.
        trials: FP32, default AMP and settings drawn at random, of which each tenth fails.
        cached: equal graphs are measured once; else each setting is, however equal.
        graph: what is tuned: :func:`chain_graph`.
        config: keys of the study file that differ.
        moved: op type to list, beside what is drawn for each setting: op types of any name.
        facts: of every point (``hardware``, ``software``, ``notices``).
    """
    folder, graph = RunFolder(root), graph or chain_graph()
    made = _trials(Painter(RULES, prepare(graph, RULES)), trials, moved or {}, cached=cached)
    for one in made:
        write_json(folder.trial(one.number), {"format": 1, "trial": one.to_json()})
    merged = {**_CONFIG, **(config or {})}
    study = {"identity": {}, "config": merged, "study_file": f"{root}.yaml"}
    write_json(folder.identity, {"format": 1, **study})
    write_json(root / "clock.json", {"format": 1, "spent_s": 4321.0})
    write_graphs(folder, {"float16": graph})
    _publish(folder, made, facts)
    return root


def _trials(painter: Painter, count: int, moved: Mapping[str, str], *, cached: bool) -> list[Trial]:
    chance = random.Random(1)
    float32 = Measurement(FLOAT32_GRAPH, _accuracy(0.0), _timing(1.0))
    found = [
        trial(0, setting=Setting("float32"), effective=FLOAT32_GRAPH, measurement=float32),
    ]
    known: dict[str, int] = {FLOAT32_GRAPH.graph_id: 0}
    for number in range(1, count):
        ops = [] if number == 1 else [op for op in SPEED if chance.random() < 0.5]
        setting = Setting("float16", dict.fromkeys(ops, "allow"))
        effective = painter.plan(setting, served=False).effective
        shown = replace(setting, moves={**setting.moves, **moved} if number > 2 else setting.moves)
        one = trial(number, setting=shown, effective=effective, anchor=None)
        if number == 1:
            one = replace(one, anchor="default float16")
        if number > 2 and number % 10 == 0:
            cause = "SIGSEGV" if number % 20 else "timeout: the trial took more than 60 s"
            found.append(replace(one, state="FAIL", measurement=None, cause=cause))
            continue
        source = known.setdefault(effective.graph_id, number)
        own = source == number or not cached
        shortest = painter.shortest(setting)
        # Each is a little worse than those before, or all would stand on the front.
        worse = 0.0 if cached else 1e-6 * number
        measured = _measurement(shortest, effective, worse) if own else found[source].measurement
        found.append(replace(one, measurement=measured, cached_from=None if own else source))
    return found


def _measurement(shortest: Setting, effective: EffectiveGraph, worse: float) -> Measurement:
    speed = math.prod(SPEED[op] for op in shortest.moves) * (1.01 - worse)
    accuracy = _accuracy(sum(LOSS[op] for op in shortest.moves) + 0.0001 + worse)
    return Measurement(effective, accuracy, _timing(speed))


def _accuracy(drop: float) -> Accuracy:
    low, high = max(drop - 0.0003, 0.0), drop + 0.0003 if drop else 0.0
    verdict = "meets" if high <= LIMIT else "misses" if low > LIMIT else "uncertain"
    flips = (ClassFlips(0, 700, 3, 1), ClassFlips(7, 300, 0, 2)) if drop else None
    score = Interval(1 - drop, 1 - high, 1 - low)
    return Accuracy(
        "agreement",
        score,
        Interval(drop, low, high),
        verdict,
        1000,
        {"auc": 0.764},
        flips=flips,
    )


def _timing(speed: float) -> Timing:
    sides = ("baseline", "candidate", "candidate", "baseline")
    blocks = tuple(
        Block(side, "timed" if index > 3 else "warmup", 0.1 * index, (0.012, 0.0125, 0.013))
        for index, side in enumerate(sides * 12)
    )
    exact = speed == 1.0
    return Timing(
        speedup=Interval(speed, speed - _HALF * (not exact), speed + _HALF * (not exact)),
        stop_reason="narrow",
        blocks=blocks,
        latency_ms={
            "baseline": {"p50": 12.5, "p90": 13.0},
            "candidate": {"p50": 12.5 / speed, "p90": 13.0 / speed},
        },
        runs={"baseline": 300, "candidate": 300},
        throughput={"baseline": 1000.0, "candidate": 1000.0 * speed},
        drift=0.004,
    )


def _publish(folder: RunFolder, made: list[Trial], facts: Mapping[str, Any]) -> None:
    own = {one.number: one for one in made if one.measurement and one.cached_from is None}
    front = front_of(_contender(one) for one in own.values())
    points = {}
    for entry in front.entries:
        one = own[entry.number]
        assert one.measurement is not None
        again = {"measurement": one.measurement.to_json(), "cause": None}
        write_json(folder.confirmation(entry.number), {"format": 1, **again})
        points[entry.number] = _point(one, one.measurement, entry.tied_with, facts)
    write_pareto(folder.pareto, "flights", front, points)


def _contender(one: Trial) -> Contender:
    measured = one.measurement
    assert measured is not None
    assert measured.timing is not None
    role = DEFAULT_AMP if one.anchor else CANDIDATE
    if one.setting.data_type == "float32":
        role = FLOAT32
    accuracy = measured.accuracy
    return Contender(one.number, measured.timing.speedup, accuracy.drop, accuracy.verdict, role)


def _point(
    one: Trial, measured: Measurement, tied_with: tuple[int, ...], facts: Mapping[str, Any]
) -> Point:
    rules = "float32" if one.setting.data_type == "float32" else "tf-cpu-float16"
    assert measured.timing is not None
    legal = {op: place for op, place in one.setting.moves.items() if op in SPEED}
    return point(
        rules,
        legal,
        **{
            "number": one.number,
            "runtime": "engine",
            "speedup": measured.timing.speedup,
            "search_speedup": measured.timing.speedup.value + 0.002,
            "accuracy": measured.accuracy,
            "search_accuracy": measured.accuracy.score.value,
            "latency_ms": measured.timing.latency_ms,
            "runs": measured.timing.runs,
            "throughput": measured.timing.throughput,
            "stop_reason": measured.timing.stop_reason,
            "effective": measured.effective,
            "tied_with": tied_with,
            **facts,
        },
    )
