from __future__ import annotations

import re
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.amp.lists import NODE, is_node
from amp_tuner.search.setting_apart import kept_within, partitions, subjects

NAMES = ("a/b/c", "a/b/d", "a/e", "f/g/h", "f/g", "i")
amounts = st.floats(-1, 1).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(amounts, amounts), max_size=8), st.floats(0, 2))
def test_a_knapsack_holds_what_fits_and_is_at_most_one_unit_worse_than_the_best(
    units: list[tuple[float, float]], capacity: float
) -> None:
    saving, error = np.array(units).reshape(-1, 2).T
    kept = kept_within(saving, error, capacity)
    weight = np.maximum(error, 0.0)
    assert weight[kept].sum() <= capacity + 1e-9
    assert not (saving[kept] <= 0).any()
    places = range(len(units))
    fits = (
        saving[list(some)].sum()
        for count in range(len(units) + 1)
        for some in combinations(places, count)
        if weight[list(some)].sum() <= capacity
    )
    assert saving[kept].sum() >= max(fits) - saving.max(initial=0.0) - 1e-9


def test_units_that_cost_no_accuracy_are_kept_first() -> None:
    kept = kept_within(np.array([1.0, 0.1, 5.0]), np.array([1.0, -0.2, 2.0]), 1.0)
    assert kept.tolist() == [True, True, False]


def test_graphs_are_cut_by_scope_and_at_last_by_node() -> None:
    found = [part.tolist() for part in partitions(NAMES)]
    assert found == [[0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 2, 3], [0, 1, 2, 4, 3, 5]]
    assert partitions(["alone"]) == []
    assert partitions([]) == []


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_subjects_name_exactly_the_nodes_that_are_apart(apart: set[str], others: set[str]) -> None:
    painted = apart | others
    found = list(subjects(apart, painted))
    assert all(map(is_node, found))
    fits = [
        re.compile(".*".join(map(re.escape, subject[len(NODE) :].split("*")))) for subject in found
    ]
    named = [[name for name in painted if fit.fullmatch(name)] for fit in fits]
    assert sorted(name for some in named for name in some) == sorted(apart)
    assert len(found) <= len(apart)


def test_a_whole_scope_is_one_subject() -> None:
    assert list(subjects({"a/b/c", "a/b/d", "i"}, NAMES)) == ["node:a/b/*", "node:i"]
    assert list(subjects({"a/b/c", "a/b/d", "a/e"}, NAMES)) == ["node:a/*"]
    assert list(subjects({"a/e"}, NAMES)) == ["node:a/e"]
