"""Accuracy of slices of outputs, as the study file asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from amp_tuner.config.model import StudyConfig
from amp_tuner.data.functions import runner_for
from amp_tuner.data.samples import Slice
from amp_tuner.errors import InputError, Problem, WorkerFailure
from amp_tuner.judge.accuracy import baseline_accuracy, judge
from amp_tuner.records import Accuracy


class Judging:
    """Holds outputs against FP32's.

    Args:
        config: the study file.
        work: an existing scratch folder.
    """

    def __init__(self, config: StudyConfig, work: Path) -> None:
        self._accuracy = config.accuracy
        self._functions = runner_for(config, work)

    def candidate(self, seen: Slice, candidate: Any) -> Accuracy:
        """A candidate's accuracy from its outputs of a slice; see ``judge.accuracy.judge``."""
        count = seen.stop - seen.start
        labels = None if seen.labels is None else seen.labels[:count]
        return judge(self._accuracy, seen.reference[:count], candidate, labels, self._functions)

    def first(self, seen: Slice, candidate: Any) -> Accuracy:
        """The same from its outputs of the slice's first samples alone."""
        return self.candidate(replace(seen, stop=seen.start + len(candidate)), candidate)

    def baseline(self, seen: Slice, *, is_part: bool = False) -> Accuracy:
        """FP32's own; see ``judge.accuracy.baseline_accuracy``.

        Raises:
            InputError: the metrics cannot be computed, or the goal means nothing.
        """
        reference, labels = seen.reference, seen.labels
        return baseline_accuracy(
            self._accuracy, reference, labels, self._functions, is_part=is_part
        )

    def check_held_back(self, seen: Slice) -> None:
        """Whether FP32's outputs of samples that are held back will do.

        Raises:
            InputError: they are not finite, the metrics cannot be computed on them, or the goal
                means nothing there.
        """
        try:
            self.baseline(seen)
        except InputError as error:
            raise InputError(
                Problem(one.where, f"{one.message} (on the samples that are held back)")
                for one in error.problems
            ) from error

    def baseline_again(self, seen: Slice) -> Accuracy:
        """FP32's own on other samples than the goal was checked on.

        Raises:
            WorkerFailure: a metric fails on them.
        """
        try:
            return self.baseline(seen, is_part=True)
        except InputError as error:
            raise WorkerFailure(f"metric failed: {error}", fatal=False) from error
