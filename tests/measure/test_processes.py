"""A setting timed in several processes: the interval is one for a process that nobody has seen."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

from amp_tuner.measure.processes import in_another_process, of_processes, over_processes
from amp_tuner.measure.timing import TimingRules, time_pair
from amp_tuner.records import Interval, Measurement, Timing
from tests.measure.machines import Machine
from tests.results.examples import trial

RULES = TimingRules(max_seconds=1.0)


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


def timed(speedup: float, seed: int = 0) -> Timing:
    """In one process."""
    machine = Machine(speedup=speedup, block_noise=0.001, seed=seed)
    sides = (machine.side("baseline"), machine.side("candidate"))
    return time_pair(*sides, RULES, batch_size=64, clock=machine.clock)


def in_processes(*speedups: float, ci_half_width: float = 0.005, planned: int = 5) -> Timing:
    add = functools.partial(
        in_another_process,
        percentiles=(50,),
        batch_size=64,
        ci_half_width=ci_half_width,
        planned=planned,
    )
    return functools.reduce(add, (timed(one, seed) for seed, one in enumerate(speedups)))


def test_the_interval_is_students_on_the_log_scale() -> None:
    found = over_processes([exactly(math.exp(log)) for log in (0.1, 0.2, 0.3)])
    # Mean 0.2, standard deviation 0.1; the 97.5 % quantile for two degrees of freedom is 4.303.
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert math.log(found.value) == pytest.approx(0.2)
    assert math.log(found.low) == pytest.approx(0.2 - half, abs=1e-4)
    assert math.log(found.high) == pytest.approx(0.2 + half, abs=1e-4)


def test_processes_that_were_added_since_the_first_were_not_enough_are_held_to_more() -> None:
    speeds = (1.1, 1.12, 1.08, 1.11)
    usual, looked_at = in_processes(*speeds), in_processes(*speeds, planned=3)
    ratio = math.log(looked_at.speedup.high / looked_at.speedup.low)
    ratio /= math.log(usual.speedup.high / usual.speedup.low)
    # Student's quantiles for three degrees of freedom: of 99.5 % and of 97.5 %.
    assert ratio == pytest.approx(5.8409 / 3.1824, rel=1e-3)


@pytest.mark.parametrize("spread", [0.01, 0.02])
def test_processes_until_something_is_certain_rarely_tell_equal_settings_apart(
    spread: float,
) -> None:
    drawn = np.random.default_rng(0)
    apart = 0
    for _ in range(300):
        speeds = [
            [exactly(math.exp(spread * drawn.standard_normal())) for _ in range(40)]
            for _ in range(2)
        ]
        for count in range(5, 41):
            one, other = (over_processes(both[:count], looked_at=count > 5) for both in speeds)
            if one.low > 1.01 * other.high or other.low > 1.01 * one.high:
                apart += 1
                break
    assert apart <= 0.05 * 300


@pytest.mark.parametrize("processes", [3, 5])
def test_it_covers_the_mean_of_processes_that_differ_where_one_process_does_not(
    processes: int,
) -> None:
    drawn = np.random.default_rng(0)
    truth, differ, own = 1.1, 0.04, 0.005
    covered = alone = 0
    for _ in range(1000):
        logs = math.log(truth) + differ * drawn.standard_normal(processes)
        speeds = [Interval(*np.exp([log, log - own, log + own])) for log in logs]
        found = over_processes(speeds)
        covered += found.low <= truth <= found.high
        alone += speeds[0].low <= truth <= speeds[0].high
    assert 0.93 <= covered / 1000 <= 0.97
    assert alone / 1000 < 0.2


def test_every_process_counts_once_and_all_their_runs_are_kept() -> None:
    first, both = timed(1.1), in_processes(1.1, 1.2)
    assert of_processes(first) == (first.speedup,)
    assert [one.value for one in of_processes(both)] == pytest.approx([1.1, 1.2], rel=0.01)
    assert both.runs["candidate"] > first.runs["candidate"]
    assert len(of_processes(in_processes(1.1, 1.2, 1.3))) == 3


def test_blocks_of_a_later_process_come_later() -> None:
    starts = [block.started_s for block in in_processes(1.1, 1.2).blocks]
    assert starts == sorted(starts)


def test_latencies_are_those_of_all_processes() -> None:
    candidate = in_processes(1.0, 2.0).latency_ms["candidate"]["p50"]
    slow, fast = (timed(one).latency_ms["candidate"]["p50"] for one in (1.0, 2.0))
    assert fast < candidate < slow


def test_processes_that_differ_are_told_with_their_range() -> None:
    both = in_processes(1.0, 1.1, 1.2)
    assert both.stop_reason == "time"
    (notice,) = both.notices
    assert notice.startswith("in 3 processes the speed-up was 1.00")
    assert "to 1.20" in notice


def test_processes_that_agree_are_narrow() -> None:
    agreeing = in_processes(1.1, 1.1, 1.1, 1.1, 1.1, ci_half_width=0.02)
    assert (agreeing.stop_reason, agreeing.notices) == ("narrow", ())


def test_they_are_kept_in_a_file() -> None:
    example = trial().measurement
    assert example is not None
    measured = Measurement(example.effective, example.accuracy, in_processes(1.1, 1.2))
    assert Measurement.from_json(measured.to_json()) == measured
