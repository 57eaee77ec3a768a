"""Workers under the oldest TensorFlow and the oldest Python that a target may have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate
from tests import tiny_models
from tests.conftest import started
from tests.environments import OLDER, interpreter

pytestmark = pytest.mark.all_only


@pytest.fixture(scope="module", params=OLDER)
def old_worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerClient]:
    python = interpreter(request.param)
    with started(tmp_path_factory.mktemp("worker"), python=python) as client:
        yield client


def test_the_facts_are_the_targets_own(old_worker: WorkerClient) -> None:
    facts = old_worker.hello()
    assert facts["tensorflow"].startswith("2.15.")
    assert "/.environments/tf215" in facts["executable"]


@pytest.mark.parametrize("runtime", ["engine", "tensorflow"])
@pytest.mark.parametrize("data_type", ["bfloat16", "float16"])
def test_a_setting_is_described_run_and_proven(
    old_worker: WorkerClient, tmp_path: Path, runtime: str, data_type: str
) -> None:
    source = tiny_models.data(tmp_path / "data", {"x": tiny_models.features()})
    old_worker.load(tiny_models.dense(tmp_path / "model"), source, runtime, "cpu")
    old_worker.build("float32", Candidate("float32"))
    rules = rule_set(f"tf-cpu-{data_type}@2.15")
    assert old_worker.describe([rules.identifier])[rules.identifier].rules == rules.identifier
    lists = rules.lists.moved({"Relu": "infer"})
    environment = to_environment(rules, lists)
    setting = Candidate(
        data_type, rules.identifier, lists, environment=environment, expects_16bit=1
    )
    facts = old_worker.build("candidate", setting)
    assert facts["graph_matches"] is True
    assert facts["type_attributes_16bit"] > 0
    exact, rounded = (_outputs(old_worker, key, tmp_path) for key in ("float32", "candidate"))
    assert 0 < np.abs(rounded - exact).max() < 0.05
    assert len(old_worker.block("candidate", 0, 3)) == 3


def _outputs(client: WorkerClient, key: str, folder: Path) -> Any:
    client.outputs(key, 0, tiny_models.SAMPLES, folder / "outputs.npz", ["y"])
    with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
        return arrays["y"]
