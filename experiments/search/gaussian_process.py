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
from scipy.optimize import minimize
from synthetic import PROBLEMS, synthetic
from threadpoolctl import threadpool_limits

from amp_tuner.search.distributions import distributions

Array = NDArray[np.float64]

#: Rows of a triangular matrix that are multiplied at a time.
_BLOCK = 128
#: Optuna's least side of a box.
_SMALLEST = 1e-12


class CategoryRegressor(gp.GPRegressor):
    """``GPRegressor`` of categories: the distance of two is the weight of where they differ.

    A point is a row of zeros and ones, one for each choice of each parameter: a product of two
    such rows says where they agree.

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
        self._y_train = y_train.unsqueeze(-1)
        self._cov_Y_Y_chol = None
        self._cov_Y_Y_inv_Y = None
        self.inverse_squared_lengthscales = inverse_squared_lengthscales
        self.kernel_scale = kernel_scale
        self.noise_var = noise_var
        self._choices = torch.arange(int(X_train.max()) + 1, dtype=X_train.dtype)
        self._trained = self._ones(X_train)

    def _ones(self, points: torch.Tensor) -> torch.Tensor:
        """Of points (..., parameters): (..., parameters * choices); choices never seen are 0."""
        return (points.unsqueeze(-1) == self._choices).flatten(-2).to(torch.float64)

    def _squared_distances(self, points: torch.Tensor) -> torch.Tensor:
        """From points as zeros and ones to the trained ones; shape (points, trained)."""
        weights = self.inverse_squared_lengthscales
        each = weights.repeat_interleave(len(self._choices))
        return (weights.sum() - (points * each) @ self._trained.mT).clamp_min_(0.0)

    def kernel(
        self,
        X1: torch.Tensor | None = None,  # noqa: N803
        X2: torch.Tensor | None = None,  # noqa: N803
    ) -> torch.Tensor:
        """As ``GPRegressor.kernel``, against the trained points; None is these too."""
        assert X2 is None
        points = self._trained if X1 is None else self._ones(X1)
        return self._matern(self._squared_distances(points))[0] * self.kernel_scale

    def _cache_matrix(self) -> None:
        super()._cache_matrix()
        root = self._cov_Y_Y_chol
        assert root is not None
        unit = torch.eye(len(root), dtype=root.dtype)
        self._inverse_root = torch.linalg.solve_triangular(root, unit, upper=False)

    def posterior(self, x: torch.Tensor, joint: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``GPRegressor.posterior``."""
        assert not joint
        covariance = self.kernel(x)
        explained = torch.zeros(len(x), dtype=covariance.dtype)
        size = len(self._inverse_root)
        # Lower triangular: what is above the diagonal needs no product.
        for start in range(0, size, _BLOCK):
            stop = min(start + _BLOCK, size)
            rows = self._inverse_root[start:stop, :stop]
            explained += (covariance[:, :stop] @ rows.mT).square_().sum(-1)
        return covariance @ self._cov_Y_Y_inv_Y, (self.kernel_scale - explained).clamp_min_(0.0)

    @staticmethod
    def _matern(squared: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Matérn 5/2 and its derivative, of squared distances."""
        distance = torch.sqrt(5 * squared)
        falls = torch.exp(-distance)
        rises = distance + 1
        return falls * ((5 / 3) * squared + rises), (-5 / 6) * falls * rises

    def _fit_kernel_params(
        self, log_prior: Any, minimum_noise: float, deterministic_objective: bool, gtol: float
    ) -> gp.GPRegressor:
        assert log_prior is default_log_prior
        assert not deterministic_objective
        if not self.learns:
            self._cache_matrix()
            return self
        raw = torch.cat(
            (
                self.inverse_squared_lengthscales,
                self.kernel_scale[None],
                self.noise_var[None] - 0.99 * minimum_noise,
            )
        )
        found = minimize(
            self._loss,
            raw.log().numpy(),
            args=(minimum_noise,),
            jac=True,
            method="l-bfgs-b",
            options={"gtol": gtol},
        )
        if not found.success:
            raise RuntimeError(found.message)
        self._set(torch.from_numpy(found.x), minimum_noise)
        self._cache_matrix()
        return self

    def _set(self, raw: torch.Tensor, minimum_noise: float) -> None:
        values = raw.exp()
        self.inverse_squared_lengthscales = values[:-2]
        self.kernel_scale, self.noise_var = values[-2], values[-1] + minimum_noise

    def _loss(self, raw: Array, minimum_noise: float) -> tuple[float, Array]:
        """Minus the log likelihood and Optuna's ``default_log_prior``; and the gradient.

        Of the logarithms of the weights, the scale, and the noise above its minimum
        (Rasmussen and Williams, Gaussian Processes for Machine Learning, equation 5.9).
        """
        self._set(torch.from_numpy(raw), minimum_noise)
        weights, scale, noise = (
            self.inverse_squared_lengthscales,
            self.kernel_scale,
            self.noise_var,
        )
        matern, slope = self._matern(self._squared_distances(self._trained))
        covariance = scale * matern
        covariance.diagonal().add_(noise)
        root = torch.linalg.cholesky(covariance)
        inverse = torch.cholesky_inverse(root)
        explained = inverse @ self._y_train
        loss = root.diagonal().log().sum() + 0.5 * (self._y_train * explained).sum()
        loss += (0.1 / weights + 0.1 * weights).sum()
        loss -= scale.log() - scale + 0.1 * noise.log() - 30 * noise
        by_covariance = 0.5 * (inverse - explained @ explained.mT)
        by_distance = scale * by_covariance * slope
        agree = (self._trained * (by_distance @ self._trained)).sum(0)
        by_weights = by_distance.sum() - agree.view(len(weights), -1).sum(1)
        by_weights += 0.1 - 0.1 / weights**2
        by_scale = (by_covariance * matern).sum() - 1 / scale + 1
        by_noise = by_covariance.trace() - 0.1 / noise + 30
        gradient = torch.cat(
            (
                by_weights * weights,
                (by_scale * scale)[None],
                (by_noise * (noise - minimum_noise))[None],
            )
        )
        return loss.item(), gradient.numpy()


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
