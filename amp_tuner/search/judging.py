"""What candidates are worth, by what the trials so far tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from amp_tuner.search.acquisition import expected_gain, front_of, hypervolume
from amp_tuner.search.bounds import Bounds
from amp_tuner.search.evidence import Evidence, Prediction, Told
from amp_tuner.search.failures import chances_of_failure, runs_well
from amp_tuner.search.kernels import WORK, Design, Prior
from amp_tuner.search.looks import Look, Viewer, lone_looks
from amp_tuner.search.scales import LOGARITHM, Scale
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.surrogate import Surrogate, least_surprised
from amp_tuner.search.trust import Trust, errors_of_error, errors_of_time

Array = NDArray[np.float64]

#: Spreads of log times and log errors, before any is known.
_TIME_SPREAD, _ERROR_SPREAD = 0.3, 1.0
#: Times add up.
_TIME_SCALE = Scale(power=1, float32=0.0)
#: How much more the time of op types on a default ALLOW list matters: it holds what was made fast
#: in 16 bits.
_MADE_FAST = 4.0
#: Of the time that falls to it, what an op type saves in 16 bits that was made fast in them, and
#: any other: between nothing and the half that its memory traffic shrinks by.
_SAVES_FAST, _SAVES = 0.3, 0.1
#: What Casts of everything would take, of FP32's time: their traffic, and their number.
_CASTS_TAKE = np.array([0.4, 0.4, 0.2, 0.2])
#: A hypervolume below 1 % of the time is as good as none.
_LEAST_VOLUME = 0.01
#: A failure teaches little and costs a worker: the chance to run counts with this power.
_DREAD = 2
#: What fails in a setting that runs fails again in all others, and will soon be known: unless it
#: has run well before, its chance not to counts with so much higher a power for each such setting.
_DREAD_AGAIN = 2
#: If the model is this much less certain than it says, what is to be hoped for.
_DOUBT = 2.0


@dataclass(frozen=True)
class Scores:
    """Judged candidates.

    Attributes:
        mean, deviation: of log time and log error, once what runs has ended; shape
            (candidates, 2).
        chance: to meet the accuracy goal and to run at all.
        gain: expected growth of the hypervolume.
        hoped: the same if the model is half as certain as it says.
        value: by which they are ranked.
    """

    mean: Array
    deviation: Array
    chance: Array
    gain: Array
    hoped: Array
    value: Array

    def joined(self, other: Scores) -> Scores:
        """These and others."""
        names = [one.name for one in fields(self)]
        return Scores(*(np.concatenate((getattr(self, n), getattr(other, n))) for n in names))

    @property
    def doubt(self) -> Array:
        """How much would be learnt; shape (candidates,)."""
        usual = np.maximum(self.deviation.mean(axis=0), 1e-12)
        doubt: Array = self.chance * (self.deviation / usual).sum(axis=1)
        return doubt


@dataclass(frozen=True)
class Sums:
    """What all of an op type's work adds in 16 bits, Casts left out, on the models' scales.

    Attributes:
        mean, deviation: of the time and of the error; shape (2, op types).
    """

    mean: Array
    deviation: Array


class Judge:
    """The model of one moment.

    Args:
        space: what may be proposed.
        viewer: its graphs.
        evidence: the trials so far.
        pending: 16-bit graphs that run; candidates are judged as if these had come as predicted,
            with less hope for the unlikely, and more dread of what may make both fail.
    """

    def __init__(
        self,
        space: SearchSpace,
        viewer: Viewer,
        evidence: Evidence,
        pending: Sequence[Told] = (),
    ) -> None:
        self._types = space.data_types
        self._viewer = viewer
        self._evidence = evidence
        self._pending = [one.look for one in pending]
        self._sums: dict[str, Sums] = {}
        timed, judged = evidence.timed(), evidence.judged()
        errors = [evidence.log_error(one) for one in judged]
        self._reference = self._reference_point([value for value, _ in errors])
        #: 16 bits change no time, and cost as much accuracy as is allowed, give or take.
        self._usual = ((0.0, _TIME_SPREAD), (float(np.log(self._reference[1])), _ERROR_SPREAD))
        self._priors = (_prior_of_time(space, viewer), Prior())
        floor = float(np.log(evidence.floor))
        # Errors multiply, or their squares add up: the observations say which.
        error_scales = (LOGARITHM, Scale(power=2, float32=floor, least=floor))
        times = [evidence.log_time(one) for one in timed]
        logs, variances = np.array(errors, np.float64).reshape(-1, 2).T
        self._bounds = Bounds([one.look for one in judged], logs, np.sqrt(variances))
        self._told_models = (
            self._fitted(0, timed, times, (_TIME_SCALE,)),
            self._fitted(1, judged, errors, error_scales),
        )
        trusts = [Trust.of(found(evidence.told)[2]) for found in (errors_of_time, errors_of_error)]
        self._widened = np.array([trust.widened for trust in trusts])
        # Each result makes the model more certain, by the square root of their number: of what is
        # uncertain now, so much will be left once what runs has ended.
        known = len(evidence.told) + 1
        self._uncertain = math.sqrt(known / (known + len(self._pending)))
        self._models = self._believing() if pending else self._told_models
        #: Whether the newest predictions were too bad to go by.
        self.is_lost = any(trust.is_lost for trust in trusts)
        self._members = [*timed, *pending]
        self._points = self._known_points([one.look for one in self._members])
        self._front = front_of(self._points, self._reference)
        least = _LEAST_VOLUME * float(self._reference[1])
        self._volume = max(hypervolume(self._points, self._reference), least)
        failed = np.array([one.drop is None for one in evidence.told], np.bool_)
        suspects = self._suspects([one.look for one in evidence.told])
        self._chances = chances_of_failure(suspects, failed)
        is_cleared = suspects[~failed].any(axis=0)
        running = self._suspects(self._pending).sum(axis=0)
        self._dread_more = np.where(is_cleared, 0, _DREAD_AGAIN * running)

    def _suspects(self, looks: Sequence[Look]) -> NDArray[np.bool_]:
        """What may make each setting fail: an op type in 16 bits, or in one data type only."""
        size = len(self._viewer.op_types)
        is_16bit = np.array([look.painted > 0 for look in looks], np.bool_).reshape(-1, size)
        of_type = [np.array([one.data_type == name for one in looks]) for name in self._types]
        parts = [is_16bit, *(is_16bit & mine.reshape(-1, 1).astype(np.bool_) for mine in of_type)]
        return np.hstack(parts)

    def _fitted(
        self,
        target: int,
        told: Sequence[Told],
        pairs: Sequence[tuple[float, float]],
        scales: Sequence[Scale],
    ) -> Surrogate | None:
        if not told and not self._pending:
            return None
        logs, variances = np.array(pairs, np.float64).reshape(-1, 2).T
        design = self._design([one.look for one in told], target)
        return least_surprised(design, logs, variances, self._usual[target], scales)

    def _design(self, looks: Sequence[Look], target: int) -> Design:
        # Rounding is relative: what a node adds to the error does not depend on its tensors' sizes.
        by_nodes = target == 1
        return Design.of(looks, self._viewer, self._types, self._priors[target], by_nodes=by_nodes)

    def _reference_point(self, errors: Sequence[float]) -> Array:
        """FP32's log time; the error that the goal allows, or a bit more than the largest so far.

        Errors are drops above the evidence's floor.
        """
        limit, floor = self._evidence.limit, self._evidence.floor
        if limit is not None:
            return np.array([0.0, max(limit, 0.0) + floor])
        return np.array([0.0, 1.1 * np.exp(max(errors, default=0.0))])

    def _believing(self) -> tuple[Surrogate | None, ...]:
        """The models once what is pending came as predicted."""
        models = tuple(map(copy, self._told_models))
        for target, model in enumerate(models):
            if model is not None:
                model.believe(self._design(self._pending, target))
        return models

    def _known_points(self, looks: Sequence[Look]) -> Array:
        """Log time and error of what was timed or runs, as the model sees it; shape (looks, 2)."""
        if not looks:
            return np.zeros((0, 2))
        mean, _ = self._predicted(looks, self._models)
        return np.column_stack((mean[:, 0], np.exp(mean[:, 1])))

    def _predicted(
        self, looks: Sequence[Look], models: Sequence[Surrogate | None]
    ) -> tuple[Array, Array]:
        pairs = [
            (
                np.full(len(looks), self._usual[target][0]),
                np.full(len(looks), self._usual[target][1]),
            )
            if model is None
            else model.predict(self._design(looks, target))
            for target, model in enumerate(models)
        ]
        mean = np.column_stack([pair[0] for pair in pairs])
        return mean, np.column_stack([pair[1] for pair in pairs]) * self._widened

    def front_members(self) -> list[Told]:
        """Settings that were timed or run, whose modelled figures no other one's beat."""
        front = {tuple(point) for point in self._front.tolist()}
        return [
            one
            for one, point in zip(self._members, self._points.tolist(), strict=True)
            if tuple(point) in front
        ]

    def additions(self, data_type: str) -> Sums | None:
        """What each of the viewer's op types adds; None while nothing is known."""
        if data_type not in self._sums:
            pairs = []
            for target, model in enumerate(self._models):
                if model is None:
                    return None
                alone, none = (
                    self._design(looks, target) for looks in lone_looks(self._viewer, data_type)
                )
                pairs.append(model.effect(alone, none, WORK))
            self._sums[data_type] = Sums(*np.array(pairs).swapaxes(0, 1))
        return self._sums[data_type]

    def value_of_sums(self, scores: Scores, place: int, added: Array) -> Array:
        """What a candidate would gain if something were added to its time and error.

        Args:
            scores: judged candidates.
            place: the candidate's.
            added: on the scales; shape (2, n).

        Returns:
            Shape (n,).
        """
        scales = [LOGARITHM if one is None else one.scale for one in self._models]
        sums = zip(scales, scores.mean[place], added, strict=True)
        logs = np.column_stack([scale.plus(start, change) for scale, start, change in sums])
        deviation = np.broadcast_to(scores.deviation[place], logs.shape)
        return expected_gain(self._front, self._reference, logs, deviation)

    def scores(self, looks: Sequence[Look]) -> Scores:
        """What each candidate is worth."""
        mean, deviation = self._bounded(looks, self._models)
        deviation *= self._uncertain
        involved = self._suspects(looks)
        runs = runs_well(involved, self._chances) ** _DREAD
        runs *= runs_well(involved, self._chances, self._dread_more)
        chance = runs
        if self._evidence.limit is not None:
            chance = runs * ndtr((np.log(self._reference[1]) - mean[:, 1]) / deviation[:, 1])
        # The volume ends at the goal: the chance to meet it is part of what it is expected to gain.
        gain = expected_gain(self._front, self._reference, mean, deviation) * runs
        hoped = expected_gain(self._front, self._reference, mean, _DOUBT * deviation) * runs
        # Where nothing is to be gained, the likeliest to be faster than FP32 comes first.
        tiny = 1e-9 * self._volume * chance * ndtr(-mean[:, 0] / deviation[:, 0])
        return Scores(mean, deviation, chance, gain, hoped, gain + tiny)

    def _bounded(
        self, looks: Sequence[Look], models: Sequence[Surrogate | None]
    ) -> tuple[Array, Array]:
        mean, deviation = self._predicted(looks, models)
        mean[:, 1], deviation[:, 1] = self._bounds.within(looks, mean[:, 1], deviation[:, 1])
        return mean, deviation

    def prediction(self, scores: Scores, place: int, look: Look, *, explores: bool) -> Prediction:
        """Of one of the judged candidates, the best of which is among them."""
        mean, deviation = scores.mean[place], scores.deviation[place]
        if self._pending:
            # What is only believed makes no prediction more certain.
            (mean,), (deviation,) = self._bounded([look], self._told_models)
        return Prediction(
            *(float(mean[0]), float(deviation[0]), float(mean[1]), float(deviation[1])),
            floor=self._evidence.floor,
            gain=float(scores.gain[place]) / self._volume,
            hope=float(scores.hoped.max(initial=0.0)) / self._volume,
            explores=explores,
        )


def _prior_of_time(space: SearchSpace, viewer: Viewer) -> Prior:
    """Roughly what 16 bits save and what Casts take; op types that were made fast matter more."""
    lists = space.defaults.values()
    fast = [any(one.list_of(op) == "allow" for one in lists) for op in viewer.op_types]
    return Prior(
        emphasis=np.where(fast, _MADE_FAST, 1.0),
        work=-viewer.weight * np.where(fast, _SAVES_FAST, _SAVES),
        casts=_CASTS_TAKE,
    )
