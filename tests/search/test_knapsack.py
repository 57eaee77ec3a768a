"""The best sets of op types, where time and error are sums."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.search.knapsack import best_sets

numbers = st.integers(-5, 5)


@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), price=st.integers(1, 9))
def test_for_every_price_of_an_error_the_best_of_all_sets_is_among_them(
    pairs: list[tuple[int, int]], price: int
) -> None:
    time, error = np.array(pairs, np.float64).T
    # What makes a run slower and the error smaller has no place in a set.
    sensible = (time < 0) | (error >= 0)
    every = [np.array(one, np.bool_) & sensible for one in product([False, True], repeat=len(time))]
    best = min(float((time + price * error)[one].sum()) for one in every)
    offered = min(float((time + price * error)[one].sum()) for one in best_sets(time, error))
    assert offered == best


def test_sets_grow_by_what_saves_most_time_for_its_error() -> None:
    time, error = np.array([-1.0, -1.0, 0.5, -0.1, -4.0]), np.array([0.1, 2.0, 0.0, 0.0, 2.0])
    found = [np.flatnonzero(one).tolist() for one in best_sets(time, error)]
    assert found == [[3], [0, 3], [0, 3, 4], [0, 1, 3, 4]]
