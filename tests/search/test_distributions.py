"""The search space as Optuna is asked for it."""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution

from amp_tuner.amp.lists import AmpLists
from amp_tuner.search.distributions import distributions
from amp_tuner.search.space import SearchSpace


def test_every_parameter_is_asked_for_in_its_order_with_its_choices_in_theirs() -> None:
    space = SearchSpace(("bfloat16",), ("MatMul", "Relu"), ("deny",), {"bfloat16": AmpLists()})
    lists = CategoricalDistribution(("allow", "infer", "clear", "deny", "none"))
    assert list(distributions(space).items()) == [
        ("data_type", CategoricalDistribution(("float32", "bfloat16"))),
        ("list:MatMul", lists),
        ("list:Relu", lists),
    ]
