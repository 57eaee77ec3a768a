"""What each node costs and saves: measured graphs as sums over the nodes that are 16-bit in them.

The time that a node saves, and the square of the error that it adds, hardly depend on what the
others do (errors of rounding are independent, so their squares add up; Gaudi mixed precision, arXiv
2505.13060). So either figure of a graph is taken for a sum over its 16-bit nodes and its Casts:

    figure = sum over nodes (work x (a + b[op type]) + sqrt(work) x c[node]) + sum over Casts d

with normal priors on all coefficients: until a node is told apart from others, it counts by its
work, like those of its op type. A few nodes do most of the harm, so the scales of the c are random
themselves, with long tails: many sets of scales are drawn, and those count that make the figures
likely. There are more nodes than graphs, so it is worked out in the space of the graphs (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2 and 5.4); a draw from the
posterior is one from the prior, corrected (Matheron's rule).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Array = NDArray[np.float64]

#: Of the scale of the figures: what keeps the system of equations well-posed.
_JITTER = 1e-10
#: So many sets of scales are drawn; the logarithms of the scales have this deviation.
_SETS, _TAIL = 64, 2.0


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
        self._work, self._group = work, group
        self._scale = max(float(np.sqrt(np.mean(figures**2))), 1e-12)
        self._figures = figures / self._scale
        self._deviations = deviations / self._scale
        weighed = graphs.painted * work
        by_group = weighed @ np.eye(int(group.max(initial=0)) + 1)[group]
        #: What the coefficients are multiplied by that all sets of scales share.
        self._shared = np.hstack((weighed.sum(axis=1, keepdims=True), by_group, graphs.casts))
        #: Nodes of which a graph tells something; others are as they were expected to be.
        self._told = graphs.painted.any(axis=0)
        self._own = (graphs.painted * np.sqrt(work))[:, self._told]

    def draws(self, count: int, random: np.random.Generator) -> list[Weights]:
        """Sets of weights, any of which may well be the true one."""
        normal = random.standard_normal((_SETS, len(self._work)))
        # The mean of the squares of such scales is 1.
        scales = np.exp(_TAIL * normal - _TAIL**2)
        evidence = np.array([self._evidence(one[self._told]) for one in scales])
        chances = np.exp(evidence - evidence.max())
        chosen = random.choice(_SETS, count, p=chances / chances.sum())
        return [self._draw(scales[one], random) for one in chosen.tolist()]

    def _terms(self, scales: Array) -> Array:
        return np.hstack((self._shared, self._own * scales))

    def _factor(self, terms: Array) -> tuple[Array, bool]:
        noise = self._deviations**2 + _JITTER
        factor: tuple[Array, bool] = cho_factor(terms @ terms.T + np.diag(noise), lower=True)
        return factor

    def _evidence(self, scales: Array) -> float:
        """The logarithm of how likely the figures are, but for a constant."""
        factor = self._factor(self._terms(scales))
        spread = float(np.log(np.diag(factor[0])).sum())
        return -0.5 * float(self._figures @ cho_solve(factor, self._figures)) - spread

    def _draw(self, scales: Array, random: np.random.Generator) -> Weights:
        terms = self._terms(scales[self._told])
        prior = random.standard_normal(terms.shape[1:])
        noise = random.standard_normal(self._figures.shape) * self._deviations
        missed = self._figures - terms @ prior - noise
        found = self._scale * (prior + terms.T @ cho_solve(self._factor(terms), missed))
        shared = self._shared.shape[1]
        groups = int(self._group.max(initial=0)) + 1
        every, by_group, casts = found[0], found[1 : 1 + groups], found[1 + groups : shared]
        own = random.standard_normal(self._work.shape) * self._scale
        own[self._told] = found[shared:]
        own *= np.sqrt(self._work) * scales
        return Weights(self._work * (every + by_group[self._group]) + own, casts)
