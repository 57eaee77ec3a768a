"""A candidate's score and its loss against FP32 on the same samples, each with its interval.

How the intervals are made, by family of metrics (all paired, 95 %, deterministic):

* decisions (top1, top5, accuracy): the score is a share (Clopper-Pearson); the loss is the
  difference of two paired shares (Tango), which comes from the samples where one side is right.
* agreement: FP32 agrees with itself by definition, so the loss is the share of decisions that
  differ (Clopper-Pearson); with many decisions a sample, bootstrap over samples.
* counts (f1, precision, recall): Bayesian bootstrap of the table label x FP32 x candidate, to which
  two samples are added (after Bonett and Price 2012): the decision whose loss would cost most, once
  lost and once won. Without them few flips, or none, would make any loss look impossible.
* auc: DeLong's variance, from each sample's influence on both areas, to which two samples are added
  likewise: one of the rarest class that goes from the first place to the last, and back.
* means (rmse, mae, mse, r2, log_loss) and sqnr: bootstrap over samples of per-sample quantities.
* curves (training_loss): Student's t, from the curves' differences; a curve's two sides train on
  the same batches from the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata

from amp_tuner.judge import intervals
from amp_tuner.judge.metrics import Metric
from amp_tuner.judge.outputs import (
    Array,
    Floats,
    Ints,
    chunks,
    class_labels,
    decisions,
    number_labels,
    score_rows,
)
from amp_tuner.judge.scores import (
    SQNR_CAP_DB,
    agreement_of_samples,
    counted_classes,
    decibels,
    final_losses,
    log_losses,
    noise_columns,
    one_against_others,
    right,
    score,
)
from amp_tuner.records import Interval

#: A loss of which nothing is known.
UNKNOWN = Interval(0.0, -1e9, 1e9)
#: Of a resample's labels, as a share of the variance of all of them.
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Pair:
    """One output of FP32 and of a candidate on the same samples.

    Attributes:
        metric: what is computed.
        reference, candidate: shape (samples, ...), finite.
        labels: shape (samples, ...); None for metrics that need none.
        threshold: ``accuracy.threshold``.
    """

    metric: Metric
    reference: Array
    candidate: Array
    labels: Array | None
    threshold: float | None

    def score(self, output: Array) -> float:
        """The metric of one side."""
        return score(self.metric, output, self.labels, self.reference, self.threshold)

    @property
    def truth(self) -> Array:
        """The labels, of a metric that needs them."""
        assert self.labels is not None, "label_problems refused this"
        return self.labels


@dataclass(frozen=True)
class Estimate:
    """What was found out about a candidate.

    Attributes:
        baseline: FP32's score.
        score: the candidate's.
        loss: how much worse the candidate is, in the metric's unit; positive is worse.
    """

    baseline: float
    score: Interval
    loss: Interval


def estimate(pair: Pair) -> Estimate:
    """Score and loss of ``pair.candidate``; functions of the user's are not computed here."""
    return _ESTIMATES[pair.metric.family](pair)


def _decisions(pair: Pair) -> Estimate:
    first = right(pair.metric, pair.reference, pair.truth, pair.threshold)
    second = right(pair.metric, pair.candidate, pair.truth, pair.threshold)
    samples = len(first)
    loss = intervals.paired_shares(
        int((first & ~second).sum()), int((second & ~first).sum()), samples
    )
    return Estimate(float(first.mean()), intervals.share(int(second.sum()), samples), loss)


def _agreement(pair: Pair) -> Estimate:
    shares = agreement_of_samples(pair.candidate, pair.reference, pair.threshold)
    samples, whole = len(shares), int((shares == 1).sum())
    if whole == samples or bool(np.isin(shares, (0, 1)).all()):
        found = intervals.share(whole, samples)
    else:
        resampled = intervals.bootstrap_means(shares[:, None])[:, 0]
        found = intervals.percentile(float(shares.mean()), resampled)
    return Estimate(1.0, found, _less(1.0, found))


def _counts(pair: Pair) -> Estimate:
    truth = class_labels(pair.truth)
    sides = [
        decisions(score_rows(output), pair.threshold) for output in (pair.reference, pair.candidate)
    ]
    classes = counted_classes(truth, score_rows(pair.reference).shape[1])
    added = _costliest_flip(pair.metric.name, truth, sides[0], classes)
    table = np.concatenate([np.stack([truth, *sides]), added], axis=1)
    cells, counts = np.unique(table, axis=1, return_counts=True)
    draws = intervals.bootstrap_counts(counts.astype(np.float64))
    first, second = (
        _count_ratios(pair.metric.name, draws, cells[0], decided, classes)
        for decided in (cells[1], cells[2])
    )
    return _resampled(pair, first, second)


def _costliest_flip(name: str, truth: Ints, decided: Ints, classes: Ints) -> Ints:
    """One decision lost and won: label, FP32's and the candidate's decision, shape (3, 2 or 0).

    It is the one whose loss lowers the score most: what is not known of flips that were not seen
    is worst if they are all of that kind (the exact bound on a sum of weighted shares of which
    none was seen is that of its largest weight). None where FP32 decides nothing rightly, so that
    nothing can be lost.
    """
    every = np.union1d(truth, np.union1d(decided, classes))
    of_truth, of_decided = (np.searchsorted(every, values) for values in (truth, decided))
    size = len(every)
    labelled = np.bincount(of_truth, minlength=size)
    chosen = np.bincount(of_decided, minlength=size)
    hits = np.bincount(of_truth[truth == decided], minlength=size)
    counted = np.isin(every, classes)

    def of_class(hits: Ints, chosen: Ints) -> Floats:
        total = {"precision": chosen, "recall": labelled}.get(name, (labelled + chosen) / 2)
        return np.where(counted, hits / np.maximum(total, 0.5), 0.0)

    now = of_class(hits, chosen)
    lost = np.where(hits > 0, now - of_class(hits - 1, chosen - 1), -np.inf)
    elsewhere = now - of_class(hits, chosen + 1)
    both = lost[:, None] + elsewhere
    np.fill_diagonal(both, -np.inf)
    label, other = np.unravel_index(both.argmax(), both.shape)
    if not np.isfinite(both[label, other]):
        return np.empty((3, 0), np.int64)
    right, wrong = every[label], every[other]
    return np.array([[right, right], [right, wrong], [wrong, right]])


def _count_ratios(name: str, draws: Floats, truth: Ints, decided: Ints, classes: Ints) -> Floats:
    """F1, precision or recall of each resample, averaged over ``classes``: (resamples,)."""

    def of_class(members: NDArray[np.bool_]) -> Floats:
        return np.asarray(draws @ csr_array(members.T.astype(np.float64)))

    is_class, is_decided = truth == classes[:, None], decided == classes[:, None]
    hits = of_class(is_class & is_decided)
    if name == "precision":
        total = of_class(is_decided)
    elif name == "recall":
        total = of_class(is_class)
    else:
        total = (of_class(is_class) + of_class(is_decided)) / 2
    ratios = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    return np.asarray(ratios.mean(axis=1))


def _auc(pair: Pair) -> Estimate:
    truth = class_labels(pair.truth)
    if len(np.unique(truth)) < 2:
        # A few samples of one class, on the way to all of them: nothing is known yet.
        return Estimate(0.5, Interval(0.5, 0.0, 1.0), Interval(0.0, -1.0, 1.0))
    first, second = _influences_of_sides(pair)
    # What nobody has seen change places could be of the rarest class, and go from top to bottom.
    costliest = _auc_weights(truth, score_rows(pair.reference)).max()
    added = (costliest, -costliest)
    baseline, value = pair.score(pair.reference), pair.score(pair.candidate)
    found = intervals.normal(value, np.append(second, added))
    loss = intervals.normal(baseline - value, np.append(first - second, added))
    return Estimate(
        baseline, replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0)), loss
    )


def auc_difference(pair: Pair) -> Interval:
    """How much smaller the candidate's area is, with DeLong's interval alone: for a test."""
    first, second = _influences_of_sides(pair)
    value = pair.score(pair.reference) - pair.score(pair.candidate)
    return intervals.normal(value, first - second)


def _influences_of_sides(pair: Pair) -> tuple[Floats, Floats]:
    """Each sample's influence on FP32's area and on the candidate's, each (samples,)."""
    truth = class_labels(pair.truth)
    return (
        _auc_influences(truth, score_rows(pair.reference)),
        _auc_influences(truth, score_rows(pair.candidate)),
    )


def _auc_influences(truth: Ints, scores: Array) -> Floats:
    """Each sample's influence on the (macro) area under the curve, shape (samples,).

    DeLong, DeLong and Clarke-Pearson (1988), with midranks as Sun and Xu (2014): a sample's
    placement among the other class' scores, less the area, by the share of its own class.
    """
    parts = []
    for member, values in one_against_others(truth, scores):
        ranks = rankdata(values)
        inside, outside = int(member.sum()), int((~member).sum())
        placement = np.empty(len(values))
        placement[member] = (ranks[member] - rankdata(values[member])) / outside
        placement[~member] = 1 - (ranks[~member] - rankdata(values[~member])) / inside
        area = placement[member].mean()
        parts.append((placement - area) * _auc_weight(member))
    return np.asarray(np.mean(parts, axis=0))


def _auc_weights(truth: Ints, scores: Array) -> Floats:
    """How far each sample's (macro) influence can move, shape (samples,)."""
    parts = [_auc_weight(member) for member, _ in one_against_others(truth, scores)]
    return np.asarray(np.mean(parts, axis=0))


def _auc_weight(member: NDArray[np.bool_]) -> Floats:
    return np.asarray(np.where(member, len(member) / member.sum(), len(member) / (~member).sum()))


def _means(pair: Pair) -> Estimate:
    columns = np.column_stack(
        [loss_column(pair, pair.reference), loss_column(pair, pair.candidate)]
    )
    if pair.metric.name == "r2":
        truth = number_labels(pair.truth, pair.reference.shape).reshape(-1)
        truth = truth - truth.mean()
        if not truth.any():
            # A few samples with equal labels, on the way to all of them: nothing is known yet.
            return Estimate(0.0, UNKNOWN, UNKNOWN)
        spread = float(np.sqrt((truth**2).mean()))
        columns = np.column_stack([columns / spread**2, truth / spread, (truth / spread) ** 2])
    means = intervals.bootstrap_means(columns)
    finish = _FINISHES.get(pair.metric.name, _unchanged)
    return _resampled(pair, finish(means[:, 0], means), finish(means[:, 1], means))


def loss_column(pair: Pair, output: Array) -> Floats:
    """Each sample's share of the loss, shape (samples,)."""
    if pair.metric.name == "log_loss":
        return log_losses(output, pair.truth)
    truth = pair.truth.reshape(output.shape)
    column = np.empty(len(output))
    for rows in chunks(len(output)):
        error = output[rows].astype(np.float64) - truth[rows]
        flat = error.reshape(len(error), -1)
        column[rows] = (np.abs(flat) if pair.metric.name == "mae" else flat**2).mean(axis=1)
    return column


def _unchanged(loss: Floats, _means: Floats) -> Floats:
    return loss


def _rmse(loss: Floats, _means: Floats) -> Floats:
    return np.asarray(np.sqrt(loss))


def _r2(loss: Floats, means: Floats) -> Floats:
    # A resample of equal labels has no variance to explain.
    variance = np.maximum(means[:, 3] - means[:, 2] ** 2, _LEAST_VARIANCE)
    return np.asarray(1 - loss / variance)


_FINISHES: Mapping[str, Callable[[Floats, Floats], Floats]] = {"rmse": _rmse, "r2": _r2}


def _sqnr(pair: Pair) -> Estimate:
    columns = noise_columns(pair.candidate, pair.reference)
    resampled = decibels(intervals.bootstrap_means(columns))
    found = intervals.percentile(float(decibels(columns.sum(axis=0)[None])[0]), resampled)
    return Estimate(SQNR_CAP_DB, found, _less(SQNR_CAP_DB, found))


def _curves(pair: Pair) -> Estimate:
    first, second = final_losses(pair.reference), final_losses(pair.candidate)
    return Estimate(float(first.mean()), _of_mean(second), _of_mean(second - first))


def _of_mean(values: Floats) -> Interval:
    """The mean with its interval; leaving out one value at a time gives Student's t."""
    count = len(values)
    without_one = (values.sum() - values) / max(count - 1, 1)
    return intervals.jackknife(float(values.mean()), without_one)


def _resampled(pair: Pair, first: Floats, second: Floats) -> Estimate:
    baseline, value = pair.score(pair.reference), pair.score(pair.candidate)
    sign = 1 if pair.metric.higher_is_better else -1
    return Estimate(
        baseline,
        intervals.percentile(value, second),
        intervals.percentile(sign * (baseline - value), sign * (first - second)),
    )


def _less(whole: float, found: Interval) -> Interval:
    return Interval(whole - found.value, whole - found.high, whole - found.low)


_ESTIMATES: Mapping[str, Callable[[Pair], Estimate]] = {
    "decisions": _decisions,
    "agreement": _agreement,
    "counts": _counts,
    "auc": _auc,
    "means": _means,
    "sqnr": _sqnr,
    "curves": _curves,
}
