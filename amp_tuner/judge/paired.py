"""Exact tests of whether one candidate is worse than FP32, or another, on the very same samples.

They ask about any loss at all, not about a loss beyond the goal: what the goal allows is judged by
the interval of the drop (:mod:`amp_tuner.judge.estimates`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest, norm, wilcoxon

from amp_tuner.judge.estimates import Pair, auc_difference, loss_column
from amp_tuner.judge.outputs import Array, Floats, class_labels, decisions, score_rows
from amp_tuner.judge.scores import agreement_of_samples, final_losses, noise_columns, right
from amp_tuner.records import Interval


@dataclass(frozen=True)
class PairedTest:
    """What a paired test says.

    Attributes:
        name: ``mcnemar`` or ``wilcoxon``.
        p_worse: one-sided: how probable so bad a result is if the candidate is as good as FP32.
    """

    name: str
    p_worse: float


def paired_test(pair: Pair) -> PairedTest | None:
    """The test that fits the metric; None for agreement, sqnr, auc and a user's own function.

    * decisions and counts: McNemar's exact test (McNemar 1947): of the samples that one side alone
      decides rightly, half would be FP32's.
    * means, curves: Wilcoxon's signed-rank test (Wilcoxon 1945) of the per-sample losses; exact
      for few samples without ties (SciPy's ``auto``).
    """
    if pair.metric.family == "decisions":
        sides = (
            right(pair.metric, output, pair.truth, pair.threshold)
            for output in (pair.reference, pair.candidate)
        )
        return _mcnemar(*sides)
    if pair.metric.family == "counts":
        truth = class_labels(pair.truth)
        sides = (
            decisions(score_rows(output), pair.threshold) == truth
            for output in (pair.reference, pair.candidate)
        )
        return _mcnemar(*sides)
    if pair.metric.family == "curves":
        return _wilcoxon(final_losses(pair.candidate) - final_losses(pair.reference))
    if pair.metric.family == "means":
        worse_by = loss_column(pair, pair.candidate) - loss_column(pair, pair.reference)
        return _wilcoxon(worse_by)
    return None


def p_worse_than(original: Array, pair: Pair) -> float | None:
    """How probable so bad a result is if the candidate is as good as another one; one-sided.

    * metrics with labels: the test of :func:`paired_test` with the other candidate in FP32's
      place; for ``auc`` DeLong's (1988) test of two correlated areas.
    * agreement: McNemar's exact test on the samples where one of them alone decides as FP32 does
      (Wilcoxon's on shares where a sample has several decisions).
    * sqnr: Wilcoxon's signed-rank test of the noise in each sample.

    Args:
        original: the other candidate's outputs, of the pair's shape.
        pair: FP32's outputs and the candidate's.

    Returns:
        None for a user's own function.
    """
    outputs = (original, pair.candidate)
    if pair.metric.family == "agreement":
        first, second = (
            agreement_of_samples(output, pair.reference, pair.threshold) for output in outputs
        )
        if bool(np.isin([first, second], (0, 1)).all()):
            return _mcnemar(first == 1, second == 1).p_worse
        return _wilcoxon(first - second).p_worse
    if pair.metric.family == "sqnr":
        first, second = (noise_columns(output, pair.reference)[:, 1] for output in outputs)
        return _wilcoxon(second - first).p_worse
    against = replace(pair, reference=original)
    if pair.metric.family == "auc":
        return _normal(auc_difference(against))
    tested = paired_test(against)
    return None if tested is None else tested.p_worse


def _normal(loss: Interval) -> float:
    """Of a loss whose 95 % interval is a normal one; without any loss, 1."""
    width = loss.high - loss.low
    if width == 0 or loss.value == 0:
        return 0.0 if loss.value > 0 else 1.0
    return float(norm.sf(loss.value / width * 2 * norm.ppf(0.975)))


def _mcnemar(reference: np.ndarray, candidate: np.ndarray) -> PairedTest:
    only_reference = int((reference & ~candidate).sum())
    discordant = int((reference != candidate).sum())
    if discordant == 0:
        return PairedTest("mcnemar", 1.0)
    found = binomtest(only_reference, discordant, 0.5, alternative="greater")
    return PairedTest("mcnemar", float(found.pvalue))


def _wilcoxon(worse_by: Floats) -> PairedTest:
    if not worse_by.any():
        return PairedTest("wilcoxon", 1.0)
    found = wilcoxon(worse_by, alternative="greater")
    return PairedTest("wilcoxon", float(found.pvalue))
