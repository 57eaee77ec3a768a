from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import confusion_matrix

from amp_tuner.judge.flips import class_flips
from amp_tuner.judge.metrics import METRICS, find_metric
from amp_tuner.records import ClassFlips

TOP_1 = METRICS["top1"]
SCORES = arrays.arrays(np.float32, (12, 3), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
LABELS = arrays.arrays(np.int64, (12,), elements=st.integers(0, 2))


@given(SCORES, SCORES, LABELS)
def test_flips_are_what_the_two_confusion_matrices_differ_by(
    reference: np.ndarray, candidate: np.ndarray, labels: np.ndarray
) -> None:
    found = class_flips(TOP_1, reference, candidate, labels, None) or ()
    net = np.zeros(3, int)
    for one in found:
        assert one.lost + one.won > 0
        assert one.samples == (labels == one.label).sum()
        net[one.label] = one.won - one.lost
    before, after = (
        confusion_matrix(labels, scores.argmax(axis=1), labels=[0, 1, 2]).diagonal()
        for scores in (reference, candidate)
    )
    assert (after - before == net).all()


def test_several_outputs_that_a_threshold_decides_one_by_one_have_no_classes() -> None:
    scores, labels = np.full((4, 4), 0.9, np.float32), np.arange(4)
    assert class_flips(METRICS["agreement"], scores, 1 - scores, labels, 0.5) is None


def test_both_directions_are_counted_apart() -> None:
    reference = np.array([[0.9], [0.2], [0.8], [0.1]], np.float32)
    candidate = np.array([[0.1], [0.8], [0.8], [0.1]], np.float32)
    labels = np.array([1, 1, 1, 0])
    found = class_flips(METRICS["agreement"], reference, candidate, labels, 0.5)
    assert found == (ClassFlips(label=1, samples=3, lost=1, won=1),)


def test_top_k_counts_labels_among_the_best() -> None:
    reference = np.array([[0.5, 0.3, 0.2]], np.float32)
    candidate = np.array([[0.5, 0.2, 0.3]], np.float32)
    metric = find_metric("top2")
    assert metric is not None
    labels = np.array([1])
    assert class_flips(metric, reference, candidate, labels, None) == (ClassFlips(1, 1, 1, 0),)


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("agreement", None),
        ("agreement", np.array(["yes", "no"])),
        ("agreement", np.array([0.5, 1.5])),
        ("agreement", np.array([5, 6])),
        ("agreement", np.zeros((2, 3))),
        ("auc", np.array([0, 1])),
        ("rmse", np.array([0, 1])),
        ("sqnr", None),
    ],
)
def test_without_decisions_or_class_labels_nothing_is_counted(
    metric: str, labels: np.ndarray | None
) -> None:
    outputs = np.array([[0.2, 0.8], [0.7, 0.3]], np.float32)
    assert class_flips(METRICS[metric], outputs, outputs, labels, None) is None
