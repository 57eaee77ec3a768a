"""Ask and tell on Optuna, so that a kill at any moment loses at most the trial in flight.

Optuna's journal (one file, append only) is the storage: multivariate TPE on SQLite costs 0.2 to
0.3 s a proposal with twenty parameters, on the journal 0.03 to 0.06 s, and a kill in the middle of
a write leaves a torn last line, which is cut off when the study is opened again. The journal holds
what the sampler needs; what was measured stands in ``trials/``, written before Optuna is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from amp_tuner.errors import InputError
from amp_tuner.search.samplers import make_sampler
from amp_tuner.search.space import SearchSpace

#: The objective of a trial that the accuracy check ended before it was timed: FP32's own, neutral
#: for samplers that fit a model. It violates the constraint, and samplers rank it by that.
NEVER_TIMED = 1.0

#: What Optuna raises for a journal that it did not write.
_BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

_ANCHOR = "anchor"
_RETRY_OF = "retry_of"
_INTERRUPTED = "interrupted"
_LEASE = "lease"


@dataclass(frozen=True)
class Proposal:
    """What is to be tried next.

    Attributes:
        number: the trial's number.
        parameters: as :class:`SearchSpace` encodes them.
        anchor: the anchor's name, where it is one.
        retry_of: the interrupted trial that this one repeats, if any.
    """

    number: int
    parameters: Mapping[str, str]
    anchor: str | None
    retry_of: int | None


@dataclass(frozen=True)
class Objectives:
    """What Optuna is told.

    Attributes:
        speedup: to maximise; NEVER_TIMED where the accuracy check ended the trial.
        drop: loss of accuracy, to minimise.
        violation: above 0 where the accuracy goal is missed.
    """

    speedup: float
    drop: float
    violation: float


def repair_journal(path: Path) -> int:
    """Cuts a torn last line off a journal and removes a dead writer's lock.

    Only for the holder of the output folder's lock: nobody else may be writing.

    Returns:
        The number of bytes cut off.
    """
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + ".lock").unlink()
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
    return len(content) - whole


class TuningStudy:
    """One study: two objectives, the accuracy goal as a constraint.

    Raises:
        InputError: the journal is broken.
    """

    def __init__(self, path: Path, name: str, space: SearchSpace, sampler: str, seed: int) -> None:
        self._space = space
        self._sampler = sampler
        self._seed = seed
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        try:
            self._study = optuna.create_study(
                storage=JournalStorage(backend),
                study_name=name,
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
            self._study.get_trials(deepcopy=False)
        except _BROKEN as error:
            message = f"broken, or not written by amp-tune: {type(error).__name__}: {error}"
            raise InputError.one(str(path), message) from error
        self._live: dict[int, Trial] = {}

    def enqueue(self, parameters: Mapping[str, str], anchor: str) -> None:
        """Puts a setting at the end of what is tried before the sampler is asked."""
        self._study.enqueue_trial(dict(parameters), user_attrs={_ANCHOR: anchor})

    def anchors(self) -> frozenset[str]:
        """Names of the anchors that the study has had, waiting ones included."""
        return frozenset(
            trial.user_attrs[_ANCHOR]
            for trial in self._study.get_trials(deepcopy=False)
            if _ANCHOR in trial.user_attrs
        )

    def waiting(self) -> int:
        """Settings that are tried before the sampler is asked."""
        return len(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def ask(self, lease: Mapping[str, Any], *, at_random: bool = False) -> Proposal:
        """The next setting: a waiting one, else the sampler's.

        Args:
            lease: who runs it and until when; kept with the trial.
            at_random: ask the random sampler this time (the study's keeps proposing known graphs).
        """
        name = "random" if at_random else self._sampler
        self._study.sampler = make_sampler(name, self._seed, self._finished())
        trial = self._study.ask(fixed_distributions=self._distributions())
        trial.set_user_attr(_LEASE, dict(lease))
        self._live[trial.number] = trial
        return self._proposal(trial.number, trial.params, trial.user_attrs)

    def renew(self, number: int, lease: Mapping[str, Any]) -> None:
        """Renews the lease of a running trial."""
        self._trial(number).set_user_attr(_LEASE, dict(lease))

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
        trial.set_constraint("accuracy", objectives.violation)
        self._study.tell(trial, [objectives.speedup, objectives.drop])
        self._live.pop(number, None)

    def tell_failed(self, number: int, cause: str) -> None:
        """A trial that failed, with its cause."""
        trial = self._trial(number)
        trial.set_user_attr("cause", cause)
        self._study.tell(trial, state=TrialState.FAIL)
        self._live.pop(number, None)

    def running(self) -> dict[int, Mapping[str, Any]]:
        """Trials without an end, by number, with their leases."""
        return {
            trial.number: trial.user_attrs.get(_LEASE, {})
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        }

    def worn_out(self, number: int) -> Proposal | None:
        """A running trial that already is a repetition; None for any other."""
        attributes, parameters = self._trial(number).user_attrs, self._parameters(number)
        if _RETRY_OF not in attributes or not self._is_whole(parameters):
            return None
        return self._proposal(number, parameters, attributes)

    def sweep(self, number: int, *, excused: bool = False) -> bool:
        """Ends a trial whose tuner is gone, and puts it up for one repetition.

        Args:
            number: the running trial.
            excused: the user interrupted it, so the repetition is not its last chance.

        Returns:
            Whether it will be tried again (an interrupted repetition is not, unless excused).
        """
        trial = self._trial(number)
        again = excused or _RETRY_OF not in trial.user_attrs
        parameters = self._parameters(number)
        whole = self._is_whole(parameters)
        if again and whole:
            kept = (_ANCHOR, _RETRY_OF) if excused else (_ANCHOR,)
            attributes = {key: trial.user_attrs[key] for key in kept if key in trial.user_attrs}
            if not excused:
                attributes[_RETRY_OF] = number
            self._study.enqueue_trial(dict(parameters), user_attrs=attributes)
        trial.set_user_attr(_INTERRUPTED, value=True)
        self.tell_failed(number, "interrupted")
        return again and whole

    def _parameters(self, number: int) -> Mapping[str, str]:
        # A kill in the middle of ask leaves only some parameters: those of a waiting trial stand
        # elsewhere too, and the sampler proposes its own anew (its seed counts finished trials).
        trial = self._frozen(number)
        parameters: Mapping[str, str] = trial.system_attrs.get("fixed_params", trial.params)
        return parameters

    def _is_whole(self, parameters: Mapping[str, str]) -> bool:
        return parameters.keys() == self._space.choices().keys()

    def _finished(self) -> int:
        """Trials that count for the sampler's seed: all that ended but the interrupted ones."""
        return sum(
            trial.state.is_finished() and _INTERRUPTED not in trial.user_attrs
            for trial in self._study.get_trials(deepcopy=False)
        )

    def _trial(self, number: int) -> Trial:
        if number not in self._live:
            frozen = self._frozen(number)
            self._live[number] = Trial(self._study, frozen._trial_id)  # noqa: SLF001
        return self._live[number]

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {
            name: CategoricalDistribution(choices)
            for name, choices in self._space.choices().items()
        }

    @staticmethod
    def _proposal(
        number: int, parameters: Mapping[str, str], attributes: Mapping[str, Any]
    ) -> Proposal:
        return Proposal(
            number, dict(parameters), attributes.get(_ANCHOR), attributes.get(_RETRY_OF)
        )
