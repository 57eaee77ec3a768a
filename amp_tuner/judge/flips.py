"""Which classes' decisions flipped: right in FP32 and wrong now, or the other way round."""

from __future__ import annotations

import numpy as np

from amp_tuner.judge.metrics import DECIDING, METRICS, Metric
from amp_tuner.judge.outputs import Array, class_labels, label_problems, row_width
from amp_tuner.judge.scores import right
from amp_tuner.records import ClassFlips

_TOP_1 = METRICS["top1"]


def class_flips(
    metric: Metric,
    reference: Array,
    candidate: Array,
    labels: Array | None,
    threshold: float | None,
) -> tuple[ClassFlips, ...] | None:
    """The classes of which a decision flipped, by label; None where there are no class labels.

    ``top<k>`` counts a label among the k best as right, every other metric the decision itself.

    Args:
        metric: one that makes decisions, or None is given back.
        reference: FP32's outputs, shape (samples, ...).
        candidate: the candidate's, the same shape.
        labels: of the same samples; ``agreement`` does without, so they may be anything.
        threshold: decides a single output; of several it makes as many decisions, and no class.
    """
    rule = metric if metric.family == "decisions" else _TOP_1
    if threshold is not None and row_width(reference.shape) != 1:
        return None
    if metric.family not in DECIDING or label_problems(rule, reference.shape, labels):
        return None
    assert labels is not None, "label_problems refused this"
    before = right(rule, reference, labels, threshold)
    after = right(rule, candidate, labels, threshold)
    classes = class_labels(labels)
    size = int(classes.max()) + 1
    samples, lost, won = (
        np.bincount(classes[chosen], minlength=size)
        for chosen in (slice(None), before & ~after, ~before & after)
    )
    return tuple(
        ClassFlips(int(label), int(samples[label]), int(lost[label]), int(won[label]))
        for label in np.flatnonzero(lost + won)
    )
