"""The identity of what a painting makes of a graph."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.records import FLOAT32_GRAPH, EffectiveGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.rewrite.paint import Painting
    from amp_tuner.rewrite.prepare import PreparedGraph


def effective_graph(prepared: PreparedGraph, painting: Painting) -> EffectiveGraph:
    """What ``painting`` makes of the graph: equal ids mean equal rewritten graphs.

    Where nothing is painted it is the FP32 model.
    """
    if not painting.painted.any():
        return FLOAT32_GRAPH
    nodes = {prepared.graph.vertices[vertex].node for vertex in np.flatnonzero(painting.painted)}
    return EffectiveGraph(graph_id(prepared, painting), len(nodes), count_casts(prepared, painting))


def graph_id(prepared: PreparedGraph, painting: Painting) -> str:
    """The effective graph's id alone: a digest of the painted vertices and the data type.

    Casts follow from them. Where nothing is painted it is FP32's.
    """
    if not painting.painted.any():
        return FLOAT32_GRAPH.graph_id
    digest = hashlib.blake2b(digest_size=12)
    digest.update(prepared.rules.data_type.encode())
    digest.update(np.packbits(painting.painted).tobytes())
    return digest.hexdigest()


def count_casts(prepared: PreparedGraph, painting: Painting) -> int:
    """Casts that the pass inserts: one per float32 output port that another colour reads."""
    ports = prepared.edge_port[mismatched_edges(prepared, painting)]
    return int(np.unique(ports).size)


def mismatched_edges(prepared: PreparedGraph, painting: Painting) -> NDArray[np.bool_]:
    """Edges that need a Cast: out of float32 vertices into another colour; bool, shape (edges,)."""
    allow = painting.allow != 0
    source, target = prepared.edge_source, prepared.edge_target
    needed: NDArray[np.bool_] = (allow[source] != allow[target]) & prepared.float32[source]
    return needed
