"""Training steps in a real worker: what they train, from which state, in which types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.amp.environment import to_environment
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.rewrite.tunable import tunable_op_types
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, DataSource, ModelSource, Training
from tests import tiny_models

FLOAT32 = Candidate("float32")
DATA_TYPES = ("bfloat16", "float16")
RUNTIMES = ("engine", "tensorflow")
CURVES = 3

Source = tuple[ModelSource, DataSource]


def candidate(data_type: str, moves: dict[str, str] | None = None, **changes: Any) -> Candidate:
    rules = rule_set(f"tf-cpu-{data_type}")
    lists = rules.lists.moved(moves or {})
    environment = to_environment(rules, lists)
    return Candidate(data_type, rules.identifier, lists, environment=environment, **changes)


def curves(worker: WorkerClient, key: str, folder: Path, name: str = "loss") -> Any:
    worker.outputs(key, 0, CURVES, folder / "curves.npz", [name])
    with np.load(folder / "curves.npz", allow_pickle=False) as arrays:
        return arrays[name]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("step")
    return tiny_models.step(folder / "model"), tiny_models.step_data(folder / "data", CURVES)


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """Of the module, so that tests of one runtime come together: the step is loaded once."""
    return str(request.param)


@pytest.fixture
def trained(runtime: str, worker: WorkerClient, source: Source) -> WorkerClient:
    """A worker with the training step, FP32 built."""
    loaded = worker.load(*source, runtime, "cpu")
    assert [info.name for info in loaded.inputs] == ["labels", "x"]
    worker.build("float32", FLOAT32)
    return worker


def test_a_curve_is_what_the_program_itself_trains(
    trained: WorkerClient, source: Source, tmp_path: Path
) -> None:
    order = np.load(source[1].order).reshape(CURVES, tiny_models.STEPS, tiny_models.BATCH)
    found = curves(trained, "float32", tmp_path)
    assert found.shape == (CURVES, tiny_models.STEPS)
    for curve, batches in zip(found, order, strict=True):
        train = tf.saved_model.load(source[0].path).signatures["train"]
        arrays = tiny_models.step_arrays()
        losses = [
            float(
                train(
                    x=tf.constant(arrays["x"][rows]),
                    labels=tf.constant(arrays["labels"][rows]),
                    loss_scale=tf.constant(1.0),
                )["loss"]
            )
            for rows in batches
        ]
        np.testing.assert_allclose(curve, losses, rtol=1e-4)
        assert losses[-1] != pytest.approx(losses[0], rel=0.01)


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_every_block_and_curve_begins_with_the_models_own_state(
    trained: WorkerClient, tmp_path: Path, data_type: str
) -> None:
    trained.build("candidate", candidate(data_type, expects_16bit=1))
    before = {key: curves(trained, key, tmp_path) for key in ("float32", "candidate")}
    for key in before:
        assert len(trained.block(key, 1, 4)) == 4
    for key, losses in before.items():
        np.testing.assert_array_equal(curves(trained, key, tmp_path), losses)
    assert 0 < np.abs(before["candidate"] - before["float32"]).max() < 0.1


def test_the_engine_trains_what_the_real_pass_makes_of_the_step(
    worker: WorkerClient, source: Source, tmp_path: Path
) -> None:
    settings = [
        candidate(data_type, moves, expects_16bit=1)
        for data_type in DATA_TYPES
        for moves in ({}, {"ReluGrad": "deny"}, {"Relu": "allow", "Mul": "deny"})
    ]
    losses: dict[str, list[Any]] = {runtime: [] for runtime in RUNTIMES}
    for runtime, found in losses.items():
        worker.load(*source, runtime, "cpu")
        for setting in settings:
            facts = worker.build("candidate", setting)
            # Of the pass: its own dump, node for node.
            assert facts["graph_matches"] is True
            assert facts["type_attributes_16bit"] > 0
            found.append(curves(worker, "candidate", tmp_path))
    np.testing.assert_allclose(losses["engine"], losses["tensorflow"], rtol=1e-3)


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_variables_and_their_updates_stay_float32(source: Source, data_type: str) -> None:
    step = load_model(source[0])
    rules = rule_set(f"tf-cpu-{data_type}")
    prepared = prepare(describe(step.graph_def, rules, step.preserved(), "CPU"), rules)
    # All that a search may move goes to 16 bits.
    lists = rules.lists.moved(dict.fromkeys(tunable_op_types(prepared), "allow"))
    rewritten = rewrite_graph(step.graph_def, rules, lists, "default", step.preserved(), "CPU")
    types: dict[str, set[str]] = {}
    for node in rewritten.node:
        for name in ("T", "dtype"):
            if name in node.attr:
                types.setdefault(node.op, set()).add(tf.as_dtype(node.attr[name].type).name)
    assert types["MatMul"] == {data_type}
    assert types["ResourceApplyMomentum"] == {"float32"}
    assert types["ReadVariableOp"] == {"float32"}
    assert types["VarHandleOp"] == {"float32", "int64"}
    assert types["AssignAddVariableOp"] == {"int64"}


def test_the_loss_is_scaled_in_float16_alone(trained: WorkerClient, tmp_path: Path) -> None:
    for setting, scale in (
        (candidate("bfloat16"), 1),
        (candidate("float16"), tiny_models.LOSS_SCALE),
        (candidate("float16", scales_loss=False), 1),
    ):
        trained.build("candidate", setting)
        assert (curves(trained, "candidate", tmp_path, "scale") == scale).all()
    assert (curves(trained, "float32", tmp_path, "scale") == 1).all()


def test_what_is_not_there_is_told(trained: WorkerClient, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no output nonesuch: loss, scale"):
        curves(trained, "float32", tmp_path, "nonesuch")
    with pytest.raises(InputError, match=r"no loss curves \[0, 4\) in 3"):
        trained.outputs("float32", 0, CURVES + 1, tmp_path / "curves.npz", ["loss"])


def test_an_output_that_is_no_single_number_is_a_failure(
    worker: WorkerClient, tmp_path: Path
) -> None:
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([4]))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def train(x: Any) -> Any:
        module.weight.assign_sub(tf.reduce_mean(x, 0))
        return {"loss": x * module.weight}

    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"train": train})
    source = ModelSource(str(tmp_path / "model"), "train", training=Training(tiny_models.STEPS))
    order = np.zeros(tiny_models.STEPS * tiny_models.BATCH, np.int64)
    data = tiny_models.data(tmp_path / "data", {"x": np.ones((8, 4), np.float32)}, order=order)
    worker.load(source, data, "engine", "cpu")
    worker.build("float32", FLOAT32)
    with pytest.raises(WorkerFailure, match=r"loss has shape \(8, 4\): a step's loss is one"):
        worker.outputs("float32", 0, 1, tmp_path / "curves.npz", ["loss"])


def test_a_step_is_not_baked(worker: WorkerClient, source: Source, tmp_path: Path) -> None:
    worker.load(*source, "engine", "cpu")
    worker.build("float32", FLOAT32)
    with pytest.raises(InputError, match="a training step cannot be baked"):
        worker.save("float32", tmp_path / "baked", "saved_model")
    assert not (tmp_path / "baked").exists()
