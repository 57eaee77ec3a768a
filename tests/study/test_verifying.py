"""When a published speed-up is certainly lost."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from amp_tuner.measure.processes import in_another_process
from amp_tuner.records import Interval, Timing
from amp_tuner.study import verifying
from amp_tuner.study.planning import Plan
from amp_tuner.study.session import Session
from tests.measure.test_processes import timed
from tests.results.examples import point

PROCESSES = 5


def slower(speedups: list[float], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether 1.5 times is certainly lost, by the speed-up in each process of now."""
    rest: Iterator[float] = iter(speedups[1:])

    def again(_: Any, __: Any, known: Timing, ___: Any) -> Timing:
        fresh = timed(next(rest))
        return in_another_process(
            known, fresh, percentiles=(50,), batch_size=64, ci_half_width=0.005, planned=PROCESSES
        )

    monkeypatch.setattr(verifying, "time_again", again)
    monkeypatch.setattr(verifying, "patience_of", lambda _: 1.0)
    session = SimpleNamespace(
        config=SimpleNamespace(processes=PROCESSES), bench=SimpleNamespace(close=lambda: None)
    )
    published = point("tf-cpu-float16", {}, speedup=Interval(1.5, 1.49, 1.51))
    timing = verifying._in_more_processes(
        cast("Session", session), published, cast("Plan", None), timed(speedups[0]), lambda _: None
    )
    assert published.speedup is not None
    return verifying.certainly_slower(published.speedup, timing.speedup)


def test_a_loss_that_every_process_shows_is_certain_though_they_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = np.random.default_rng(0)
    found = [
        slower(list(1.35 * np.exp(0.01 * drawn.standard_normal(PROCESSES))), monkeypatch)
        for _ in range(20)
    ]
    assert all(found)


def test_a_slow_first_process_alone_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not slower([1.35, 1.5, 1.51, 1.49, 1.5], monkeypatch)


def test_one_process_that_is_as_fast_as_published_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not slower([1.5], monkeypatch)
