"""The best front that is to be had: every distinct graph, or a long search that sees the truth."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from methods import anchors
from problems import Problem, Truth, random_parameters
from synthetic import synthetic

from amp_tuner.search.candidates import Candidates, Parameters
from amp_tuner.search.enumerating import distinct_graphs

_MOST = 2000
#: Searches, and settings of each.
_SEARCHES, _EVALUATIONS = 4, 3000


def reference(name: str, seed: int) -> dict[str, Any]:
    """The unit of a problem's reference: the volume of the best front that was found.

    Args:
        name: the problem's.
        seed: of the long search; another one may find more, and the best counts.
    """
    problem = synthetic(name)
    distinct = distinct_graphs(problem.space, problem.viewer, _MOST)
    if distinct is not None:
        truths = [found[1] for one in distinct.settings.values() if (found := _truth(problem, one))]
    else:
        truths = _long_search(problem, seed)
    return {
        "problem": name,
        "method": "reference",
        "seed": seed,
        "volumes": [problem.volume(truths)],
        "distinct": None if distinct is None else len(distinct.settings),
    }


def _truth(problem: Problem, parameters: Parameters) -> tuple[str, Truth] | None:
    return problem.parameters(parameters)


def _long_search(problem: Problem, seed: int) -> list[Truth]:
    """Several searches without noise, half of them mostly of single moves."""
    truths: dict[str, Truth] = {}
    for number in range(_SEARCHES):
        found: dict[str, Truth] = {}
        random = np.random.default_rng([99, seed, number])
        _search(problem, random, 1 + number % 2, found)
        truths |= found
    return list(truths.values())


def _search(
    problem: Problem, random: np.random.Generator, every: int, truths: dict[str, Truth]
) -> None:
    """Mutations and crossings of the true front, and its single moves.

    Args:
        problem: what is searched.
        random: the only source of chance.
        every: 1 for no single moves; 2 for every second setting a single move.
        truths: where what is found is added, by graph.
    """
    draw = Candidates(problem.space, random)
    front: list[tuple[Parameters, Truth]] = []
    starts = _starts(problem, draw, random)
    waiting, begun = deque(starts), len(starts)
    for count in range(_EVALUATIONS):
        if waiting and (count < begun or count % every):
            parameters = waiting.popleft()
        elif random.random() < 0.3 and len(front) > 1:
            parameters = draw.crossed(_one(front, random), _one(front, random))
        else:
            parents = [one for one, _ in front] or starts
            parameters = draw.mutated(parents[int(random.integers(len(parents)))])
        found = problem.parameters(parameters)
        if found is None or found[1].crashes or found[0] in truths:
            continue
        truths[found[0]] = found[1]
        if _is_good(problem, found[1]) and not any(_beats(one, found[1]) for _, one in front):
            front = [(one, truth) for one, truth in front if not _beats(found[1], truth)]
            front.append((parameters, found[1]))
            waiting.extendleft(draw.single_moves(parameters))


def _starts(problem: Problem, draw: Candidates, random: np.random.Generator) -> list[Parameters]:
    """Anchors, every op type alone and all but one, single moves, random settings."""
    every = set(draw.movable)
    return [
        *anchors(problem.space),
        *(
            draw.just(data_type, chosen, others)
            for data_type in problem.space.data_types
            for op_type in draw.movable
            for chosen in ({op_type}, every - {op_type})
            for others in ("deny", "clear")
        ),
        *(one for start in draw.defaults() for one in draw.single_moves(start)),
        *(random_parameters(problem.space, random) for _ in range(200)),
    ]


def _is_good(problem: Problem, truth: Truth) -> bool:
    return truth.drop <= problem.limit and truth.log_speedup > 0


def _one(front: list[tuple[Parameters, Truth]], random: np.random.Generator) -> Parameters:
    return front[int(random.integers(len(front)))][0]


def _beats(one: Truth, other: Truth) -> bool:
    return one.log_speedup >= other.log_speedup and one.drop <= other.drop
