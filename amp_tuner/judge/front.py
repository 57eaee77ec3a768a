"""The front: which settings no other one beats on both speed-up and accuracy, with certainty.

1. The classical front on the estimates: no other point is as good on both axes and better on one.
2. From the fastest on, a member leaves if a member that stays is certainly better on one axis and
   tied on the other. What cannot be told apart on both axes is listed as tied.
3. FP32 and each default AMP are always listed, as references.

Two figures differ with certainty where the interval of their difference excludes zero; it is made
of the two intervals by the MOVER rule (Zou and Donner, Statistics in Medicine 27, 2008), which
supposes that they are independent. Drops come from the same samples and are not, which makes them
harder to tell apart, never easier. Speed-ups are compared as logarithms, and less than 1 % is a tie
whatever the intervals say (the noise threshold of criterion.rs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from amp_tuner.records import Interval

CANDIDATE, FLOAT32, DEFAULT_AMP = "candidate", "float32", "default_amp"

#: Speed-ups closer than this are tied.
TIME_TIE = 0.01


@dataclass(frozen=True)
class Contender:
    """What the front knows of one measured setting.

    Attributes:
        number: the trial's; unique.
        speedup: over the FP32 baseline; None if it was never timed (accuracy ended it), which
            keeps it off the front but, if it is a reference, not off the list.
        drop: loss of accuracy against FP32, positive is worse.
        verdict: whether it ``meets`` or ``misses`` the accuracy goal, or is ``uncertain``.
        role: CANDIDATE, FLOAT32 or DEFAULT_AMP.
    """

    number: int
    speedup: Interval | None
    drop: Interval
    verdict: str
    role: str = CANDIDATE


@dataclass(frozen=True)
class Entry:
    """One line of the published front.

    Attributes:
        number: the trial's.
        member: whether it is on the front; a reference may be listed without.
        reference: FP32 or a default AMP.
        tied_with: numbers of the points of the classical front, and of this list, that cannot be
            told apart from it on either axis.
    """

    number: int
    member: bool
    reference: bool
    tied_with: tuple[int, ...]


@dataclass(frozen=True)
class Front:
    """The front and its named points, as trial numbers.

    Attributes:
        entries: fastest first; what was never timed comes last.
        best: the answer (see :func:`best_of`); None if nothing certainly meets the goal.
        knee: the member furthest on the good side of the line between the ends.
        fastest, safest: the ends.
    """

    entries: tuple[Entry, ...]
    best: int | None
    knee: int
    fastest: int
    safest: int

    def members(self) -> tuple[int, ...]:
        """Numbers of the members, fastest first."""
        return tuple(entry.number for entry in self.entries if entry.member)


@dataclass(frozen=True)
class _Timed:
    """A contender that was timed; ``gain`` is the logarithm of its speed-up."""

    contender: Contender
    gain: Interval

    @property
    def number(self) -> int:
        return self.contender.number

    @property
    def drop(self) -> Interval:
        return self.contender.drop


def front_of(contenders: Iterable[Contender]) -> Front:
    """The front of ``contenders``, in whatever order they come.

    Raises:
        ValueError: nothing was timed, a number comes twice, or an interval is not finite, not in
            order, or (speed-up) not above zero.
    """
    everyone = sorted(contenders, key=lambda contender: contender.number)
    _check(everyone)
    timed = _fastest_first(everyone)
    if not timed:
        raise ValueError("a front needs at least one timed setting")
    classical = _classical(timed)
    members = _without_dominated(classical)
    best = best_of(everyone)
    numbers = {one.number for one in members}
    listed = [
        contender
        for contender in [one.contender for one in timed] + [c for c in everyone if not c.speedup]
        if contender.number in numbers or contender.role != CANDIDATE or contender.number == best
    ]
    shown = {contender.number for contender in listed} | {one.number for one in classical}
    comparable = [one for one in timed if one.number in shown]
    entries = tuple(
        Entry(
            contender.number,
            contender.number in numbers,
            contender.role != CANDIDATE,
            _tied_with(contender.number, comparable),
        )
        for contender in listed
    )
    return Front(entries, best, _knee(members), members[0].number, members[-1].number)


def best_of(contenders: Iterable[Contender]) -> int | None:
    """The fastest setting that certainly meets the goal, by number.

    The simpler answer stands until something is certainly faster: a default AMP must certainly beat
    FP32, other lists must certainly beat both. Where other lists certainly beat the answer so far,
    but not a default AMP that is at least as fast as that answer by its estimate, this one stands
    for them. None if nothing certainly meets the goal.
    """
    able = [one for one in _fastest_first(contenders) if one.contender.verdict == "meets"]
    best: _Timed | None = None
    for role in (FLOAT32, DEFAULT_AMP):
        best = next(iter(_faster_ones(able, role, best)), best)
    lists = _faster_ones(able, CANDIDATE, best)
    if not lists:
        return best.number if best else None
    defaults = [
        one
        for one in able
        if one.contender.role == DEFAULT_AMP and (best is None or one.gain.value >= best.gain.value)
    ]
    for one in lists:
        if all(_faster(one, default) for default in defaults):
            return one.number
    return next(one for one in defaults if not _faster(lists[0], one)).number


def _faster_ones(able: Sequence[_Timed], role: str, than: _Timed | None) -> list[_Timed]:
    """Those of a role that are certainly faster, the fastest first.

    Not only the fastest estimate: one that is hardly known must not hide one that is certain.
    """
    return [
        one for one in able if one.contender.role == role and (than is None or _faster(one, than))
    ]


def in_doubt(contenders: Iterable[Contender]) -> tuple[int, ...]:
    """Numbers of the points whose place on the front more measuring could change, sorted.

    A point off the front is in doubt unless a member dominates it: is certainly better on one axis
    and not certainly worse on the other. A member is in doubt if it is tied on both axes with such
    a point or with another member.
    """
    timed = _fastest_first(contenders)
    members = _without_dominated(_classical(timed))
    undecided = [
        one for one in timed if one in members or not any(_dominates(m, one) for m in members)
    ]
    outside = {one.number for one in undecided if one not in members}
    tied = {one.number for one in members if any(_tied(one, o) for o in undecided if o != one)}
    return tuple(sorted(outside | tied))


def left_by_a_tie(contenders: Iterable[Contender]) -> tuple[int, ...]:
    """Numbers on the classical front, but not on the front, fastest first.

    On the estimates nothing beats them; they left because one of their advantages is not certain.
    Measuring them more precisely may bring them back.
    """
    classical = _classical(_fastest_first(contenders))
    members = _without_dominated(classical)
    return tuple(one.number for one in classical if one not in members)


def _check(contenders: Sequence[Contender]) -> None:
    numbers = [contender.number for contender in contenders]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"each number may come once, found {numbers}")
    for contender in contenders:
        speedup = contender.speedup
        for interval in (contender.drop, speedup or contender.drop):
            ends = (interval.low, interval.value, interval.high)
            if not all(map(math.isfinite, ends)) or list(ends) != sorted(ends):
                raise ValueError(f"trial {contender.number}: not an interval: {interval}")
        if speedup and speedup.low <= 0:
            raise ValueError(f"trial {contender.number}: a speed-up is above 0, found {speedup}")


def _fastest_first(contenders: Iterable[Contender]) -> list[_Timed]:
    """The timed ones by falling speed-up, then rising drop, then number: a total order."""
    timed = [
        _Timed(one, Interval(*map(math.log, (s.value, s.low, s.high))))
        for one in contenders
        if (s := one.speedup) is not None
    ]
    return sorted(timed, key=lambda one: (-one.gain.value, one.drop.value, one.number))


def _classical(fastest_first: Sequence[_Timed]) -> list[_Timed]:
    """Those that no other beats on the estimates; equals stay together. Fastest first."""
    front: list[_Timed] = []
    for one in fastest_first:
        least = front[-1] if front else None
        if least is None or one.drop.value < least.drop.value or _equal(one, least):
            front.append(one)
    return front


def _without_dominated(classical: Sequence[_Timed]) -> list[_Timed]:
    """The members that stay: each one that leaves has one that stays and dominates it.

    Whoever nothing undecided dominates stays, the fastest first, and those that it dominates leave.
    Certainty is not transitive, so settings can dominate each other in a circle. Then the fastest
    of them stays, and the ones that dominate it leave too, so that no member is ever dominated.
    """
    undecided = list(classical)
    staying: list[_Timed] = []
    while undecided:
        free = (one for one in undecided if not any(_dominates(other, one) for other in undecided))
        stays = next(free, undecided[0])
        staying.append(stays)
        undecided = [
            one
            for one in undecided
            if one != stays and not _dominates(stays, one) and not _dominates(one, stays)
        ]
    return [one for one in classical if one in staying]


def _knee(members: Sequence[_Timed]) -> int:
    """The member furthest from the line between the ends, on the side of the better points.

    Both axes (speed-up, drop) are scaled to the range of the front. The fastest of equals.
    """
    ends = members[0], members[-1]
    gains = [math.exp(one.gain.value) for one in ends]
    drops = [one.drop.value for one in ends]

    def distance(one: _Timed) -> float:
        gain = _share(math.exp(one.gain.value), gains[1], gains[0])
        return gain - _share(one.drop.value, drops[1], drops[0])

    return max(members, key=distance).number


def _share(value: float, start: float, end: float) -> float:
    return (value - start) / (end - start) if end != start else 0.0


def _tied_with(number: int, comparable: Sequence[_Timed]) -> tuple[int, ...]:
    own = next((one for one in comparable if one.number == number), None)
    if own is None:
        return ()
    return tuple(sorted(one.number for one in comparable if one != own and _tied(one, own)))


def _dominates(one: _Timed, other: _Timed) -> bool:
    """Certainly better on one axis and not certainly worse on the other."""
    if _faster(one, other):
        return not _safer(other, one)
    return _safer(one, other) and not _faster(other, one)


def _tied(one: _Timed, other: _Timed) -> bool:
    sides: tuple[Callable[[_Timed, _Timed], bool], ...] = (_faster, _safer)
    return not any(better(one, other) or better(other, one) for better in sides)


def _equal(one: _Timed, other: _Timed) -> bool:
    return one.gain.value == other.gain.value and one.drop.value == other.drop.value


def _faster(one: _Timed, other: _Timed) -> bool:
    """Whether ``one`` is certainly faster."""
    return _certainly_above(one.gain, other.gain, at_least=math.log1p(TIME_TIE))


def _safer(one: _Timed, other: _Timed) -> bool:
    """Whether ``one`` certainly loses less accuracy."""
    return _certainly_above(other.drop, one.drop, at_least=0.0)


def _certainly_above(upper: Interval, lower: Interval, at_least: float) -> bool:
    """Whether the interval of the difference (MOVER) lies above zero, and it is large enough."""
    half = math.hypot(upper.value - upper.low, lower.high - lower.value)
    return upper.value - lower.value > max(at_least, half)
