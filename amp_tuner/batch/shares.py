"""How a batch's time is shared among its studies, and whose turn it is.

All studies get the same time, but for those that need less: a study never gets more than its own
limit, one that ended has what it took, and what these leave is for the others (max-min fairness, as
in Bertsekas and Gallager, Data Networks, 1992, 6.5.2). Shares are worked out anew before each turn,
so what a study did not use goes to those after it, and what one took beyond its share is taken from
them in equal parts. The study that has had the smallest part of its share is next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Less time than this is none: it would be gone before a study has looked at its model.
LEAST_S = 1.0


@dataclass(frozen=True)
class Claim:
    """One study's claim on a batch's time, in seconds.

    Attributes:
        spent_s: what all its runs have taken.
        limit_s: its own time budget; infinity where it has none.
        over: it has had its turn, or needs none.
    """

    spent_s: float
    limit_s: float = math.inf
    over: bool = False


@dataclass(frozen=True)
class Turn:
    """Whose turn it is.

    Attributes:
        index: of the study.
        left_s: what is left of its share; infinity without any limit.
    """

    index: int
    left_s: float


def next_turn(budget_s: float, claims: Sequence[Claim]) -> Turn | None:
    """Whose turn it is; None if nobody is left that has time.

    Args:
        budget_s: of all runs of all studies together; infinity for no limit.
        claims: in the order in which they are to run where nothing else decides.
    """
    shares_s = shares(budget_s, claims)
    open_ones = (
        (claim.spent_s / share_s, index)
        for index, (claim, share_s) in enumerate(zip(claims, shares_s))
        if not claim.over and share_s - claim.spent_s >= LEAST_S
    )
    _, index = min(open_ones, default=(0.0, None))
    return None if index is None else Turn(index, shares_s[index] - claims[index].spent_s)


def shares(budget_s: float, claims: Sequence[Claim]) -> list[float]:
    """Each study's share of the time in seconds, what it has spent included.

    Shares exceed the budget together only if what is spent does.
    """
    left_s = budget_s - sum(claim.spent_s for claim in claims if claim.over)
    level_s = _level([claim for claim in claims if not claim.over], left_s)
    return [claim.spent_s if claim.over else _share(claim, level_s) for claim in claims]


def _share(claim: Claim, level_s: float) -> float:
    return max(claim.spent_s, min(claim.limit_s, level_s))


def _level(claims: Sequence[Claim], left_s: float) -> float:
    """The time that each may have, so that their shares use up what is left."""

    def needed_s(level_s: float) -> float:
        return sum(_share(claim, level_s) for claim in claims)

    if needed_s(math.inf) <= left_s:
        return math.inf
    # Between two of these the shares grow in step.
    marks = sorted({claim.spent_s for claim in claims} | {claim.limit_s for claim in claims})
    level_s = max((mark for mark in marks if needed_s(mark) <= left_s), default=0.0)
    growing = sum(claim.spent_s <= level_s < claim.limit_s for claim in claims)
    return level_s + max(0.0, left_s - needed_s(level_s)) / max(1, growing)
