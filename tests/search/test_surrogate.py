"""The model of time and error."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from amp_tuner.search.kernels import WORK, Design, Prior
from amp_tuner.search.looks import Look
from amp_tuner.search.scales import LOGARITHM, Scale
from amp_tuner.search.surrogate import Surrogate, least_surprised

OP_TYPES = tuple("ABCDEFGH")
WEIGHTS = np.array([-0.5, -0.3, 0.4, 0.0, 0.0, 0.1, 0.0, -0.1])


class Viewer:
    op_types = OP_TYPES
    weight = nodes = np.full(8, 1 / 8)
    paintings = 10

    def look(self, parameters: object, lists: object = None) -> Look | None:
        raise NotImplementedError


def looks(count: int, seed: int, data_type: str = "bfloat16") -> list[Look]:
    rows = (np.random.default_rng(seed).random((count, 8)) < 0.5).astype(np.float64)
    return [Look(str(row), data_type, row, row, 0 * row, np.zeros(4)) for row in rows]


def design(of: list[Look]) -> Design:
    return Design.of(of, Viewer(), ("bfloat16", "float16"))


def sums(of: list[Look]) -> NDArray[np.float64]:
    return np.array([look.painted for look in of]) @ WEIGHTS


def fitted(of: list[Look], noise: float = 0.0) -> Surrogate:
    values = sums(of) + noise * np.random.default_rng(9).normal(size=len(of))
    return Surrogate(design(of), values, np.full(len(of), noise**2), (0.0, 0.3))


def test_a_sum_is_learnt_from_few_observations() -> None:
    mean, _ = fitted(looks(24, seed=0)).predict(design(looks(50, seed=1)))
    assert np.abs(mean - sums(looks(50, seed=1))).max() < 0.05


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_four_of_five_truths_are_inside_the_80_percent_intervals(noise: float) -> None:
    inside = []
    for seed in range(6):
        new = looks(50, seed=100 + seed)
        mean, deviation = fitted(looks(30, seed), noise).predict(design(new))
        inside.append(np.mean(np.abs(mean - sums(new)) <= 1.2816 * deviation))
    assert 0.65 < np.mean(inside) <= 1.0


def test_known_noise_is_not_learnt_as_signal() -> None:
    exact, noisy = looks(10, seed=0), looks(10, seed=0)
    values = sums(exact)
    values[3] += 1.0
    variances = np.full(10, 1e-6)
    variances[3] = 4.0
    model = Surrogate(design(noisy), values, variances, (0.0, 0.3))
    mean, _ = model.predict(design(exact[3:4]))
    assert abs(mean[0] - sums(exact)[3]) < 0.5


def test_little_is_certain_after_one_observation() -> None:
    model = fitted(looks(1, seed=0))
    _, deviation = model.predict(design(looks(20, seed=1)))
    assert deviation.min() > 0.02


def test_what_one_data_type_teaches_is_a_hint_for_the_other() -> None:
    model = fitted(looks(24, seed=0))
    other = looks(50, seed=1, data_type="float16")
    mean, deviation = model.predict(design(other))
    _, own = model.predict(design(looks(50, seed=1)))
    assert np.corrcoef(mean, sums(other))[0, 1] > 0.9
    assert deviation.mean() > own.mean()


def test_effects_of_single_op_types_are_their_weights() -> None:
    model = fitted(looks(40, seed=0), noise=0.01)
    zero = Look("", "bfloat16", *np.zeros((3, 8)), np.zeros(4))
    alone = [Look("", "bfloat16", row, row, np.zeros(8), np.zeros(4)) for row in np.eye(8)]
    mean, deviation = model.effect(design(alone), design([zero] * 8), WORK)
    assert np.abs(mean - WEIGHTS).max() < 0.08
    assert (np.abs(mean - WEIGHTS) < 4 * deviation).all()


def test_op_types_that_never_ran_are_expected_to_do_what_others_did() -> None:
    of = looks(24, seed=0)
    for look in of:
        look.painted[6:] = 0.0
    values = np.array([look.painted.sum() for look in of]) / 8
    model = Surrogate(design(of), values, np.full(24, 1e-6), (0.0, 0.3))
    (alone,) = (Look("", "bfloat16", row, row, 0 * row, np.zeros(4)) for row in np.eye(8)[7:])
    mean, _ = model.predict(design([alone]))
    assert mean[0] > 0.04


def test_what_the_prior_expects_is_predicted_where_nothing_is_known() -> None:
    work = np.linspace(-0.3, 0.0, 8)
    of, prior = looks(1, seed=0), Prior(work=work, casts=np.full(4, 0.2))
    scale = Scale(power=1, float32=0.0)
    expected = np.log(1 + np.array([look.painted for look in of]) @ work)
    model = Surrogate(
        Design.of(of, Viewer(), ("bfloat16",), prior), expected, np.zeros(1), (0.0, 0.1), scale
    )
    new = [Look("", "bfloat16", np.ones(8), np.ones(8), np.zeros(8), np.ones(4))]
    mean, _ = model.predict(Design.of(new, Viewer(), ("bfloat16",), prior))
    assert mean[0] == pytest.approx(np.log(1 + work.sum() + 0.8), abs=0.05)


def test_what_comes_as_predicted_changes_no_mean_and_leaves_less_uncertain() -> None:
    running, new = looks(4, seed=2), looks(50, seed=1)
    model, believing, one_by_one = (fitted(looks(12, seed=0), 0.02) for _ in range(3))
    believing.believe(design(running))
    (mean, deviation), (after, left) = (one.predict(design(new)) for one in (model, believing))
    assert after == pytest.approx(mean)
    assert (left < deviation).all()
    known, unknown = (one.predict(design(running))[1] for one in (believing, model))
    assert (known < 0.5 * unknown).all()
    for one in running:
        one_by_one.believe(design([one]))
    assert one_by_one.predict(design(new))[1] == pytest.approx(left)


def test_a_model_that_observed_nothing_predicts_the_usual() -> None:
    model = Surrogate(design([]), np.zeros(0), np.zeros(0), (0.7, 0.3))
    mean, deviation = model.predict(design(looks(20, seed=1)))
    assert mean == pytest.approx(0.7)
    assert deviation.min() > 0.1


def test_a_constant_target_is_predicted_as_constant() -> None:
    of = looks(12, seed=0)
    model = Surrogate(design(of), np.zeros(12), np.zeros(12), (0.0, 0.3))
    mean, _ = model.predict(design(looks(20, seed=1)))
    assert np.abs(mean).max() < 0.02


ERROR_SCALES = (Scale(power=2, float32=-6.0, least=-6.0), LOGARITHM)


def least_surprised_power(logs: NDArray[np.float64], of: list[Look]) -> float:
    model = least_surprised(design(of), logs, np.full(len(of), 1e-4), (0.0, 1.0), ERROR_SCALES)
    return model.scale.power


def test_whether_squares_or_logarithms_add_up_is_seen_from_the_observations() -> None:
    of, harm = looks(20, seed=0), np.array([4.0, 2.0, 1.0, 1.0, 0.5, 0.3, 0.2, 0.1])
    sums_of_harm = np.array([look.painted for look in of]) @ harm
    assert least_surprised_power(0.5 * np.log(sums_of_harm + 1e-5), of) == 2
    assert least_surprised_power(sums_of_harm / 2, of) == 0


def test_times_that_add_up_are_learnt_from_few_observations() -> None:
    of, new = looks(14, seed=0), looks(50, seed=1)
    saved = np.array([0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    logs, truth = (
        np.log(1 - np.array([one.painted for one in group]) @ saved) for group in (of, new)
    )
    usual, noise = (0.0, 0.3), np.full(14, 1e-6)
    adding = Surrogate(design(of), logs, noise, usual, Scale(power=1, float32=0.0))
    multiplying = Surrogate(design(of), logs, noise, usual)
    misses = [np.abs(one.predict(design(new))[0] - truth).mean() for one in (adding, multiplying)]
    assert misses[0] < misses[1] / 3
