"""TensorLists: ops that share a list must share a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amp_tuner.errors import RewriteError
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.rewrite.neighbours import Neighbours

_READERS = frozenset(
    {
        "TensorListConcat",
        "TensorListConcatV2",
        "TensorListGather",
        "TensorListGetItem",
        "TensorListPopBack",
        "TensorListStack",
    }
)
_WRITERS = frozenset(
    {
        "TensorListFromTensor",
        "TensorListPushBack",
        "TensorListPushBackBatch",
        "TensorListScatter",
        "TensorListScatterIntoExistingList",
        "TensorListScatterV2",
        "TensorListSetItem",
        "TensorListSplit",
    }
)


@dataclass(frozen=True)
class TensorLists:
    """The TensorLists of a graph that hold float32.

    Attributes:
        clusters: the data vertices of each set of ops that may touch the same list.
        unsafe: data vertices denied before painting: their list escapes, or is touched by a node
            that may not be converted.
        edges: from each writer's data vertex to each reader's that may read what it wrote.
    """

    clusters: tuple[tuple[int, ...], ...]
    unsafe: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]


def find_tensor_lists(
    graph: TypedGraph, vertices: Sequence[int], fanin: Neighbours, fanout: Neighbours
) -> TensorLists:
    """The TensorLists of ``graph``.

    Args:
        graph: the graph.
        vertices: those of ops whose name contains ``TensorList``, in their order.
        fanin: the neighbours before each vertex.
        fanout: those after it.

    Raises:
        RewriteError: the real pass would abort: a writer of a float32 list holds another type.
    """
    data: dict[int, int] = {}
    handles: dict[int, int] = {}
    for position in vertices:
        vertex = graph.vertices[position]
        if vertex.attribute and vertex.element < 0 and vertex.dtype == "float32":
            data.setdefault(vertex.node, position)
        elif not vertex.attribute and vertex.dtype == "variant":
            handles[vertex.node] = position
    clusters, unsafe, edges = [], [], []
    seen: set[int] = set()
    for node, handle in handles.items():
        if node not in data or handle in seen or not graph.nodes[node].processable:
            continue
        reached = _connected(handle, fanin, fanout)
        seen |= reached
        touched = {graph.vertices[vertex].node for vertex in reached}
        members = sorted(touched & data.keys())
        clusters.append(tuple(data[member] for member in members))
        if not _is_safe(graph, touched, data):
            unsafe += [
                data[member]
                for member in members
                if graph.nodes[member].processable and handles.get(member) in reached
            ]
        for reader in members:
            if graph.nodes[reader].op in _READERS:
                edges += _edges_into(graph, reader, handles[reader], data, fanin)
    return TensorLists(tuple(clusters), tuple(unsafe), tuple(edges))


def _connected(start: int, fanin: Neighbours, fanout: Neighbours) -> set[int]:
    reached = {start}
    waiting = [start]
    while waiting:
        vertex = waiting.pop()
        for neighbour in (*fanin[vertex], *fanout[vertex]):
            if neighbour not in reached:
                reached.add(neighbour)
                waiting.append(neighbour)
    return reached


def _is_safe(graph: TypedGraph, touched: set[int], data: dict[int, int]) -> bool:
    """Whether every member may be converted and the list stays in the graph."""
    return all(
        graph.nodes[node].processable if node in data else not graph.nodes[node].boundary
        for node in touched
    )


def _edges_into(
    graph: TypedGraph,
    reader: int,
    handle: int,
    data: dict[int, int],
    fanin: Neighbours,
) -> list[tuple[int, int]]:
    """Edges from every writer upstream of ``reader``'s handle, through processable nodes."""
    if not graph.nodes[reader].processable:
        return []
    found = []
    reached = {handle}
    waiting = [handle]
    while waiting:
        vertex = waiting.pop()
        node = graph.vertices[vertex].node
        if graph.nodes[node].op in _WRITERS:
            if node not in data:
                raise RewriteError(
                    f"{graph.nodes[node].name} ({graph.nodes[node].op}) writes to the float32 list "
                    f"that {graph.nodes[reader].name} reads, but holds another type"
                )
            found.append((data[node], data[reader]))
        for source in fanin[vertex]:
            if source not in reached and graph.nodes[graph.vertices[source].node].processable:
                reached.add(source)
                waiting.append(source)
    return found
