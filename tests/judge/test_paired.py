"""Paired tests are SciPy's, on the right pairs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, wilcoxon

from amp_tuner.judge.estimates import Pair
from amp_tuner.judge.metrics import METRICS, find_metric
from amp_tuner.judge.paired import PairedTest, paired_test


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
