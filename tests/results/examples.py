"""Trials and points as a study would make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.records import (
    FLOAT32,
    FLOAT32_GRAPH,
    Accuracy,
    EffectiveGraph,
    Interval,
    Measurement,
    Point,
    Setting,
    Timing,
    Trial,
)

ACCURACY = Accuracy(
    metric="agreement",
    score=Interval(0.9991, 0.9990, 0.9992),
    drop=Interval(0.0009, 0.0008, 0.0010),
    verdict="meets",
    samples=150_000,
    also={"auc": 0.764},
)
TIMING = Timing(
    speedup=Interval(1.31, 1.3, 1.32),
    stop_reason="narrow",
    blocks=(),
    latency_ms={"baseline": {"p50": 12.5}, "candidate": {"p50": 9.5}},
    runs={"baseline": 300, "candidate": 300},
    throughput={"baseline": 1000.0, "candidate": 1310.0},
    drift=0.004,
    notices=("too noisy to resolve 1 %",),
)
#: Text that would end a comment, run a command, or change a file's encoding.
HOSTILE = "coding: utf-7 \n\r\x0b\x0c\x1c\u2028\x85touch pwned; $(touch pwned) `touch pwned` '\" \\"


def trial(number: int = 7, **changes: Any) -> Trial:
    """A measured trial, or one that differs from it as ``changes`` say."""
    values: dict[str, Any] = {
        "number": number,
        "state": "COMPLETE",
        "setting": Setting("float16", {"Sum": "allow", "Mul": "allow"}, "default", onednn=True),
        "anchor": None,
        "effective": EffectiveGraph("a1b2", 31, 4),
        "measurement": Measurement(EffectiveGraph("a1b2", 31, 4), ACCURACY, TIMING),
        "cached_from": None,
        "cause": None,
        "started": "2026-11-24T02:00:00+00:00",
        "seconds": 12.3456,
        "overhead_s": 0.2,
    }
    return Trial(**{**values, **changes})


def point(
    rules_name: str = "tf-cpu-float16",
    moves: Mapping[str, str] | None = None,
    **changes: Any,
) -> Point:
    """A published point under some rule set; ``float32`` in place of a rule set's name is FP32."""
    moves = dict(moves or {})
    if rules_name == FLOAT32:
        setting = Setting(FLOAT32, {}, "default", onednn=True)
        family, rules, lists, environment = "tensorflow", "", AmpLists(), {}
    else:
        known = rule_set(rules_name)
        setting = Setting(known.data_type, moves, "default", onednn=True)
        family, rules = known.family, known.identifier
        lists = known.lists.moved(moves)
        environment = {} if lists.nodes else to_environment(known, lists)
    values: dict[str, Any] = {
        "study": "flights",
        "number": 7,
        "runtime": "tensorflow",
        "device": "cpu",
        "setting": setting,
        "family": family,
        "rules": rules,
        "lists": lists,
        "environment": environment,
        "speedup": Interval(1.31, 1.3, 1.32),
        "search_speedup": 1.35,
        "accuracy": ACCURACY,
        "search_accuracy": 0.9993,
        "latency_ms": TIMING.latency_ms,
        "effective": FLOAT32_GRAPH if rules_name == FLOAT32 else EffectiveGraph("12e45", 31, 4),
        "tied_with": (3, 12),
        "model_digest": "sha256:12",
        "data_digest": "sha256:34",
        "threads": {"intra_op": 2, "inter_op": 1},
        "batch_size": 8192,
        "software": {"python": "3.11.7", "tensorflow": "2.21.0"},
        "hardware": {"cpu": "Imaginary 9000", "governor": None, "load_average": 1e-05},
        "notices": (),
    }
    return Point(**{**values, **changes})
