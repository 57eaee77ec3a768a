"""ITEX's own pass in a real worker: what it is given, what it does, how its kernels fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, DataSource, ModelSource, Training
from tests import small_study, tiny_models
from tests.conftest import started
from tests.environments import interpreter
from tests.itex import runs_bfloat16, without_bfloat16
from tests.runtime.test_step_session import curves as loss_curves
from tests.runtime.test_stock_runtime import keras_model, outputs

pytestmark = pytest.mark.all_only
RULES = rule_set("itex-cpu-bfloat16")
NAME = RULES.identifier
FLOAT32 = Candidate("float32")


def candidate(moves: dict[str, str] | None = None, expects: int = 1) -> Candidate:
    lists = RULES.lists.moved(moves or {})
    environment = to_environment(RULES, lists)
    return Candidate("bfloat16", NAME, lists, environment=environment, expects_16bit=expects)


@pytest.fixture(scope="module")
def itex_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    python = str(interpreter("itex"))
    with started(tmp_path_factory.mktemp("worker"), python=python) as client:
        yield client


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSource, DataSource]:
    folder = tmp_path_factory.mktemp("pictures")
    shape = (tiny_models.SAMPLES, 8, 8, 1)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return tiny_models.pictures(folder / "model"), tiny_models.data(
        folder / "data", {"image": images}
    )


@pytest.fixture
def optimising(itex_worker: WorkerClient, source: Any) -> WorkerClient:
    """A worker without data: its graphs are rewritten and never run, on any CPU."""
    itex_worker.load(source[0], None, "itex", "cpu")
    return itex_worker


@pytest.fixture
def running(itex_worker: WorkerClient, source: Any) -> WorkerClient:
    """A worker with data, FP32 built."""
    itex_worker.load(*source, "itex", "cpu")
    itex_worker.build("float32", FLOAT32)
    return itex_worker


def test_the_version_is_among_the_facts(itex_worker: WorkerClient) -> None:
    facts = itex_worker.hello()
    assert facts["itex"].startswith("2.15.")
    assert facts["tensorflow"].startswith("2.15.")


def test_the_description_is_of_the_graph_that_the_pass_is_given(optimising: WorkerClient) -> None:
    graph = optimising.describe([NAME])[NAME]
    ops = [node.op for node in graph.nodes]
    assert ops.count("ReadVariableOp") == 2
    assert "StatefulPartitionedCall" not in ops
    assert graph.lists == RULES.lists
    assert any(node.tunable for node in graph.nodes)


@pytest.mark.parametrize(
    "moves",
    [
        {},
        {"Relu": "deny"},
        {"MatMul": "infer", "Relu": "allow"},
        {"Softmax": "allow", "Mean": "clear"},
        {"Conv2D": "deny"},
    ],
)
def test_the_graph_is_the_predicted_one(optimising: WorkerClient, moves: dict[str, str]) -> None:
    prepared = prepare(optimising.describe([NAME])[NAME], RULES)
    painted = [
        index
        for index in np.flatnonzero(paint(prepared, RULES.lists.moved(moves)).allow)
        if prepared.graph.vertices[index].dtype == "float32"
    ]
    facts = optimising.build("candidate", candidate(moves, expects=len(painted)))
    assert (facts["graph_matches"], facts["type_attributes_16bit"]) == (True, len(painted))


def test_a_step_that_a_newer_tensorflow_made_is_refused(
    itex_worker: WorkerClient, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"attribute 'grad_[ab]' of node .* is not known to Tensor"
    ):
        itex_worker.load(tiny_models.step(tmp_path / "step"), None, "itex", "cpu")


@runs_bfloat16
def test_a_training_step_is_rewritten_as_predicted_and_set_back(
    itex_worker: WorkerClient, tmp_path: Path
) -> None:
    # Gradients have attributes that ITEX's TensorFlow does not know, if a newer one made them.
    path = tmp_path / "steps.py"
    path.write_text(small_study.STEP)
    training = Training(tiny_models.STEPS, function="make_step")
    model = ModelSource(str(path), "train", training=training)
    itex_worker.load(model, tiny_models.step_data(tmp_path / "data"), "itex", "cpu")
    itex_worker.build("float32", FLOAT32)
    facts = itex_worker.build("candidate", candidate())
    assert facts["graph_matches"] is True
    assert facts["type_attributes_16bit"] > 0
    float32, bfloat16, again = (
        loss_curves(itex_worker, key, tmp_path) for key in ("float32", "candidate", "float32")
    )
    np.testing.assert_array_equal(float32, again)
    assert 0 < np.abs(bfloat16 - float32).max() < 0.1
    assert len(itex_worker.block("candidate", 0, 3)) == 3


@pytest.mark.parametrize("kind", ["convolutions", "recurrence", "attention"])
def test_random_settings_of_real_layers_are_predicted(
    itex_worker: WorkerClient, tmp_path: Path, kind: str
) -> None:
    keras_model(kind).export(tmp_path / "model", verbose=False)
    itex_worker.load(ModelSource(str(tmp_path / "model")), None, "itex", "cpu")
    random = np.random.default_rng(0)
    op_types = sorted(
        {node.op for node in itex_worker.describe([NAME])[NAME].nodes if node.tunable}
    )
    for _ in range(8):
        chosen = random.choice(op_types, size=len(op_types) // 3, replace=False)
        moves = {str(op): str(random.choice(["infer", "clear", "deny"])) for op in chosen}
        assert itex_worker.build("candidate", candidate(moves, 0))["graph_matches"] is True, moves


def test_what_a_second_run_converts_is_told_as_another_graph(
    itex_worker: WorkerClient, tmp_path: Path
) -> None:
    # The plug-in renames what the first run left alone: _ITEXConv3D is in ALLOW.
    layers = [keras.layers.Conv3D(4, 3, use_bias=False), keras.layers.GlobalAveragePooling3D()]
    model = keras.Sequential([keras.Input((4, 8, 8, 1)), *layers, keras.layers.Dense(3)])
    model.export(tmp_path / "model", verbose=False)
    itex_worker.load(ModelSource(str(tmp_path / "model")), None, "itex", "cpu")
    assert itex_worker.build("candidate", candidate())["graph_matches"] is True
    facts = itex_worker.build("candidate", candidate({"Conv3D": "deny"}, 0))
    assert facts["graph_matches"] is False
    assert any(text.endswith("T: bfloat16, predicted was float32") for text in facts["differences"])


def test_a_graph_that_the_pass_does_not_look_at_is_described_as_skipped(
    itex_worker: WorkerClient, tmp_path: Path
) -> None:
    itex_worker.load(tiny_models.words(tmp_path / "model"), None, "itex", "cpu")
    assert "MatMul" in (itex_worker.describe([NAME])[NAME].skipped or "")


def test_a_conflict_of_lists_is_an_error_where_the_pass_is_silent(optimising: WorkerClient) -> None:
    environment = {"ITEX_AUTO_MIXED_PRECISION_DENYLIST_ADD": "MatMul"}
    conflict = Candidate("bfloat16", NAME, AmpLists(), environment=environment, expects_16bit=1)
    with pytest.raises(WorkerFailure, match=r"the pass failed: .*MatMul") as failure:
        optimising.build("candidate", conflict)
    assert not failure.value.fatal
    assert optimising.build("candidate", candidate())["graph_matches"] is True


def test_converting_nothing_where_something_is_predicted_is_an_error(
    optimising: WorkerClient,
) -> None:
    denied = dict.fromkeys(("Conv2D", "MatMul", "_ITEXFusedConv2D"), "deny")
    with pytest.raises(WorkerFailure, match="the pass converted nothing; expected: 5 types"):
        optimising.build("candidate", candidate(denied, expects=5))


def test_rules_of_another_runtime_are_refused(optimising: WorkerClient) -> None:
    other = rule_set("tf-cpu-bfloat16@2.15")
    with pytest.raises(InputError, match="itex on cpu has no tf-cpu-bfloat16"):
        optimising.build("candidate", Candidate("bfloat16", other.identifier, other.lists))


@runs_bfloat16
def test_settings_convert_and_do_not_leak(running: WorkerClient, tmp_path: Path) -> None:
    exact = outputs(running, "float32", tmp_path)
    running.build("candidate", candidate())
    rounded = outputs(running, "candidate", tmp_path)
    assert 0 < np.abs(rounded - exact).max() < 0.05
    running.build("again", FLOAT32)
    np.testing.assert_array_equal(outputs(running, "again", tmp_path), exact)
    np.testing.assert_array_equal(outputs(running, "candidate", tmp_path), rounded)
    assert not list(running._scratch.rglob("dumps-*"))


def test_kernels_that_end_the_process_cost_the_setting(source: Any, tmp_path: Path) -> None:
    with started(tmp_path, python=str(without_bfloat16(tmp_path))) as worker:
        worker.load(*source, "itex", "cpu")
        worker.build("float32", FLOAT32)
        assert worker.describe([NAME])[NAME].nodes, "describing runs no 16-bit kernel"
        with pytest.raises(WorkerFailure, match=r"SIGABRT|SIGSEGV") as failure:
            worker.build("candidate", candidate())
    assert failure.value.fatal
    assert "Converted " in failure.value.last_words
