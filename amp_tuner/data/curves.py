"""Which samples a training step sees: one order of the samples for each loss curve.

A curve's order depends on the seed and on the curve's number alone, so FP32 and every setting train
on the same batches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from amp_tuner.config.model import TrainingConfig

Ints = NDArray[np.int64]


def curve_orders(
    training: TrainingConfig, searched: Ints, held_back: Ints, batch_size: int
) -> tuple[Ints, range, range]:
    """The samples of every step of every curve.

    Args:
        training: number and length of the curves, and their seed.
        searched: samples that trials train on.
        held_back: samples that only the final figures train on; may be none.
        batch_size: samples of a step.

    Returns:
        Positions, shape (curves * steps * batch_size,), and the numbers of the curves over
        ``searched`` and over ``held_back``.
    """
    count, length = training.curves, training.steps * batch_size
    search = range(count)
    holdout = range(count, 2 * count if len(held_back) else count)
    samples = [*(searched for _ in search), *(held_back for _ in holdout)]
    orders = [_order([training.seed, curve], part, length) for curve, part in enumerate(samples)]
    return np.concatenate(orders), search, holdout


def _order(seed: list[int], samples: Ints, length: int) -> Ints:
    """``length`` samples: each of them once, in a random order, then again in another one."""
    random = np.random.default_rng(seed)
    epochs = -(-length // len(samples))
    return np.concatenate([random.permutation(samples) for _ in range(epochs)])[:length]
