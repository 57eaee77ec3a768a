"""The shortest setting that gives the same graph, and which of its moves change most of it.

Many moves of a random setting do nothing: their op type would be painted alike in its default list,
or is, because of another move. What they leave behind is noise in a string that people deploy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.paint import paint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.rewrite.prepare import PreparedGraph

#: With more moves than this, two at a time are not tried: their number grows with the square.
_PAIRS_UP_TO = 10

Moves = Mapping[str, str]
Same = Callable[[Moves], bool]


def fewest_moves(
    prepared: PreparedGraph, default: AmpLists, moves: Moves, level: str = "default"
) -> dict[str, str]:
    """Moves with the same effective graph of which none can be left out, nor two together.

    Greedy, always the same: moves are dropped one by one, those with two entries in a pass's
    variables (out of one list, into another) first, until none can be; then in pairs. Of what
    stays, a move to a list becomes one to no list where that does as well: one entry less.

    Args:
        prepared: the graph.
        default: the lists that ``moves`` start from.
        moves: a legal setting's.
        level: the setting's.

    Raises:
        RewriteError: the real pass fails with ``moves``.
    """
    wanted = paint(prepared, default.moved(moves), level).painted

    def same(fewer: Moves) -> bool:
        painted = _painted(prepared, default, fewer, level)
        return painted is not None and np.array_equal(painted, wanted)

    def long_first(op_type: str) -> tuple[bool, str]:
        return default.list_of(op_type) == "none" or kept[op_type] == "none", op_type

    kept = dict(moves)
    while True:
        before = kept
        kept = _dropped(kept, same, sorted(kept, key=long_first))
        kept = _to_no_list(kept, same, default)
        if kept == before:
            return kept


def least_changing_first(
    prepared: PreparedGraph, default: AmpLists, moves: Moves, level: str = "default"
) -> tuple[str, ...]:
    """The moves' op types by how many type attributes change without each: the fewest first.

    A move without which the real pass fails comes last.
    """
    wanted = _painted(prepared, default, moves, level)

    def changed(op_type: str) -> tuple[int, str]:
        painted = _painted(prepared, default, _without(moves, (op_type,)), level)
        if painted is None or wanted is None:
            return prepared.vertices + 1, op_type
        return int((painted != wanted).sum()), op_type

    return tuple(sorted(moves, key=changed))


def entries(default: AmpLists, moves: Moves) -> int:
    """Entries in a pass's variables: one to leave a list, one to join a list."""
    return sum(
        (default.list_of(op_type) != "none") + (place != "none") for op_type, place in moves.items()
    )


def _dropped(moves: dict[str, str], same: Same, order: list[str]) -> dict[str, str]:
    """``moves`` without those that can go: passes over single ones, then the first pair, again."""
    for op_type in order:
        if same(fewer := _without(moves, (op_type,))):
            moves = fewer
    if 1 < len(moves) <= _PAIRS_UP_TO:
        for pair in combinations(sorted(moves), 2):
            if same(fewer := _without(moves, pair)):
                return fewer
    return moves


def _to_no_list(moves: dict[str, str], same: Same, default: AmpLists) -> dict[str, str]:
    for op_type, place in sorted(moves.items()):
        shorter = {**moves, op_type: "none"}
        if "none" not in (place, default.list_of(op_type)) and same(shorter):
            moves = shorter
    return moves


def _without(moves: Moves, op_types: tuple[str, ...]) -> dict[str, str]:
    return {op_type: place for op_type, place in moves.items() if op_type not in op_types}


def _painted(
    prepared: PreparedGraph, default: AmpLists, moves: Moves, level: str
) -> NDArray[np.bool_] | None:
    """What is painted; None where the real pass fails."""
    try:
        return paint(prepared, default.moved(moves), level).painted
    except RewriteError:
        return None
