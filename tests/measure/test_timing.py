from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from amp_tuner.errors import WorkerFailure
from amp_tuner.measure.timing import TimingRules, time_pair, timing_of
from amp_tuner.records import Block, Timing
from tests.measure.machines import Machine

RULES = TimingRules()
SIMULATIONS = 120


def measured(machine: Machine, rules: TimingRules = RULES, **options: Any) -> Timing:
    return time_pair(
        machine.side("baseline"),
        machine.side("candidate"),
        rules,
        batch_size=64,
        clock=machine.clock,
        **options,
    )


def phases(timing: Timing, phase: str) -> list[str]:
    return [block.side for block in timing.blocks if block.phase == phase]


@pytest.mark.parametrize("block_noise", [0.004, 0.02])
def test_the_interval_covers_the_true_speedup_at_about_its_level(block_noise: float) -> None:
    covered = 0
    for seed in range(SIMULATIONS):
        machine = Machine(speedup=1.07, block_noise=block_noise, run_noise=0.05, seed=seed)
        speedup = measured(machine).speedup
        covered += speedup.low <= 1.07 <= speedup.high
    assert covered / SIMULATIONS >= 0.92


@pytest.mark.parametrize("block_noise", [0.004, 0.02])
def test_the_same_setting_twice_is_hardly_ever_an_improvement(block_noise: float) -> None:
    improved = 0
    for seed in range(SIMULATIONS):
        speedup = measured(Machine(block_noise=block_noise, seed=seed)).speedup
        improved += speedup.low > 1
    assert improved / SIMULATIONS <= 0.05


def test_drift_of_both_sides_cancels() -> None:
    timing = measured(Machine(speedup=1.2, drift_per_s=0.02))
    assert timing.speedup.value == pytest.approx(1.2, rel=1e-3)
    assert timing.speedup.low <= 1.2 <= timing.speedup.high


def test_groups_are_a_b_b_a_and_b_a_a_b_and_pairs_start_at_the_same_batch() -> None:
    machine = Machine()
    timing = measured(machine)
    timed = machine.calls[len(phases(timing, "warmup")) :]
    a, b = "baseline", "candidate"
    assert [name for name, _, _ in timed[:12]] == [a, b, b, a, b, a, a, b, a, b, b, a]
    runs = timed[0][2]
    firsts = [first for _, first, _ in timed[:6]]
    assert firsts == [0, 0, runs, runs, 2 * runs, 2 * runs]
    assert {count for _, _, count in timed} == {runs}


def test_a_slower_first_block_of_every_group_meets_both_sides_equally() -> None:
    quick = TimingRules(ci_half_width=0.002)
    machine = Machine(block_noise=0.003)
    warmup = len(phases(measured(Machine(block_noise=0.003), quick), "warmup"))
    machine.spikes = dict.fromkeys(range(warmup, 10_000, 4), 1.015)
    timing = measured(machine, quick)
    assert timing.speedup.value == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("block_ms", [5.0, 100.0])
@pytest.mark.parametrize("base_s", [1e-5, 0.003, 0.04, 2.0])
def test_blocks_are_long_enough_and_not_much_longer(base_s: float, block_ms: float) -> None:
    rules = TimingRules(min_block_ms=block_ms)
    timing = measured(Machine(base_s=base_s, speedup=1.5), rules)
    lengths = [sum(block.run_s) for block in timing.blocks if block.phase == "timed"]
    assert min(lengths) >= block_ms / 1000
    assert max(lengths) <= max(2 * block_ms / 1000, 3 * base_s)


def test_a_block_of_short_runs_has_three_so_that_a_cold_first_one_is_left_out() -> None:
    fast, slow = measured(Machine(base_s=0.03)), measured(Machine(base_s=0.3))
    assert {len(block.run_s) for block in fast.blocks if block.phase == "timed"} == {3}
    assert {len(block.run_s) for block in slow.blocks if block.phase == "timed"} == {1}


def test_the_warm_ups_blocks_are_longer_so_that_a_slow_fall_is_seen() -> None:
    timing = measured(Machine(base_s=0.003))
    last = [block for block in timing.blocks if block.phase == "warmup"][-1]
    assert sum(last.run_s) >= 0.1


def test_a_much_slower_candidate_runs_fewer_batches_so_that_blocks_stay_short() -> None:
    timing = measured(Machine(speedup=0.02), TimingRules(min_block_ms=100))
    lengths = [sum(block.run_s) for block in timing.blocks if block.phase == "timed"]
    assert min(lengths) == pytest.approx(0.12)
    assert max(lengths) < 0.6
    assert timing.speedup.value == pytest.approx(0.02)


def test_warm_up_goes_on_until_block_times_have_settled() -> None:
    cold, warm = Machine(), Machine()
    cold.warming = 5.0
    timing = measured(cold)
    assert len(phases(timing, "warmup")) > len(phases(measured(warm), "warmup"))
    assert timing.speedup.value == pytest.approx(1.0, abs=0.02)
    assert not timing.notices


def test_a_side_that_never_settles_is_measured_all_the_same_with_a_notice() -> None:
    machine = Machine(drift_per_s=-0.2)
    timing = measured(machine)
    assert timing.notices[0] == "the warm-up ended before block times had settled"
    assert timing.speedup.value == pytest.approx(1.0, rel=0.01)


def test_a_quiet_machine_is_narrow_soon() -> None:
    machine = Machine(speedup=1.3, block_noise=0.002)
    timing = measured(machine)
    assert timing.stop_reason == "narrow"
    assert timing.speedup.high / timing.speedup.low < 1.01
    assert machine.now_s < 5
    assert timing.notices == ()


def test_a_far_slower_candidate_ends_early_as_dominated() -> None:
    machine = Machine(speedup=0.3, block_noise=0.01)
    timing = measured(machine, dominated_below=0.98)
    assert timing.stop_reason == "dominated"
    assert len(phases(timing, "timed")) <= 12
    assert timing.speedup.high < 0.98


def test_a_candidate_as_fast_as_what_is_known_is_hardly_ever_called_dominated() -> None:
    reasons = [
        measured(Machine(block_noise=0.02, seed=seed), dominated_below=0.99).stop_reason
        for seed in range(100)
    ]
    assert reasons.count("dominated") <= 5


def test_hopeless_noise_ends_by_time_with_a_notice() -> None:
    machine = Machine(block_noise=0.3)
    timing = measured(machine)
    assert timing.stop_reason == "time"
    assert machine.now_s == pytest.approx(RULES.max_seconds, abs=1.0)
    assert any(notice.startswith("too noisy to resolve 1 %") for notice in timing.notices)


def test_the_time_limit_counts_the_warm_up() -> None:
    machine = Machine(base_s=1.0, block_noise=0.05)
    assert measured(machine).stop_reason == "time"
    assert machine.now_s <= RULES.max_seconds + 1


def test_a_very_slow_model_still_gets_one_group_and_a_wide_honest_interval() -> None:
    timing = measured(Machine(base_s=30.0, run_noise=0.02))
    assert len(phases(timing, "timed")) == 4
    assert timing.speedup.low < 0.9 < 1.1 < timing.speedup.high
    assert any(notice.startswith("only 2 pairs of blocks") for notice in timing.notices)


@pytest.mark.parametrize("outer", [0, 3, 4, 7])
def test_a_spike_in_an_outer_block_has_its_group_repeated_and_kept_on_record(outer: int) -> None:
    machine = Machine(speedup=1.1)
    machine.spikes = {len(phases(measured(Machine(speedup=1.1)), "warmup")) + outer: 1.5}
    timing = measured(machine)
    a, b = "baseline", "candidate"
    assert phases(timing, "repeated") == ([a, b, b, a] if outer < 4 else [b, a, a, b])
    assert timing.speedup.value == pytest.approx(1.1)
    assert timing.drift < 0.02
    assert "1 groups were repeated" in timing.notices[0]


@pytest.mark.parametrize("inner", [1, 2, 5, 6])
def test_a_spike_in_an_inner_block_does_not_move_the_median(inner: int) -> None:
    machine = Machine(speedup=1.1, block_noise=0.001)
    machine.spikes = {len(phases(measured(Machine(speedup=1.1)), "warmup")) + inner: 3.0}
    assert measured(machine).speedup.value == pytest.approx(1.1, rel=0.005)


def test_runs_that_are_interrupted_do_not_widen_the_interval() -> None:
    timing = measured(Machine(speedup=1.1, run_noise=0.01, interrupted=0.2))
    assert timing.stop_reason == "narrow"
    assert timing.speedup.value == pytest.approx(1.1, rel=0.01)


def test_on_a_noisy_machine_most_groups_are_new_ones() -> None:
    timing = measured(Machine(block_noise=0.1), TimingRules(max_seconds=6))
    assert len(phases(timing, "repeated")) <= len(phases(timing, "timed")) / 2


def test_repeats_end_on_a_machine_that_always_drifts() -> None:
    timing = measured(Machine(block_noise=0.1))
    assert len(phases(timing, "repeated")) == 6 * 4
    assert timing.drift > 0.02


def test_every_block_is_on_record_in_the_order_in_which_it_ran() -> None:
    machine = Machine(block_noise=0.02)
    timing = measured(machine)
    assert [(block.side, len(block.run_s)) for block in timing.blocks] == [
        (name, runs) for name, _, runs in machine.calls
    ]
    starts = [block.started_s for block in timing.blocks]
    assert starts == sorted(starts)


def test_latency_and_throughput_come_from_the_timed_runs_alone() -> None:
    machine = Machine(speedup=2.0, run_noise=0.1)
    machine.warming = 5.0
    timing = measured(machine)
    runs = np.concatenate(
        [b.run_s for b in timing.blocks if b.phase == "timed" and b.side == "candidate"]
    )
    assert timing.runs["candidate"] == runs.size
    assert timing.latency_ms["candidate"]["p50"] == pytest.approx(1000 * np.median(runs))
    assert timing.throughput["candidate"] == pytest.approx(64 / runs.mean())


def test_no_p99_of_few_runs() -> None:
    timing = measured(Machine(base_s=0.5, run_noise=0.01))
    assert timing.runs["baseline"] < 100
    assert set(timing.latency_ms["baseline"]) == {"p50", "p90"}


@pytest.mark.parametrize("answer", [[], [0.0], [-1.0], [math.nan], [math.inf], [0.01, 0.01]])
def test_impossible_run_times_fail_the_trial(answer: list[float]) -> None:
    with pytest.raises(WorkerFailure, match="1 run times above 0 s were asked of the candidate"):
        time_pair(Machine().side("baseline"), lambda first, runs: answer, RULES, batch_size=1)


def test_a_failure_of_a_side_passes_through() -> None:
    def crash(first_batch: int, runs: int) -> list[float]:
        raise WorkerFailure("SIGSEGV", fatal=True)

    with pytest.raises(WorkerFailure, match="SIGSEGV"):
        time_pair(Machine().side("baseline"), crash, RULES, batch_size=1)


def told(timing: Timing, blocks: tuple[Block, ...]) -> Timing:
    return timing_of(
        blocks,
        percentiles=RULES.percentiles,
        stop_reason=timing.stop_reason,
        notices=timing.notices,
        batch_size=64,
    )


def test_raw_blocks_say_all_that_was_measured_repeated_groups_included() -> None:
    machine = Machine(speedup=1.3, block_noise=0.01)
    machine.spikes[20] = 1.5
    timing = measured(machine)
    assert phases(timing, "repeated")
    assert told(timing, timing.blocks) == replace(timing, inputs={})


def test_blocks_that_are_not_whole_groups_say_nothing() -> None:
    timing = measured(Machine())
    with pytest.raises(ValueError, match="not whole groups of A B B A"):
        told(timing, timing.blocks[:-1])
    swapped = (*timing.blocks[:-2], timing.blocks[-1], timing.blocks[-2])
    with pytest.raises(ValueError, match="not whole groups of A B B A"):
        told(timing, swapped)
    broken = replace(timing.blocks[-1], run_s=(math.nan,))
    with pytest.raises(ValueError, match="no run times above 0 s"):
        told(timing, (*timing.blocks[:-1], broken))
