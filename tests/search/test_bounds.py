"""Errors that measured graphs set bounds to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import truncnorm

from amp_tuner.search.bounds import Bounds
from amp_tuner.search.looks import Look


def look(*painted: float, data_type: str = "bfloat16") -> Look:
    row = np.array(painted)
    return Look(str(row), data_type, row, row, 0 * row, np.zeros(4))


def within(bounds: Bounds, one: Look, mean: float, deviation: float) -> tuple[float, float]:
    means, deviations = bounds.within([one], np.array([mean]), np.array([deviation]))
    return float(means[0]), float(deviations[0])


@pytest.fixture
def bounds() -> Bounds:
    measured = [look(1.0, 0.0, 0.0), look(1.0, 1.0, 1.0)]
    return Bounds(measured, np.array([0.0, 2.0]), np.array([0.01, 0.01]))


def test_a_part_of_a_measured_graph_errs_no_more(bounds: Bounds) -> None:
    mean, deviation = within(bounds, look(0.0, 1.0, 1.0), 4.0, 1.5)
    assert mean <= 2.06
    assert deviation < 0.75


def test_what_contains_a_measured_graph_errs_no_less(bounds: Bounds) -> None:
    mean, _ = within(bounds, look(1.0, 0.5, 0.0), -3.0, 1.0)
    assert mean >= -0.06


def test_the_other_data_type_says_nothing(bounds: Bounds) -> None:
    assert within(bounds, look(0.0, 1.0, 1.0, data_type="float16"), 4.0, 1.5)[0] == pytest.approx(4)


def test_what_is_left_is_a_truncated_normal_distribution(bounds: Bounds) -> None:
    mean, deviation = within(bounds, look(1.0, 0.5, 0.0), 1.0, 1.0)
    cut = truncnorm(-0.02 - 0.03 - 1.0, 2.02 + 0.03 - 1.0, loc=1.0)
    assert mean == pytest.approx(cut.mean())
    assert deviation == pytest.approx(cut.std())


def test_graphs_that_break_the_rule_relax_it_by_as_much() -> None:
    measured = [look(1.0, 0.0), look(1.0, 1.0)]
    cancelling = Bounds(measured, np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    mean, _ = within(cancelling, look(0.5, 0.0), 0.9, 0.01)
    assert mean == pytest.approx(0.9, abs=0.02)


def test_nothing_measured_bounds_nothing() -> None:
    nothing = Bounds([], np.zeros(0), np.zeros(0))
    assert within(nothing, look(1.0, 0.0), 4.0, 1.5) == (4.0, 1.5)
