"""Which setting to measure next, by what the painted graphs and the trials so far tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from amp_tuner.search.acquisition import expected_gain, front_of, hypervolume
from amp_tuner.search.candidates import Candidates, Parameters
from amp_tuner.search.evidence import Evidence, Prediction, Told
from amp_tuner.search.failures import chances_of_failure, runs_well
from amp_tuner.search.looks import Look, Viewer
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.surrogate import Design, Surrogate
from amp_tuner.search.trust import Trust, errors_of_error, errors_of_time

Array = NDArray[np.float64]

#: Spreads of log times and log errors, before any is known.
_TIME_SPREAD, _ERROR_SPREAD = 0.3, 1.0
#: A hypervolume below 1 % of the time is as good as none.
_LEAST_VOLUME = 0.01
#: Rounds of looking around the best candidates so far, and the shares of the paintings.
_ROUNDS = 3
_FIRST_ROUND = 0.5
_PARENTS = 8
#: A failure teaches little and costs a worker: the chance to run counts with this power.
_DREAD = 3
#: If the model is this much less certain than it says, what is to be hoped for.
_DOUBT = 2.0


@dataclass(frozen=True)
class Choice:
    """The next setting.

    Attributes:
        parameters: as the search space encodes them.
        predicted: what the model expects of it; None where it knows nothing yet.
    """

    parameters: Parameters
    predicted: Prediction | None


@dataclass
class _Pool:
    """New graphs that were looked at, each once."""

    parameters: list[Parameters] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    graphs: set[str] = field(default_factory=set)


class Proposer:
    """One proposal.

    Args:
        space: what may be proposed.
        viewer: paints candidates.
        random: the only source of chance.
        told: the trials that ended with a result or a failure of their own.
        known: graphs that must not be proposed: measured, failed, running.
        only: the only settings to choose from, where all graphs are known beforehand.
    """

    def __init__(
        self,
        space: SearchSpace,
        viewer: Viewer,
        random: np.random.Generator,
        told: Sequence[Told],
        *,
        known: Collection[str],
        only: Sequence[Parameters] | None = None,
    ) -> None:
        self._space = space
        self._viewer = viewer
        self._random = random
        self._draw = Candidates(space, random)
        self._known = known
        self._only = only
        self._evidence = Evidence.of(told)
        self._judge = _Judge(space, viewer, self._evidence)

    def choose(self) -> Choice | None:
        """The most promising new setting; None where none was found."""
        pool = _Pool()
        budget = self._viewer.paintings
        if self._only is not None:
            self._look_at(pool, self._only, len(self._only))
            scores = self._judge.scores(pool.looks)
        else:
            self._look_at(pool, self._first(), int(budget * _FIRST_ROUND))
            scores = self._judge.scores(pool.looks)
            for _ in range(_ROUNDS):
                left = int(budget * (1 - _FIRST_ROUND) / _ROUNDS)
                best = np.argsort(-scores.value, kind="stable")[:_PARENTS]
                parents = [pool.parameters[place] for place in best.tolist()]
                self._look_at(pool, self._around(parents, left), left)
                scores = self._judge.scores(pool.looks)
        return self._best(pool, scores) if pool.looks else None

    def _best(self, pool: _Pool, scores: _Scores) -> Choice:
        explores = bool(self._judge.is_lost) and len(self._evidence.told) % 2 == 0
        place = int(np.argmax(scores.doubt if explores else scores.value))
        return Choice(pool.parameters[place], scores.prediction(place, explores=explores))

    def _look_at(self, pool: _Pool, drawn: Iterable[Parameters], new: int) -> None:
        """Adds new graphs; ``new`` is how many candidates may be tried."""
        for _, parameters in zip(range(new), drawn, strict=False):
            self._add(pool, parameters)

    def _add(self, pool: _Pool, parameters: Parameters) -> None:
        look = self._viewer.look(parameters)
        if look is None or look.graph_id in self._known or look.graph_id in pool.graphs:
            return
        if look.is_16bit:
            pool.parameters.append(parameters)
            pool.looks.append(look)
            pool.graphs.add(look.graph_id)

    def _first(self) -> Iterator[Parameters]:
        """Single moves from default AMP, random settings, children of the front in turn."""
        parents = self._parents()
        singles = self._singles()
        left = len(singles)
        while True:
            if left > 0:
                left -= 1
                yield singles[left]
            yield self._draw.at_random()
            yield self._draw.mutated(self._draw.one_of(parents))
            yield self._draw.mutated(self._draw.one_of(parents))
            yield self._draw.crossed(self._draw.one_of(parents), self._draw.one_of(parents))

    def _singles(self) -> list[Parameters]:
        """Every single move from default AMP, in random order."""
        moves = [one for start in self._draw.defaults() for one in self._draw.single_moves(start)]
        return [moves[place] for place in self._random.permutation(len(moves)).tolist()]

    def _around(self, parents: Sequence[Parameters], children: int) -> Iterator[Parameters]:
        """Mutations and crossings of the best candidates of this proposal."""
        for _ in range(children if parents else 0):
            if len(parents) > 1 and self._random.random() < 0.3:
                yield self._draw.crossed(self._draw.one_of(parents), self._draw.one_of(parents))
            else:
                yield self._draw.mutated(self._draw.one_of(parents))

    def _parents(self) -> Sequence[Parameters]:
        """The front's settings, else the defaults."""
        front = self._judge.front_members()
        return [self._draw.legal(one.parameters) for one in front] + self._draw.defaults()


@dataclass(frozen=True)
class _Scores:
    """The judged candidates; arrays of shape (candidates,) or (candidates, 2)."""

    mean: Array
    deviation: Array
    gain: Array
    value: Array
    doubt: Array
    volume: float
    hope: float
    floor: float

    def prediction(self, place: int, *, explores: bool) -> Prediction:
        """Of one candidate."""
        mean, deviation = self.mean[place].tolist(), self.deviation[place].tolist()
        gain = float(self.gain[place]) / self.volume
        return Prediction(
            *(mean[0], deviation[0], mean[1], deviation[1]),
            floor=self.floor,
            gain=gain,
            hope=self.hope,
            explores=bool(explores),
        )


class _Judge:
    """The model of one moment."""

    def __init__(self, space: SearchSpace, viewer: Viewer, evidence: Evidence) -> None:
        self._types = space.data_types
        self._viewer = viewer
        self._evidence = evidence
        timed, judged = evidence.timed(), evidence.judged()
        times = [evidence.log_time(one) for one in timed]
        errors = [evidence.log_error(one) for one in judged]
        self._reference = self._reference_point([value for value, _ in errors])
        #: 16 bits change no time, and cost as much accuracy as is allowed, give or take.
        self._usual = ((0.0, _TIME_SPREAD), (float(np.log(self._reference[1])), _ERROR_SPREAD))
        self._time = self._fitted(timed, times, self._usual[0])
        self._error = self._fitted(judged, errors, self._usual[1])
        trusts = [Trust.of(found(evidence.told)[2]) for found in (errors_of_time, errors_of_error)]
        self._widened = np.array([trust.widened for trust in trusts])
        self.is_lost = any(trust.is_lost for trust in trusts)
        self._points = self._known_points()
        is_16bit = np.array([one.look.painted > 0 for one in evidence.told], np.bool_)
        failed = np.array([one.drop is None for one in evidence.told], np.bool_)
        self._chances = chances_of_failure(is_16bit.reshape(-1, len(viewer.op_types)), failed)

    def _fitted(
        self,
        told: Sequence[Told],
        pairs: Sequence[tuple[float, float]],
        usual: tuple[float, float],
    ) -> Surrogate | None:
        if not told:
            return None
        values, variances = np.array(pairs).T
        design = self._design([one.look for one in told])
        return Surrogate(design, values, variances, usual)

    def _design(self, looks: Sequence[Look]) -> Design:
        return Design.of(looks, self._viewer, self._types)

    def _reference_point(self, errors: Sequence[float]) -> Array:
        """FP32's log time; the error that the goal allows, or a bit more than the largest so far.

        Errors are drops above the evidence's floor.
        """
        limit, floor = self._evidence.limit, self._evidence.floor
        if limit is not None:
            return np.array([0.0, max(limit, 0.0) + floor])
        return np.array([0.0, 1.1 * np.exp(max(errors, default=0.0))])

    def _known_points(self) -> Array:
        """Log time and error of what was timed, as the model sees it; shape (timed, 2)."""
        timed = self._evidence.timed()
        if not timed:
            return np.zeros((0, 2))
        mean, _ = self._predicted(self._design([one.look for one in timed]))
        return np.column_stack((mean[:, 0], np.exp(mean[:, 1])))

    def _predicted(self, design: Design) -> tuple[Array, Array]:
        pairs = [
            (np.full(len(design), usual[0]), np.full(len(design), usual[1]))
            if model is None
            else model.predict(design)
            for model, usual in zip((self._time, self._error), self._usual, strict=True)
        ]
        mean = np.column_stack([pair[0] for pair in pairs])
        return mean, np.column_stack([pair[1] for pair in pairs]) * self._widened

    def front_members(self) -> list[Told]:
        """Told settings whose modelled figures no other one's beat."""
        front = {tuple(point) for point in front_of(self._points, self._reference).tolist()}
        timed = self._evidence.timed()
        return [
            one
            for one, point in zip(timed, self._points.tolist(), strict=False)
            if tuple(point) in front
        ]

    def scores(self, looks: Sequence[Look]) -> _Scores:
        """What each candidate is worth."""
        mean, deviation = self._predicted(self._design(looks))
        front = front_of(self._points, self._reference)
        least = _LEAST_VOLUME * float(self._reference[1])
        volume = max(hypervolume(self._points, self._reference), least)
        fit = self._fit(looks, mean, deviation)
        gain = expected_gain(front, self._reference, mean, deviation) * fit
        hoped = expected_gain(front, self._reference, mean, _DOUBT * deviation) * fit
        # Where nothing is to be gained, the likeliest to be faster than FP32 comes first.
        tiny = 1e-9 * volume * ndtr(-mean[:, 0] / deviation[:, 0])
        return _Scores(
            mean=mean,
            deviation=deviation,
            gain=gain,
            value=gain + tiny,
            doubt=fit * (deviation / np.maximum(deviation.mean(axis=0), 1e-12)).sum(axis=1)
            if len(looks)
            else gain,
            volume=volume,
            hope=float(hoped.max(initial=0.0)) / volume,
            floor=self._evidence.floor,
        )

    def _fit(self, looks: Sequence[Look], mean: Array, deviation: Array) -> Array:
        """The chance to meet the accuracy goal and to run at all."""
        is_16bit = np.array([look.painted > 0 for look in looks], np.bool_)
        runs = runs_well(is_16bit.reshape(-1, len(self._viewer.op_types)), self._chances) ** _DREAD
        if self._evidence.limit is None:
            return runs
        meets: Array = ndtr((np.log(self._reference[1]) - mean[:, 1]) / deviation[:, 1])
        return runs * meets
