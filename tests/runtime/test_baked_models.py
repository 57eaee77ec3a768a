"""A baked model gives, wherever it is served, what the runtime with that setting gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.runtime.engine_runtime import EngineRuntime
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, Threads
from tests import tiny_models
from tests.environments import OLDER, interpreter
from tests.runtime.test_outside_weights import files_bytes, serve

WEIGHT_BYTES = 4 * (16 * 32 + 32 * 4)
NAMES = ("given", "folded", "unfolded")


def setting(data_type: str) -> Candidate:
    rules = rule_set(f"tf-cpu-{data_type}")
    environment = to_environment(rules, rules.lists)
    return Candidate(data_type, rules.identifier, rules.lists, environment=environment)


@pytest.fixture(scope="module", params=["bfloat16", "float16"])
def baked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model as it is, and baked with and without folded weights."""
    folder: Path = tmp_path_factory.mktemp("baked")
    source = tiny_models.dense(folder / "given")
    scratch = tmp_path_factory.mktemp("scratch")
    runtime = EngineRuntime(source, "cpu", Threads(1, 1), str(scratch))
    for name in ("folded", "unfolded"):
        fold = name == "folded"
        runtime.save(setting(request.param), str(folder / name), "saved_model", fold_weights=fold)
    for name in NAMES:
        np.savez(folder / f"{name}.npz", x=tiny_models.features())
        (folder / f"{name}.key").write_text("serving_default")
    return folder


@pytest.mark.parametrize(
    "python", ["here", *(pytest.param(name, marks=pytest.mark.all_only) for name in OLDER)]
)
def test_folded_weights_change_no_bit_of_what_is_served(baked: Path, python: str) -> None:
    served = serve(baked, NAMES, sys.executable if python == "here" else interpreter(python))
    for name in ("y", "logits"):
        given, folded, unfolded = (served[model][name] for model in NAMES)
        assert folded.dtype == given.dtype == np.float32
        assert folded.tobytes() == unfolded.tobytes() != given.tobytes()
        np.testing.assert_allclose(folded, given, atol=0.3)
    assert served["folded"].keys() == served["given"].keys()


def test_folded_weights_halve_their_bytes_and_leave_no_cast_of_a_weight(baked: Path) -> None:
    saved = files_bytes(baked / "unfolded") - files_bytes(baked / "folded")
    assert saved > 0.5 * WEIGHT_BYTES
    assert casts_of_constants(baked / "unfolded") == 2
    assert casts_of_constants(baked / "folded") == 0


def casts_of_constants(model: Path) -> int:
    """Casts that read a Const, directly or through Identities, in graph and functions."""
    saved = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    graph_def = saved.meta_graphs[0].graph_def
    nodes: dict[str, Any] = {node.name: node for node in graph_def.node}
    for function in graph_def.library.function:
        nodes |= {node.name: node for node in function.node_def}
    return sum(
        1
        for node in nodes.values()
        if node.op == "Cast" and nodes[node.input[0].split(":")[0]].op in ("Const", "Identity")
    )


@pytest.mark.parametrize("data_type", ["bfloat16", "float16"])
def test_the_engine_gives_the_outputs_of_the_real_pass_bit_for_bit(
    worker: WorkerClient, tmp_path: Path, data_type: str
) -> None:
    source = tiny_models.dense(tmp_path / "model")
    data = tiny_models.data(tmp_path / "data", {"x": tiny_models.features()})
    found = []
    for runtime in ("tensorflow", "engine"):
        worker.load(source, data, runtime, "cpu")
        worker.build("candidate", setting(data_type))
        worker.outputs("candidate", 0, tiny_models.SAMPLES, tmp_path / "outputs.npz", ["logits"])
        with np.load(tmp_path / "outputs.npz") as arrays:
            found.append(arrays["logits"])
    assert found[0].tobytes() == found[1].tobytes()
