"""Which op type gives what: its effect on time and on error, by the model and by Optuna.

The model (:mod:`amp_tuner.search.surrogate`) is the one that sampler ``amp`` proposes by; it is
fitted to the trials of any sampler. Optuna's PED-ANOVA knows nothing of it: it compares how often
the best trials and all trials have each list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amp_tuner.records import Interval, Setting
from amp_tuner.search.candidates import Candidates
from amp_tuner.search.evidence import Evidence, Told
from amp_tuner.search.kernels import PARTS, WORK, Design
from amp_tuner.search.looks import Look, Viewer, lone_looks
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.surrogate import Surrogate

Array = NDArray[np.float64]

#: Fewer settings that were timed tell nothing about thirty op types.
FEWEST = 8
#: What a row is about, where it is not about lists.
OWN_WORK = "own work"
_SIDES = 1.96
#: Errors are told apart down to this share of the largest.
_FINEST = 1e-5


@dataclass(frozen=True)
class Effect:
    """What one change does, all else as it is.

    Attributes:
        data_type: of what becomes 16-bit.
        op_type: whose work or list it is.
        change: OWN_WORK, all of the op type's work in 16 bits against none of it, Casts left out;
            or the lists (``allow, infer``) that it alone leaves its default list for, Casts and
            neighbours that follow it included.
        time: by what it multiplies the time of a run; 95 %.
        error: by what it multiplies the error (the drop above what can be told from none).
        time_share, error_share: the share of the variance among the trials that the op type's own
            work explains.
        importance: PED-ANOVA's, of the op type's list; None where Optuna was not asked.
    """

    data_type: str
    op_type: str
    change: str
    time: Interval
    error: Interval
    time_share: float
    error_share: float
    importance: float | None


def effects(
    space: SearchSpace,
    viewer: Viewer,
    told: Sequence[Told],
    importances: Mapping[str, float],
) -> list[Effect]:
    """Every effect, the op types first whose work explains most of the time and of the error.

    Empty where fewer than FEWEST 16-bit settings were timed.

    Args:
        space: the search space.
        viewer: its graphs.
        told: the trials.
        importances: by parameter, as Optuna gives them; may be empty.
    """
    evidence = Evidence.of(told, _FINEST)
    timed, judged = evidence.timed(), evidence.judged()
    if len(timed) < FEWEST:
        return []
    # Both in units of natural logarithms; what is usual hardly matters by now.
    times = [evidence.log_time(one) for one in timed]
    errors = [evidence.log_error(one) for one in judged]
    time = _Fitted.of(viewer, space, timed, times, 0.3, by_nodes=False)
    error = _Fitted.of(viewer, space, judged, errors, 1.0, by_nodes=True)
    found = []
    for data_type in space.data_types:
        shares = [model.shares(data_type) for model in (time, error)]
        for change in _changes(space, viewer, data_type):
            place = viewer.op_types.index(change.op_type)
            found.append(
                Effect(
                    data_type,
                    change.op_type,
                    change.name,
                    time.effect(change),
                    error.effect(change),
                    float(shares[0][place]),
                    float(shares[1][place]),
                    importances.get(f"list:{change.op_type}"),
                )
            )
    return sorted(found, key=_explains)


def _explains(effect: Effect) -> tuple[float, str, str, bool]:
    share = max(effect.time_share, effect.error_share)
    return (-share, effect.data_type, effect.op_type, effect.change != OWN_WORK)


@dataclass(frozen=True)
class _Change:
    op_type: str
    name: str
    of: Look
    against: Look
    parts: tuple[int, ...]


def _changes(space: SearchSpace, viewer: Viewer, data_type: str) -> Iterator[_Change]:
    alone, none = lone_looks(viewer, data_type)
    start = space.parameters(Setting(data_type))
    default = viewer.look(start)
    draw = Candidates(space, np.random.default_rng(0))
    for name, op_type in zip(draw.names, space.op_types, strict=True):
        if op_type not in viewer.op_types:
            continue
        place = viewer.op_types.index(op_type)
        yield _Change(op_type, OWN_WORK, alone[place], none[place], WORK)
        for lists, look in _moved(viewer, draw.places(name), start, name):
            if default is not None and look.graph_id != default.graph_id:
                yield _Change(op_type, lists, look, default, PARTS)


def _moved(
    viewer: Viewer, places: Sequence[str], start: Mapping[str, str], name: str
) -> list[tuple[str, Look]]:
    """Lists that make the same graph, and its look."""
    by_graph: dict[str, tuple[list[str], Look]] = {}
    for place in places:
        look = None if place == start[name] else viewer.look({**start, name: place})
        if look is not None and look.is_16bit:
            by_graph.setdefault(look.graph_id, ([], look))[0].append(place)
    return [(", ".join(lists), look) for lists, look in by_graph.values()]


@dataclass(frozen=True)
class _Fitted:
    """One target's model with what it was fitted to."""

    viewer: Viewer
    data_types: tuple[str, ...]
    looks: tuple[Look, ...]
    values: Array
    model: Surrogate
    by_nodes: bool

    @classmethod
    def of(
        cls,
        viewer: Viewer,
        space: SearchSpace,
        told: Sequence[Told],
        pairs: Sequence[tuple[float, float]],
        usual: float,
        *,
        by_nodes: bool,
    ) -> _Fitted:
        looks = tuple(one.look for one in told)
        values, variances = np.array(pairs).T
        design = Design.of(looks, viewer, space.data_types, by_nodes=by_nodes)
        model = Surrogate(design, values, variances, (float(values.mean()), usual))
        return cls(viewer, space.data_types, looks, values, model, by_nodes)

    def design(self, looks: Sequence[Look]) -> Design:
        return Design.of(looks, self.viewer, self.data_types, by_nodes=self.by_nodes)

    def effect(self, change: _Change) -> Interval:
        """The factor, with its interval."""
        of, against = self.design([change.of]), self.design([change.against])
        mean, deviation = self.model.effect(of, against, change.parts)
        half = _SIDES * float(deviation[0])
        value = float(mean[0])
        return Interval(math.exp(value), math.exp(value - half), math.exp(value + half))

    def shares(self, data_type: str) -> Array:
        """Of the data type's variance, what each op type's own work explains; shape (op types,)."""
        chosen = np.array([look.data_type == data_type for look in self.looks], np.bool_)
        size = len(self.viewer.op_types)
        values = self.values[chosen]
        if chosen.sum() < 2 or np.ptp(values) == 0:
            return np.zeros(size)
        every = np.array([look.share(by_nodes=self.by_nodes) for look in self.looks])
        painted = every[chosen]
        alone, none = lone_looks(self.viewer, data_type)
        weights, _ = self.model.effect(self.design(alone), self.design(none), WORK)
        away = values - values.mean()
        together = ((painted - painted.mean(axis=0)) * weights * away[:, None]).mean(axis=0)
        shares: Array = np.clip(together / away.var(), 0.0, 1.0)
        return shares
