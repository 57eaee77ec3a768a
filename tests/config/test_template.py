from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.config.load import load_study
from amp_tuner.config.template import Draft, study_name, study_template
from amp_tuner.worker.protocol import LoadedModel, TensorInfo

LOADED = LoadedModel(
    inputs=(TensorInfo("image", "float32", (-1, 28, 28, 1)), TensorInfo("text", "string", (-1,))),
    outputs=(TensorInfo("scores", "float32", (-1, 10)),),
    nodes=120,
    weight_bytes=3_400_000,
    fixed_batch=None,
    notices=(),
)
DRAFT = Draft("study.yaml", "../models/cnn", "serving_default", (), False, LOADED, ("Mul", "Sum"))
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
#: A Python file holds a training step; `init` writes no study of one.
ANY_MODEL = ANY_TEXT.filter(lambda name: Path(name).suffix != ".py")


def written(folder: Path, draft: Draft) -> Path:
    path = folder / "study.yaml"
    path.write_text(study_template(draft), encoding="utf-8")
    return path


def test_the_file_is_a_study_of_the_model_as_it_stands(tmp_path: Path) -> None:
    config = load_study(written(tmp_path, DRAFT), check_files=False)
    assert config.name == "cnn"
    assert config.model.path == tmp_path.parent / "models" / "cnn"
    assert config.data.inputs == {"image": "image", "text": "text"}
    assert (config.accuracy.metric, config.accuracy.goal) == ("agreement", "99%")
    assert (config.data.batch_size, config.search.time_budget_s) == (32, 7200)


def test_it_says_what_the_model_needs_and_what_can_be_tuned() -> None:
    text = study_template(replace(DRAFT, loaded=replace(LOADED, notices=("Dropout is off.",))))
    assert "# Study of ../models/cnn: 120 nodes, 3.4 MB of weights.\n# Dropout is off.\n" in text
    assert "image=...,  # float32, shape (n, 28, 28, 1)" in text
    assert "text=...,  # str, shape (n,)" in text
    assert "  # Mul, Sum\n  op_types: auto\n" in text


def test_the_commands_in_its_comments_make_data_that_fit(tmp_path: Path) -> None:
    lines = study_template(DRAFT).splitlines()
    start = lines.index("  #     import numpy as np")
    end = lines.index("  #     )")
    program = "\n".join(line.removeprefix("  #     ") for line in lines[start : end + 1])
    program = program.replace("image=...", "image=np.zeros((3, 28, 28, 1), np.float32)")
    program = program.replace("text=...", "text=np.array(['a', 'b', 'c'])")
    exec(program.replace("data.npz", str(tmp_path / "data.npz")), {})
    with np.load(tmp_path / "data.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["image", "text"]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ((TensorInfo("late", "float32", (-1, 1)),), "threshold: 0.5"),
        ((TensorInfo("a", "float32", (-1, 3)), TensorInfo("b", "float32", None)), "output: a"),
        ((TensorInfo("audio", "float32", (-1, 80, 3)),), "metric: sqnr"),
        ((TensorInfo("anything", "float32", None),), "goal: {min: 40}"),
    ],
)
def test_the_metric_fits_the_output(
    tmp_path: Path, outputs: tuple[TensorInfo, ...], expected: str
) -> None:
    draft = replace(DRAFT, loaded=replace(LOADED, outputs=outputs))
    path = written(tmp_path, draft)
    assert expected in path.read_text()
    assert load_study(path, check_files=False).accuracy.parsed_goal


def test_a_batch_that_the_model_demands_is_taken(tmp_path: Path) -> None:
    draft = replace(DRAFT, loaded=replace(LOADED, fixed_batch=8))
    assert load_study(written(tmp_path, draft), check_files=False).data.batch_size == 8


@given(model=ANY_MODEL, name=ANY_TEXT, op_type=ANY_TEXT, notice=ANY_TEXT)
def test_whatever_names_hold_the_file_is_read_back_with_them(
    tmp_path_factory: pytest.TempPathFactory, model: str, name: str, op_type: str, notice: str
) -> None:
    loaded = replace(
        LOADED, inputs=(TensorInfo(name, "float32", (-1, 4)),), notices=(notice, "#:\n- x: y")
    )
    draft = replace(DRAFT, model=model, loaded=loaded, op_types=(op_type,), fetches=(name,))
    path = written(tmp_path_factory.mktemp("drafted"), draft)
    config = load_study(path, check_files=False)
    assert list(config.data.inputs) == [name]
    assert config.model.fetches == (name,)


def test_names_of_studies_have_the_letters_that_are_allowed() -> None:
    assert study_name("ResNet 50 (v2).keras") == "ResNet-50-v2-.keras"
    assert study_name("…") == "study"
