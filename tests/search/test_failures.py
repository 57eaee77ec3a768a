"""Which op types failures are blamed on."""

from __future__ import annotations

import numpy as np

from amp_tuner.search.failures import chances_of_failure, runs_well


def test_the_one_op_type_in_every_failure_and_in_nothing_that_ran_is_blamed() -> None:
    random = np.random.default_rng(0)
    is_16bit = random.random((40, 10)) < 0.5
    failed = is_16bit[:, 3]
    chances = chances_of_failure(is_16bit, failed)
    assert chances[3] > 0.9
    assert np.delete(chances, 3).max() < 0.05


def test_before_anything_fails_everything_is_believed_to_run() -> None:
    is_16bit = np.ones((5, 8), np.bool_)
    chances = chances_of_failure(is_16bit, np.zeros(5, np.bool_))
    assert (runs_well(is_16bit, chances) > 0.8).all()


def test_one_failure_of_many_op_types_is_shared_out() -> None:
    is_16bit = np.array([[True] * 6 + [False] * 2])
    chances = chances_of_failure(is_16bit, np.array([True]))
    assert np.ptp(chances[:6]) == 0
    assert chances[0] > chances[7]


def test_what_ran_clears_its_op_types() -> None:
    is_16bit = np.array([[True, True, False], [True, False, False], [True, False, True]])
    chances = chances_of_failure(is_16bit, np.array([True, False, False]))
    assert chances[1] > 10 * chances[0]


def test_a_failure_without_16_bit_work_blames_nobody() -> None:
    chances = chances_of_failure(np.zeros((3, 4), np.bool_), np.array([True, True, False]))
    assert (chances < 0.05).all()
