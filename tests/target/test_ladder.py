"""The accuracy ladder stops certain misses early, rarely by mistake, and knows how often."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.errors import WorkerFailure
from amp_tuner.judge.accuracy import judge
from amp_tuner.judge.scores import relative_error
from amp_tuner.records import Accuracy
from amp_tuner.target.ladder import FEWEST_JUDGED, Ladder, Stops, is_audited, rungs

SAMPLES = 4000
CONFIG = AccuracyConfig(metric="top1", goal="99%")


@dataclass
class Climber:
    """A candidate whose decisions differ from FP32's, which are always right, now and then."""

    wrong: NDArray[np.bool_]
    computed: list[tuple[int, int]] = field(default_factory=list)
    poison: int | None = None

    def climb(self, *, stops: bool = True, audited: bool = False) -> Accuracy:
        reference = np.tile(np.float32([1, 0]), (SAMPLES, 1))
        outputs = reference.copy()
        outputs[self.wrong] = [0, 1]
        if self.poison is not None:
            outputs[self.poison] = np.nan
        labels = np.zeros(SAMPLES, np.int64)

        def compute(start: int, stop: int) -> NDArray[np.float32]:
            self.computed.append((start, stop))
            return outputs[start:stop]

        ladder = Ladder(
            outputs=compute,
            judge=lambda seen: judge(CONFIG, reference[: len(seen)], seen, labels[: len(seen)]),
            error=lambda seen: relative_error(seen, reference[: len(seen)]),
            total=SAMPLES,
            batch=64,
            goal=CONFIG.parsed_goal,
        )
        return ladder.climb(stops=stops, audited=audited)


def wrong(share: float, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(SAMPLES) < share


def test_rungs_double_from_one_batch_to_all_samples() -> None:
    assert rungs(1000, 64) == (64, 128, 256, 512, 1000)
    assert rungs(50, 64) == (50,)
    assert rungs(128, 64) == (64, 128)


def test_a_bad_candidate_is_given_up_before_all_samples_are_computed() -> None:
    climber = Climber(wrong(0.2))
    accuracy = climber.climb()
    assert accuracy.verdict == "misses"
    assert accuracy.samples == accuracy.stopped_at == 128
    assert climber.computed == [(0, 64), (64, 128)]


def test_first_rungs_without_the_rare_class_say_nothing() -> None:
    labels = np.zeros(SAMPLES, np.int64)
    labels[-20:] = 1
    outputs = np.where(labels, 0.9, 0.1).astype(np.float32)[:, None]
    config = AccuracyConfig(metric="f1", goal="50%")
    ladder = Ladder(
        outputs=lambda start, stop: outputs[start:stop],
        judge=lambda seen: judge(config, outputs[: len(seen)], seen, labels[: len(seen)]),
        error=lambda seen: relative_error(seen, outputs[: len(seen)]),
        total=SAMPLES,
        batch=64,
        goal=config.parsed_goal,
    )
    accuracy = ladder.climb(stops=True, audited=False)
    assert (accuracy.verdict, accuracy.samples) == ("meets", SAMPLES)


def test_a_first_batch_of_zeros_has_no_relative_error_and_is_no_failure() -> None:
    reference = np.zeros((SAMPLES, 1), np.float32)
    reference[64:] = 1
    candidate = reference.copy()
    candidate[0] = 1
    config = AccuracyConfig(metric="agreement", goal="99%")
    ladder = Ladder(
        outputs=lambda start, stop: candidate[start:stop],
        judge=lambda seen: judge(config, reference[: len(seen)], seen, None),
        error=lambda seen: relative_error(seen, reference[: len(seen)]),
        total=SAMPLES,
        batch=64,
        goal=config.parsed_goal,
    )
    accuracy = ladder.climb(stops=True, audited=False)
    assert accuracy.verdict == "meets"
    assert accuracy.batch_error is None


def test_a_good_candidate_computes_every_sample_once() -> None:
    climber = Climber(wrong(0.001))
    accuracy = climber.climb()
    assert accuracy.stopped_at is None
    assert accuracy.samples == SAMPLES
    assert [start for start, _ in climber.computed[1:]] == [
        stop for _, stop in climber.computed[:-1]
    ]


def test_an_anchor_is_never_given_up() -> None:
    accuracy = Climber(wrong(0.5)).climb(stops=False)
    assert (accuracy.stopped_at, accuracy.samples) == (None, SAMPLES)


def test_an_audited_candidate_runs_to_the_end_and_says_where_it_would_have_stopped() -> None:
    accuracy = Climber(wrong(0.2)).climb(audited=True)
    assert (accuracy.stopped_at, accuracy.samples) == (128, SAMPLES)
    assert accuracy.verdict == "misses"


def test_nan_ends_the_climb_on_the_rung_where_it_appears() -> None:
    climber = Climber(wrong(0.0), poison=70)
    with pytest.raises(WorkerFailure, match="not finite: NaN or Inf in 1 of 128 samples"):
        climber.climb()
    assert climber.computed[-1] == (64, 128)


def test_the_error_on_the_first_batch_is_kept() -> None:
    none = np.zeros(SAMPLES, bool)
    assert Climber(none).climb().batch_error == 0.0
    every = Climber(np.ones(SAMPLES, bool)).climb(stops=False)
    assert every.batch_error == pytest.approx(np.sqrt(2))


def test_candidates_at_the_very_limit_are_rarely_given_up_early() -> None:
    # The worst case of a good candidate: its true loss is exactly what the goal allows.
    stopped = sum(Climber(wrong(0.01, seed)).climb().stopped_at is not None for seed in range(300))
    assert stopped <= 6


def test_every_judged_rung_has_enough_samples() -> None:
    climber = Climber(np.ones(SAMPLES, bool))
    accuracy = climber.climb()
    assert accuracy.stopped_at is not None
    assert accuracy.stopped_at >= FEWEST_JUDGED


def test_one_in_ten_is_audited_and_the_same_ones_in_every_run() -> None:
    drawn = [is_audited(3, f"graph-{number}") for number in range(3000)]
    assert 240 <= sum(drawn) <= 360
    assert drawn == [is_audited(3, f"graph-{number}") for number in range(3000)]
    assert drawn != [is_audited(4, f"graph-{number}") for number in range(3000)]


def test_false_stops_are_counted_among_the_audited_only() -> None:
    early = Climber(wrong(0.2)).climb()
    late = Climber(wrong(0.2)).climb(audited=True)
    regretted = Accuracy(
        metric="top1",
        score=late.score,
        drop=late.drop,
        verdict="uncertain",
        samples=SAMPLES,
        stopped_at=128,
    )
    stops = Stops.of((one, SAMPLES) for one in (early, late, regretted))
    assert (stops.stopped, stops.audited, stops.false) == (3, 2, 1)
    assert "2 of them were run to the end all the same: 1 false stops, 50%" in str(stops.sentence())
    assert Stops.of([]).sentence() is None
    assert Stops.of([(early, SAMPLES)]).false_rate() is None
