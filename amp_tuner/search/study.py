"""Ask and tell on Optuna, so that a kill at any moment loses at most the trial in flight.

Optuna's journal (one file, append only) is the storage of one tuner, a database that of many. What
a method changes is stored when it returns, but for a proposal that nothing was done about yet. The
storage holds what the sampler needs; what was measured stands in ``trials/``, written before Optuna
is told.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, Trial, TrialState

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.search.amp_sampler import CHOSEN, INTERRUPTED, PREDICTED, TOLD, prediction_of
from amp_tuner.search.candidates import Parameters
from amp_tuner.search.distributions import distributions
from amp_tuner.search.evidence import Prediction
from amp_tuner.search.history import History
from amp_tuner.search.looks import Viewer
from amp_tuner.search.proposal import Objectives, Proposal, Running
from amp_tuner.search.samplers import SEE_WHAT_IS_SHOWN, Ground, make_sampler
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.storage import StudyStorage, readable

#: Importances of fewer trials mean nothing.
_FEWEST_COMPARED = 10

_ANCHOR = "anchor"
_BEGUN = "begun"
_LEASE = "lease"
_MOVES = "moves"


class TuningStudy:
    """One study: two objectives, the accuracy goal as a constraint.

    Args:
        storage: its trials; a journal only for the holder of the output folder's lock.
        name: the study's.
        space: what may be proposed.
        sampler: who proposes.
        seed: of the sampler.
        viewer: paints settings, for sampler ``amp``.
        rank: of this tuner among those that share the study; each proposes something else.

    Attributes:
        cut_bytes: how much of a torn line was cut off the storage.

    Raises:
        InputError: the storage is broken.
    """

    def __init__(
        self,
        storage: StudyStorage,
        name: str,
        space: SearchSpace,
        sampler: str,
        seed: int,
        viewer: Viewer | None = None,
        rank: int = 0,
    ) -> None:
        self._sampler = sampler
        self._seeds = (seed, rank)
        self._settings = space
        self._viewer = viewer
        self._space = distributions(space)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = storage
        self.cut_bytes = storage.cut_bytes
        with readable(storage.where):
            self._study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
            storage.refresh()
            trials = self._study.get_trials(deepcopy=False)
        storage.flush()
        self._live: dict[int, Trial] = {}
        #: Storage ids of trials without an end, by number.
        self._running_ids: dict[int, int] = {}
        self._waiting = 0
        #: Trials that ended, but the interrupted ones; they count for the sampler's seed.
        self._finished = 0
        self._history = History()
        for trial in trials:
            self._take_in(trial)

    def refresh(self) -> None:
        """Takes in what other tuners did to the study since."""
        for trial in self._storage.refresh():
            self._take_in(trial)

    def _take_in(self, trial: FrozenTrial) -> None:
        self._waiting += trial.state == TrialState.WAITING
        if trial.state.is_finished():
            self._live.pop(trial.number, None)
            self._running_ids.pop(trial.number, None)
            self._ended(trial)
        elif trial.state == TrialState.RUNNING:
            self._running_ids[trial.number] = trial._trial_id  # noqa: SLF001

    def enqueue(self, parameters: Mapping[str, str], anchor: str) -> None:
        """Puts a setting at the end of what is tried before the sampler is asked."""
        self._enqueue(parameters, {_ANCHOR: anchor})
        self._storage.flush()

    def enqueue_nodes(self, parameters: Mapping[str, str], moves: Mapping[str, str]) -> None:
        """Puts up a setting with moves of nodes; samplers do not learn from it."""
        self._enqueue(parameters, {_MOVES: dict(moves)})
        self._storage.flush()

    def _enqueue(self, parameters: Mapping[str, str], attributes: dict[str, Any]) -> None:
        self._study.enqueue_trial(dict(parameters), user_attrs=attributes)
        self._waiting += 1

    def anchors(self) -> frozenset[str]:
        """Names of the anchors that the study has had, waiting ones included."""
        return frozenset(
            trial.user_attrs[_ANCHOR]
            for trial in self._study.get_trials(deepcopy=False)
            if _ANCHOR in trial.user_attrs
        )

    def waiting(self) -> int:
        """Settings that are tried before the sampler is asked."""
        return self._waiting

    def ask(
        self,
        lease: Mapping[str, Any],
        *,
        stuck: bool = False,
        left: Sequence[Parameters] | None = None,
    ) -> Proposal:
        """The next setting: a waiting one, else the sampler's.

        A proposal is on the disk after the next :meth:`begin` or :meth:`keep`: before that, a kill
        undoes it, and the same is proposed again.

        Args:
            lease: who runs it and until when; kept with the trial.
            stuck: the study's sampler keeps proposing known graphs: this time take the first that
                is left, or a random setting.
            left: settings of all distinct graphs that are left, where all are known.
        """
        if stuck and left and not self._waiting:
            self._enqueue(left[0], {})
        name = "random" if stuck else self._sampler
        # Trials that run elsewhere are taken for bad ones (constant liars): what is proposed now
        # keeps away from them.
        running = self._running()
        trials = [*self._history.trials(), *running]
        ground = Ground(self._settings, self._space, trials, self._viewer, left)
        seen = self._finished + len(running)
        self._study.sampler = make_sampler(name, self._seeds, seen, ground)
        self._storage.may_wait = self._waiting > 0
        trial = self._study.ask(fixed_distributions=self._space)
        self._waiting = max(0, self._waiting - 1)
        trial.set_user_attr(_LEASE, dict(lease))
        self._live[trial.number] = trial
        self._running_ids[trial.number] = trial._trial_id  # noqa: SLF001
        stored = self._stored(trial._trial_id)  # noqa: SLF001
        return self._proposal(stored, prediction_of(stored))

    def keep(self) -> None:
        """Writes proposals down; before anything else is written about them."""
        self._storage.flush()

    def begin(self, number: int, what: Mapping[str, Any]) -> None:
        """Writes down what is about to run; it survives a power cut."""
        self._trial(number).set_user_attr(_BEGUN, dict(what))
        self._storage.flush()

    def end_begun(self, number: int) -> None:
        """Writes down that it does not run any more: whoever repeats it has no death to count."""
        self._trial(number).set_user_attr(_BEGUN, None)
        self._storage.flush()

    def renew(self, number: int, lease: Mapping[str, Any]) -> None:
        """Renews the lease of a running trial."""
        self._trial(number).set_user_attr(_LEASE, dict(lease))
        self._storage.flush()

    def tell(self, number: int, objectives: Objectives, facts: Mapping[str, Any]) -> None:
        """A trial that has a result, measured or cached.

        Args:
            number: the running trial.
            objectives: what the sampler learns.
            facts: a few plain values to be seen beside the trial (graph, cached_from).
        """
        trial = self._trial(number)
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        trial.set_user_attr(TOLD, {**objectives.told(), **self._lists(trial)})
        trial.set_constraint("accuracy", objectives.violation)
        self._study.tell(trial, [objectives.speedup, objectives.drop])
        self._told(number)

    def tell_failed(self, number: int, cause: str, *, usual: bool = True) -> None:
        """A trial that failed, with its cause.

        Args:
            number: the running trial.
            cause: why.
            usual: whether the parameters say all that ran.
        """
        trial = self._trial(number)
        trial.set_user_attr("cause", cause)
        trial.set_user_attr(TOLD, {"usual": usual, **self._lists(trial)})
        self._study.tell(trial, state=TrialState.FAIL)
        self._told(number)

    def _lists(self, trial: Trial) -> dict[str, Any]:
        # A later run of the study may propose others, and the same parameters mean another setting.
        # Anchors are not proposed: theirs may be any.
        lists = DESTINATIONS if _ANCHOR in trial.user_attrs else self._settings.proposed
        return {"lists": list(lists)}

    def _told(self, number: int) -> None:
        self._storage.flush()
        del self._live[number]
        self._ended(self._stored(self._running_ids.pop(number)))

    def _stored(self, trial_id: int) -> FrozenTrial:
        # Looked up by its id: going through all trials takes a millisecond for a few thousand.
        return self._study._storage.get_trial(trial_id)  # noqa: SLF001

    def _ended(self, trial: FrozenTrial) -> None:
        # The journal makes objects of its own for each trial's space: 40 KiB with thirty op types.
        trial.distributions = self._space
        trial.params = {name: sys.intern(value) for name, value in trial.params.items()}
        kept = (_ANCHOR, INTERRUPTED, PREDICTED, TOLD, _MOVES)
        trial.user_attrs = {key: trial.user_attrs[key] for key in kept if key in trial.user_attrs}
        trial.system_attrs.pop(CHOSEN, None)
        if INTERRUPTED not in trial.user_attrs:
            self._finished += 1
        learns = trial.state == TrialState.COMPLETE and _MOVES not in trial.user_attrs
        hidden = self._history.add(trial) if learns else [trial]
        if self._sampler in SEE_WHAT_IS_SHOWN:
            # Optuna keeps every trial in the memory: of these, its two values are enough.
            for one in hidden:
                one.params = {}
                one.user_attrs = {
                    key: one.user_attrs[key] for key in (_ANCHOR,) if key in one.user_attrs
                }

    def importances(self) -> dict[str, float]:
        """Each parameter's importance for reaching the front, by PED-ANOVA; they sum up to 1.

        Empty for few trials. Of a long study, the trials that TPE is shown.
        """
        shown = self._history.trials()
        if len(shown) < _FEWEST_COMPARED:
            return {}
        study = optuna.create_study(directions=["maximize", "minimize"])
        study.add_trials(shown)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())

    def running(self) -> dict[int, Running]:
        """Trials without an end, by number."""
        return {
            trial.number: Running(
                self._proposal(trial, None),
                trial.user_attrs.get(_LEASE, {}),
                trial.user_attrs.get(_BEGUN),
            )
            for trial in self._running()
        }

    def _proposal(self, trial: FrozenTrial, predicted: Prediction | None) -> Proposal:
        attributes = trial.user_attrs
        parameters = self._parameters(trial) or trial.params
        anchor, moves = attributes.get(_ANCHOR), attributes.get(_MOVES)
        return Proposal(trial.number, dict(parameters), anchor, predicted, moves)

    def _running(self) -> list[FrozenTrial]:
        return [self._stored(trial_id) for _, trial_id in sorted(self._running_ids.items())]

    def adopt(self, number: int, lease: Mapping[str, Any]) -> Proposal | None:
        """Takes over a trial whose tuner is gone.

        Args:
            number: the trial's.
            lease: who runs it from now on.

        Returns:
            The same proposal; None where that tuner died while it was being made: it has ended.
        """
        if self._parameters(self._frozen(number)) is None:
            self._end_interrupted(number)
            return None
        trial = self._frozen(number)
        self._trial(number).set_user_attr(_LEASE, dict(lease))
        self._storage.flush()
        return self._proposal(trial, prediction_of(trial))

    def sweep(self, number: int) -> bool:
        """Ends a trial whose tuner is gone or was interrupted, and puts it up for repetition.

        Returns:
            Whether it will be tried again: not if the kill came while it was being proposed.
        """
        trial = self._frozen(number)
        parameters = self._parameters(trial)
        if parameters is not None:
            kept = {**trial.system_attrs, **trial.user_attrs}
            carried = (_ANCHOR, PREDICTED, _MOVES)
            attributes = {key: kept[key] for key in carried if key in kept}
            self._enqueue(parameters, attributes)
        self._end_interrupted(number)
        return parameters is not None

    def _parameters(self, trial: FrozenTrial) -> Mapping[str, str] | None:
        """All parameters of a trial.

        None where a kill in the middle of ask left only some: those of a waiting trial stand
        elsewhere too, and the sampler proposes its own anew (its seed counts finished trials).
        """
        parameters: Mapping[str, str] = trial.system_attrs.get("fixed_params", trial.params)
        return parameters if parameters.keys() == self._space.keys() else None

    def _end_interrupted(self, number: int) -> None:
        self._trial(number).set_user_attr(INTERRUPTED, value=True)
        self.tell_failed(number, "interrupted")

    def close(self) -> None:
        """Closes the storage."""
        self._storage.close()

    def _trial(self, number: int) -> Trial:
        if number not in self._live:
            self._storage.take(self._frozen(number)._trial_id)  # noqa: SLF001
            self._live[number] = Trial(self._study, self._frozen(number)._trial_id)  # noqa: SLF001
        return self._live[number]

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]
