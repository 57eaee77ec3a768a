"""The best front that is to be had: every distinct graph, or a long search that sees the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from methods import anchors
from problems import Problem, Truth, random_parameters
from synthetic import synthetic

from amp_tuner.search.candidates import Candidates, Parameters
from amp_tuner.search.enumerating import distinct_graphs

_MOST = 2000
#: Paintings of the long search.
_EVALUATIONS = 4000
_KEPT = 24


def reference(name: str) -> dict[str, Any]:
    """The unit of a problem's reference: the volume of the best front that was found."""
    problem = synthetic(name)
    distinct = distinct_graphs(problem.space, problem.viewer, _MOST)
    if distinct is not None:
        truths = [found[1] for one in distinct.settings.values() if (found := _truth(problem, one))]
    else:
        truths = _long_search(problem)
    return {
        "problem": name,
        "method": "reference",
        "seed": 0,
        "volumes": [problem.volume(truths)],
        "distinct": None if distinct is None else len(distinct.settings),
    }


def _truth(problem: Problem, parameters: Parameters) -> tuple[str, Truth] | None:
    return problem.parameters(parameters)


def _long_search(problem: Problem) -> list[Truth]:
    """Mutations and crossings of the true front, without noise."""
    random = np.random.default_rng(99)
    draw = Candidates(problem.space, random)
    truths: dict[str, Truth] = {}
    front: list[tuple[Parameters, Truth]] = []
    waiting: list[Parameters] = [*anchors(problem.space)]
    waiting += [one for start in draw.defaults() for one in draw.single_moves(start)]
    waiting += [random_parameters(problem.space, random) for _ in range(200)]
    for count in range(_EVALUATIONS):
        if count < len(waiting):
            parameters = waiting[count]
        elif random.random() < 0.3 and len(front) > 1:
            parameters = draw.crossed(_one(front, random), _one(front, random))
        else:
            parameters = draw.mutated(_one(front, random) if front else waiting[0])
        found = problem.parameters(parameters)
        if found is None or found[1].crashes or found[0] in truths:
            continue
        truths[found[0]] = found[1]
        if found[1].drop <= problem.limit and found[1].log_speedup > 0:
            front = _with(front, parameters, found[1])
    return list(truths.values())


def _one(front: list[tuple[Parameters, Truth]], random: np.random.Generator) -> Parameters:
    return front[int(random.integers(len(front)))][0]


def _with(
    front: list[tuple[Parameters, Truth]], parameters: Parameters, truth: Truth
) -> list[tuple[Parameters, Truth]]:
    """The front with one more, and without what it beats."""
    if any(_beats(other, truth) for _, other in front):
        return front
    kept = [(one, other) for one, other in front if not _beats(truth, other)]
    return [*kept, (parameters, truth)][-_KEPT:]


def _beats(one: Truth, other: Truth) -> bool:
    return one.log_speedup >= other.log_speedup and one.drop <= other.drop
