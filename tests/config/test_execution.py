from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError

DATABASE = "postgresql://tuner@db.example/tuning"
TWO = {"cores": ["0", "1"], "threads": {"intra_op": 1}}


def study(execution: Any, **keys: Any) -> StudyConfig:
    plain = {"name": "n", "model": {"path": "m"}, "data": {"path": "d"}, **keys}
    return check_study({**plain, "execution": execution}, Path("/s/study.yaml"), check_files=False)


def problems(execution: Any, **keys: Any) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        study(execution, **keys)
    return {problem.where: problem.message for problem in caught.value.problems}


def test_workers_of_one_machine_share_a_study_of_its_folder() -> None:
    config = study({"workers": 2}, target=TWO)
    assert config.execution is not None
    assert (config.execution.engine, config.execution.address) == ("ray", None)
    assert config.storage is None


def test_who_places_a_study_is_not_what_it_is() -> None:
    assert study({"workers": 2}, target=TWO).identity() == study(None, target=TWO).identity()


@pytest.mark.parametrize("target", [{}, {"cores": "0", "threads": {"intra_op": 1}}])
def test_workers_of_one_machine_need_cores_of_their_own(target: dict[str, Any]) -> None:
    (message,) = problems({"workers": 2}, target=target).values()
    assert f"found {len(target) // 2} sets of cores for 2 workers on this machine" in message
    assert 'allowed: a set for each, such as ["0-1", "2-3"]' in message


@pytest.mark.parametrize(
    "target",
    [
        {"fleet": {"share_cores": True}},
        {"runtime": "roofline", "device": "gpu", "data_types": ["float16"], "profile": "t4.yaml"},
    ],
)
def test_where_nothing_is_disturbed_or_it_is_accepted_no_cores_are_needed(
    target: dict[str, Any],
) -> None:
    assert study({"workers": 8}, target=target).target.cores is None


def test_one_worker_needs_no_cores() -> None:
    assert study({"workers": 1}).target.cores is None


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.example:6379", "[::1]:6379"])
def test_workers_on_other_machines_need_a_database(address: str) -> None:
    found = problems({"workers": 2, "address": address})
    assert list(found) == ["$.storage"]
    assert "workers on other machines need a database" in found["$.storage"]
    assert study({"workers": 2, "address": address}, storage=DATABASE)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("address", "ray://head:10001", "allowed: auto, host:port of the cluster's head, or null"),
        ("address", "head", "allowed: auto, host:port"),
        ("workers", 0, "1 or more"),
        ("workers", ..., "this key is required"),
        ("engine", "dask", "allowed: ray"),
        ("resources", {"GPU": 0}, "a number above 0"),
    ],
)
def test_what_makes_no_sense_is_one_problem(key: str, value: Any, said: str) -> None:
    execution = {"workers": 2, "address": "auto", key: value}
    execution = {name: given for name, given in execution.items() if given is not ...}
    ((where, message),) = problems(execution, storage=DATABASE).items()
    assert where.startswith(f"$.execution.{key}")
    assert said in message


def test_one_machine_has_no_resources_of_a_cluster() -> None:
    found = problems({"workers": 2, "resources": {"CPU": 1, "tpu": 1}}, target=TWO)
    assert list(found) == ["$.execution.resources.tpu"]
