"""Judging: what is refused, what a candidate's score and drop are, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.data.functions import FunctionRunner
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.judge.accuracy import baseline_accuracy, check_metric, chosen_output, judge
from amp_tuner.worker.protocol import TensorInfo

RNG = np.random.default_rng(5)
SAMPLES = 2000
PROBABILITIES = RNG.dirichlet(np.ones(4), size=SAMPLES).astype(np.float32)
CLASSES = np.array([RNG.choice(4, p=row / row.sum()) for row in PROBABILITIES.astype(float)])
SIGMOID = RNG.random((SAMPLES, 1)).astype(np.float32)
BITS = (RNG.random(SAMPLES) < SIGMOID[:, 0]).astype(np.int64)
NUMBERS = RNG.normal(size=(SAMPLES, 3)).astype(np.float32)
TARGETS = NUMBERS + RNG.normal(scale=0.2, size=NUMBERS.shape).astype(np.float32)

CASES = [
    ("top1", PROBABILITIES, CLASSES),
    ("top2", PROBABILITIES, CLASSES),
    ("accuracy", SIGMOID, BITS),
    ("f1", SIGMOID, BITS),
    ("f1", PROBABILITIES, CLASSES),
    ("precision", PROBABILITIES, CLASSES),
    ("recall", PROBABILITIES, CLASSES),
    ("auc", SIGMOID, BITS),
    ("auc", PROBABILITIES, CLASSES),
    ("log_loss", PROBABILITIES, CLASSES),
    ("rmse", NUMBERS, TARGETS),
    ("mae", NUMBERS, TARGETS),
    ("mse", NUMBERS, TARGETS),
    ("r2", NUMBERS[:, :1], TARGETS[:, 0]),
    ("agreement", PROBABILITIES, None),
    ("sqnr", NUMBERS, None),
]


def config(metric: str, goal: Any = "99%", **more: Any) -> AccuracyConfig:
    return AccuracyConfig(metric=metric, goal={"min": 20} if metric == "sqnr" else goal, **more)


def noisy(output: Any, scale: float) -> Any:
    return (output + np.random.default_rng(9).normal(scale=scale, size=output.shape)).astype("f4")


def refused(metric: str, output: Any, labels: Any, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        baseline_accuracy(config(metric, **more), output, labels)
    return str(caught.value)


@pytest.mark.parametrize(("metric", "output", "labels"), CASES)
def test_fp32_has_no_drop_and_meets_its_own_goal(metric: str, output: Any, labels: Any) -> None:
    found = baseline_accuracy(config(metric), output, labels)
    assert (found.drop.low, found.drop.value, found.drop.high) == (0, 0, 0)
    assert found.verdict == "meets"
    assert found.samples == SAMPLES
    assert found.score.low <= found.score.value <= found.score.high


@pytest.mark.parametrize(("metric", "output", "labels"), CASES)
def test_noise_costs_and_more_noise_costs_more(metric: str, output: Any, labels: Any) -> None:
    little, much = (judge(config(metric), output, noisy(output, s), labels) for s in (1e-3, 3.0))
    assert little.drop.low <= little.drop.value <= little.drop.high
    assert much.drop.value > little.drop.value
    assert much.verdict == "misses"
    assert little.verdict != "misses"


@pytest.mark.parametrize(("metric", "output", "labels"), CASES)
def test_drop_is_the_loss_as_the_goal_counts_it(metric: str, output: Any, labels: Any) -> None:
    candidate = noisy(output, 0.05)
    if metric == "sqnr":
        return
    baseline = baseline_accuracy(config(metric), output, labels).score.value
    relative = judge(config(metric), output, candidate, labels)
    absolute = judge(
        config(metric, {"max_drop": 0.1, "kind": "absolute"}), output, candidate, labels
    )
    loss = abs(baseline - relative.score.value)
    assert abs(absolute.drop.value) == pytest.approx(loss, abs=1e-9)
    assert relative.drop.value == pytest.approx(absolute.drop.value / baseline)


def test_pairing_makes_a_small_drop_certain_where_the_scores_overlap() -> None:
    candidate = noisy(SIGMOID, 0.002)
    found = judge(config("accuracy", {"max_drop": 0.02}), SIGMOID, candidate, BITS)
    assert found.verdict == "meets"
    assert found.score.high - found.score.low > 3 * (found.drop.high - found.drop.low)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "auc", "log_loss"])
def test_intervals_of_the_drop_cover_the_true_one(metric: str) -> None:
    """The truth is the drop on many samples; each round sees 400 of its own."""

    def pair(rng: np.random.Generator, count: int) -> tuple[Any, Any, Any]:
        reference = rng.random((count, 1))
        labels = (rng.random(count) < reference[:, 0]).astype(np.int64)
        candidate = np.clip(reference + rng.normal(0.02, 0.1, reference.shape), 0, 1)
        return reference, candidate, labels

    goal = {"max_drop": 1, "kind": "absolute"}
    truth = judge(config(metric, goal), *pair(np.random.default_rng(0), 300_000)).drop.value
    rng = np.random.default_rng(1)
    drops = [judge(config(metric, goal), *pair(rng, 400)).drop for _ in range(60)]
    covered = sum(drop.low <= truth <= drop.high for drop in drops)
    # Binomial(60, 0.95): at least 52 with probability 0.99.
    assert covered >= 52


@pytest.mark.parametrize(
    ("samples", "positive", "lost"), [(100, 0.5, 0.02), (500, 0.5, 0.012), (1000, 0.05, 0.02)]
)
@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_losses_too_rare_to_be_seen_are_not_taken_for_none(
    metric: str, samples: int, positive: float, lost: float
) -> None:
    """Every candidate loses more than the goal allows, often without one flip in the samples."""

    def outputs(decided: Any) -> Any:
        return np.where(decided, 0.9, 0.1).astype(np.float32)[:, None]

    rng = np.random.default_rng(3)
    found = []
    for _ in range(100):
        labels = rng.random(samples) < positive
        flipped = rng.random(samples) < lost
        found.append(judge(config(metric), outputs(labels), outputs(labels ^ flipped), labels * 1))
    # Of recall alone: the others lose by false alarms too, and so more.
    assert sum(one.drop.high < lost for one in found) <= 6
    # Binomial(100, 0.025): at most 6 with probability 0.99.
    assert sum(one.verdict == "meets" for one in found) <= 6


@pytest.mark.parametrize("metric", ["accuracy", "auc", "f1", "precision", "recall"])
def test_equal_decisions_on_few_samples_are_not_certain(metric: str) -> None:
    labels = np.arange(100) % 2
    output = np.where(labels, 0.9, 0.1).astype(np.float32)[:, None]
    few = judge(config(metric), output, output, labels)
    assert few.drop.value == 0
    assert few.verdict == "uncertain"
    many = judge(config(metric), *(np.tile(output, (20, 1)) for _ in range(2)), np.tile(labels, 20))
    assert many.verdict == "meets"


def test_one_swap_of_ranks_is_no_more_certain_than_none() -> None:
    labels = np.repeat([0, 1], [4900, 100])
    output = np.linspace(0, 1, 5000, dtype=np.float32)[:, None]
    swapped = output.copy()
    swapped[[4899, 4900]] = swapped[[4900, 4899]]
    equal, other = (judge(config("auc"), output, one, labels) for one in (output, swapped))
    assert equal.drop.value == 0 < other.drop.value
    assert other.drop.high > equal.drop.high > 0.02
    assert [equal.verdict, other.verdict] == ["uncertain", "uncertain"]


def test_the_unit_of_what_is_predicted_does_not_matter_to_r2() -> None:
    rng = np.random.default_rng(5)
    labels = rng.normal(size=400)
    reference, candidate = (
        (labels + noise * rng.normal(size=400))[:, None] for noise in (0.45, 0.47)
    )
    found = [
        judge(config("r2"), scale * reference, scale * candidate, scale * labels).drop
        for scale in (1.0, 1e-5)
    ]
    assert found[1].low == pytest.approx(found[0].low)
    assert found[1].high == pytest.approx(found[0].high)


def test_of_many_classes_one_flip_of_the_rarest_is_what_is_feared() -> None:
    labels = np.repeat(np.arange(10), [20, *[220] * 9])
    output = np.eye(10, dtype=np.float32)[labels]
    found = judge(config("recall", {"max_drop": 1, "kind": "absolute"}), output, output, labels)
    # Clopper and Pearson's bound of none in 20 is 0.168; its class is a tenth of the score. Two
    # samples were added, one of which may be a gain.
    assert found.drop.high == pytest.approx(0.0168, rel=0.25)


def test_a_part_without_the_rare_class_is_not_certain() -> None:
    labels = np.repeat([0, 1], [128, 5])
    output = np.where(labels, 0.9, 0.1).astype(np.float32)[:, None]
    for metric, answers in (("f1", labels), ("recall", labels), ("r2", labels * 1.0)):
        assert baseline_accuracy(config(metric), output, answers).score.value > 0.5
        part = judge(config(metric), output[:128], output[:128], answers[:128])
        assert part.verdict == "uncertain"
        assert np.isfinite([part.drop.low, part.drop.high]).all()


@pytest.mark.parametrize("metric", ["f1", "recall"])
def test_fp32_without_the_rare_class_is_what_held_back_samples_are_held_against(
    metric: str,
) -> None:
    output, labels = np.full((128, 1), 0.1, np.float32), np.zeros(128, np.int64)
    assert baseline_accuracy(config(metric), output, labels, is_part=True).verdict == "meets"


def test_agreement_of_several_decisions_a_sample_is_their_share() -> None:
    reference = np.zeros((50, 4, 2), np.float32)
    reference[..., 0] = 1
    candidate = reference.copy()
    candidate[:5, 0] = [0, 1]
    found = judge(config("agreement"), reference, candidate, None)
    assert found.score.value == pytest.approx(1 - 5 / 200)
    assert found.score.low < found.score.value < found.score.high < 1


def test_full_agreement_on_few_samples_is_not_certain() -> None:
    reference = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
    assert judge(config("agreement", "99.9%"), reference, reference, None).verdict == "uncertain"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_fail_the_trial(bad: float) -> None:
    candidate = PROBABILITIES.copy()
    candidate[3, 1] = bad
    with pytest.raises(WorkerFailure) as caught:
        judge(config("top1"), PROBABILITIES, candidate, CLASSES)
    assert caught.value.cause == "outputs are not finite: NaN or Inf in 1 of 2000 samples"
    assert not caught.value.fatal


def test_fp32_outputs_that_are_not_finite_are_bad_input() -> None:
    reference = PROBABILITIES.copy()
    reference[[3, 5]] = np.nan
    said = "FP32 model's outputs hold NaN or Inf in 2 of 2000 samples"
    assert said in refused("top1", reference, CLASSES)


def test_outputs_of_another_shape_fail_the_trial() -> None:
    with pytest.raises(WorkerFailure, match=r"outputs of shape \(2000, 3\)"):
        judge(config("top1"), PROBABILITIES, PROBABILITIES[:, :3], CLASSES)


@pytest.mark.parametrize(
    ("metric", "output", "labels", "message"),
    [
        ("top1", PROBABILITIES, None, "$.data.labels: metric top1 needs labels"),
        ("top1", PROBABILITIES, np.full(SAMPLES, "cat"), "metric top1 takes numbers; found text"),
        (
            "top1",
            PROBABILITIES,
            CLASSES + 1,
            "class numbers 0 to 3 for these outputs; found 1 to 4",
        ),
        ("top1", PROBABILITIES, CLASSES - 1, "found -1 to 2"),
        ("top1", PROBABILITIES, CLASSES + 0.5, "takes class numbers; found fractions"),
        ("top1", PROBABILITIES, np.eye(4)[CLASSES], "one-hot labels? use their argmax"),
        ("top1", SIGMOID, CLASSES, "class numbers 0 to 1 for these outputs"),
        ("top4", PROBABILITIES, CLASSES, "$.accuracy.metric: top4 of 4 classes is always 1"),
        ("top1", np.zeros((SAMPLES, 5, 4)), CLASSES, "take one row of scores a sample"),
        (
            "auc",
            SIGMOID,
            np.zeros(SAMPLES, int),
            "auc needs at least two classes; found only class 0",
        ),
        (
            "rmse",
            NUMBERS,
            TARGETS[:, :2],
            "labels of the outputs' shape (samples, 3); found (2000, 2)",
        ),
        ("rmse", NUMBERS, TARGETS * np.nan, "found NaN or infinite labels"),
        ("rmse", NUMBERS, TARGETS.astype(str), "metric rmse takes numbers; found text"),
        ("r2", NUMBERS, TARGETS, "r2 takes one number a sample"),
        ("r2", NUMBERS[:, :1], np.ones(SAMPLES), "r2 needs labels that differ"),
        ("log_loss", NUMBERS, CLASSES % 3, "log_loss takes probabilities"),
        (
            "accuracy",
            SIGMOID * 9 - 4,
            BITS,
            "$.accuracy.threshold: the single output is no sigmoid",
        ),
        (
            "agreement",
            SIGMOID * 9 - 4,
            None,
            "$.accuracy.threshold: the single output is no sigmoid",
        ),
    ],
)
def test_labels_and_outputs_that_do_not_fit_the_metric_are_bad_input(
    metric: str, output: Any, labels: Any, message: str
) -> None:
    assert message in refused(metric, output, labels)


def test_a_threshold_decides_a_single_output_only() -> None:
    assert "it decides a single output" in refused("top1", PROBABILITIES, CLASSES, threshold=0.5)
    logits = SIGMOID * 9 - 4
    assert baseline_accuracy(config("accuracy", threshold=0.0), logits, BITS).score.value > 0.5


def test_a_relative_goal_needs_a_positive_score() -> None:
    bad = NUMBERS[:, :1] + 100
    assert "kind: absolute" in refused("r2", bad, TARGETS[:, 0])


def test_other_metrics_are_reported_beside_it() -> None:
    found = judge(config("agreement", also=("auc", "f1")), SIGMOID, SIGMOID, BITS)
    assert list(found.also) == ["auc", "f1"]
    assert 0.8 < found.also["auc"] < 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_what_means_nothing_on_a_part_is_left_out_beside_it() -> None:
    ones = np.ones_like(BITS[:200])
    found = judge(config("agreement", also=("auc", "f1")), SIGMOID[:200], SIGMOID[:200], ones)
    assert list(found.also) == ["f1"]


@pytest.mark.parametrize("metric", ["auc", "f1", "log_loss", "accuracy"])
def test_a_handful_of_samples_is_judged_without_certainty(metric: str) -> None:
    found = judge(config(metric), SIGMOID[:1], 1 - SIGMOID[:1], BITS[:1])
    assert found.verdict == "uncertain" or metric == "accuracy"
    assert np.isfinite([found.drop.low, found.drop.high, found.score.low, found.score.high]).all()


INFO = (
    TensorInfo("scores", "float32", (-1, 4)),
    TensorInfo("names", "string", (-1, 4)),
)


def test_one_of_several_outputs_must_be_named() -> None:
    with pytest.raises(InputError, match=r"\$\.accuracy\.output: .*several.*scores, names"):
        chosen_output(config("top1"), INFO)
    with pytest.raises(InputError, match=r"did you mean scores\?"):
        chosen_output(config("top1", output="score"), INFO)
    with pytest.raises(InputError, match="'names' holds string"):
        chosen_output(config("top1", output="names"), INFO)
    assert chosen_output(config("top1", output="scores"), INFO) is INFO[0]


def test_labels_are_checked_before_anything_runs() -> None:
    with pytest.raises(InputError) as caught:
        check_metric(config("top1", also=("top4",)), INFO[:1], CLASSES + 1, {})
    assert {problem.where for problem in caught.value.problems} == {
        "$.data.labels",
        "$.accuracy.metric",
    }
    check_metric(config("top1"), (TensorInfo("y", "float32", None),), CLASSES, {})
    check_metric(config("top1"), INFO[:1], CLASSES, {})


def test_each_part_of_the_labels_is_checked_by_itself() -> None:
    one_output = (TensorInfo("y", "float32", (-1, 1)),)
    labels = np.repeat([0, 1], [8, 2])
    check_metric(config("auc"), one_output, labels, {"that are held back": range(6, 10)})
    with pytest.raises(InputError, match=r"of the samples to search with: auc .*only class 0"):
        check_metric(config("auc"), one_output, labels, {"to search with": range(8)})


def test_a_metric_of_ones_own_has_score_drop_and_interval(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def error(outputs, labels, reference):\n    return abs(outputs - labels).mean()\n"
    )
    runner = FunctionRunner(tmp_path, tmp_path, 60, 4 << 30)
    own = config("mine:error", direction="minimize")
    candidate = noisy(NUMBERS, 0.05)
    built_in = judge(config("mae"), NUMBERS, candidate, TARGETS)
    found = judge(own, NUMBERS, candidate, TARGETS, runner)
    assert found.score.value == pytest.approx(built_in.score.value, rel=1e-5)
    assert found.drop.value == pytest.approx(built_in.drop.value, rel=1e-3)
    width, expected = (x.drop.high - x.drop.low for x in (found, built_in))
    assert 0.5 < width / expected < 2
    assert baseline_accuracy(own, NUMBERS, TARGETS, runner).drop.value == 0


def test_a_metric_of_ones_own_that_fails_is_bad_input_first_and_a_trial_s_cause_later(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text("def f(outputs, labels, reference):\n    return 1 / 0\n")
    runner = FunctionRunner(tmp_path, tmp_path, 60, 4 << 30)
    own = config("mine:f", direction="minimize")
    with pytest.raises(InputError, match="ZeroDivisionError: division by zero"):
        baseline_accuracy(own, NUMBERS, TARGETS, runner)
    with pytest.raises(WorkerFailure, match=r"metric failed: .*ZeroDivisionError"):
        judge(own, NUMBERS, NUMBERS, TARGETS, runner)
