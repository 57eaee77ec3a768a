"""Painting: which type attributes become 16-bit under given lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from amp_tuner.amp.levels import FORCE_ALL, effective_lists
from amp_tuner.amp.lists import LIST_NAMES, AmpLists
from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.steps import ORDER, Colours, VertexLists, allow_the_allow_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from amp_tuner.rewrite.prepare import PreparedGraph

_CODES = {name: code for code, name in enumerate(LIST_NAMES, start=1)}


@dataclass(frozen=True)
class Painting:
    """What the pass decided.

    Attributes:
        painted: float32 vertices that become 16-bit; bool, shape (vertices,).
        allow, deny: per vertex the step (place in ``steps.ORDER``, from 1) that put it into that
            set, 0 where it is not in it; uint8, shape (vertices,).
        removed: vertices that a step took out of ``allow``, with that step.
    """

    painted: NDArray[np.bool_]
    allow: NDArray[np.uint8]
    deny: NDArray[np.uint8]
    removed: Mapping[int, int]


class Snapshot(NamedTuple):
    """The colours between two steps: per vertex the step that painted it, 0 for none."""

    allow: bytes
    deny: bytes


def paint(prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> Painting:
    """Decides the colours of every type attribute, as the real pass does.

    Linear in vertices and edges.

    Raises:
        RewriteError: the real pass fails: an op type is in two lists, the level is refused, a loop
            is malformed, or a fixed type was forced.
    """
    colours = _uncoloured(prepared, lists, level)
    for _ in _steps(prepared, colours):
        pass
    return _finished(prepared, colours)


def paint_step_by_step(
    prepared: PreparedGraph, lists: AmpLists, level: str = "default"
) -> tuple[Painting, tuple[Snapshot, ...]]:
    """What :func:`paint` gives, and the colours before the first and after each step.

    A pass that stops early leaves fewer snapshots than ``steps.ORDER`` has steps.

    Raises:
        RewriteError: as for :func:`paint`.
    """
    colours = _uncoloured(prepared, lists, level)
    snapshots = [Snapshot(bytes(colours.allow), bytes(colours.deny))]
    snapshots += (
        Snapshot(bytes(colours.allow), bytes(colours.deny)) for _ in _steps(prepared, colours)
    )
    return _finished(prepared, colours), tuple(snapshots)


def _uncoloured(prepared: PreparedGraph, lists: AmpLists, level: str) -> Colours:
    return Colours(_by_vertex(prepared, effective_lists(prepared.rules, lists, level), level))


def _steps(prepared: PreparedGraph, colours: Colours) -> Iterator[int]:
    """Takes one step at a time, until the pass ends; yields its number."""
    if prepared.graph.skipped is not None:
        return
    for number, step in enumerate(ORDER, start=1):
        step(prepared, colours, number)
        yield number
        if step is allow_the_allow_list and not colours.allow_array.any():
            return


def _finished(prepared: PreparedGraph, colours: Colours) -> Painting:
    painted = colours.allow_array.astype(np.bool_) & prepared.float32
    _check_settable(prepared, painted)
    return Painting(painted, colours.allow_array, colours.deny_array, colours.removed)


def _check_settable(prepared: PreparedGraph, painted: NDArray[np.bool_]) -> None:
    """Level unsafe_force_all paints types that an op fixes; setting those makes the pass fail."""
    stuck = painted & prepared.fixed
    if stuck.any():
        name = prepared.graph.vertex_name(int(stuck.argmax()))
        raise RewriteError(f"{name} is painted, but its op fixes that type")


def _by_vertex(prepared: PreparedGraph, lists: AmpLists, level: str) -> VertexLists:
    allow, deny, infer, clear = lists.allow, lists.deny, lists.infer, lists.clear
    # In the order of _CODES; spelt out, since this takes a tenth of a painting.
    of_op = np.frombuffer(
        bytes(
            [
                1 if op in allow else 2 if op in deny else 3 if op in infer else 4 * (op in clear)
                for op in prepared.op_types
            ]
        ),
        dtype=np.uint8,
    )
    codes = of_op[prepared.op_of] if prepared.vertices else of_op[:0]
    if lists.nodes:
        codes = codes.copy()
        for subject, place in sorted(lists.nodes.items()):
            codes[prepared.named[subject]] = _CODES.get(place, 0)
    masks = {name: codes == code for name, code in _CODES.items()}
    return VertexLists(**masks, force_all=level == FORCE_ALL)
