"""The metric of training steps: where loss curves come to, against FP32's over the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t, wilcoxon

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.judge.accuracy import baseline_accuracy, check_metric, judge, p_worse_than
from amp_tuner.worker.protocol import TensorInfo

STEPS, CURVES = 40, 6
GENERATOR = np.random.default_rng(0)
FLOAT32 = (np.exp(-np.arange(STEPS) / 20) + 0.1 * GENERATOR.random((CURVES, STEPS)) + 0.5).astype(
    np.float32
)


def config(goal: Any = "95%", **keys: Any) -> AccuracyConfig:
    return AccuracyConfig(metric="training_loss", goal=goal, **keys)


def finals(curves: Any) -> Any:
    return curves[:, -4:].astype(np.float64).mean(axis=1)


def test_the_score_is_the_mean_over_the_last_tenth_of_the_steps() -> None:
    found = baseline_accuracy(config(), FLOAT32, None)
    assert found.score.value == pytest.approx(finals(FLOAT32).mean())
    assert (found.drop.value, found.samples, found.verdict) == (0.0, CURVES, "meets")


def test_the_loss_against_float32_is_paired_by_curve() -> None:
    worse = FLOAT32 + np.linspace(0.001, 0.003, CURVES, dtype=np.float32)[:, None]
    found = judge(config(), FLOAT32, worse, None)
    differences = (finals(worse) - finals(FLOAT32)) / finals(FLOAT32).mean()
    half = t.ppf(0.975, CURVES - 1) * differences.std(ddof=1) / CURVES**0.5
    assert found.drop.value == pytest.approx(differences.mean(), rel=1e-6)
    assert found.drop.high - found.drop.value == pytest.approx(half, rel=1e-6)
    # Curves scatter far more than their differences do.
    assert found.score.high - found.score.low > 5 * (found.drop.high - found.drop.low)
    assert found.verdict == "meets"
    assert found.paired_test == "wilcoxon"
    assert found.p_worse == pytest.approx(
        wilcoxon(finals(worse) - finals(FLOAT32), alternative="greater").pvalue
    )


@pytest.mark.parametrize(
    ("factor", "goal", "verdict"),
    [
        (1.2, "95%", "misses"),
        (0.8, "95%", "meets"),
        (1.0, {"max": 0.1}, "misses"),
        (1.2, {"max_drop": 0.5, "kind": "absolute"}, "meets"),
    ],
)
def test_a_higher_loss_is_worse(factor: float, goal: Any, verdict: str) -> None:
    assert judge(config(goal), FLOAT32, FLOAT32 * np.float32(factor), None).verdict == verdict


def test_curves_that_scatter_leave_the_verdict_open() -> None:
    shifts = np.array([-0.2, 0.3, -0.1, 0.25, -0.15, 0.2], np.float32)[:, None]
    assert judge(config(), FLOAT32, FLOAT32 + shifts, None).verdict == "uncertain"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_curve_that_diverges_is_a_failure_whatever_the_goal(value: float) -> None:
    diverged = FLOAT32.copy()
    diverged[2, 7] = value
    with pytest.raises(WorkerFailure, match="NaN or Inf in 1 of 6 loss curves"):
        judge(config({"max": 100}), FLOAT32, diverged, None)


def test_one_setting_is_held_against_another() -> None:
    worse = FLOAT32 + np.float32(0.01) * (1 + np.arange(CURVES, dtype=np.float32))[:, None]
    p_worse = p_worse_than(config(), FLOAT32, FLOAT32, worse, None)
    assert p_worse == pytest.approx(1 / 2**CURVES)


def test_a_loss_of_several_numbers_is_refused_before_anything_runs() -> None:
    check_metric(config(), [TensorInfo("loss", "float32", ())], None, {})
    with pytest.raises(InputError, match="a step's loss is one number"):
        check_metric(config(), [TensorInfo("loss", "float32", (-1,))], None, {})


def test_a_goal_below_is_none() -> None:
    with pytest.raises(InputError, match="not above 0"):
        baseline_accuracy(config(), -FLOAT32, None)
