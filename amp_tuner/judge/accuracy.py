"""Judges a candidate's outputs against FP32's: score, drop and verdict on the goal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.data.functions import FunctionRunner, score_function
from amp_tuner.errors import InputError, Problem, WorkerFailure
from amp_tuner.judge import paired
from amp_tuner.judge.estimates import UNKNOWN, Estimate, Pair, estimate
from amp_tuner.judge.flips import class_flips
from amp_tuner.judge.goal import check_baseline
from amp_tuner.judge.intervals import jackknife
from amp_tuner.judge.metrics import TRAINING_LOSS, Metric, find_metric, samples_word
from amp_tuner.judge.outputs import Array, all_finite, label_problems, value_problems
from amp_tuner.judge.scores import score
from amp_tuner.records import Accuracy, Interval
from amp_tuner.text import did_you_mean
from amp_tuner.worker.protocol import TensorInfo

#: With fewer, an interval from resampling or from a variance is too narrow to decide anything.
FEWEST_SAMPLES = 10
#: Families whose intervals hold with any number of samples.
_EXACT = ("decisions", "agreement", "curves")
_OUTPUT = "$.accuracy.output"


def chosen_output(config: AccuracyConfig, outputs: Sequence[TensorInfo]) -> TensorInfo:
    """The output that is judged: ``accuracy.output``, or the only one.

    Raises:
        InputError: there is no such output, several and none is named, or it holds no numbers.
    """
    names = [output.name for output in outputs]
    if config.output is None and len(outputs) != 1:
        message = f"the model has several outputs; name one: {', '.join(names)}"
        raise InputError.one(_OUTPUT, message)
    wanted = names[0] if config.output is None else config.output
    if wanted not in names:
        hint = did_you_mean(wanted, names)
        message = f"the model has no output {wanted!r}{hint}; allowed: {', '.join(names)}"
        raise InputError.one(_OUTPUT, message)
    chosen = outputs[names.index(wanted)]
    if not chosen.dtype.startswith(("float", "bfloat", "int", "uint", "bool")):
        message = f"output {wanted!r} holds {chosen.dtype}; allowed: an output of numbers"
        raise InputError.one(_OUTPUT, message)
    return chosen


def check_metric(
    config: AccuracyConfig,
    outputs: Sequence[TensorInfo],
    labels: Array | None,
    parts: Mapping[str, range],
) -> None:
    """Checks before anything runs that the metrics can be computed.

    Args:
        config: metric and goal.
        outputs: the model's.
        labels: of all samples.
        parts: what parts of the samples are called, and where they are; each must do by itself.

    Raises:
        InputError: every reason why they cannot.
    """
    output = chosen_output(config, outputs)
    problems = _label_problems(config, output, labels)
    if not problems and labels is not None:
        problems = [
            Problem(one.where, f"of the samples {what}: {one.message}")
            for what, part in parts.items()
            if len(part)
            for one in _label_problems(config, output, labels[part.start : part.stop])
        ]
    if config.metric == TRAINING_LOSS and output.shape:
        message = f"output {output.name!r} has shape {output.shape}; a step's loss is one number"
        problems.append(Problem(_OUTPUT, message))
    if problems:
        raise InputError(dict.fromkeys(problems))


def _label_problems(
    config: AccuracyConfig, output: TensorInfo, labels: Array | None
) -> list[Problem]:
    return [
        problem
        for metric in _metrics(config)
        for problem in label_problems(metric, output.shape, labels)
    ]


def baseline_accuracy(
    config: AccuracyConfig,
    reference: Array,
    labels: Array | None,
    functions: FunctionRunner | None = None,
    *,
    is_part: bool = False,
) -> Accuracy:
    """FP32's own score, with a drop of 0.

    Args:
        config: metric and goal.
        reference: FP32's outputs, shape (samples, ...).
        labels: of the same samples.
        functions: runs a metric of the user's own.
        is_part: the goal was checked on other samples; here it may mean nothing.

    Raises:
        InputError: the metrics cannot be computed on these outputs and labels, the outputs are
            not finite, or the goal means nothing for this score.
    """
    if not all_finite(reference):
        where = _not_finite(config.metric, reference)
        message = f"the FP32 model's outputs hold {where}: nothing to compare with"
        raise InputError.one("$.model.path", message)
    problems = [
        problem
        for metric in _metrics(config)
        for problem in _problems(metric, reference, labels, config.threshold)
    ]
    if problems:
        raise InputError(dict.fromkeys(problems))
    found = _estimate(config, reference, reference, labels, functions)
    if not is_part:
        check_baseline(config.parsed_goal, found.baseline)
    zero = Interval(0.0, 0.0, 0.0)
    exact = _metrics(config)[0].family in ("agreement", "sqnr")
    value = found.baseline
    own = Interval(value, value, value) if exact else found.score
    return _accuracy(config, own, zero, reference, reference, labels)


def judge(
    config: AccuracyConfig,
    reference: Array,
    candidate: Array,
    labels: Array | None,
    functions: FunctionRunner | None = None,
) -> Accuracy:
    """A candidate's score, drop and verdict; outputs and labels hold the same samples.

    A relative drop is the loss as a share of FP32's score on these samples; that score is taken
    as exact, since the pairing leaves the loss as what is uncertain. Where FP32's score on a part
    of the samples is not above 0 (none of a rare class among them, say), nothing is certain.

    Args:
        config: metric and goal.
        reference: FP32's outputs, shape (samples, ...).
        candidate: the candidate's, the same shape.
        labels: shape (samples, ...), or None.
        functions: runs a metric of the user's own.

    Raises:
        WorkerFailure: the outputs have NaN or Inf or another shape, or the user's metric fails
            on them: the trial's cause.
    """
    if candidate.shape != reference.shape:
        cause = f"outputs of shape {candidate.shape}, FP32's have {reference.shape}"
        raise WorkerFailure(cause, fatal=False)
    if not all_finite(candidate):
        cause = f"outputs are not finite: {_not_finite(config.metric, candidate)}"
        raise WorkerFailure(cause, fatal=False)
    try:
        found = _estimate(config, reference, candidate, labels, functions)
    except InputError as error:
        raise WorkerFailure(f"metric failed: {error}", fatal=False) from error
    drop = found.loss
    if config.parsed_goal.relative:
        drop = _relative(found)
    accuracy = _accuracy(config, found.score, drop, reference, candidate, labels)
    metric = _metrics(config)[0]
    flips = class_flips(metric, reference, candidate, labels, config.threshold)
    accuracy = replace(accuracy, flips=flips)
    tested = paired.paired_test(Pair(metric, reference, candidate, labels, config.threshold))
    if tested is None:
        return accuracy
    return replace(accuracy, paired_test=tested.name, p_worse=tested.p_worse)


def p_worse_than(
    config: AccuracyConfig,
    reference: Array,
    original: Array,
    candidate: Array,
    labels: Array | None,
) -> float | None:
    """The paired test of one candidate against another, ``original``; see ``judge.paired``."""
    metric = _metrics(config)[0]
    pair = Pair(metric, reference, candidate, labels, config.threshold)
    return paired.p_worse_than(original, pair)


def _estimate(
    config: AccuracyConfig,
    reference: Array,
    candidate: Array,
    labels: Array | None,
    functions: FunctionRunner | None,
) -> Estimate:
    metric = _metrics(config)[0]
    if metric.family != "function":
        return estimate(Pair(metric, reference, candidate, labels, config.threshold))
    assert functions is not None, "a study with a metric of its own has a FunctionRunner"
    scores = score_function(functions, metric.name, reference, candidate, labels)
    sign = 1 if metric.higher_is_better else -1
    without_group = np.array(scores.without_group).reshape(-1, 2)
    loss = sign * (scores.reference - scores.candidate)
    losses = sign * (without_group[:, 0] - without_group[:, 1])
    found = jackknife(scores.candidate, without_group[:, 1])
    return Estimate(scores.reference, found, jackknife(loss, losses))


def _relative(found: Estimate) -> Interval:
    if found.baseline <= 0:
        return UNKNOWN
    loss = found.loss
    return Interval(*(bound / found.baseline for bound in (loss.value, loss.low, loss.high)))


def _accuracy(
    config: AccuracyConfig,
    found: Interval,
    drop: Interval,
    reference: Array,
    candidate: Array,
    labels: Array | None,
) -> Accuracy:
    also = {
        metric.name: score(metric, candidate, labels, reference, config.threshold)
        for metric in _metrics(config)[1:]
    }
    # On a part of the samples some mean nothing: an area under the curve of one class, say.
    also = {name: value for name, value in also.items() if math.isfinite(value)}
    verdict = config.parsed_goal.verdict(found, drop)
    if len(reference) < FEWEST_SAMPLES and _metrics(config)[0].family not in _EXACT:
        verdict = "uncertain"
    return Accuracy(config.metric, found, drop, verdict, len(reference), also)


def _metrics(config: AccuracyConfig) -> list[Metric]:
    """The metric, then the ones that are reported beside it."""
    found = [find_metric(config.metric, config.direction), *map(find_metric, config.also)]
    return [metric for metric in found if metric is not None]


def _problems(
    metric: Metric, reference: Array, labels: Array | None, threshold: float | None
) -> list[Problem]:
    problems = label_problems(metric, reference.shape, labels)
    if problems or metric.family == "function":
        return problems
    wrong = value_problems(metric, reference, threshold)
    return [Problem(where, message) for where, message in wrong.items()]


def _not_finite(metric: str, outputs: Array) -> str:
    bad = sum(int((~np.isfinite(row)).any()) for row in outputs)
    word = samples_word(metric)
    return f"NaN or Inf in {bad} of {len(outputs)} {word}"
