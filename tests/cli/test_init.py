"""`init`: the first study file for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.config.load import load_study
from tests.cli.conftest import Command
from tests.conftest import Files


@pytest.mark.all_only
def test_init_writes_a_study_that_check_accepts_once_there_are_data(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    ended = quick("init", small.model, "--output", path)
    assert (ended.code, "is a study of" in ended.out) == (0, True)
    text = path.read_text()
    assert "keys=...,  # int32, shape (n, 8)" in text
    assert "GatherV2, MatMul, Mul" in text
    refused = quick("check", "--config", path)
    assert (refused.code, "data.npz" in refused.err) == (2, True)
    (tmp_path / "data.npz").symlink_to(small.data)
    checked = quick("check", "--config", path)
    assert checked.code == 0, checked.err
    assert load_study(path).accuracy.threshold == 0.5


def test_init_writes_nothing_over(quick: Command, small: Files, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("mine")
    ended = quick("init", small.model, "--output", path)
    assert (ended.code, "exists; name a new file" in ended.err) == (2, True)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("words", [["nowhere"], ["--signature", "other"]])
def test_a_wrong_model_is_refused_and_leaves_no_study(
    quick: Command, small: Files, tmp_path: Path, words: list[str]
) -> None:
    model = [small.model] if words[0].startswith("-") else []
    ended = quick("init", *model, *words, "--output", tmp_path / "study.yaml")
    assert ended.code == 2
    assert not list(tmp_path.glob("study.yaml"))
