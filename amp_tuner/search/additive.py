"""What each node costs and saves: measured graphs as sums over the nodes that are 16-bit in them.

The time that a node saves, and the square of the error that it adds, hardly depend on what the
others do (errors of rounding are independent, so their squares add up; Gaudi mixed precision, arXiv
2505.13060). So either figure of a graph is taken for a sum over its 16-bit nodes and its Casts:

    figure = sum over nodes (work x (a + b[op type]) + sqrt(work) x c[node]) + sum over Casts d

with normal priors on all coefficients: until a node is told apart from others, it counts by its
work, like those of its op type. There are more nodes than graphs, so it is worked out in the space
of the graphs (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 2.2);
a draw from the posterior is one from the prior, corrected (Matheron's rule).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Of the scale of the figures: what keeps the system of equations well-posed.
_JITTER = 1e-10


@dataclass(frozen=True)
class Graphs:
    """Graphs in numbers.

    Attributes:
        painted: 1 where a node is 16-bit, else 0; shape (graphs, nodes).
        casts: shares of what could be cast; shape (graphs, kinds).
    """

    painted: Array = field(repr=False)
    casts: Array = field(repr=False)


@dataclass(frozen=True)
class Weights:
    """What each node, and each kind of Cast, adds to a figure.

    Attributes:
        nodes: shape (nodes,).
        casts: shape (kinds,).
    """

    nodes: Array = field(repr=False)
    casts: Array = field(repr=False)

    def figures(self, graphs: Graphs) -> Array:
        """The figure of each graph; shape (graphs,)."""
        found: Array = graphs.painted @ self.nodes + graphs.casts @ self.casts
        return found


class Additive:
    """The model of one figure of one data type's graphs.

    Args:
        work: of each node its share of all work; shape (nodes,).
        group: of each node the number of its op type; shape (nodes,).
        graphs: those that were measured, at least one.
        figures: of each; shape (graphs,).
        deviations: of each, one standard deviation; shape (graphs,).
    """

    def __init__(
        self,
        work: Array,
        group: NDArray[np.int64],
        graphs: Graphs,
        figures: Array,
        deviations: Array,
    ) -> None:
        self._work = work
        self._by_group = np.eye(int(group.max(initial=0)) + 1)[group]
        self._graphs = graphs
        self._scale = max(float(np.sqrt(np.mean(figures**2))), 1e-12)
        self._figures = figures / self._scale
        self._deviations = deviations / self._scale
        self._terms = self._terms_of(graphs)
        noise = self._deviations**2 + _JITTER
        self._covariance = self._terms @ self._terms.T + np.diag(noise)

    def mean(self) -> Weights:
        """The weights that are expected."""
        return self._corrected(np.zeros(self._terms.shape[1]), np.zeros(len(self._figures)))

    def draw(self, random: np.random.Generator) -> Weights:
        """Weights that may well be the true ones."""
        prior = random.standard_normal(self._terms.shape[1:])
        noise: Array = random.standard_normal(self._figures.shape) * self._deviations
        return self._corrected(prior, noise)

    def _corrected(self, prior: Array, noise: Array) -> Weights:
        missed = self._figures - self._terms @ prior - noise
        found = self._scale * (prior + self._terms.T @ np.linalg.solve(self._covariance, missed))
        groups, nodes = self._by_group.shape[1], len(self._work)
        every, by_group = found[0], found[1 : 1 + groups]
        own, casts = found[1 + groups : 1 + groups + nodes], found[1 + groups + nodes :]
        of_nodes = self._work * (every + by_group[self._by_group.argmax(axis=1)])
        return Weights(of_nodes + np.sqrt(self._work) * own, casts)

    def _terms_of(self, graphs: Graphs) -> Array:
        """What each coefficient is multiplied by; shape (graphs, coefficients)."""
        weighed = graphs.painted * self._work
        return np.hstack(
            (
                weighed.sum(axis=1, keepdims=True),
                weighed @ self._by_group,
                graphs.painted * np.sqrt(self._work),
                graphs.casts,
            )
        )
