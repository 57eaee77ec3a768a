from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from amp_tuner.config.load import load_study
from amp_tuner.config.schema import study_schema
from amp_tuner.config.yaml12 import read_yaml
from amp_tuner.errors import InputError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
SMALLEST: dict[str, Any] = {"name": "n", "model": {"path": "m"}, "data": {"path": "d"}}
VALIDATOR = jsonschema.Draft202012Validator(study_schema())


def _keys(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sections = {"study": schema, **schema["$defs"]}
    return [
        (f"{name}.{key}", value)
        for name, section in sections.items()
        for key, value in section["properties"].items()
    ]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(study_schema())


@pytest.mark.parametrize(("place", "key"), _keys(study_schema()))
def test_every_key_is_described(place: str, key: dict[str, Any]) -> None:
    assert "description" in key or "$ref" in key, place


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_it_accepts_the_studies_that_are_ready(path: Path) -> None:
    VALIDATOR.validate(read_yaml(path))


WRONG = [
    {"nam": "n"},
    {"name": "a b"},
    {"model": {}},
    {"model": {"path": "m", "signatur": "s"}},
    {"target": {"runtime": "turbo"}},
    {"target": {"threads": {"intra_op": 0}}},
    {"target": {"cores": "all"}},
    {"accuracy": {"goal": {"drop": 0.1}}},
    {"accuracy": {"goal": "good"}},
    {"search": {"time_budget": "soon"}},
    {"search": {"op_types": []}},
    {"limits": {"worker_memory": "much"}},
    {"storage": "sqlite:///x"},
]


@pytest.mark.parametrize("changes", WRONG, ids=json.dumps)
def test_what_it_refuses_is_refused_when_the_study_is_read(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    plain = SMALLEST | changes
    assert list(VALIDATOR.iter_errors(plain))
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError):
        load_study(path, check_files=False)


@pytest.mark.parametrize("cores", ["0-3", "0-1,8", [0, 1], ["0-1", "2-3"], None])
def test_it_accepts_every_form_of_cores(cores: Any) -> None:
    VALIDATOR.validate({**SMALLEST, "target": {"cores": cores}})


@pytest.mark.parametrize(
    "goal", ["99%", "99.9 %", {"max_drop": 0.01, "kind": "absolute"}, {"min": 30}, {"max": 0.2}]
)
def test_it_accepts_every_form_of_a_goal(goal: Any) -> None:
    VALIDATOR.validate({**SMALLEST, "accuracy": {"goal": goal}})
