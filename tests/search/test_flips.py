"""Turning op types over, by sums alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from amp_tuner.search.flips import best_flips

PAINTED = np.array([1.0, 0.0, 0.25])
ADDED = np.array([[0.5, -1.0, -0.4], [1.0, 0.1, 0.0]])


def saved_time(added: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array(-added[0])


def test_the_best_of_single_op_types_and_pairs_come_first() -> None:
    first, second, *_ = best_flips(PAINTED, ADDED, saved_time, most=6)
    assert first.changed == ((0, False), (1, True))
    assert first.value == pytest.approx(1.5)
    assert second.changed == ((1, True), (2, True))
    # A quarter of its work is 16-bit already.
    assert second.value == pytest.approx(1.3)


def test_every_op_type_and_every_pair_is_tried_once() -> None:
    found = best_flips(PAINTED, ADDED, saved_time, most=100)
    assert len(found) == len({one.changed for one in found}) == 6
    assert len(best_flips(PAINTED, ADDED, saved_time, most=2)) == 2


def test_without_op_types_there_is_nothing_to_turn() -> None:
    assert best_flips(np.zeros(0), np.zeros((2, 0)), saved_time, most=4) == []
