"""How often a node runs: once for all, or several times a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amp_tuner.graph.typed_graph import TypedGraph

_CONTROL_FLOW = frozenset({"Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch"})


def constant_nodes(graph: TypedGraph) -> frozenset[int]:
    """Indices of nodes that follow from constants alone.

    TensorFlow's constant folding computes them once, before the first run, their Casts included.
    Control flow is not followed, nodes with state are not constant.
    """
    inputs, readers = _node_neighbours(graph)
    constant = {index for index, node in enumerate(graph.nodes) if node.op == "Const"}
    missing = {reader: len(sources) for reader, sources in inputs.items()}
    waiting = sorted(constant)
    for index in waiting:
        for reader in readers[index]:
            missing[reader] -= 1
            node = graph.nodes[reader]
            if not missing[reader] and node.forceable and node.op not in _CONTROL_FLOW:
                constant.add(reader)
                waiting.append(reader)
    return frozenset(constant)


def nodes_in_loops(graph: TypedGraph) -> frozenset[int]:
    """Indices of nodes whose outputs may come several times a run.

    They are between Enter and Exit; or, for a loop within a loop, lead to a NextIteration.
    """
    inputs, readers = _node_neighbours(graph)
    by_op: dict[str, list[int]] = defaultdict(list)
    for index, node in enumerate(graph.nodes):
        by_op[node.op].append(index)
    after = _reached(by_op["Enter"], readers, set(by_op["Exit"]))
    before = _reached(by_op["NextIteration"], inputs, set(by_op["Enter"]))
    return frozenset((after | before) - constant_nodes(graph))


def _reached(starts: list[int], neighbours: Mapping[int, set[int]], ends: set[int]) -> set[int]:
    """All that is reached without entering ``ends``, the starts included."""
    found = set(starts)
    waiting = list(starts)
    for index in waiting:
        new = neighbours[index] - found - ends
        found |= new
        waiting += new
    return found


def _node_neighbours(graph: TypedGraph) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Node to the nodes that it reads, and to those that read it."""
    inputs: dict[int, set[int]] = defaultdict(set)
    readers: dict[int, set[int]] = defaultdict(set)
    for edge in graph.edges:
        source, reader = graph.vertices[edge.source].node, graph.vertices[edge.target].node
        inputs[reader].add(source)
        readers[source].add(reader)
    return inputs, readers
