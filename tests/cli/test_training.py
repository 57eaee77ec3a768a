"""A study of a training step, from its Python file to what is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from amp_tuner.results.points import read_point
from tests import small_study, tiny_models
from tests.cli.conftest import Command

CURVES = 3


@pytest.fixture(scope="module")
def step_study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study of a small step in float16, as a mapping."""
    folder = tmp_path_factory.mktemp("step")
    (folder / "steps.py").write_text(small_study.STEP)
    np.savez(folder / "data.npz", **tiny_models.step_arrays())
    plain = small_study.study(folder / "steps.py", folder / "data.npz")
    return small_study.changed(
        plain,
        model={"allow_unsafe": True},
        training={"step": "steps:make_step", "steps": 10, "curves": CURVES, "loss_scale": 1024.0},
        target={"data_types": ["float16"]},
        data={"inputs": {}, "labels": None, "batch_size": tiny_models.BATCH},
        accuracy={"metric": "training_loss", "threshold": None, "also": [], "goal": "60%"},
        search={"trials": 3, "op_types": ["MatMul", "Relu"], "lists": ["allow", "deny"]},
        measure={"max_seconds": 0.3, "min_block_ms": 1.0},
    )


def test_a_study_of_a_training_step(
    quick: Command, step_study: dict[str, Any], tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, step_study)
    ended = quick("--config", path)
    assert ended.code == 0, ended.err
    assert "training_loss" in ended.out
    run = tmp_path / "run"
    trials = pd.read_csv(run / "trials.csv").set_index("anchor")
    number = int(trials.loc["default float16", "number"])
    point = read_point(run / "pareto" / f"{number:03d}.yaml")
    assert (point.accuracy.metric, point.accuracy.samples) == ("training_loss", CURVES)
    assert point.effective.nodes_16bit > 0
    (told,) = [notice for notice in point.notices if "loss was scaled" in notice]
    assert told.startswith("the loss was scaled by 1024; without that: training_loss ")
    for other in (run / "pareto").glob("[0-9]*.yaml"):
        scaled = read_point(other).setting.data_type == "float16"
        assert ("loss was scaled" in other.read_text()) == scaled
    # What runs in production is the pass; nothing is baked.
    ended = quick("export", run, "--point", number, "--format", "env")
    assert "our own rewrite of the step was" in ended.out.splitlines()[0]
    assert f"{CURVES} loss curves" in ended.out
    assert "the loss was scaled by 1024" in ended.out
    ended = quick("export", run, "--point", number, "--format", "python")
    assert "auto_mixed_precision_cpu" in ended.out
    assert "def load()" not in ended.out
    for form in ("savedmodel", "tf-serving"):
        words = ("--format", form, "--output", tmp_path / form)
        ended = quick("export", run, "--point", number, *words)
        assert (ended.code, "a training step" in ended.err) == (2, True), form
    assert not (tmp_path / "savedmodel").exists()


def test_a_step_whose_loss_is_not_finite_is_told(
    quick: Command, step_study: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "diverging"
    folder.mkdir()
    (folder / "steps.py").write_text(small_study.STEP.replace("0.1 *", "1e30 *"))
    plain = small_study.changed(step_study, model={"path": str(folder / "steps.py")})
    ended = quick("check", "--config", small_study.write_study(tmp_path, plain))
    assert ended.code == 2
    assert "the FP32 model's outputs hold NaN or Inf" in ended.err
