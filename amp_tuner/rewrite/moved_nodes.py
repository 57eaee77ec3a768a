"""Which nodes the subjects of moves name (``node:encoder/layer_3/*``), and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.amp.lists import NODE, moves_of_nodes
from amp_tuner.text import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.graph.typed_graph import TypedGraph

#: What a node can only be moved to if it has 16-bit kernels.
_PAINTS = ("allow", "infer")


class NamedVertices(dict[str, "NDArray[np.int64]"]):
    """The vertices of the nodes that a subject names, kept from when it is first asked for.

    Args:
        graph: the graph.
        node_of: of each vertex the index of its node; int64, shape (vertices,).
    """

    def __init__(self, graph: TypedGraph, node_of: NDArray[np.int64]) -> None:
        super().__init__()
        self._names = {node.name: number for number, node in enumerate(graph.nodes)}
        self._node_of = node_of

    def __missing__(self, subject: str) -> NDArray[np.int64]:
        # Vertices are grouped by node, in node order.
        nodes = _named(self._names, subject)
        found = [
            np.arange(*np.searchsorted(self._node_of, (node, node + 1)), dtype=np.int64)
            for node in nodes
        ]
        vertices = self[subject] = np.concatenate(found) if found else np.zeros(0, np.int64)
        return vertices


def _named(names: Mapping[str, int], subject: str) -> list[int]:
    """Indices of the nodes that a subject names."""
    pattern = subject[len(NODE) :]
    if "*" not in pattern:
        return [names[pattern]] if pattern in names else []
    first, *middle, last = pattern.split("*")
    return [number for name, number in names.items() if _fits(name, first, middle, last)]


def _fits(name: str, first: str, middle: Sequence[str], last: str) -> bool:
    """Whether the parts between a pattern's ``*`` follow each other in ``name``.

    Each where it is found first: unlike a regular expression, linear whatever the pattern is.
    """
    place, end = len(first), len(name) - len(last)
    if place > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        place = name.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def problems_of(graph: TypedGraph, moves: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the moves of nodes of a graph: each problem a sentence.

    A subject that names no node; a node that two subjects name; a node that is to be 16-bit and
    that cannot be.
    """
    names = {node.name: number for number, node in enumerate(graph.nodes)}
    able = {graph.vertices[vertex].node for vertex in _able(graph)}
    taken: dict[int, str] = {}
    for subject, place in moves_of_nodes(moves).items():
        numbers = _named(names, subject)
        if not numbers:
            hint = did_you_mean(subject[len(NODE) :], names)
            yield f"the graph has no {subject}{hint}"
        twice = [number for number in numbers if number in taken]
        if twice:
            first = twice[0]
            yield f"{graph.nodes[first].name} is in two entries: {taken[first]} and {subject}"
        taken.update(dict.fromkeys(numbers, subject))
        if place in _PAINTS and numbers and able.isdisjoint(numbers):
            node = graph.nodes[numbers[0]]
            yield f"{subject} to {place}: {node.op} {node.name!r} cannot be converted to 16 bits"


def _able(graph: TypedGraph) -> Iterator[int]:
    """Vertices that may become 16-bit, have a kernel for it, and keep their node's meaning."""
    for position, vertex in enumerate(graph.vertices):
        node = graph.nodes[vertex.node]
        fit = vertex.type_ok and vertex.kernel_ok and node.processable and node.tunable
        if vertex.dtype == "float32" and fit:
            yield position
