"""What is told of samples that are held back before anything is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.config.load import load_study
from amp_tuner.data.samples import Slice
from amp_tuner.errors import InputError
from amp_tuner.target.judging import Judging
from tests import small_study
from tests.conftest import Files


def judging(small: Files, folder: Path, **accuracy: Any) -> Judging:
    plain = small_study.changed(small_study.study(small.model, small.data), accuracy=accuracy)
    return Judging(load_study(small_study.write_study(folder, plain)), folder)


def held_back(hit: bool) -> Slice:
    """Twelve samples, of which one is of a rare class that FP32 hits or misses."""
    labels = np.array([1, *[0] * 11])
    output = np.where(labels & hit, 0.9, 0.1).astype(np.float32)[:, None]
    return Slice(20, 32, output, labels)


def test_a_goal_that_means_nothing_on_them_is_told_before_the_night(
    small: Files, tmp_path: Path
) -> None:
    relative = judging(small, tmp_path, metric="f1", goal="95%")
    relative.check_held_back(held_back(hit=True))
    said = r"(?s)relative drop of FP32's score 0 .*absolute.*on the samples that are held back"
    with pytest.raises(InputError, match=said):
        relative.check_held_back(held_back(hit=False))
    goal = {"max_drop": 0.05, "kind": "absolute"}
    judging(small, tmp_path, metric="f1", goal=goal).check_held_back(held_back(hit=False))
