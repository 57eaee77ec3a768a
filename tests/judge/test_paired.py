"""Paired tests are SciPy's, on the right pairs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, wilcoxon

from amp_tuner.judge.estimates import Pair
from amp_tuner.judge.metrics import METRICS, find_metric
from amp_tuner.judge.paired import PairedTest, p_worse_than, paired_test


def pair(metric: str, reference: object, candidate: object, labels: object) -> Pair:
    found = find_metric(metric)
    assert found is not None
    arrays = [np.asarray(one, np.float32) for one in (reference, candidate)]
    return Pair(found, arrays[0], arrays[1], np.asarray(labels), None)


def scores(decided: list[int]) -> NDArray[np.float32]:
    return np.eye(3, dtype=np.float32)[decided]


@pytest.mark.parametrize("metric", ["top1", "f1", "precision", "recall"])
def test_decisions_are_tested_by_mcnemar_on_the_discordant_samples(metric: str) -> None:
    labels = [0] * 12
    reference = [0] * 9 + [1] * 3
    candidate = [0] * 2 + [1] * 7 + [0] + [1] * 2
    found = paired_test(pair(metric, scores(reference), scores(candidate), labels))
    # Seven samples that FP32 alone gets right against one that the candidate alone does.
    assert found == PairedTest("mcnemar", pytest.approx(binom.sf(6, 8, 0.5)))


def test_equal_decisions_say_nothing() -> None:
    same = scores([0, 1, 2])
    assert paired_test(pair("top1", same, same, [0, 0, 0])) == PairedTest("mcnemar", 1.0)


@pytest.mark.parametrize("metric", ["rmse", "mse", "mae"])
def test_errors_are_tested_by_wilcoxon_on_the_loss_of_each_sample(metric: str) -> None:
    random = np.random.default_rng(0)
    labels = random.normal(size=(40, 1)).astype(np.float32)
    reference = labels + 0.1 * random.normal(size=(40, 1)).astype(np.float32)
    candidate = labels + 0.3 * random.normal(size=(40, 1)).astype(np.float32)
    power = 1 if metric == "mae" else 2
    losses = [
        (np.abs(side.astype(np.float64) - labels) ** power)[:, 0] for side in (reference, candidate)
    ]
    expected = wilcoxon(losses[1] - losses[0], alternative="greater").pvalue
    found = paired_test(pair(metric, reference, candidate, labels))
    assert found == PairedTest("wilcoxon", pytest.approx(expected))
    assert expected < 0.01


def test_equal_outputs_have_no_loss_to_test() -> None:
    same = np.ones((5, 1))
    assert paired_test(pair("mae", same, same, np.zeros((5, 1)))) == PairedTest("wilcoxon", 1.0)


@pytest.mark.parametrize("metric", ["agreement", "sqnr", "auc"])
def test_other_metrics_have_intervals_only(metric: str) -> None:
    assert metric in METRICS
    assert paired_test(pair(metric, scores([0, 1]), scores([0, 1]), [0, 1])) is None


def test_two_candidates_are_tested_against_each_other_on_the_same_labels() -> None:
    labels = [0] * 12
    original, candidate = scores([0] * 9 + [1] * 3), scores([0] * 2 + [1] * 7 + [0] + [1] * 2)
    # What FP32 says does not matter.
    against = pair("top1", scores([2] * 12), candidate, labels)
    assert p_worse_than(original, against) == pytest.approx(binom.sf(6, 8, 0.5))
    assert p_worse_than(candidate, against) == 1.0


def test_agreement_is_tested_on_samples_where_one_candidate_alone_decides_as_fp32_does() -> None:
    reference = scores([0] * 12)
    original, candidate = scores([0] * 11 + [1]), scores([0] * 3 + [1] * 8 + [0])
    found = p_worse_than(original, pair("agreement", reference, candidate, []))
    assert found == pytest.approx(binom.sf(7, 9, 0.5))


def test_agreement_of_several_decisions_a_sample_is_tested_by_wilcoxon() -> None:
    random = np.random.default_rng(0)
    reference = np.stack([scores(list(row)) for row in random.integers(0, 3, (30, 4))])
    original, candidate = reference.copy(), reference.copy()
    original[:2, 0] = np.roll(original[:2, 0], 1, axis=-1)
    candidate[:20, :2] = np.roll(candidate[:20, :2], 1, axis=-1)
    shares = [
        (np.argmax(one, -1) == np.argmax(reference, -1)).mean(axis=1)
        for one in (original, candidate)
    ]
    expected = wilcoxon(shares[0] - shares[1], alternative="greater").pvalue
    found = p_worse_than(original, pair("agreement", reference, candidate, []))
    assert found == pytest.approx(expected)
    assert expected < 0.001


def test_sqnr_is_tested_on_the_noise_of_each_sample() -> None:
    random = np.random.default_rng(0)
    reference = random.normal(size=(40, 8)).astype(np.float32)
    original, candidate = (
        (reference + scale * random.normal(size=(40, 8))).astype(np.float32)
        for scale in (0.01, 0.02)
    )
    assert (p_worse_than(original, pair("sqnr", reference, candidate, [])) or 0) < 1e-6
    assert (p_worse_than(candidate, pair("sqnr", reference, original, [])) or 0) > 0.999
    assert p_worse_than(original, pair("sqnr", reference, original, [])) == 1.0


def test_areas_under_the_curve_are_tested_as_correlated_ones() -> None:
    """Under no difference at all, a one-sided p below 5 % comes in about 5 % of the cases."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(400):
        labels = random.integers(0, 2, 80)
        shared = labels + random.normal(size=80)
        original, candidate = (
            (shared + 0.5 * random.normal(size=80)).astype(np.float32)[:, None] for _ in range(2)
        )
        found.append(p_worse_than(original, pair("auc", original, candidate, labels)))
    below = sum(value is not None and value < 0.05 for value in found)
    assert binom.cdf(below, 400, 0.05) > 0.001
    assert binom.sf(below - 1, 400, 0.05) > 0.001


def test_a_clearly_smaller_area_is_found_worse_and_an_equal_one_is_not() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    good = (labels + 0.5 * random.normal(size=300)).astype(np.float32)[:, None]
    bad = (labels + 3 * random.normal(size=300)).astype(np.float32)[:, None]
    assert (p_worse_than(good, pair("auc", good, bad, labels)) or 0) < 1e-6
    assert p_worse_than(good, pair("auc", bad, good, labels)) == 1.0


def test_a_function_of_the_users_has_no_paired_test() -> None:
    found = find_metric("mine:score")
    assert found is not None
    outputs = scores([0, 1])
    assert p_worse_than(outputs, Pair(found, outputs, outputs, None, None)) is None
