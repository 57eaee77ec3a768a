"""Scores are scikit-learn's, and the vectorised forms that are resampled agree with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from amp_tuner.judge.metrics import METRICS, find_metric
from amp_tuner.judge.outputs import decisions
from amp_tuner.judge.scores import SQNR_CAP_DB, score

RNG = np.random.default_rng(3)
BINARY = RNG.random((300, 1)).astype(np.float32)
BINARY_LABELS = (RNG.random(300) < BINARY[:, 0]).astype(np.int64)
CLASSES = RNG.dirichlet(np.ones(6), size=300).astype(np.float32)
CLASS_LABELS = RNG.integers(0, 6, 300)
NUMBERS = RNG.normal(size=(300, 1)).astype(np.float32)
NUMBER_LABELS = NUMBERS[:, 0] + RNG.normal(scale=0.3, size=300)


def of(name: str, output: Any, labels: Any, threshold: float | None = None) -> float:
    metric = find_metric(name)
    assert metric is not None
    return score(metric, output, labels, output, threshold)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "accuracy", "top1"])
def test_decisions_of_one_sigmoid(name: str) -> None:
    decided = BINARY[:, 0] > 0.5
    expected = {
        "f1": sk.f1_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "accuracy": sk.accuracy_score,
        "top1": sk.accuracy_score,
    }[name](BINARY_LABELS, decided)
    assert of(name, BINARY, BINARY_LABELS) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_classes_are_averaged(name: str) -> None:
    function = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}[name]
    expected = function(CLASS_LABELS, CLASSES.argmax(1), average="macro")
    assert of(name, CLASSES, CLASS_LABELS) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k(k: int) -> None:
    expected = sk.top_k_accuracy_score(CLASS_LABELS, CLASSES, k=k)
    assert of(f"top{k}", CLASSES, CLASS_LABELS) == pytest.approx(expected)


def test_of_equal_scores_the_first_class_wins_for_every_k() -> None:
    tied = np.zeros((4, 4), np.float16)
    labels = np.arange(4)
    assert [of(f"top{k}", tied, labels) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_auc() -> None:
    expected = sk.roc_auc_score(BINARY_LABELS, BINARY[:, 0])
    assert of("auc", BINARY, BINARY_LABELS) == pytest.approx(expected)
    two = np.concatenate([1 - BINARY, BINARY], axis=1)
    assert of("auc", two, BINARY_LABELS) == pytest.approx(expected)
    several = sk.roc_auc_score(
        CLASS_LABELS, CLASSES / CLASSES.sum(1, keepdims=True), multi_class="ovr"
    )
    assert of("auc", CLASSES, CLASS_LABELS) == pytest.approx(several)


def test_log_loss() -> None:
    expected = sk.log_loss(BINARY_LABELS, BINARY[:, 0].astype(np.float64))
    assert of("log_loss", BINARY, BINARY_LABELS) == pytest.approx(expected, rel=1e-6)
    certain = np.array([[0.0], [1.0]], np.float16)
    assert np.isfinite(of("log_loss", certain, np.array([1, 0])))


@pytest.mark.parametrize("name", ["rmse", "mse", "mae", "r2"])
def test_errors_are_over_all_numbers(name: str) -> None:
    function = {
        "rmse": sk.root_mean_squared_error,
        "mse": sk.mean_squared_error,
        "mae": sk.mean_absolute_error,
        "r2": sk.r2_score,
    }[name]
    expected = function(NUMBER_LABELS, NUMBERS[:, 0])
    assert of(name, NUMBERS, NUMBER_LABELS) == pytest.approx(expected)


def test_every_built_in_metric_scores_a_perfect_output_best() -> None:
    probabilities = np.eye(6, dtype=np.float32)[CLASS_LABELS]
    for name, metric in METRICS.items():
        numbers = name in ("rmse", "mse", "mae", "r2")
        output = NUMBERS if numbers else probabilities
        if name == "training_loss":
            output = np.zeros_like(probabilities)
        labels = NUMBERS[:, 0] if numbers else CLASS_LABELS
        best = SQNR_CAP_DB if name == "sqnr" else float(metric.higher_is_better)
        assert of(name, output, labels) == pytest.approx(best, abs=1e-6), name


def test_sqnr_is_in_decibels() -> None:
    signal = np.full((10, 3), 10.0, np.float32)
    sqnr = METRICS["sqnr"]
    assert score(sqnr, signal + np.float32(0.1), None, signal, None) == pytest.approx(40, abs=1e-4)
    assert score(sqnr, signal, None, np.zeros_like(signal), None) == -SQNR_CAP_DB


@pytest.mark.parametrize(
    ("output", "threshold", "decided"),
    [
        ([0.4, 0.6], None, [0, 1]),
        ([[0.4], [0.6]], None, [0, 1]),
        ([[-1.0], [0.3]], 0.0, [0, 1]),
        ([[0.2, 0.5, 0.5], [0.9, 0.0, 0.0]], None, [1, 0]),
        ([[0.2, 0.7], [0.9, 0.1]], 0.5, [[0, 1], [1, 0]]),
        ([[[0.2, 0.7], [0.9, 0.1]]], None, [[1, 0]]),
    ],
)
def test_what_scores_decide(output: Any, threshold: float | None, decided: Any) -> None:
    assert decisions(np.array(output, np.float32), threshold).tolist() == decided


@given(st.integers(0, 2**32 - 1))
def test_agreement_counts_equal_decisions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, candidate = rng.random((2, 20, 3))
    expected = float(np.mean(reference.argmax(1) == candidate.argmax(1)))
    assert score(METRICS["agreement"], candidate, None, reference, None) == expected
