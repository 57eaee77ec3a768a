"""Samplers, as this project uses them.

A sampler is made anew for each proposal, seeded from the study's seed and the number of finished
trials: a resumed study proposes what an uninterrupted one would have proposed.

TPE is shown the newest and the best trials (:mod:`amp_tuner.search.history`), and is told the
search space, which Optuna's own finds out by looking at every trial. The others see every trial.
``amp`` is ours.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from amp_tuner.errors import InputError
from amp_tuner.search.amp_sampler import AmpSampler
from amp_tuner.search.candidates import Parameters
from amp_tuner.search.looks import Viewer
from amp_tuner.search.space import SearchSpace

Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Ground:
    """What a sampler stands on.

    Attributes:
        space: what may be proposed.
        distributions: the same for Optuna, every parameter.
        trials: what TPE is shown.
        viewer: paints settings; None where nobody asks ``amp``.
        only: the only settings that ``amp`` may choose from; None: the whole space.
    """

    space: SearchSpace
    distributions: Space
    trials: Sequence[FrozenTrial]
    viewer: Viewer | None
    only: Sequence[Parameters] | None


class _Shown:
    """A study of which some trials are shown; everything else is the study's own."""

    def __init__(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._trials = trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, *, states: Container[TrialState], **_: Any) -> list[FrozenTrial]:
        return [trial for trial in self._trials if trial.state in states]


class ShownTPE(TPESampler):
    """Optuna's multivariate TPE over a known space, learning from the trials that it is shown."""

    def __init__(self, seed: int, ground: Ground) -> None:
        # Optuna's default is independent TPE when a study has two objectives; list moves interact
        # (Casts stand between neighbours), so the multivariate form is asked for by name.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(seed=seed, multivariate=True)
        self._space = ground.distributions
        self._trials = ground.trials

    def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
        """The whole space, in Optuna's order; a single choice needs no sampler."""
        return {name: one for name, one in sorted(self._space.items()) if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of all parameters, or nothing while there are too few trials."""
        shown = cast("Study", _Shown(study, self._trials))
        return super().sample_relative(shown, trial, search_space)


def _nsga2(seed: int, *_: Any) -> BaseSampler:
    # Optuna's population of 50 is a random search at a night's number of trials.
    return NSGAIISampler(seed=seed, population_size=20)


def _random(seed: int, *_: Any) -> BaseSampler:
    return RandomSampler(seed=seed)


def check_sampler(name: str) -> None:
    """Refuses a sampler that cannot work here, before anything is measured.

    Raises:
        InputError: ``gp`` without PyTorch.
    """
    if name == "gp" and importlib.util.find_spec("torch") is None:
        message = "sampler gp needs PyTorch, which is not installed: pip install 'amp-tuner[gp]'"
        raise InputError.one("$.search.sampler", message)


def _gp(seed: int, *_: Any) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GPSampler(seed=seed)


def _amp(seed: int, ground: Ground) -> BaseSampler:
    assert ground.viewer is not None
    return AmpSampler(seed, ground.space, ground.viewer, ground.only)


SAMPLERS: dict[str, Callable[[int, Ground], BaseSampler]] = {
    "amp": _amp,
    "tpe": ShownTPE,
    "nsga2": _nsga2,
    "random": _random,
    "gp": _gp,
}
#: Those that look at no trials but the ones that :class:`Ground` shows.
SEE_WHAT_IS_SHOWN = ("tpe", "random")


def make_sampler(name: str, seeds: tuple[int, int], finished: int, ground: Ground) -> BaseSampler:
    """The sampler for the next proposal.

    Args:
        name: one of SAMPLERS.
        seeds: the study's seed, and the tuner's rank among those that share the study.
        finished: trials finished or running so far, interrupted ones not counted.
        ground: what it knows.
    """
    seed, rank = seeds
    mixed = np.random.SeedSequence([seed, finished, *([rank] if rank else [])]).generate_state(1)[0]
    return SAMPLERS[name](int(mixed), ground)
