"""A machine on which 1 % cannot be seen is named once, in plain words."""

from __future__ import annotations

import pytest

from amp_tuner.measure.noise import half_width, noise_sentence
from amp_tuner.records import Interval, Timing


def timing(half: float, stop_reason: str = "time") -> Timing:
    speedup = Interval(1.2, 1.2 * (1 - half), 1.2 * (1 + half))
    return Timing(speedup, stop_reason, (), {}, {}, {}, 0.0)


def test_half_a_width_is_relative() -> None:
    assert half_width(timing(0.03)) == pytest.approx(0.03, rel=0.01)


def test_a_quiet_machine_is_not_mentioned() -> None:
    assert noise_sentence([]) is None
    assert (
        noise_sentence([timing(0.004, "narrow"), timing(0.03, "dominated"), timing(0.03)]) is None
    )


def test_a_noisy_machine_is_named_with_its_figure() -> None:
    said = noise_sentence([timing(0.03), timing(0.03), timing(0.004, "narrow")])
    assert said is not None
    assert said.startswith("this machine is too noisy to resolve 1 %: 2 of 3 timings")
    assert "3.0%" in said
