"""Which op types are worth moving between lists, and which settings can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.errors import RewriteError
from amp_tuner.rewrite.paint import paint

if TYPE_CHECKING:
    from amp_tuner.amp.lists import AmpLists
    from amp_tuner.rewrite.paint import Painting
    from amp_tuner.rewrite.prepare import PreparedGraph


_LOOP = {"NextIteration": "Merge"}


def tunable_op_types(prepared: PreparedGraph) -> tuple[str, ...]:
    """Op types of the graph that can be 16-bit there, so that their list matters; sorted.

    Such an op type has a node that the pass may convert, with a float32 type attribute that has a
    16-bit kernel, and converting it keeps its meaning (no state, no resources, no functions, no
    reinterpretation of bytes). On the ALLOW list it is painted, on no list it is not, so the
    effective graph depends on it.
    """
    if prepared.graph.skipped is not None:
        return ()
    vertices = prepared.graph.vertices
    nodes = prepared.graph.nodes
    fit = (nodes[vertices[vertex].node] for vertex in np.flatnonzero(prepared.candidate))
    return tuple(sorted({node.op for node in fit if node.tunable}))


def legalise(prepared: PreparedGraph, lists: AmpLists, level: str = "default") -> AmpLists:
    """Lists that paint nothing without a 16-bit kernel: what ``lists`` ask for, as far as can run.

    ALLOW, and the step that paints INFER after ALLOW, do not ask for kernels in every pass. An op
    type that is painted where it has none goes to CLEAR, whose steps do ask; if it is painted
    there still, to no list; a NextIteration there takes Merge along. Others stay where they are.

    Raises:
        RewriteError: the pass fails with ``lists``, or no list keeps an op type out.
    """
    return paint_legally(prepared, lists, level)[0]


def paint_legally(
    prepared: PreparedGraph, lists: AmpLists, level: str = "default"
) -> tuple[AmpLists, Painting]:
    """What :func:`legalise` gives, and how it paints.

    Raises:
        RewriteError: as for :func:`legalise`.
    """
    while True:
        painting = paint(prepared, lists, level)
        stuck = _painted_without_kernel(prepared, painting)
        if not stuck:
            return lists, painting
        # A NextIteration is painted, whatever its list, with the Merges that it feeds.
        stuck = {_LOOP.get(op, op) if lists.list_of(op) == "none" else op for op in stuck}
        moves = {op: "none" if lists.list_of(op) == "clear" else "clear" for op in stuck}
        hopeless = sorted(op for op in stuck if lists.list_of(op) == "none")
        if hopeless:
            raise RewriteError(f"painted in every list, but without a kernel: {hopeless}")
        lists = lists.moved(moves)


def _painted_without_kernel(prepared: PreparedGraph, painting: Painting) -> set[str]:
    ops = prepared.op_of[painting.painted & ~prepared.supports]
    return {prepared.op_types[op] for op in np.unique(ops)}
