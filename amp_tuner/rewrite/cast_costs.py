"""What the inserted Casts cost on every run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from amp_tuner.rewrite.run_counts import constant_nodes, nodes_in_loops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amp_tuner.rewrite.prepare import PreparedGraph

#: A Cast reads four bytes an element and writes two, or the other way round.
BYTES_PER_ELEMENT = 6


@dataclass(frozen=True)
class CastCosts:
    """Casts and the memory that they touch.

    Attributes:
        count: how many.
        constant: those of constants, such as weights: cast once, before the first run.
        unknown: those that run, but of tensors whose shape is not known.
        looping: those in loops, which run an unknown number of times; not in ``unknown``.
        bytes_per_run: read and written on every run by all others.
    """

    count: int
    constant: int
    unknown: int
    looping: int
    bytes_per_run: int


@dataclass(frozen=True)
class PortCosts:
    """What a Cast behind each output port would cost; arrays of shape (ports,).

    Attributes:
        constant: of a constant.
        looping: in a loop.
        elements: of the tensor; -1 where unknown.
    """

    constant: NDArray[np.bool_] = field(repr=False)
    looping: NDArray[np.bool_] = field(repr=False)
    elements: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, prepared: PreparedGraph) -> PortCosts:
        """Worked out once per graph; ports are numbered as in ``prepared.edge_port``."""
        graph = prepared.graph
        _, first_edges = np.unique(prepared.edge_port, return_index=True)
        edges = [graph.edges[edge] for edge in first_edges.tolist()]
        nodes = [graph.vertices[edge.source].node for edge in edges]
        constant, looping = constant_nodes(graph), nodes_in_loops(graph)
        shapes = {} if graph.shapes is None else graph.shapes.of_ports
        found = (shapes.get((node, edge.source_port)) for node, edge in zip(nodes, edges))
        return cls(
            constant=np.array([node in constant for node in nodes], dtype=np.bool_),
            looping=np.array([node in looping for node in nodes], dtype=np.bool_),
            elements=np.array(
                [-1 if shape is None else prod(shape) for shape in found], dtype=np.int64
            ),
        )

    def total(self, ports: Collection[int] | NDArray[np.int64]) -> CastCosts:
        """The costs of one Cast behind each of ``ports``."""
        chosen = np.zeros(self.constant.size, dtype=np.bool_)
        chosen[np.asarray(sorted(ports), dtype=np.int64)] = True
        running = chosen & ~self.constant
        once = running & ~self.looping
        known = once & (self.elements >= 0)
        return CastCosts(
            count=int(chosen.sum()),
            constant=int((chosen & self.constant).sum()),
            unknown=int((once & ~known).sum()),
            looping=int((running & self.looping).sum()),
            bytes_per_run=int(self.elements[known].sum()) * BYTES_PER_ELEMENT,
        )
