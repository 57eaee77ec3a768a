"""What a published setting does to its graph: lists by op type, colours and Casts by node."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from amp_tuner.records import FLOAT32, Point
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.rewrite.explain import Explanation, OpTypeSummary, Stayed, explain
from amp_tuner.rewrite.paint import Painting, paint
from amp_tuner.rewrite.prepare import PreparedGraph
from amp_tuner.rewrite.run_counts import constant_nodes

#: A node's colour as one letter, so that a point's colours are one short string.
LETTERS = {"16-bit": "h", "float32": "f", "mixed": "m", "other": "o"}


@dataclass(frozen=True)
class OpTypeRow:
    """One op type under the default lists and under a setting.

    Attributes:
        default: as default AMP has it.
        chosen: as the setting has it.
    """

    default: OpTypeSummary
    chosen: OpTypeSummary

    @property
    def moved(self) -> bool:
        """Whether the setting has it in another list."""
        return self.default.list != self.chosen.list


@dataclass(frozen=True)
class Layers:
    """One setting's graph.

    Attributes:
        op_types: those with a float32 type attribute; what changed first.
        stayed: op types that could be 16-bit, but have nodes that are not.
        colours: a letter a node of LETTERS, in graph order.
        casts: (node after which it stands, whether it goes to 16 bits, nodes that read it).
    """

    op_types: tuple[OpTypeRow, ...]
    stayed: tuple[Stayed, ...]
    colours: str
    casts: tuple[tuple[int, bool, tuple[int, ...]], ...]

    def to_json(self) -> dict[str, Any]:
        """What the page's script reads."""
        casts = [[node, int(to_half), list(readers)] for node, to_half, readers in self.casts]
        return {"colours": self.colours, "casts": casts}


def layers_of(point: Point, prepared: PreparedGraph) -> Layers:
    """What a 16-bit point's lists do to its graph.

    Raises:
        RewriteError: the real pass fails on these lists.
    """
    assert point.setting.data_type != FLOAT32
    level = point.setting.level
    chosen = explain(prepared, point.lists, level)
    default = explain(prepared, prepared.rules.lists)
    return Layers(
        op_types=_op_types(default, chosen),
        stayed=chosen.stayed,
        colours="".join(LETTERS[node.colour] for node in chosen.nodes),
        casts=_casts(prepared, paint(prepared, point.lists, level)),
    )


def shown_nodes(prepared: PreparedGraph) -> dict[str, list[Any]]:
    """Names and op types of all nodes, and which of them run and have a float32 type."""
    graph = prepared.graph
    constant = constant_nodes(graph)
    open_float32 = np.flatnonzero(prepared.float32 & ~prepared.fixed).tolist()
    able = {graph.vertices[vertex].node for vertex in open_float32}
    return {
        "names": [node.name for node in graph.nodes],
        "ops": [node.op for node in graph.nodes],
        "shown": sorted(able - constant),
    }


def _op_types(default: Explanation, chosen: Explanation) -> tuple[OpTypeRow, ...]:
    rows = [
        OpTypeRow(*both)
        for both in zip(default.op_types, chosen.op_types, strict=True)
        if both[1].attributes
    ]
    changed = sorted(
        rows, key=lambda row: (not row.moved, -row.chosen.attributes_16bit, row.chosen.op)
    )
    return tuple(changed)


def _casts(
    prepared: PreparedGraph, painting: Painting
) -> tuple[tuple[int, bool, tuple[int, ...]], ...]:
    """One a port, as the pass inserts them, in the order of the nodes that they read."""
    graph = prepared.graph
    readers: dict[int, list[int]] = defaultdict(list)
    for index in np.flatnonzero(mismatched_edges(prepared, painting)).tolist():
        readers[int(prepared.edge_port[index])].append(index)
    found = []
    for edges in readers.values():
        source = graph.edges[edges[0]].source
        reading = {graph.vertices[graph.edges[edge].target].node for edge in edges}
        node = graph.vertices[source].node
        found.append((node, not painting.painted[source], tuple(sorted(reading))))
    return tuple(sorted(found))
