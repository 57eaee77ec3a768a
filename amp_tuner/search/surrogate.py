"""A small Bayesian linear model of a painted graph, with a remainder.

On the right scale (:mod:`amp_tuner.search.scales`) a setting's time and its error are close to
sums over what is 16-bit. So the model is a sum of

1. a constant,
2. a weight for each op type's share of 16-bit work,
3. the same once more for each data type of its own,
4. a slope of all work together: what op types have in common,
5. weights of the casts: elements and numbers, down and up,
6. a weight for the casts behind each op type's results,
7. a remainder that is alike for graphs that are alike, and nothing where nothing is 16-bit: what no
   sum explains (fusion, caches).

on top of what the target's prior expects. All weights have normal priors, so it is a Gaussian
process with known kernels; the amplitudes and the noise beyond the measured one are those of the
highest posterior density. Worked out in the space of the observations (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, sections 2.2 and 5.4): a few hundred observations of
hundreds of weights take milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from amp_tuner.search.kernels import Design, diagonal, distances, kernels
from amp_tuner.search.scales import LOGARITHM, Scale

Array = NDArray[np.float64]

#: Amplitudes before anything is known, as shares of the spread of what is observed: those of the
#: parts, and of the noise beyond what is known of each observation.
_PRIOR = np.log([1.0, 1.0, 1.0, 1.0, 0.5, 0.3, 0.2, 0.05])
_PRIOR_SPREAD = 0.5
#: What is usual weighs as much as so many observations.
_BELIEVED = 4
#: Amplitudes are fitted on so many observations at most, spread evenly.
_FITTED_ON = 120
_ITERATIONS = 25
#: Fewer observations do not tell scales apart.
_TELLING = 8
_TINY = 1e-9


class Surrogate:
    """One target (time, or error) as a function of the painted graph.

    Args:
        design: what was observed.
        logs: logarithms of the target; shape (rows,).
        variances: of the measurements, known; shape (rows,).
        usual: the mean and the spread of such logarithms, before any is known.
        scale: on which the target is a sum. Where FP32's value is known on a power's scale, it is
            one observation more, without noise.
    """

    def __init__(
        self,
        design: Design,
        logs: Array,
        variances: Array,
        usual: tuple[float, float],
        scale: Scale = LOGARITHM,
    ) -> None:
        #: On which it is a sum.
        self.scale = scale
        values, slopes = scale.there(logs), scale.slope(logs)
        values = values - design.expected
        self._locate(values, usual)
        scaled = (values - self._centre) / self._spread
        noise = variances * (slopes / self._spread) ** 2
        rows = _spread_evenly(values.size)
        if self._knows_float32:
            design = design.with_float32()
            scaled, noise = np.append(scaled, 0.0), np.append(noise, 0.0)
            rows = np.append(rows, values.size)
        self._design = design
        apart = distances(design, design)
        self._length = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
        alike = kernels(design, design, self._length)
        fitted = minimize(
            _cost,
            _PRIOR,
            args=(alike[:, rows[:, None], rows], scaled[rows], noise[rows]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low - 4.0, low + 3.0) for low in _PRIOR],
            options={"maxiter": _ITERATIONS},
        )
        self._squares = np.exp(2 * fitted.x)
        covariance = np.tensordot(self._squares[:-1], alike, 1)
        covariance[np.diag_indices_from(covariance)] += noise + self._squares[-1] + _TINY
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, scaled)
        self._logs, self._scaled, self._usual = logs, scaled, usual
        self._expected = design.expected

    def surprise(self) -> float:
        """How far each observation is from what all others foretell of it, on average.

        In units of the target, where what is beyond twice the usual is all the same. What is left
        out needs no new fit (Rasmussen and Williams, section 5.4.2).
        """
        inverse = np.diag(cho_solve(self._factor, np.eye(len(self._design))))
        count, most = self._logs.size, self._usual[0] + np.log(2.0)
        mean = self._centre + self._spread * (self._scaled - self._weights / inverse)[:count]
        mean = mean + self._expected[:count]
        foretold, _ = self.scale.back(mean, self._spread / np.sqrt(inverse[:count]))
        found, came = (np.exp(np.minimum(one, most)) for one in (foretold, self._logs))
        return float(np.abs(found - came).mean())

    def _locate(self, values: Array, usual: tuple[float, float]) -> None:
        """The constant part's centre, and the spread that amplitudes are shares of."""
        scale, count = self.scale, values.size
        self._knows_float32 = bool(scale.power) and scale.float32 is not None
        here = np.array([usual[0] if scale.float32 is None else scale.float32])
        if self._knows_float32:
            self._centre = float(scale.there(here)[0])
        else:
            middle = float(scale.there(np.array([usual[0]]))[0])
            self._centre = (float(values.sum()) + middle) / (count + 1)
        spread = usual[1] * float(scale.slope(np.array([usual[0]]))[0])
        away = float(((values - self._centre) ** 2).sum())
        self._spread = float(np.sqrt((away + _BELIEVED * spread**2) / (count + _BELIEVED)))

    @property
    def noise(self) -> float:
        """Standard deviation of what neither the model nor the measurements' own noise explains."""
        return float(self._spread * np.sqrt(self._squares[-1]))

    def believe(self, design: Design) -> None:
        """Takes what has no result yet for measured, and its logarithms for what is expected.

        (A power may be expected to be 0 or less while little is known, which nobody should count
        on.)
        """
        covariance = self._covariance(design, self._design)
        explained = solve_triangular(self._factor[0], covariance.T, lower=True)
        left = self._covariance(design, design) - explained.T @ explained
        left[np.diag_indices_from(left)] += self._squares[-1] + _TINY
        values = self.scale.there(self.predict(design)[0]) - design.expected
        above, corner = np.zeros(covariance.T.shape), cholesky(left, lower=True)
        self._factor = (np.block([[self._factor[0], above], [explained.T, corner]]), True)
        self._scaled = np.append(self._scaled, (values - self._centre) / self._spread)
        self._weights = cho_solve(self._factor, self._scaled)
        self._design = self._design.with_rows(design)

    def _covariance(self, one: Design, other: Design) -> Array:
        found: Array = np.tensordot(self._squares[:-1], kernels(one, other, self._length), 1)
        return found

    def predict(self, design: Design) -> tuple[Array, Array]:
        """Mean and standard deviation of the logarithm, without the noise of a measurement.

        Returns:
            Two arrays of shape (rows of ``design``,).
        """
        covariance = self._covariance(design, self._design)
        prior: Array = self._squares[:-1] @ diagonal(design, design, self._length)
        mean, deviation = self._posterior(covariance, prior)
        return self.scale.back(mean + design.expected, deviation)

    def effect(self, of: Design, against: Design, parts: Sequence[int]) -> tuple[Array, Array]:
        """How much some parts of the sum differ between rows, one by one.

        Returns:
            Mean and standard deviation of the difference, on the scale; shape (rows,) each.
        """
        chosen = list(parts)
        squares = self._squares[chosen]
        cross = [kernels(side, self._design, self._length)[chosen] for side in (of, against)]
        difference = np.tensordot(squares, cross[0] - cross[1], 1)
        own = np.array(
            [
                diagonal(one, other, self._length)[chosen]
                for one, other in ((of, of), (against, against), (of, against))
            ]
        )
        prior = squares @ (own[0] + own[1] - 2 * own[2])
        mean, deviation = self._posterior(difference, prior)
        return mean - self._centre + of.expected - against.expected, deviation

    def _posterior(self, covariance: Array, prior: Array) -> tuple[Array, Array]:
        mean = self._centre + self._spread * (covariance @ self._weights)
        explained = solve_triangular(self._factor[0], covariance.T, lower=True)
        variance = np.maximum(prior - (explained**2).sum(axis=0), 1e-12)
        return mean, self._spread * np.sqrt(variance)


def least_surprised(
    design: Design,
    logs: Array,
    variances: Array,
    usual: tuple[float, float],
    scales: Sequence[Scale],
) -> Surrogate:
    """The model on the scale that observations surprise least; on the first while they are few."""
    if logs.size < _TELLING:
        scales = scales[:1]
    models = [Surrogate(design, logs, variances, usual, scale) for scale in scales]
    return models[0] if len(models) == 1 else min(models, key=Surrogate.surprise)


def _spread_evenly(count: int) -> NDArray[np.int64]:
    """Places of at most _FITTED_ON observations."""
    if count <= _FITTED_ON:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _FITTED_ON).astype(np.int64))


def _cost(logs: Array, alike: Array, values: Array, noise: Array) -> tuple[float, Array]:
    """Negative log posterior density of the amplitudes, and its gradient."""
    squares = np.exp(2 * logs)
    covariance = np.tensordot(squares[:-1], alike, 1)
    covariance[np.diag_indices_from(covariance)] += noise + squares[-1] + _TINY
    factor = cho_factor(covariance, lower=True)
    weights = cho_solve(factor, values)
    inverse = cho_solve(factor, np.eye(values.size))
    cost = 0.5 * float(values @ weights) + float(np.log(np.diag(factor[0])).sum())
    inner = inverse - np.outer(weights, weights)
    slope = np.append(squares[:-1] * np.tensordot(alike, inner), 0.0)
    slope[-1] = squares[-1] * np.trace(inner)
    away = (logs - _PRIOR) / _PRIOR_SPREAD
    return cost + 0.5 * float(away @ away), slope + away / _PRIOR_SPREAD
