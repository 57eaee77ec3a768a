"""Optuna's samplers, as this project uses them.

A sampler is made anew for each proposal, seeded from the study's seed and the number of finished
trials: a resumed study proposes what an uninterrupted one would have proposed.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from amp_tuner.errors import InputError


def _tpe(seed: int) -> BaseSampler:
    # Optuna's default is independent TPE when a study has two objectives; list moves interact
    # (Casts stand between neighbours), so the multivariate form is asked for by name.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True)


def _nsga2(seed: int) -> BaseSampler:
    # Optuna's population of 50 is a random search at a night's number of trials.
    return NSGAIISampler(seed=seed, population_size=20)


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def check_sampler(name: str) -> None:
    """Refuses a sampler that cannot work here, before anything is measured.

    Raises:
        InputError: ``gp`` without PyTorch.
    """
    if name == "gp" and importlib.util.find_spec("torch") is None:
        message = "sampler gp needs PyTorch, which is not installed: pip install 'amp-tuner[gp]'"
        raise InputError.one("$.search.sampler", message)


def _gp(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GPSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": _nsga2,
    "random": _random,
    "gp": _gp,
}


def make_sampler(name: str, seed: int, finished: int) -> BaseSampler:
    """The sampler for the next proposal.

    Args:
        name: one of SAMPLERS.
        seed: the study's seed.
        finished: trials finished so far, interrupted ones not counted.
    """
    mixed = np.random.SeedSequence([seed, finished]).generate_state(1)[0]
    return SAMPLERS[name](int(mixed))
