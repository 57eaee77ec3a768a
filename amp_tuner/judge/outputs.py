"""Outputs and labels as the metrics take them, and what is wrong with them.

Outputs are arrays of shape (samples, ...). Metrics with labels take one row of scores a sample:
(samples,), (samples, 1) or (samples, classes), with any dimensions of 1 between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amp_tuner.errors import InputError, Problem
from amp_tuner.judge.metrics import DECIDING, Metric

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Decides a single output where ``accuracy.threshold`` is not given: a sigmoid's middle.
DEFAULT_THRESHOLD = 0.5
#: Rows at a time where a copy in float64 is needed.
ROWS = 8192
_LABELS = "$.data.labels"
_ROW_SUM_TOLERANCE = 1e-2
_CLASS_FAMILIES = ("decisions", "counts", "auc")


def chunks(samples: int) -> Iterator[slice]:
    """Slices of ROWS samples that cover all of them."""
    for start in range(0, samples, ROWS):
        yield slice(start, min(start + ROWS, samples))


def all_finite(output: Array) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(np.isfinite(output[rows]).all()) for rows in chunks(len(output)))


def score_rows(output: Array) -> Array:
    """``output`` as (samples, scores of a sample); a view.

    Raises:
        InputError: several rows of scores a sample.
    """
    width = row_width(output.shape)
    if width is None:
        raise InputError.one("$.accuracy.metric", _rows_message(output.shape))
    return output.reshape(len(output), width)


def row_width(shape: tuple[int, ...]) -> int | None:
    """Scores of a sample, -1 if the model leaves it open; None for several rows a sample."""
    if len(shape) < 2:
        return 1
    if any(size not in (1, -1) for size in shape[1:-1]):
        return None
    return shape[-1]


def _rows_message(shape: tuple[int, ...]) -> str:
    return (
        f"metrics with labels take one row of scores a sample, found outputs of shape {shape}; "
        "allowed: agreement, sqnr, or 'module:function'"
    )


def decisions(output: Array, threshold: float | None) -> Ints:
    """What each sample's scores decide: shape (samples,), or more for many decisions a sample.

    A given ``threshold`` decides each score by itself (above it: 1), and so does
    DEFAULT_THRESHOLD for a single score; else the last axis' largest score wins, the first of
    equal ones.
    """
    single = output.ndim == 1 or output.shape[-1] == 1
    if single or threshold is not None:
        limit = DEFAULT_THRESHOLD if threshold is None else threshold
        decided: Array = output > np.asarray(limit, output.dtype)
        decided = decided[..., 0] if single and output.ndim > 1 else decided
    else:
        decided = np.argmax(output, axis=-1)
    return np.asarray(decided, np.int64)


def class_labels(labels: Array) -> Ints:
    """Labels as class numbers, shape (samples,); they were checked by :func:`label_problems`."""
    return labels.reshape(len(labels)).astype(np.int64)


def number_labels(labels: Array, samples_shape: tuple[int, ...]) -> Floats:
    """Labels as numbers in the outputs' shape; they were checked by :func:`label_problems`."""
    return labels.reshape(samples_shape).astype(np.float64)


def label_problems(
    metric: Metric, shape: tuple[int, ...] | None, labels: Array | None
) -> list[Problem]:
    """What keeps ``metric`` from being computed on outputs of ``shape`` with ``labels``.

    Args:
        metric: the metric.
        shape: of all outputs together; -1 where a dimension is not known, None if the rank is not.
        labels: in any order; None if there are none.
    """
    if not metric.needs_labels:
        return []
    if labels is None:
        return [Problem(_LABELS, f"metric {metric.name} needs labels")]
    if labels.dtype.kind not in "iufb":
        kind = "text" if labels.dtype.kind in "US" else str(labels.dtype)
        return [Problem(_LABELS, f"metric {metric.name} takes numbers; found {kind}")]
    if not all_finite(labels):
        return [Problem(_LABELS, "found NaN or infinite labels; allowed: finite numbers")]
    if metric.family in _CLASS_FAMILIES or metric.name == "log_loss":
        return _class_problems(metric, shape, labels)
    return _number_problems(metric, shape, labels)


def _class_problems(metric: Metric, shape: tuple[int, ...] | None, labels: Array) -> list[Problem]:
    if labels.size != len(labels):
        message = (
            f"metric {metric.name} takes one class number a sample; found shape {labels.shape}"
        )
        if labels.ndim == 2:
            message += " (one-hot labels? use their argmax)"
        return [Problem(_LABELS, message)]
    numbers = labels.reshape(-1)
    if numbers.dtype.kind == "f" and bool((numbers != np.round(numbers)).any()):
        return [Problem(_LABELS, f"metric {metric.name} takes class numbers; found fractions")]
    width = -1 if shape is None else row_width(shape)
    if width is None:
        assert shape is not None
        return [Problem("$.accuracy.metric", _rows_message(shape))]
    problems = list(_range_problems(metric, width, numbers))
    if metric.family == "auc" and len(np.unique(numbers)) < 2:
        message = f"auc needs at least two classes; found only class {numbers[0]:g}"
        problems.append(Problem(_LABELS, message))
    if metric.family == "decisions" and metric.k > 1 and -1 < width <= metric.k:
        message = f"{metric.name} of {max(width, 2)} classes is always 1; allowed: a smaller k"
        problems.append(Problem("$.accuracy.metric", message))
    return problems


def _range_problems(metric: Metric, width: int, numbers: Array) -> Iterator[Problem]:
    low, high = float(numbers.min()), float(numbers.max())
    classes = 2 if width == 1 else width
    if low < 0 or (width != -1 and high >= classes):
        largest = f"{classes - 1}" if width != -1 else "the number of classes - 1"
        message = (
            f"metric {metric.name} takes class numbers 0 to {largest} for these outputs; "
            f"found {low:g} to {high:g}"
        )
        yield Problem(_LABELS, message)


def _number_problems(metric: Metric, shape: tuple[int, ...] | None, labels: Array) -> list[Problem]:
    if shape is None:
        return []
    if metric.name == "r2" and _product(shape[1:]) not in (1, -1):
        message = f"r2 takes one number a sample; found outputs of shape {shape}"
        return [Problem("$.accuracy.metric", message)]
    if -1 not in shape[1:] and _product(shape[1:]) != _product(labels.shape[1:]):
        message = (
            f"metric {metric.name} takes labels of the outputs' shape {_free(shape)}; "
            f"found {labels.shape}"
        )
        return [Problem(_LABELS, message)]
    if metric.name == "r2" and float(labels.min()) == float(labels.max()):
        return [Problem(_LABELS, "r2 needs labels that differ; all are equal")]
    return []


def _product(sizes: tuple[int, ...]) -> int:
    return -1 if -1 in sizes else int(np.prod(sizes, dtype=np.int64))


def _free(shape: tuple[int, ...]) -> str:
    return str(("samples", *shape[1:])).replace("'", "")


def value_problems(metric: Metric, reference: Array, threshold: float | None) -> Mapping[str, str]:
    """What is wrong with the FP32 outputs' values for ``metric``, by place in the study file."""
    decides = metric.family in DECIDING
    single = reference.ndim == 1 or reference.shape[-1] == 1
    low, high = float(reference.min()), float(reference.max())
    if decides and threshold is None and single and (low < 0 or high > 1):
        message = (
            f"the single output is no sigmoid ({low:.4g} to {high:.4g}): give the threshold that "
            "decides (0 for a logit)"
        )
        return {"$.accuracy.threshold": message}
    if metric.needs_labels and decides and threshold is not None and not single:
        return {"$.accuracy.threshold": "it decides a single output; these have several: remove it"}
    if metric.name == "log_loss" and not _probabilities(reference):
        message = (
            f"log_loss takes probabilities (rows that sum to 1); found {low:.4g} to {high:.4g}"
        )
        return {"$.accuracy.metric": message}
    return {}


def _probabilities(reference: Array) -> bool:
    scores = score_rows(reference)
    if float(scores.min()) < 0 or float(scores.max()) > 1:
        return False
    if scores.shape[1] == 1:
        return True
    totals = scores.sum(axis=1, dtype=np.float64)
    return bool((np.abs(totals - 1) < _ROW_SUM_TOLERANCE).all())
