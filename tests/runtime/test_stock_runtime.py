"""The stock pass in a real worker: that it ran, what it did, and that nothing leaks."""

from __future__ import annotations

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
from amp_tuner.worker.protocol import Candidate, DataSource, ModelSource
from tests import tiny_models
from tests.conftest import Launcher

FLOAT32 = Candidate("float32")
DATA_TYPES = ("bfloat16", "float16")
TOLERANCE = {"bfloat16": 0.05, "float16": 0.01}
PREFIX = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_"

Source = tuple[ModelSource, DataSource]


def candidate(data_type: str, moves: dict[str, str] | None = None, expects: int = 1) -> Candidate:
    rules = rule_set(f"tf-cpu-{data_type}")
    lists = rules.lists.moved(moves or {})
    return Candidate(
        data_type,
        rules.identifier,
        lists,
        environment=to_environment(rules, lists),
        expects_16bit=expects,
    )


def outputs(worker: WorkerClient, key: str, folder: Path) -> Any:
    worker.outputs(key, 0, tiny_models.SAMPLES, folder / "outputs.npz", ["y"])
    with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
        return arrays["y"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("dense")
    model = tiny_models.dense(folder / "model")
    return model, tiny_models.data(folder / "data", {"x": tiny_models.features()})


@pytest.fixture
def served(worker: WorkerClient, source: Source) -> WorkerClient:
    """A worker with the dense model as it is served, FP32 built."""
    worker.load(*source, "tensorflow", "cpu")
    worker.build("float32", FLOAT32)
    return worker


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_the_pass_really_converts(served: WorkerClient, tmp_path: Path, data_type: str) -> None:
    facts = served.build("candidate", candidate(data_type))
    assert facts["type_attributes_16bit"] > 0
    difference = outputs(served, "candidate", tmp_path) - outputs(served, "float32", tmp_path)
    assert 0 < np.abs(difference).max() < TOLERANCE[data_type]


@pytest.mark.parametrize("data_type", DATA_TYPES)
@pytest.mark.parametrize(
    "moves",
    [
        {},
        {"Relu": "deny"},
        {"MatMul": "infer", "Relu": "allow"},
        {"Softmax": "allow", "Relu": "none"},
        {"MatMul": "deny"},
    ],
)
def test_the_graph_is_the_predicted_one(
    served: WorkerClient, data_type: str, moves: dict[str, str]
) -> None:
    rules = rule_set(f"tf-cpu-{data_type}")
    prepared = prepare(served.describe([rules.identifier])[rules.identifier], rules)
    painted = [
        index
        for index in np.flatnonzero(paint(prepared, rules.lists.moved(moves)).allow)
        if prepared.graph.vertices[index].dtype == "float32"
    ]
    facts = served.build("candidate", candidate(data_type, moves, expects=len(painted)))
    assert facts["graph_matches"] is True
    assert facts["type_attributes_16bit"] == len(painted)


def test_the_description_is_of_the_graph_that_the_pass_is_given(served: WorkerClient) -> None:
    graph = served.describe(["tf-cpu-bfloat16"])["tf-cpu-bfloat16"]
    ops = [node.op for node in graph.nodes]
    assert ops.count("ReadVariableOp") == 2
    assert "StatefulPartitionedCall" not in ops
    assert graph.lists == rule_set("tf-cpu-bfloat16").lists


def test_another_list_is_told_as_another_graph(served: WorkerClient) -> None:
    told = candidate("bfloat16", {"Relu": "deny"})
    meant = Candidate(
        told.data_type, told.rules, rule_set(told.rules).lists, environment=told.environment
    )
    assert served.build("candidate", meant)["graph_matches"] is False


def test_settings_do_not_leak_into_each_other_or_into_float32(
    served: WorkerClient, tmp_path: Path
) -> None:
    settings = {
        "float16": candidate("float16"),
        "bfloat16": candidate("bfloat16"),
        "denied": candidate("bfloat16", {"MatMul": "deny"}, expects=0),
        "again": candidate("bfloat16"),
    }
    before = outputs(served, "float32", tmp_path)
    first = {}
    for key, setting in settings.items():
        served.build(key, setting)
        first[key] = outputs(served, key, tmp_path)
    for key in settings:
        np.testing.assert_array_equal(outputs(served, key, tmp_path), first[key])
    np.testing.assert_array_equal(outputs(served, "float32", tmp_path), before)
    np.testing.assert_array_equal(first["again"], first["bfloat16"])
    np.testing.assert_array_equal(first["denied"], before)
    served.build("float32", FLOAT32)
    np.testing.assert_array_equal(outputs(served, "float32", tmp_path), before)


def test_a_conflict_of_lists_is_an_error_where_the_pass_is_silent(served: WorkerClient) -> None:
    conflict = Candidate(
        "bfloat16",
        "tf-cpu-bfloat16@2.21",
        AmpLists(),
        environment={f"{PREFIX}DENYLIST_ADD": "MatMul"},
        expects_16bit=1,
    )
    with pytest.raises(WorkerFailure, match=r"the pass failed: .*MatMul") as failure:
        served.build("candidate", conflict)
    assert not failure.value.fatal
    assert "Op present in multiple lists: MatMul" in failure.value.last_words
    assert served.build("candidate", candidate("bfloat16"))["graph_matches"] is True


def test_converting_nothing_where_something_is_predicted_is_an_error(
    served: WorkerClient,
) -> None:
    with pytest.raises(WorkerFailure, match="the pass converted nothing; expected: 5 types"):
        served.build("candidate", candidate("bfloat16", {"MatMul": "deny"}, expects=5))


def test_onednn_switched_off_is_an_error_that_says_what_to_set(
    fresh_worker: Launcher, source: Source
) -> None:
    plain = fresh_worker(onednn=False)
    plain.load(*source, "tensorflow", "cpu")
    with pytest.raises(WorkerFailure, match=r"oneDNN .* off; set TF_ENABLE_ONEDNN_OPTS=1"):
        plain.build("candidate", candidate("bfloat16"))
    assert plain.build("candidate", candidate("float16"))["graph_matches"] is True


def test_rules_of_another_runtime_are_refused(served: WorkerClient) -> None:
    itex = rule_set("itex-cpu-bfloat16")
    setting = Candidate("bfloat16", itex.identifier, itex.lists)
    with pytest.raises(InputError, match=r"tensorflow on cpu has no bfloat16 \(itex-cpu"):
        served.build("candidate", setting)


def test_describing_needs_no_data(worker: WorkerClient, source: Source) -> None:
    worker.load(source[0], None, "tensorflow", "cpu")
    graph = worker.describe(["tf-cpu-bfloat16"])["tf-cpu-bfloat16"]
    assert "MatMul" in [node.op for node in graph.nodes]


def test_no_file_is_baked(served: WorkerClient, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="comes from runtime engine"):
        served.save("float32", tmp_path / "best", "saved_model")


def test_dumps_are_deleted(served: WorkerClient) -> None:
    served.build("candidate", candidate("bfloat16"))
    assert not list(served._scratch.rglob("graphdef_*"))
    assert not list(served._scratch.rglob("dumps-*"))


def keras_model(kind: str) -> keras.Model:
    layers = keras.layers
    if kind == "convolutions":
        body = [
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="swish"),
            layers.GlobalAveragePooling2D(),
        ]
        return keras.Sequential([keras.Input((16, 16, 3)), *body, layers.Dense(5, "softmax")])
    if kind == "recurrence":
        body = [layers.LSTM(16, return_sequences=True), layers.LSTM(8)]
        return keras.Sequential([keras.Input((10, 8)), *body, layers.Dense(3, "softmax")])
    tokens = keras.Input((12, 16))
    attended = layers.LayerNormalization()(tokens + layers.MultiHeadAttention(2, 8)(tokens, tokens))
    dense = layers.Dense(16)(layers.Dense(32, "gelu")(attended))
    return keras.Model(tokens, layers.Dense(4)(layers.LayerNormalization()(attended + dense)))


@pytest.mark.all_only
@pytest.mark.parametrize("kind", ["convolutions", "recurrence", "attention"])
def test_random_settings_of_real_layers_are_predicted(
    worker: WorkerClient, tmp_path: Path, kind: str
) -> None:
    model = keras_model(kind)
    model.save(tmp_path / "model.keras")
    source = ModelSource(str(tmp_path / "model.keras"))
    (name,) = (info.name for info in worker.load(source, None, "tensorflow", "cpu").inputs)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(8, *model.input_shape[1:])).astype(np.float32)
    worker.load(source, tiny_models.data(tmp_path / "data", {name: inputs}), "tensorflow", "cpu")
    for data_type in DATA_TYPES:
        rules = rule_set(f"tf-cpu-{data_type}")
        graph = worker.describe([rules.identifier])[rules.identifier]
        op_types = sorted({node.op for node in graph.nodes if node.tunable})
        for _ in range(8):
            chosen = random.choice(op_types, size=len(op_types) // 3, replace=False)
            moves = {str(op): str(random.choice(["infer", "clear", "deny"])) for op in chosen}
            facts = worker.build("candidate", candidate(data_type, moves, expects=0))
            assert facts["graph_matches"] is True, moves
