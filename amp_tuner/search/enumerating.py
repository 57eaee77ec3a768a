"""All distinct effective graphs of a small space, found by painting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from amp_tuner.records import Setting
from amp_tuner.search.candidates import Candidates, Parameters
from amp_tuner.search.looks import Viewer
from amp_tuner.search.space import SearchSpace

#: So many times what a proposal may paint: some seconds, once per study.
_PROPOSALS = 20
#: The share of them that are random settings, where not every setting can be painted.
_DRAWN = 0.3


@dataclass(frozen=True)
class DistinctGraphs:
    """Distinct 16-bit effective graphs.

    Attributes:
        settings: one setting for each, by graph.
        is_whole: every setting was painted; else one op type at a time was moved, from every graph
            that was found, and random settings were tried, until nothing new came: what only moves
            of several op types together give may be missing.
    """

    settings: Mapping[str, Parameters]
    is_whole: bool

    def sentence(self) -> str:
        """How many there are, and how they were found."""
        how = (
            "painting every setting"
            if self.is_whole
            else "moving one op type at a time, or several by chance,"
        )
        return f"{len(self.settings)} distinct 16-bit graphs are all that {how} finds"


def distinct_graphs(space: SearchSpace, viewer: Viewer, most: int) -> DistinctGraphs | None:
    """Every distinct 16-bit graph; None where there are more than ``most``, or it takes too long.

    Args:
        space: the settings.
        viewer: paints them.
        most: more are of no use.
    """
    draw = Candidates(space, np.random.default_rng(0))
    paintings = _PROPOSALS * viewer.paintings
    places = [draw.places(name) for name in draw.names]
    settings = len(space.data_types) * math.prod(map(len, places))
    if settings <= paintings:
        found = _looked_at(_every(space, draw), viewer, most)
        return None if found is None else DistinctGraphs(found, is_whole=True)
    found = _closure(draw, viewer, most, paintings)
    return None if found is None else DistinctGraphs(found, is_whole=False)


def _every(space: SearchSpace, draw: Candidates) -> Iterator[Parameters]:
    places = [draw.places(name) for name in draw.names]
    for data_type in space.data_types:
        start = space.parameters(Setting(data_type))
        for chosen in product(*places):
            yield {**start, **dict(zip(draw.names, chosen, strict=True))}


def _looked_at(
    settings: Iterator[Parameters], viewer: Viewer, most: int
) -> dict[str, Parameters] | None:
    found: dict[str, Parameters] = {}
    for parameters in settings:
        look = viewer.look(parameters)
        if look is not None and look.is_16bit:
            found.setdefault(look.graph_id, parameters)
            if len(found) > most:
                return None
    return found


def _closure(
    draw: Candidates, viewer: Viewer, most: int, paintings: int
) -> dict[str, Parameters] | None:
    found: dict[str, Parameters] = {}
    waiting: list[Parameters] = list(draw.defaults())
    seen: set[str] = set()

    def is_new(parameters: Parameters) -> bool:
        look = viewer.look(parameters)
        if look is None or look.graph_id in seen:
            return False
        seen.add(look.graph_id)
        if look.is_16bit:
            found[look.graph_id] = parameters
        return True

    drawn = int(paintings * _DRAWN)
    while waiting:
        parent = waiting.pop()
        moved = [parent, *draw.single_moves(parent)]
        waiting += [one for one in moved if is_new(one)]
        paintings -= len(moved)
        while not waiting and drawn > 0:
            drawn -= 1
            one = draw.at_random()
            waiting += [one] if is_new(one) else []
        if paintings < drawn or len(found) > most:
            return None
    return found
