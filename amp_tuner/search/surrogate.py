"""A small Bayesian linear model of a painted graph, with a remainder.

The logarithms of a setting's time and of its error are close to sums over what is 16-bit (Gaudi
mixed precision, arXiv 2505.13060). So the model is a sum of

1. a constant,
2. a weight for each op type's share of 16-bit work,
3. the same once more for each data type of its own,
4. weights of the casts: elements and numbers, down and up,
5. a weight for the casts behind each op type's results,
6. a remainder that is alike for graphs that are alike: what no sum explains (fusion, caches).

All weights have normal priors, so it is a Gaussian process with known kernels; the six amplitudes
and the noise beyond the measured one are those of the highest posterior density. Worked out in the
space of the observations (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
sections 2.2 and 5.4): a few hundred observations of hundreds of weights take milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from amp_tuner.search.looks import Look, Viewer

Array = NDArray[np.float64]

#: Amplitudes before anything is known, as shares of the spread of what is observed: those of the
#: six parts, and of the noise beyond what is known of each observation.
_PRIOR = np.log([1.0, 1.0, 0.3, 0.5, 0.3, 0.2, 0.05])
_PRIOR_SPREAD = 1.0
PARTS = tuple(range(6))
#: Parts 2 and 3: what an op type's own work does.
WORK = (1, 2)
#: How alike the remainders of two data types are.
_ACROSS_TYPES = 0.5
#: An op type that does hardly any of the work may still matter: the smallest prior of a weight,
#: against the largest possible one.
_LEAST = 0.1
#: What is usual weighs as much as so many observations.
_BELIEVED = 4
#: Amplitudes are fitted on so many observations at most, spread evenly.
_FITTED_ON = 120
_ITERATIONS = 25


@dataclass(frozen=True)
class Design:
    """Looks as rows of numbers, scaled so that a weight's prior is the same for every column.

    Attributes:
        painted, borders: shape (looks, op types).
        casts: shape (looks, 4).
        data_type: its number; shape (looks,).
    """

    painted: Array = field(repr=False)
    borders: Array = field(repr=False)
    casts: Array = field(repr=False)
    data_type: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, looks: Sequence[Look], viewer: Viewer, data_types: Sequence[str]) -> Design:
        """The rows of ``looks``."""
        scale = _LEAST + np.sqrt((viewer.weight + viewer.nodes) / 2)
        size = len(viewer.op_types)
        number = {name: place for place, name in enumerate(data_types)}
        return cls(
            np.array([look.painted for look in looks]).reshape(-1, size) * scale,
            np.array([look.borders for look in looks]).reshape(-1, size) * scale,
            np.array([look.casts for look in looks]).reshape(-1, 4),
            np.array([number.get(look.data_type, -1) for look in looks], np.int64),
        )

    def __len__(self) -> int:
        return len(self.data_type)


def _distances(one: Design, other: Design) -> Array:
    left, right = (np.hstack((side.painted, side.borders)) for side in (one, other))
    found: Array = cdist(left, right, "cityblock")
    return found


def _kernels(one: Design, other: Design, length: float) -> Array:
    """The six parts' kernels for amplitudes of 1; shape (6, rows of one, rows of other)."""
    same = one.data_type[:, None] == other.data_type[None, :]
    work = one.painted @ other.painted.T
    remainder = np.exp(-_distances(one, other) / length)
    return np.array(
        [
            np.ones_like(work),
            work,
            work * same,
            one.casts @ other.casts.T,
            one.borders @ other.borders.T,
            remainder * np.where(same, 1.0, _ACROSS_TYPES),
        ]
    )


class Surrogate:
    """One target (log time, or log error) as a function of the painted graph.

    Args:
        design: what was observed; at least one row.
        values: shape (rows,).
        variances: of the measurements, known; shape (rows,).
        usual: the mean and the spread of such targets, before any is known.
    """

    def __init__(
        self, design: Design, values: Array, variances: Array, usual: tuple[float, float]
    ) -> None:
        self._design = design
        count = values.size
        self._centre = float((values.sum() + usual[0]) / (count + 1))
        away = float(((values - self._centre) ** 2).sum())
        self._spread = float(np.sqrt((away + _BELIEVED * usual[1] ** 2) / (count + _BELIEVED)))
        distances = _distances(design, design)
        apart = distances[distances > 0]
        self._length = float(np.median(apart)) if apart.size else 1.0
        kernels = _kernels(design, design, self._length)
        scaled = (values - self._centre) / self._spread
        noise = variances / self._spread**2
        rows = np.arange(len(design))
        if rows.size > _FITTED_ON:
            rows = np.unique(np.linspace(0, rows.size - 1, _FITTED_ON).astype(np.int64))
        fitted = minimize(
            _cost,
            _PRIOR,
            args=(kernels[:, rows[:, None], rows], scaled[rows], noise[rows]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low - 4.0, low + 3.0) for low in _PRIOR],
            options={"maxiter": _ITERATIONS},
        )
        self._squares = np.exp(2 * fitted.x)
        covariance = np.tensordot(self._squares[:-1], kernels, 1)
        covariance[np.diag_indices_from(covariance)] += noise + self._squares[-1] + 1e-9
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, scaled)

    @property
    def noise(self) -> float:
        """Standard deviation of what neither the model nor the measurements' own noise explains."""
        return float(self._spread * np.sqrt(self._squares[-1]))

    def predict(self, design: Design) -> tuple[Array, Array]:
        """Mean and standard deviation of the target, without the noise of a measurement.

        Returns:
            Two arrays of shape (rows of ``design``,).
        """
        cross = _kernels(design, self._design, self._length)
        covariance = np.tensordot(self._squares[:-1], cross, 1)
        prior = self._prior(design)
        return self._posterior(covariance, prior)

    def effect(self, of: Design, against: Design, parts: Sequence[int]) -> tuple[Array, Array]:
        """How much some parts of the sum differ between rows, one by one.

        Returns:
            Mean and standard deviation of the difference; shape (rows,) each.
        """
        chosen = list(parts)
        squares = self._squares[chosen]
        cross = [_kernels(side, self._design, self._length)[chosen] for side in (of, against)]
        difference = np.tensordot(squares, cross[0] - cross[1], 1)
        own = np.array(
            [
                _diagonal(one, other, self._length)[chosen]
                for one, other in ((of, of), (against, against), (of, against))
            ]
        )
        prior = squares @ (own[0] + own[1] - 2 * own[2])
        mean, deviation = self._posterior(difference, prior)
        return mean - self._centre, deviation

    def _prior(self, design: Design) -> Array:
        prior: Array = self._squares[:-1] @ _diagonal(design, design, self._length)
        return prior

    def _posterior(self, covariance: Array, prior: Array) -> tuple[Array, Array]:
        mean = self._centre + self._spread * (covariance @ self._weights)
        explained = solve_triangular(self._factor[0], covariance.T, lower=True)
        variance = np.maximum(prior - (explained**2).sum(axis=0), 1e-12)
        return mean, self._spread * np.sqrt(variance)


def _diagonal(one: Design, other: Design, length: float) -> Array:
    """Kernels of rows with the same number; shape (6, rows)."""
    same = one.data_type == other.data_type
    work = (one.painted * other.painted).sum(axis=1)
    apart = np.abs(one.painted - other.painted).sum(axis=1)
    apart += np.abs(one.borders - other.borders).sum(axis=1)
    return np.array(
        [
            np.ones_like(work),
            work,
            work * same,
            (one.casts * other.casts).sum(axis=1),
            (one.borders * other.borders).sum(axis=1),
            np.exp(-apart / length) * np.where(same, 1.0, _ACROSS_TYPES),
        ]
    )


def _cost(logs: Array, kernels: Array, values: Array, noise: Array) -> tuple[float, Array]:
    """Negative log posterior density of the amplitudes, and its gradient."""
    squares = np.exp(2 * logs)
    covariance = np.tensordot(squares[:-1], kernels, 1)
    covariance[np.diag_indices_from(covariance)] += noise + squares[-1] + 1e-9
    factor = cho_factor(covariance, lower=True)
    weights = cho_solve(factor, values)
    inverse = cho_solve(factor, np.eye(values.size))
    cost = 0.5 * float(values @ weights) + float(np.log(np.diag(factor[0])).sum())
    inner = inverse - np.outer(weights, weights)
    slope = np.array([*(squares[:-1] * (inner * kernels).sum(axis=(1, 2))), 0.0])
    slope[-1] = squares[-1] * np.trace(inner)
    away = (logs - _PRIOR) / _PRIOR_SPREAD
    return cost + 0.5 * float(away @ away), slope + away / _PRIOR_SPREAD
