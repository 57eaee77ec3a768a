"""Events as a study tells them, made by the code that makes them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from amp_tuner.records import Interval, Measurement, Setting
from amp_tuner.results.event_log import Event, new_event
from amp_tuner.study.progress import Progress, ended_facts
from tests.results.examples import ACCURACY, TIMING, trial

CONFIG = {"name": "flights", "accuracy": {"metric": "agreement", "direction": None}}
STARTED = new_event("started", {"config": CONFIG})
LOADING = new_event("phase", {"phase": "loading", "study": "flights"})
PROGRESS = Progress(
    measured=3,
    trials=18,
    cached=2,
    refused=0,
    quarantined=0,
    failed=1,
    spent_s=60.0,
    left_s=200.0,
    best=7,
    best_speedup=Interval(1.31, 1.3, 1.32),
    front=(7, 1),
)


def progress(**changes: Any) -> Event:
    return new_event("progress", asdict(replace(PROGRESS, **changes)))


def phase(name: str, **facts: Any) -> Event:
    return new_event("phase", {"phase": name, **facts})


def ended(number: int, **changes: Any) -> Event:
    return new_event("ended", ended_facts(trial(number, **changes)))


def measured(number: int, speedup: float, score: float, **changes: Any) -> Event:
    """A trial that ended with these figures; a speed-up of 1 is the baseline's own."""
    half = 0.0 if speedup == 1.0 else 0.01
    timing = replace(TIMING, speedup=Interval(speedup, speedup - half, speedup + half))
    accuracy = replace(ACCURACY, score=Interval(score, score - 1e-4, score + 1e-4))
    measurement = Measurement(trial().effective, accuracy, timing)
    return ended(number, measurement=measurement, **changes)


def failed(number: int, cause: str, **changes: Any) -> Event:
    return ended(number, state="FAIL", measurement=None, cause=cause, **changes)


def measuring(number: int, setting: Setting, anchor: str | None = None) -> Event:
    return new_event("measuring", {"trial": number, "anchor": anchor, "setting": setting.to_json()})


#: A study in the middle of its search.
NIGHT = (
    LOADING,
    STARTED,
    measured(1, 1.0, 1.0, setting=Setting("float32"), anchor="FP32, oneDNN on"),
    measured(7, 1.31, 0.9991),
    failed(8, "SIGSEGV"),
    measured(9, 0.8, 0.999),
    progress(),
    phase("trial", trial=10),
    measuring(10, Setting("float16", {"GatherV2": "allow", "Sum": "allow"})),
    phase("trial", trial=10, step="building"),
    phase("trial", trial=10, step="accuracy", samples=4096),
)
