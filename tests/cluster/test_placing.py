from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.cluster.placing import connected, needed
from amp_tuner.config.load import check_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError


def study(**execution: Any) -> StudyConfig:
    plain = {
        "name": "n",
        "model": {"path": "m"},
        "data": {"path": "d"},
        "target": {"threads": {"intra_op": 2}, "fleet": {"share_cores": True}},
        "storage": "postgresql://tuner@db.example/tuning" if "address" in execution else None,
        "execution": {"workers": 2, **execution},
    }
    return check_study(plain, Path("/studies/study.yaml"), check_files=False)


def test_a_worker_has_its_threads_cpus_and_what_it_asks_for() -> None:
    assert needed(study()) == {"num_cpus": 2, "num_gpus": 0, "resources": {}}
    resources = {"CPU": 4, "GPU": 1, "device": 1}
    needs = needed(study(address="auto", resources=resources))
    assert needs == {"num_cpus": 4, "num_gpus": 1, "resources": {"device": 1}}


def test_a_head_that_does_not_answer_is_one_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(InputError) as caught, connected(study(address=f"127.0.0.1:{port}")):
        pass
    (problem,) = caught.value.problems
    assert problem.where == "$.execution.address"
    assert f"no Ray head answers at 127.0.0.1:{port}" in problem.message


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'amp-tuner\[ray\]'"), connected(study()):
        pass


def test_a_study_without_execution_needs_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    alone = study().model_copy(update={"execution": None})
    with connected(alone) as cluster:
        assert cluster is None
