"""The section ``training``: what it takes, and what does not go together with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.config.schema import study_schema
from amp_tuner.errors import InputError

HERE = Path("/studies/study.yaml")
VALID: dict[str, Any] = {
    "name": "a",
    "model": {"path": "model"},
    "training": {"step": "train"},
    "data": {"path": "data.npz"},
    "accuracy": {"metric": "training_loss"},
}
PYTHON = {
    "model": {"path": "models/steps.py", "allow_unsafe": True},
    "training": {"step": "steps:make"},
}


def study(**sections: Any) -> StudyConfig:
    plain = {**VALID, **sections}
    kept = {section: value for section, value in plain.items() if value is not ...}
    return check_study(kept, HERE, check_files=False)


def problems(**sections: Any) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        study(**sections)
    return {problem.where: problem.message for problem in caught.value.problems}


def test_a_step_is_a_signature_or_a_function_of_a_python_file() -> None:
    training = study().training
    assert training is not None
    assert (training.signature, training.function) == ("train", None)
    training = study(**PYTHON).training
    assert training is not None
    assert (training.signature, training.function) == ("train", "make")


def test_what_the_section_says_must_stay_in_a_resumed_study() -> None:
    identity = study(training={"step": "train", "steps": 20, "loss_scale": 8.0}).identity()
    assert identity["training"] == {
        "step": "train",
        "steps": 20,
        "curves": 8,
        "seed": 0,
        "loss_scale": 8.0,
    }
    inference = study(training=..., accuracy={"metric": "agreement"})
    assert "training" not in inference.identity()


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        model={"path": "model.pb", "signature": "train", "fetches": ["loss"]},
        target={"runtime": "xla"},
        data={"path": "data.npz", "labels": "y"},
        accuracy={"metric": "agreement"},
    )
    assert found == {
        "$.target.runtime": "runtime xla does not train; allowed: engine, tensorflow, itex",
        "$.model.signature": "$.training.step names the signature; remove it",
        "$.model.fetches": "they are of a .pb, which does not train; remove it",
        "$.model.path": "signature 'train' is of a SavedModel's folder; found model.pb",
        "$.accuracy.metric": "a training step is judged by its loss alone: metric training_loss",
        "$.data.labels": "labels that the step learns from are among $.data.inputs; remove it",
    }


def test_a_python_file_needs_leave_and_the_modules_name() -> None:
    assert problems(model={"path": "other.py"}, training={"step": "steps:make"}) == {
        "$.model.path": "found other.py; allowed: steps.py, the file of steps:make",
        "$.model.allow_unsafe": "a Python file runs as it is; set it to true if you trust it",
    }


def test_other_metrics_beside_the_loss_are_refused() -> None:
    found = problems(accuracy={"metric": "training_loss", "also": ["sqnr"]})
    assert list(found) == ["$.accuracy.also"]


@pytest.mark.parametrize("step", ["steps:", "a.steps:make", ":make", "steps:make:other"])
def test_a_step_that_is_neither_is_refused(step: str) -> None:
    found = problems(**{**PYTHON, "training": {"step": step}})
    assert found["$.training.step"] == f"found {step!r}; allowed: a signature, or 'module:function'"


def test_an_inferring_study_has_nothing_of_it() -> None:
    found = problems(training=..., model={"path": "steps.py"})
    assert found == {
        "$.accuracy.metric": "training_loss is of training steps; it needs the section $.training",
        "$.model.path": "a Python file holds a training step; it needs the section $.training",
    }


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("steps", 9, "10 or more"),
        ("curves", 1, "2 or more"),
        ("loss_scale", 0.0, "a number above 0"),
        ("stepz", 3, "step, steps, curves, seed, loss_scale"),
    ],
)
def test_values_out_of_range_and_unknown_keys(key: str, value: Any, allowed: str) -> None:
    found = problems(training={"step": "train", key: value})
    assert list(found) == [f"$.training.{key}"]
    assert allowed in found[f"$.training.{key}"]


def test_editors_know_the_section() -> None:
    schema = study_schema()
    assert "TrainingConfig" in str(schema["properties"]["training"])
    assert schema["$defs"]["TrainingConfig"]["required"] == ["step"]
