"""A metric's value on one set of outputs: scikit-learn's, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

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

#: Equal outputs have no noise; FP32 itself has this signal-to-noise ratio.
SQNR_CAP_DB = 150.0
#: The share of a loss curve that says where it has come to.
_LAST_SHARE = 0.1
#: Probabilities are kept this far from 0 and 1, as scikit-learn does for float32.
PROBABILITY_MARGIN = float(np.finfo(np.float32).eps)


def score(
    metric: Metric,
    output: Array,
    labels: Array | None,
    reference: Array,
    threshold: float | None,
) -> float:
    """``metric`` of ``output``; all arrays hold the same samples, and were checked.

    F1, precision and recall are of class 1 where there are two classes, else the macro average
    over the classes that the labels hold. AUC of more than two classes is the macro average of
    each class against the others. Errors (``rmse``, ...) are over all numbers of all samples,
    training_loss is over loss curves.
    """
    if metric.family == "agreement":
        return float(agreement_of_samples(output, reference, threshold).mean())
    if metric.family == "curves":
        return float(final_losses(output).mean())
    if metric.family == "sqnr":
        noise = noise_columns(output, reference).sum(axis=0)
        return float(decibels(noise[None])[0])
    assert labels is not None, "label_problems refused this"
    if metric.family == "decisions":
        return float(right(metric, output, labels, threshold).mean())
    if metric.family == "counts":
        return _count_score(metric.name, class_labels(labels), score_rows(output), threshold)
    if metric.family == "auc":
        return _auc(class_labels(labels), score_rows(output))
    return _mean_score(metric.name, output, labels)


def right(metric: Metric, output: Array, labels: Array, threshold: float | None) -> Array:
    """Whether each sample's label is among its ``k`` best scores, shape (samples,).

    Of equal scores the first class wins, as in argmax: 16-bit outputs often tie.
    """
    scores, truth = score_rows(output), class_labels(labels)
    if metric.k == 1:
        return np.asarray(decisions(scores, threshold) == truth)
    found = np.empty(len(scores), bool)
    for rows in chunks(len(scores)):
        block, label = scores[rows], truth[rows, None]
        own = np.take_along_axis(block, label, axis=1)
        earlier = np.arange(block.shape[1])[None] < label
        better = (block > own) | ((block == own) & earlier)
        found[rows] = better.sum(axis=1) < metric.k
    return found


def agreement_of_samples(output: Array, reference: Array, threshold: float | None) -> Floats:
    """The share of each sample's decisions that are FP32's, shape (samples,)."""
    same = decisions(output, threshold) == decisions(reference, threshold)
    return np.asarray(same.reshape(len(same), -1).mean(axis=1))


def noise_columns(output: Array, reference: Array) -> Floats:
    """Each sample's signal and noise power, shape (samples, 2)."""
    columns = np.empty((len(output), 2))
    for rows in chunks(len(output)):
        signal = reference[rows].reshape(-1, _row_size(reference)).astype(np.float64)
        noise = signal - output[rows].reshape(-1, _row_size(output))
        columns[rows, 0] = np.einsum("ij,ij->i", signal, signal)
        columns[rows, 1] = np.einsum("ij,ij->i", noise, noise)
    return columns


def final_losses(curves: Array) -> Floats:
    """The mean loss over the last tenth of each curve's steps, shape (curves,).

    One step's loss is that of its batch; the mean tells where the curve has come to.

    Args:
        curves: shape (curves, steps).
    """
    last = math.ceil(curves.shape[1] * _LAST_SHARE)
    return np.asarray(curves[:, -last:].astype(np.float64).mean(axis=1))


def relative_error(output: Array, reference: Array) -> float:
    """The root mean square of the difference from FP32's outputs, relative to theirs."""
    signal, noise = noise_columns(output, reference).sum(axis=0)
    if noise == 0:
        return 0.0
    return float(np.sqrt(noise / signal)) if signal > 0 else float("inf")


def decibels(powers: Floats) -> Floats:
    """Signal-to-noise ratios of (n, 2) signal and noise powers, in dB, at most SQNR_CAP_DB."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10 * np.log10(powers[:, 0] / powers[:, 1])
    ratios[powers[:, 1] == 0] = SQNR_CAP_DB
    return np.asarray(np.clip(ratios, -SQNR_CAP_DB, SQNR_CAP_DB))


def log_losses(output: Array, labels: Array) -> Floats:
    """Each sample's negative log probability of its label, shape (samples,)."""
    scores, truth = score_rows(output), class_labels(labels)
    if scores.shape[1] == 1:
        chosen = np.where(truth == 1, scores[:, 0], 1 - scores[:, 0].astype(np.float64))
    else:
        chosen = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    chosen = np.asarray(chosen, np.float64)
    return np.asarray(-np.log(np.clip(chosen, PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN)))


def counted_classes(truth: Ints, width: int) -> Ints:
    """The classes that F1, precision and recall average over."""
    return np.array([1]) if width <= 2 else np.unique(truth)


def one_against_others(truth: Ints, scores: Array) -> Iterator[tuple[NDArray[np.bool_], Array]]:
    """The two-class problems whose AUCs are averaged: membership and score, each (samples,)."""
    if scores.shape[1] <= 2:
        yield truth == 1, scores[:, -1]
        return
    for label in np.unique(truth):
        yield truth == label, scores[:, label]


def _count_score(name: str, truth: Ints, scores: Array, threshold: float | None) -> float:
    return float(
        _COUNT_SCORES[name](
            truth,
            decisions(scores, threshold),
            labels=counted_classes(truth, scores.shape[1]),
            average="macro",
            zero_division=0,
        )
    )


def _auc(truth: Ints, scores: Array) -> float:
    return float(
        np.mean([sk.roc_auc_score(*problem) for problem in one_against_others(truth, scores)])
    )


def _mean_score(name: str, output: Array, labels: Array) -> float:
    if name == "log_loss":
        return float(log_losses(output, labels).mean())
    truth = number_labels(labels, output.shape)
    return float(_ERRORS[name](truth.reshape(-1), output.reshape(-1)))


def _row_size(array: Array) -> int:
    return int(np.prod(array.shape[1:], dtype=np.int64))


_COUNT_SCORES: Mapping[str, Callable[..., float]] = {
    "f1": sk.f1_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
}
_ERRORS: Mapping[str, Callable[..., float]] = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
}
