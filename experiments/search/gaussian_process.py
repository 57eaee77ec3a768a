"""Optuna's Gaussian process, several times faster where all parameters are categories.

Two things change. Numbers are added in another order: the acquisition function is evaluated for all
starts of a local search at once instead of one by one, distances of categories are products of
matrices of zeros and ones, and the gradient of the likelihood is written out. And where graphs are
known, the kernel's parameters are fitted once more after each measurement, not after each proposal:
most proposals are told again what is known. This replaces parts of Optuna, so it is for the pinned
version, and for comparisons only.

    .venv/bin/python experiments/search/gaussian_process.py [--problem P] [--trials N] [--studies N]

asks Optuna's own sampler and this one what comes next in studies of random settings, and says how
often it is the same, and how long both take. (Settings that look equally good may come in another
order.)
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import optuna
import torch
from measuring import Run
from methods import quiet, tell
from numpy.typing import NDArray
from optuna._gp import acqf, gp, optim_mixed
from optuna._gp.prior import default_log_prior
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import GPSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scipy.linalg import blas, lapack
from scipy.optimize import minimize
from synthetic import PROBLEMS, synthetic
from threadpoolctl import threadpool_limits

from amp_tuner.search.distributions import distributions

Array = NDArray[np.float64]

#: Optuna's least side of a box.
_SMALLEST = 1e-12


class CategoryRegressor(gp.GPRegressor):
    """``GPRegressor`` of categories: the distance of two is the weight of where they differ.

    A point is a row of zeros and ones, one for each choice of each parameter: a product of two
    such rows says where they agree. Arrays are changed in place wherever that can be.

    Attributes:
        learns: whether the kernel's parameters are fitted; else they stay as they were.
    """

    learns = True

    def __init__(
        self,
        is_categorical: torch.Tensor,  # noqa: ARG002
        X_train: torch.Tensor,  # noqa: N803
        y_train: torch.Tensor,
        inverse_squared_lengthscales: torch.Tensor,
        kernel_scale: torch.Tensor,
        noise_var: torch.Tensor,
    ) -> None:
        self.inverse_squared_lengthscales = inverse_squared_lengthscales
        self.kernel_scale = kernel_scale
        self.noise_var = noise_var
        self._choices = np.arange(int(X_train.max()) + 1)
        self._trained = self._ones(X_train)
        self._targets = y_train.numpy()
        self._use(inverse_squared_lengthscales.numpy(), kernel_scale.item(), noise_var.item())

    def _use(self, weights: Array, scale: float, noise: float) -> None:
        self._weights, self._scale, self._noise = weights, scale, noise
        self._each = np.repeat(weights, len(self._choices))

    def _ones(self, points: torch.Tensor) -> Array:
        """Of points (points, parameters): (points, parameters * choices); 0 if never seen."""
        found = points.numpy()[..., None] == self._choices
        return found.reshape(len(points), -1).astype(np.float64)

    def _distances(self, points: Array) -> Array:
        """The root of 5 times the squared distances to the trained points: (points, trained)."""
        found = (points * self._each) @ self._trained.T
        np.subtract(self._weights.sum(), found, out=found)
        np.maximum(found, 0, out=found)
        found *= 5
        return np.sqrt(found, out=found)

    def _factor(self, distances: Array, falls: Array) -> tuple[Array, Array]:
        """Of the trained points' covariance: its root (lower), and its inverse's targets.

        Raises:
            RuntimeError: it is not positive definite.
        """
        covariance = _matern(distances, falls)
        covariance *= self._scale
        covariance.flat[:: len(covariance) + 1] += self._noise
        root, failed = lapack.dpotrf(covariance.T, lower=1, clean=1, overwrite_a=1)
        # It does not look for what is no number.
        if failed or not np.isfinite(root.diagonal()).all():
            raise RuntimeError("the covariance is not positive definite")
        return root, lapack.dpotrs(root, self._targets, lower=1)[0]

    def _cache_matrix(self) -> None:
        distances = self._distances(self._trained)
        root, self._explained = self._factor(distances, _falls(distances))
        self._inverse_root = lapack.dtrtri(root, lower=1, overwrite_c=1)[0]

    def posterior(self, x: torch.Tensor, joint: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``GPRegressor.posterior``."""
        assert not joint
        distances = self._distances(self._ones(x))
        covariance = _matern(distances, _falls(distances))
        covariance *= self._scale
        mean = covariance @ self._explained
        parts = blas.dtrmm(1.0, self._inverse_root, covariance.T, lower=1, overwrite_b=1)
        variance = self._scale - np.einsum("ij,ij->j", parts, parts)
        return torch.from_numpy(mean), torch.from_numpy(np.maximum(variance, 0, out=variance))

    def _fit_kernel_params(
        self, log_prior: Any, minimum_noise: float, deterministic_objective: bool, gtol: float
    ) -> gp.GPRegressor:
        assert log_prior is default_log_prior
        assert not deterministic_objective
        if self.learns:
            raw = np.array([*self._weights, self._scale, self._noise - 0.99 * minimum_noise])
            found = minimize(
                self._loss,
                np.log(raw),
                args=(minimum_noise,),
                jac=True,
                method="l-bfgs-b",
                options={"gtol": gtol},
            )
            if not found.success:
                raise RuntimeError(found.message)
            self._set(found.x, minimum_noise)
            # As Optuna asks for them.
            self.inverse_squared_lengthscales = torch.from_numpy(self._weights)
            self.kernel_scale = torch.tensor(self._scale, dtype=torch.float64)
            self.noise_var = torch.tensor(self._noise, dtype=torch.float64)
        self._cache_matrix()
        return self

    def _set(self, raw: Array, minimum_noise: float) -> None:
        *weights, scale, noise = np.exp(raw).tolist()
        self._use(np.array(weights), scale, noise + minimum_noise)

    def _loss(self, raw: Array, minimum_noise: float) -> tuple[float, Array]:
        """Minus the log likelihood and Optuna's ``default_log_prior``; and the gradient.

        Of the logarithms of the weights, the scale, and the noise above its minimum
        (Rasmussen and Williams, Gaussian Processes for Machine Learning, equation 5.9). Sums over
        all pairs of what is the same either way take twice the lower triangle; the diagonal falls
        out, because a point has no distance from itself.
        """
        self._set(raw, minimum_noise)
        weights, scale, noise, targets = self._weights, self._scale, self._noise, self._targets
        distances = self._distances(self._trained)
        falls = _falls(distances)
        root, explained = self._factor(distances, falls)
        fit = float(targets @ explained)
        loss = float(np.log(root.diagonal()).sum()) + 0.5 * fit
        loss += float((0.1 / weights + 0.1 * weights).sum())
        loss -= math.log(scale) - scale + 0.1 * math.log(noise) - 30 * noise
        inverse = lapack.dpotri(root, lower=1, overwrite_c=1)[0]
        trace = 0.5 * float(inverse.trace() - explained @ explained)
        slope = distances
        slope += 1
        slope *= falls
        slope *= -5 / 12 * scale
        # LAPACK's arrays lie the other way round.
        slope = slope.T
        by_distance = inverse
        by_distance *= slope
        by_distance *= 2
        slope *= explained
        slope *= explained[:, None]
        by_distance -= slope
        agree = (self._trained * (by_distance @ self._trained)).sum(0)
        by_weights = by_distance.sum() - agree.reshape(len(weights), -1).sum(1)
        by_weights += 0.1 - 0.1 / weights**2
        by_scale = (0.5 * (len(targets) - fit) - noise * trace) / scale - 1 / scale + 1
        by_noise = trace - 0.1 / noise + 30
        by_raw = [*(by_weights * weights), by_scale * scale, by_noise * (noise - minimum_noise)]
        return loss, np.array(by_raw)


def _falls(distances: Array) -> Array:
    # Several times as fast as NumPy's.
    return np.asarray(torch.from_numpy(distances).neg().exp_().numpy())


def _matern(distances: Array, falls: Array) -> Array:
    """Matérn 5/2 of distances times the root of 5, given how they fall off exponentially."""
    found = distances * (1 / 3)
    found += 1
    found *= distances
    found += 1
    found *= falls
    return found


class CategoryGPSampler(GPSampler):
    """``GPSampler`` for spaces of categories.

    Args:
        seed: of its random numbers.
        often: fit the kernel's parameters for every proposal, as Optuna's own does. Else they are
            fitted once more after each measurement; what is told again of a graph that is known
            becomes data, and fits nothing.
    """

    def __init__(self, seed: int, *, often: bool = False) -> None:
        super().__init__(seed=seed)
        self._often = often
        self._known = 0
        optim_mixed._local_search_discrete_batched = _best_choices  # type: ignore[assignment] # noqa: SLF001
        gp.GPRegressor = CategoryRegressor  # type: ignore[misc]
        acqf.logehvi = _log_gain
        torch.set_num_threads(1)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As Optuna finds it; categories only."""
        space = super().infer_relative_search_space(study, trial)
        assert all(isinstance(one, CategoricalDistribution) for one in space.values())
        return space

    def _sample_relative_impl(
        self, study: Study, completed_trials: list[FrozenTrial], *of: Any
    ) -> dict[str, Any]:
        # A known graph is told the same again, to the last digit.
        known = len({tuple(trial.values) for trial in completed_trials})
        CategoryRegressor.learns = self._often or known != self._known
        self._known = known
        # The matrices are small: more threads only wait for each other.
        with threadpool_limits(1), torch._C.DisableTorchFunction():  # noqa: SLF001
            found: dict[str, Any] = super()._sample_relative_impl(study, completed_trials, *of)
        return found


def _best_choices(
    acquisition: Any, starts: Array, values: Array, place: int, choices: Array, _: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Of each start, one parameter on its best choice; ties and equals stay as they are."""
    if len(choices) == 1:
        return starts, values, np.zeros(len(values), np.bool_)
    others = np.array([choices[choices != start[place]] for start in starts])
    turned = np.repeat(starts[:, None], others.shape[1], axis=1)
    turned[:, :, place] = others
    found = acquisition.eval_acqf_no_grad(turned.reshape(-1, starts.shape[1])).reshape(others.shape)
    each, best = np.arange(len(starts)), found.argmax(axis=1)
    better = found[each, best] > values
    return (
        np.where(better[:, None], turned[each, best], starts),
        np.where(better, found[each, best], values),
        better,
    )


def _log_gain(
    Y_post: torch.Tensor,  # noqa: N803
    non_dominated_box_lower_bounds: torch.Tensor,
    non_dominated_box_intervals: torch.Tensor,
) -> torch.Tensor:
    """``logehvi``, with one logarithm for a point.

    Args:
        Y_post: shape (points, draws, objectives).
        non_dominated_box_lower_bounds: shape (boxes, objectives).
        non_dominated_box_intervals: their sides; the same shape.
    """
    smallest = torch.tensor(_SMALLEST, dtype=torch.float64)
    sides = Y_post.unsqueeze(-2) - non_dominated_box_lower_bounds
    sides.clamp_(min=smallest, max=non_dominated_box_intervals)
    return sides.prod(-1).sum((-2, -1)).log() - math.log(Y_post.shape[-2])


def _study(problem: str, seed: int, trials: int) -> tuple[Study, dict[str, BaseDistribution]]:
    """Random settings that were measured, and what their parameters may be."""
    run = Run(synthetic(problem), seed, trials, knows_graphs=True)
    space = distributions(run.problem.space)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=RandomSampler(seed=seed)
    )
    for _ in range(trials):
        trial = study.ask(space)
        tell(study, trial, run.measure(trial.params))
    return study, space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", choices=list(PROBLEMS), default="UNet, bfloat16-units")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--studies", type=int, default=10)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    studies = [_study(options.problem, seed, options.trials) for seed in range(options.studies)]
    proposals = []
    # Optuna's own comes first: ours replaces parts of it.
    for sampler in (GPSampler, CategoryGPSampler):
        began_s = time.process_time()
        for seed, (study, space) in enumerate(studies):
            study.sampler = quiet(partial(sampler, seed=seed))
            trial = study.ask(space)
            proposals.append(trial.params)
            study.tell(trial, state=TrialState.FAIL)
        taken_s = (time.process_time() - began_s) / len(studies)
        print(f"{sampler.__name__}: {taken_s:.2f} CPU seconds a proposal")
    pairs = zip(proposals[: len(studies)], proposals[len(studies) :], strict=True)
    print(f"{sum(one == other for one, other in pairs)} of {len(studies)} are the same")


if __name__ == "__main__":
    main()
