"""A study's graphs node by node, as the search for single nodes sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from amp_tuner.errors import RewriteError
from amp_tuner.records import Setting
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.tunable import paint_legally
from amp_tuner.rewrite.work import WorkTable
from amp_tuner.search.setting_apart import partitions
from amp_tuner.study.planning import Painter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One painted graph.

    Attributes:
        graph_id: equal for equal effective graphs.
        painted: 1 where a node is 16-bit, else 0; shape (nodes,).
        casts: see :class:`amp_tuner.rewrite.work.Work`; shape (4,).
    """

    graph_id: str
    painted: Array = field(repr=False)
    casts: Array = field(repr=False)


class NodeGraph:
    """One data type's graph; all nodes that never run count for nothing.

    Attributes:
        names: of the nodes.
        work: of each node its share of all, half by elements and half by number; shape (nodes,).
        group: of each node the number of its op type; shape (nodes,).
        partitions: ways of cutting the graph into units, see :func:`partitions`.
    """

    def __init__(self, painter: Painter) -> None:
        prepared = painter.graph
        self._painter = painter
        # Op types are not told apart here: only Casts are asked for.
        self._table = WorkTable(prepared, ())
        self.names = [node.name for node in prepared.graph.nodes]
        elements = np.zeros(len(self.names))
        np.maximum.at(elements, prepared.node_of, self._table.vertex_work)
        counted = (elements > 0).astype(np.float64)
        self.work = _share(elements) / 2 + _share(counted) / 2
        self.partitions = partitions(self.names)
        numbers = {op_type: number for number, op_type in enumerate(prepared.op_types)}
        self.group = np.array([numbers[node.op] for node in prepared.graph.nodes], np.int64)

    def row(self, setting: Setting) -> Row | None:
        """A setting of this data type, painted; None where the pass refuses it."""
        prepared, lists = self._painter.graph, self._painter.rules.lists.moved(setting.moves)
        try:
            _, painting = paint_legally(prepared, lists, setting.level)
        except RewriteError:
            return None
        painted = np.zeros(len(self.names))
        painted[prepared.node_of[painting.painted]] = 1.0
        painted[self.work == 0] = 0.0
        casts = self._table.work(painting).casts
        return Row(effective_graph(prepared, painting).graph_id, painted, casts)


def _share(values: Array) -> Array:
    found: Array = values / max(1.0, float(values.sum()))
    return found
