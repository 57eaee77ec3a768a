"""Which setting to measure next, by what the painted graphs and the trials so far tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import numpy as np

from amp_tuner.search.candidates import Candidates, Parameters
from amp_tuner.search.evidence import Evidence, Prediction, Told
from amp_tuner.search.flips import best_flips
from amp_tuner.search.judging import Judge, Scores
from amp_tuner.search.knapsack import best_sets
from amp_tuner.search.looks import Look, Viewer
from amp_tuner.search.space import SearchSpace

#: While trials are few the model takes next to no time, and more paintings are affordable, the more
#: trials, the fewer: so many times the viewer's at most and at least, and a number over the trials.
_MOST_TIMES, _LEAST_TIMES, _TIMES_TRIALS = 3, 0.5, 300
#: The share of the paintings before looking around the best candidates, and the paintings of each
#: such round.
_FIRST_ROUND = 0.5
_ROUND = 16
_PARENTS = 8
#: Lists of the op types beside those that are meant.
_OTHERS = ("deny", "clear")
#: Lists of op types that end what spreads.
_BORDERS = ("infer", "deny")


@dataclass(frozen=True)
class Choice:
    """The next setting.

    Attributes:
        parameters: as the search space encodes them.
        predicted: what the model expects of it.
    """

    parameters: Parameters
    predicted: Prediction


@dataclass
class _Pool:
    """New graphs that were looked at, each once, and what they are worth."""

    scores: Scores
    parameters: list[Parameters] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    graphs: set[str] = field(default_factory=set)
    tried: set[frozenset[tuple[str, str]]] = field(default_factory=set)


class Proposer:
    """One proposal.

    Args:
        space: what may be proposed.
        viewer: paints candidates.
        random: the only source of chance.
        told: the trials that ended with a result or a failure of their own, each graph once.
        count: how many there are, where ``told`` holds not all of them.
        known: graphs that must not be proposed: measured, failed, running.
        pending: 16-bit settings that run, without a result yet.
        only: the only settings to choose from, where all graphs are known beforehand.
    """

    def __init__(
        self,
        space: SearchSpace,
        viewer: Viewer,
        random: np.random.Generator,
        told: Sequence[Told],
        *,
        count: int,
        known: Collection[str],
        pending: Sequence[Told] = (),
        only: Sequence[Parameters] | None = None,
    ) -> None:
        self._space = space
        self._viewer = viewer
        self._random = random
        self._draw = Candidates(space, random)
        self._known = known
        self._only = only
        self._told = count
        self._judge = Judge(space, viewer, Evidence.of(told), pending)
        self._pool = _Pool(self._judge.scores([]))
        self._movable = [one for one in self._draw.movable if one in viewer.op_types]

    def choose(self) -> Choice | None:
        """The most promising new setting; None where none was found."""
        if self._only is not None:
            self._look_at(self._only, len(self._only))
        else:
            paintings = self._paintings()
            first = int(paintings * _FIRST_ROUND)
            self._look_at(self._first(), first)
            for begun in range(first, paintings, _ROUND):
                self._look_at(self._around(), min(_ROUND, paintings - begun))
        return self._best() if self._pool.parameters else None

    def _paintings(self) -> int:
        times = _TIMES_TRIALS / max(1, self._told)
        return int(self._viewer.paintings * max(_LEAST_TIMES, min(_MOST_TIMES, times)))

    def _best(self) -> Choice:
        scores = self._pool.scores
        explores = self._judge.is_lost and self._told % 2 == 0
        place = int(np.argmax(scores.doubt if explores else scores.value))
        look = self._pool.looks[place]
        predicted = self._judge.prediction(scores, place, look, explores=explores)
        predicted = replace(predicted, enumerated=self._only is not None)
        return Choice(self._pool.parameters[place], predicted)

    def _look_at(self, drawn: Iterable[Parameters], candidates: int) -> None:
        """Adds what is new among so many candidates."""
        pool, looks = self._pool, []
        for _, parameters in zip(range(candidates), drawn, strict=False):
            pool.tried.add(frozenset(parameters.items()))
            look = self._viewer.look(parameters)
            if look is not None and self._is_new(look):
                pool.graphs.add(look.graph_id)
                pool.parameters.append(parameters)
                looks.append(look)
        pool.looks += looks
        pool.scores = pool.scores.joined(self._judge.scores(looks))

    def _is_new(self, look: Look) -> bool:
        graph = look.graph_id
        return look.is_16bit and graph not in self._known and graph not in self._pool.graphs

    def _first(self) -> Iterator[Parameters]:
        """In turn: single moves, knapsacks, regions, children of the front, random settings."""
        parents, spreads = self._parents(), self._spreads()
        singles, knapsacks = (
            iter(self._shuffled(found)) for found in (self._singles(), self._knapsacks())
        )
        while True:
            yield from islice(singles, 2)
            yield from islice(knapsacks, 2)
            yield from islice(spreads, 2)
            yield self._draw.mutated(self._draw.one_of(parents))
            yield self._draw.mutated(self._draw.one_of(parents))
            yield self._draw.crossed(self._draw.one_of(parents), self._draw.one_of(parents))
            yield self._draw.at_random()

    def _shuffled(self, settings: Sequence[Parameters]) -> list[Parameters]:
        return [settings[place] for place in self._random.permutation(len(settings)).tolist()]

    def _parents(self) -> Sequence[Parameters]:
        """The front's settings, else the defaults."""
        front = self._judge.front_members()
        return [self._draw.legal(one.parameters) for one in front] + self._draw.defaults()

    def _singles(self) -> list[Parameters]:
        """Every single move from default AMP, and every op type alone."""
        found: list[Parameters] = [
            one for start in self._draw.defaults() for one in self._draw.single_moves(start)
        ]
        found += [
            self._draw.just(data_type, (op_type,), others)
            for data_type in self._space.data_types
            for op_type in self._draw.movable
            for others in _OTHERS
        ]
        return found

    def _knapsacks(self) -> list[Parameters]:
        """The best sets of op types, if the model were right, and if chance has its say."""
        found: list[Parameters] = []
        for data_type in self._space.data_types:
            sums = self._judge.additions(data_type)
            if sums is not None:
                for added in (sums.mean, self._random.normal(sums.mean, sums.deviation)):
                    for chosen in best_sets(*added):
                        names = {self._viewer.op_types[one] for one in np.flatnonzero(chosen)}
                        found += [self._draw.just(data_type, names, one) for one in _OTHERS]
        return found

    def _spreads(self) -> Iterator[Parameters]:
        """From any op type 16 bits spread until others end them; none while nothing is known.

        What ends them are the most harmful op types, or any: a region may be small enough because
        it ends at an op type that does no harm itself.
        """
        known = [(name, self._judge.additions(name)) for name in self._space.data_types]
        harms = [
            (name, self._random.normal(sums.mean[1], sums.deviation[1]))
            for name, sums in known
            if sums is not None
        ]
        borders = [one for one in _BORDERS if one in self._space.proposed]
        while harms and borders and self._movable and "clear" in self._space.proposed:
            data_type, harm = harms[int(self._random.integers(len(harms)))]
            by_harm = self._random.random() < 0.5
            order = np.argsort(-harm) if by_harm else self._random.permutation(harm.size)
            count = int(harm.size * self._random.random() ** 2)
            ends = {self._viewer.op_types[one] for one in order[:count].tolist()}
            seed, border = (str(self._random.choice(some)) for some in (self._movable, borders))
            yield self._draw.spreading(data_type, (seed,), ends, border)

    def _around(self) -> Iterator[Parameters]:
        """What the best candidates become by promising turns, by mutation and by crossing."""
        best = np.argsort(-self._pool.scores.value, kind="stable")[:_PARENTS].tolist()
        parents = [self._pool.parameters[place] for place in best]
        turned = iter(self._turned(best))
        while parents:
            yield from islice(turned, 3)
            if len(parents) > 1 and self._random.random() < 0.3:
                yield self._draw.crossed(self._draw.one_of(parents), self._draw.one_of(parents))
            else:
                yield self._draw.mutated(self._draw.one_of(parents))

    def _turned(self, places: Sequence[int]) -> list[Parameters]:
        """New children of some candidates, one or two op types turned over, the best first."""
        ranked: list[tuple[float, Parameters]] = []
        for place in places:
            look, parent = self._pool.looks[place], self._pool.parameters[place]
            sums = self._judge.additions(look.data_type)
            if sums is None:
                continue
            columns = [self._viewer.op_types.index(one) for one in self._movable]
            value = partial(self._judge.value_of_sums, self._pool.scores, place)
            for flip in best_flips(look.painted[columns], sums.mean[:, columns], value, _ROUND):
                is_16bit = {self._movable[column]: inside for column, inside in flip.changed}
                for softly in (False, True):
                    child = self._draw.turned(parent, is_16bit, softly=softly)
                    ranked.append((flip.value, child))
        ranked.sort(key=lambda one: -one[0])
        return [one for _, one in ranked if frozenset(one.items()) not in self._pool.tried]
