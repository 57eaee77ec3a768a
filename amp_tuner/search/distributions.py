"""The search space as Optuna is asked for it."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution

from amp_tuner.search.space import SearchSpace


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Parameter name to its categories, in the order in which they are suggested."""
    return {name: CategoricalDistribution(values) for name, values in space.choices().items()}
