"""What a painting makes of a graph, as numbers that a model of time and error can learn from.

Nothing here knows what anything costs: the numbers are shares of what could be 16-bit, of what
could be cast, of the borders that there could be. Elements of tensors are counted where shapes are
known; where none are, tensors count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.rewrite.cast_costs import PortCosts
from amp_tuner.rewrite.effective import mismatched_edges
from amp_tuner.rewrite.run_counts import constant_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.rewrite.paint import Painting
    from amp_tuner.rewrite.prepare import PreparedGraph


@dataclass(frozen=True)
class Work:
    """One painting in numbers, all between 0 and 1.

    Attributes:
        painted: of each op type the share of its work that is 16-bit; shape (op types,).
        painted_nodes: of each op type the share of its nodes that are; shape (op types,).
        borders: of each op type the share of its results behind which a Cast stands that runs.
        casts: of all tensors between nodes that run, the shares that are cast to 16 bits and back:
            elements down, elements up, number down, number up; shape (4,).
    """

    painted: NDArray[np.float64] = field(repr=False)
    painted_nodes: NDArray[np.float64] = field(repr=False)
    borders: NDArray[np.float64] = field(repr=False)
    casts: NDArray[np.float64] = field(repr=False)


class WorkTable:
    """Weights of a graph's vertices and ports, worked out once.

    Args:
        prepared: the graph.
        op_types: whose work is told apart; those that the graph lacks have none.

    Attributes:
        weight: of each op type its share of all work, in elements; shape (op types,).
        nodes: of each op type its share of all float32 vertices that run; shape (op types,).
        vertex_work: of each vertex its work, in elements; 0 where it does not run or is not
            float32; shape (vertices,).
    """

    def __init__(self, prepared: PreparedGraph, op_types: Sequence[str]) -> None:
        self._prepared = prepared
        self._size = len(op_types)
        place = {op_type: number for number, op_type in enumerate(op_types)}
        # Op types that are not told apart share the last place, which is cut off.
        number_of = np.array([place.get(op, self._size) for op in prepared.op_types], np.int64)
        self._op_of = number_of[prepared.op_of] if prepared.vertices else np.zeros(0, np.int64)
        ports = PortCosts.of(prepared)
        elements = _filled(ports.elements)
        running = ~ports.constant
        self._port_elements = np.where(running, elements, 0.0)
        self._port_number = running.astype(np.float64)
        _, first_edges = np.unique(prepared.edge_port, return_index=True)
        self._port_source = prepared.edge_source[first_edges]
        self.vertex_work = self._works(elements)
        self._all_work = self._by_op(self._op_of, self.vertex_work)
        of_ports = self._op_of[self._port_source]
        self._all_results = self._by_op(of_ports, self._port_elements)
        self.weight = self._all_work / max(1.0, float(self._all_work.sum()))
        self._all_nodes = self._by_op(self._op_of, (self.vertex_work > 0).astype(np.float64))
        self.nodes = self._all_nodes / max(1.0, float(self._all_nodes.sum()))

    def _works(self, port_elements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Elements of the largest tensor that each vertex reads or writes.

        At least 1; 0 where the vertex does not run, or is not float32.
        """
        prepared = self._prepared
        constant = constant_nodes(prepared.graph)
        runs = np.array([v.node not in constant for v in prepared.graph.vertices], np.bool_)
        work = np.ones(prepared.vertices)
        np.maximum.at(work, self._port_source, self._port_elements)
        # Constants are read on every run, if they are not made on every run.
        np.maximum.at(work, prepared.edge_target, port_elements[prepared.edge_port])
        found: NDArray[np.float64] = np.where(runs & prepared.float32, work, 0.0)
        return found

    def _by_op(self, op_of: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(op_of, values, minlength=self._size + 1)
        return sums[: self._size].astype(np.float64)

    def work(self, painting: Painting) -> Work:
        """The painting in numbers; linear in vertices and edges."""
        work = np.where(painting.painted, self.vertex_work, 0.0)
        painted = self._by_op(self._op_of, work)
        painted_nodes = self._by_op(self._op_of, (work > 0).astype(np.float64))
        ports = np.unique(self._prepared.edge_port[mismatched_edges(self._prepared, painting)])
        source = self._port_source[ports]
        elements, number = self._port_elements[ports], self._port_number[ports]
        up = painting.painted[source]
        borders = self._by_op(self._op_of[source], elements)
        totals = [float(self._port_elements.sum()), float(self._port_number.sum())]
        casts = [
            float(values[side].sum()) / max(1.0, total)
            for values, total in zip((elements, number), totals)
            for side in (~up, up)
        ]
        return Work(
            _share(painted, self._all_work),
            _share(painted_nodes, self._all_nodes),
            _share(borders, self._all_results),
            np.array(casts),
        )


def _filled(elements: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unknown sizes count like the median one; 1 where none is known."""
    known = elements[elements >= 0]
    usual = float(np.median(known)) if known.size else 1.0
    return np.where(elements >= 0, elements, usual).astype(np.float64)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
