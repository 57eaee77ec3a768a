"""Exact tests of whether a candidate is worse than FP32 on the very same samples.

They ask about any loss at all, not about a loss beyond the goal: what the goal allows is judged by
the interval of the drop (:mod:`amp_tuner.judge.estimates`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, wilcoxon

from amp_tuner.judge.estimates import Pair, loss_column
from amp_tuner.judge.outputs import Floats, class_labels, decisions, score_rows
from amp_tuner.judge.scores import right


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
    """The test that fits the metric; None where FP32 is the measure itself, or for curves.

    * decisions and counts: McNemar's exact test (McNemar 1947): of the samples that one side alone
      decides rightly, half would be FP32's.
    * means: Wilcoxon's signed-rank test (Wilcoxon 1945) of the per-sample losses; exact for few
      samples without ties (SciPy's ``auto``).
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
    if pair.metric.family == "means":
        worse_by = loss_column(pair, pair.candidate) - loss_column(pair, pair.reference)
        return _wilcoxon(worse_by)
    return None


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
