"""Sampler ``amp``: proposes by what settings do to the graph, which is known before they run.

It works in any Optuna study over the parameters of :class:`amp_tuner.search.space.SearchSpace` with
two objectives, speed-up (maximised) and loss of accuracy (minimised), and at most one constraint
that is a limit of that loss. Trials may carry more in the user attribute TOLD; what is missing
there is taken to be unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from amp_tuner.search.candidates import Parameters
from amp_tuner.search.distributions import distributions
from amp_tuner.search.evidence import Prediction, Told
from amp_tuner.search.looks import Viewer
from amp_tuner.search.proposing import Proposer
from amp_tuner.search.space import SearchSpace

#: User attribute of a trial: ``timed`` and ``usual`` (false where the parameters do not say all
#: that ran); ``speedup`` and ``drop``, the 95 % intervals [low, high]; ``lists``, those that could
#: be proposed.
TOLD = "told"
#: User attribute of a trial that was interrupted: it never happened.
INTERRUPTED = "interrupted"
#: System attribute in which a proposal's prediction is kept.
PREDICTED = "amp:predicted"
#: System attribute in which a proposal stands before Optuna has stored each of its parameters.
CHOSEN = "amp:chosen"
#: The model learns from so many graphs at most: the newest, and of the older ones the best.
_SHOWN = 400
_STATES = (TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING)


class AmpSampler(BaseSampler):
    """Ranks painted settings by the hypervolume that measuring them is expected to gain.

    Args:
        seed: everything that is drawn follows from it and from the study's trials.
        space: the parameters.
        viewer: paints settings.
        only: the only settings to choose from; None: the whole space.
    """

    def __init__(
        self,
        seed: int,
        space: SearchSpace,
        viewer: Viewer,
        only: Sequence[Parameters] | None = None,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._space = space
        self._viewer = viewer
        self._only = only
        # Threads of one process share a sampler (``optimize`` with ``n_jobs``).
        self._one_at_a_time = threading.Lock()

    def reseed_rng(self) -> None:
        """Another source of chance, which still follows from the seed."""
        with self._one_at_a_time:
            self._random = self._random.spawn(1)[0]
        self._independent.reseed_rng()

    def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
        """The whole space: all parameters are chosen together."""
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All parameters of the next trial; what is expected of it is kept with the trial."""
        with self._one_at_a_time:
            return self._chosen(study, trial, search_space)

    def _chosen(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        known, told = set(), []
        for one in study.get_trials(deepcopy=False, states=_STATES):
            # A trial that was just asked for has not been given all of them yet.
            whole = search_space.keys() <= one.params.keys()
            parameters = one.params if whole else one.system_attrs.get(CHOSEN, one.params)
            if search_space.keys() <= parameters.keys() and INTERRUPTED not in one.user_attrs:
                read = self._read(one, parameters)
                if read is not None:
                    known.add(read.look.graph_id)
                    told.append((one, read))
        by_graph: dict[str, Told] = {}
        for one, read in told:
            if _teaches(one):
                by_graph.setdefault(read.look.graph_id, read)
        learnt = list(by_graph.values())
        # The matrices are small: more threads only wait for each other, and may round differently.
        with threadpool_limits(1, user_api="blas"):
            proposer = Proposer(
                self._space,
                self._viewer,
                self._random,
                _newest_and_best(learnt),
                count=len(learnt),
                known=known,
                pending=_pending(told),
                only=self._only,
            )
            choice = proposer.choose()
        if choice is None:
            return {}
        # As Optuna's own samplers keep what belongs to a trial.
        number, storage = trial._trial_id, study._storage  # noqa: SLF001
        storage.set_trial_system_attr(number, CHOSEN, dict(choice.parameters))
        storage.set_trial_system_attr(number, PREDICTED, asdict(choice.predicted))
        return dict(choice.parameters)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A random value, where no new graph was found."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _read(self, trial: FrozenTrial, parameters: Mapping[str, str]) -> Told | None:
        """A trial as evidence; None where the pass refuses its lists."""
        told: Mapping[str, Any] = trial.user_attrs.get(TOLD, {})
        lists = told.get("lists")
        look = self._viewer.look(parameters, None if lists is None else tuple(lists))
        if look is None:
            return None
        if trial.state != TrialState.COMPLETE:
            return Told(parameters, look, speedup=None, drop=None)
        speedup, drop = trial.values
        return Told(
            parameters,
            look,
            speedup=speedup if told.get("timed", True) else None,
            drop=drop,
            limit=_limit(trial, drop),
            speedup_interval=_pair(told.get("speedup")),
            drop_interval=_pair(told.get("drop")),
            predicted=prediction_of(trial),
        )


def prediction_of(trial: FrozenTrial) -> Prediction | None:
    """What was expected of a trial; None where it was not this sampler's proposal.

    A trial that repeats an interrupted one has that one's expectation among its user attributes.
    """
    kept = trial.system_attrs.get(PREDICTED, trial.user_attrs.get(PREDICTED))
    return None if kept is None else Prediction(**kept)


def _teaches(trial: FrozenTrial) -> bool:
    """Running trials have no result yet; of unusual ones the parameters do not say what ran."""
    return trial.state != TrialState.RUNNING and trial.user_attrs.get(TOLD, {}).get("usual", True)


def _newest_and_best(learnt: Sequence[Told]) -> list[Told]:
    """Of many graphs the newest, and those older ones that no other beats in both objectives."""
    old, new = learnt[:-_SHOWN], learnt[-_SHOWN:]
    if not old:
        return list(new)
    measured = [
        (-one.speedup, one.drop, one.look.graph_id)
        for one in learnt
        if one.speedup is not None and one.drop is not None
    ]
    best, least = set(), float("inf")
    for _, drop, graph_id in sorted(measured):
        if drop < least:
            least = drop
            best.add(graph_id)
    return [one for one in old if one.look.graph_id in best] + list(new)


def _pending(told: Sequence[tuple[FrozenTrial, Told]]) -> list[Told]:
    """Running trials of 16-bit graphs of which nothing is known yet, one of each."""
    ended = {read.look.graph_id for trial, read in told if trial.state != TrialState.RUNNING}
    running = {read.look.graph_id: read for _, read in told if read.look.is_16bit}
    return [read for graph, read in running.items() if graph not in ended]


def _limit(trial: FrozenTrial, drop: float) -> float | None:
    """The drop at which the constraint would be 0; a hair's violation says nothing."""
    violations = list(trial.constraints.values())
    if len(violations) != 1 or abs(violations[0]) < 1e-8:
        return None
    return drop - violations[0]


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])
