"""The orders in which loss curves see the samples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.config.model import TrainingConfig
from amp_tuner.data.curves import curve_orders

SEARCHED, HELD_BACK = np.arange(100, 110), np.arange(200, 205)


def training(**keys: Any) -> TrainingConfig:
    return TrainingConfig(**{"step": "train", "steps": 10, "curves": 3, **keys})


@given(
    steps=st.integers(10, 20),
    curves=st.integers(2, 5),
    batch_size=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_curve_sees_each_sample_once_before_any_twice(
    steps: int, curves: int, batch_size: int, seed: int
) -> None:
    config = training(steps=steps, curves=curves, seed=seed)
    order, search, holdout = curve_orders(config, SEARCHED, HELD_BACK, batch_size)
    assert (search, holdout) == (range(curves), range(curves, 2 * curves))
    for number, curve in enumerate(order.reshape(2 * curves, steps * batch_size)):
        samples = SEARCHED if number in search else HELD_BACK
        for start in range(0, len(curve), len(samples)):
            epoch = Counter(curve[start : start + len(samples)].tolist())
            assert set(epoch) <= set(samples.tolist())
            assert max(epoch.values()) == 1


def test_curves_differ_and_are_the_same_again() -> None:
    first, _, _ = curve_orders(training(), SEARCHED, HELD_BACK, 4)
    again, _, _ = curve_orders(training(), SEARCHED, HELD_BACK, 4)
    other, _, _ = curve_orders(training(seed=1), SEARCHED, HELD_BACK, 4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len({tuple(curve) for curve in first.reshape(6, 40)}) == 6


def test_nothing_held_back_leaves_no_curves_for_it() -> None:
    order, search, holdout = curve_orders(training(), SEARCHED, HELD_BACK[:0], 4)
    assert (len(order), search, len(holdout)) == (3 * 40, range(3), 0)
