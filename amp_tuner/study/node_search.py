"""Setting nodes apart: from the front that lists give on to settings that no list can have.

Of each list setting on the front, some 16-bit nodes go back to FP32 (each moved to no list): those
that an additive model of the trials so far expects to cost much accuracy for the time that they
save. Every proposal is chosen anew, with what was measured before it: by what the model expects and
by a draw of what it thinks possible in turn, so that what is not known well is tried, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.records import FLOAT32, Setting, Trial
from amp_tuner.search.acquisition import hypervolume
from amp_tuner.search.additive import Additive, Graphs, Weights
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.node_candidates import Base, kept_nodes, setting_of
from amp_tuner.study.node_graphs import NodeGraph, Row
from amp_tuner.study.session import Session

Array = NDArray[np.float64]

#: So many list settings are looked at for one proposal, with so many draws from the models.
_BASES, _DRAWS = 3, 6
#: A setting this much slower than FP32 (as a logarithm) gains nothing.
_SLOWEST = 0.05
#: An error of this share of what is allowed is as good as none.
_FINEST = 1e-3
#: A 95 % interval is so many standard deviations to each side.
_SIDES = 1.96
#: How far sums may be off: of the relative time, and as a share of the squared error.
_TIME_OFF, _ERROR_OFF = 0.002, 0.1


@dataclass(frozen=True)
class _Seen:
    """A measured graph.

    Attributes:
        data_type, row: the graph.
        time: over FP32's, less 1, and its deviation; None where it was not timed.
        error: of the first batch; None where it is not known.
        misses: whether it certainly misses the goal.
    """

    data_type: str
    row: Row
    time: tuple[float, float] | None
    error: float | None
    misses: bool


class NodeSearch:
    """The proposals of one study.

    Args:
        session: the study.
        ended: its trials.
        paintings: so many new settings may be painted for one proposal.
    """

    def __init__(self, session: Session, ended: EndedTrials, paintings: int) -> None:
        self._seed = session.config.search.seed
        self._ended = ended
        self._paintings = paintings // _BASES
        painters = session.planner.painters
        self._graphs = {name: NodeGraph(painter) for name, painter in painters.items()}
        self._seen: dict[int, _Seen] = {}

    def run(self, measure: Callable[[Setting], None], ended: Callable[[], str | None]) -> str:
        """Has settings measured.

        Args:
            measure: runs one as a trial.
            ended: why no further one may be run; None if one may.

        Returns:
            Why it ended, in words.
        """
        while (why := ended()) is None:
            setting = self.next()
            if setting is None:
                return "no other nodes of the front's settings can be set apart"
            measure(setting)
        return why

    def next(self) -> Setting | None:
        """The most promising new setting; None where there is none."""
        for number, trial in self._ended.by_number.items():
            if number not in self._seen and (seen := self._seen_of(trial)) is not None:
                self._seen[number] = seen
        count = len(self._ended.by_number)
        random = np.random.default_rng((self._seed, count))
        bases = self._bases()
        chosen = [bases[place] for place in random.permutation(len(bases))[:_BASES]]
        data_types = dict.fromkeys(base.setting.data_type for base in chosen)
        # With more threads a machine at work takes minutes for what one does in a second.
        with threadpool_limits(1, user_api="blas"):
            drawn = {name: self._draws(name, random) for name in data_types}
        found = [self._best(base, drawn[base.setting.data_type], random) for base in chosen]
        best = max((one for one in found if one), key=lambda one: one[0], default=None)
        return None if best is None else best[1]

    def _seen_of(self, trial: Trial) -> _Seen | None:
        measurement, setting = trial.measurement, trial.setting
        if measurement is None or trial.cached_from is not None or setting.level != "default":
            return None
        row = None
        if setting.data_type != FLOAT32:
            row = self._graphs[setting.data_type].row(setting)
        if row is None:
            return None
        accuracy, time = measurement.accuracy, None
        if measurement.timing is not None:
            taken = measurement.timing.speedup.inverse()
            time = (taken.value - 1, (taken.high - taken.low) / (2 * _SIDES) + _TIME_OFF)
        error = accuracy.batch_error
        known = error if error is not None and math.isfinite(error) else None
        return _Seen(setting.data_type, row, time, known, accuracy.verdict == "misses")

    def _bases(self) -> list[Base]:
        """The list settings of the front's members, and of anchors, which are always timed."""
        trials = self._ended.by_number
        anchors = (number for number, trial in trials.items() if trial.anchor is not None)
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Base] = {}
        for number in dict.fromkeys((*self._ended.standing.front, *anchors)):
            seen = self._seen.get(number)
            if seen is None or seen.time is None or seen.error is None:
                continue
            setting = trials[number].setting
            nodes = moves_of_nodes(setting.moves)
            moves = {name: place for name, place in setting.moves.items() if name not in nodes}
            bare = replace(setting, moves=moves)
            row = self._graphs[setting.data_type].row(bare)
            if row is not None:
                key = (setting.data_type, tuple(sorted(moves.items())))
                known = found.get(key, Base(bare, row.painted > 0))
                found[key] = replace(known, members=(*known.members, seen.row.painted > 0))
        return list(found.values())

    def _best(
        self, base: Base, drawn: Sequence[tuple[Weights, Weights]], random: np.random.Generator
    ) -> tuple[float, Setting] | None:
        """How much the best candidate is expected to gain, and which it is."""
        graph = self._graphs[base.setting.data_type]
        pool: dict[str, tuple[Setting, Row]] = {}
        for time, error in drawn:
            sets = kept_nodes(base, graph, -time.nodes, error.nodes, random)
            for kept in sets[: self._paintings // _DRAWS]:
                self._add(pool, base, graph, setting_of(base, graph, kept))
        if not pool:
            return None
        rows = _graphs([row for _, row in pool.values()])
        gains = np.mean(
            [self._gains(time.figures(rows), error.figures(rows)) for time, error in drawn], axis=0
        )
        first = int(np.argmax(gains))
        return float(gains[first]), list(pool.values())[first][0]

    def _add(
        self,
        pool: dict[str, tuple[Setting, Row]],
        base: Base,
        graph: NodeGraph,
        setting: Setting | None,
    ) -> None:
        """Adds a new graph, unless a scope took a node out of DENY and so made others 16-bit."""
        row = None if setting is None else graph.row(setting)
        if setting is None or row is None or (row.painted[~base.painted] > 0).any():
            return
        if row.graph_id not in self._ended.graphs:
            pool.setdefault(row.graph_id, (setting, row))

    def _draws(self, data_type: str, random: np.random.Generator) -> list[tuple[Weights, Weights]]:
        """Of what each node adds to the relative time, and to the squared error."""
        seen = [one for one in self._seen.values() if one.data_type == data_type]
        timed = [(one.row, *one.time) for one in seen if one.time is not None]
        squares = [(one.row, one.error**2) for one in seen if one.error is not None]
        judged = [(row, square, _ERROR_OFF * square) for row, square in squares]
        graph = self._graphs[data_type]
        time, error = (_model(graph, known).draws(_DRAWS, random) for known in (timed, judged))
        return list(zip(time, error, strict=True))

    def _gains(self, times: Array, squares: Array) -> Array:
        """By how much each candidate lets the front's hypervolume grow; shape (candidates,).

        Both axes are logarithms. Errors count up to the smallest that is known to miss the goal,
        and a thousandth of that is as good as none.
        """
        known = [(one, one.error) for one in self._seen.values() if one.error is not None]
        meeting = max((error for one, error in known if not one.misses), default=0.0)
        missing = [error for one, error in known if one.misses and error > meeting]
        most = min(missing, default=max(1.05 * meeting, 1e-12))
        reference = np.array([_SLOWEST, math.log(1 / _FINEST)])

        def place(times: Array, errors: Array) -> Array:
            logs = np.log1p(np.maximum(times, -0.95)), np.log(np.maximum(errors / most, _FINEST))
            return np.column_stack((logs[0], logs[1] - math.log(_FINEST)))

        timed = [(one.time[0], error) for one, error in known if one.time is not None]
        points = place(*np.array([(0.0, 0.0), *timed]).T)
        before = hypervolume(points, reference)
        candidates = place(times, np.sqrt(np.maximum(squares, 0.0)))
        after = [hypervolume(np.vstack((points, one)), reference) for one in candidates]
        return np.array(after) - before


def _model(graph: NodeGraph, known: Sequence[tuple[Row, float, float]]) -> Additive:
    rows, figures, deviations = zip(*known, strict=True)
    return Additive(graph.work, graph.group, _graphs(rows), np.array(figures), np.array(deviations))


def _graphs(rows: Sequence[Row]) -> Graphs:
    return Graphs(np.array([row.painted for row in rows]), np.array([row.casts for row in rows]))
