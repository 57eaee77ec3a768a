"""The engine runtime, in a real worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, LoadedModel, TensorInfo
from tests import tiny_models

FLOAT32 = Candidate("float32")
DATA_TYPES = ("bfloat16", "float16")
#: Largest difference of a probability that rounding explains: a few units in the last place.
TOLERANCE = {"bfloat16": 0.05, "float16": 0.01}


def candidate(data_type: str, lists: AmpLists | None = None, **changes: Any) -> Candidate:
    rules = rule_set(f"tf-cpu-{data_type}")
    return Candidate(data_type, rules.identifier, lists or rules.lists, **changes)


def outputs(
    worker: WorkerClient, key: str, folder: Path, name: str = "y", start: int = 0, stop: int = 20
) -> Any:
    worker.outputs(key, start, stop, folder / "outputs.npz", [name])
    with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
        assert list(arrays) == [name]
        return arrays[name]


@pytest.fixture
def loaded(worker: WorkerClient, tmp_path: Path) -> LoadedModel:
    """The dense model with its data, FP32 built."""
    source = tiny_models.data(tmp_path / "data", {"x": tiny_models.features()})
    model = worker.load(tiny_models.dense(tmp_path / "model"), source, "engine", "cpu")
    worker.build("float32", FLOAT32)
    return model


def test_the_signature_and_the_size_are_told(loaded: LoadedModel) -> None:
    assert loaded.inputs == (TensorInfo("x", "float32", (-1, tiny_models.FEATURES)),)
    assert [output.name for output in loaded.outputs] == ["logits", "y"]
    assert loaded.weight_bytes == 4 * (tiny_models.FEATURES * 32 + 32 * 4)
    assert loaded.fixed_batch is None
    assert loaded.nodes > 5


def test_outputs_are_those_of_the_model(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    expected = served(x=tf.constant(tiny_models.features()))["y"].numpy()
    np.testing.assert_allclose(outputs(worker, "float32", tmp_path), expected, rtol=1e-5)


def test_a_part_of_the_samples_is_the_same_part_of_the_whole(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    part = outputs(worker, "float32", tmp_path, start=5, stop=18)
    np.testing.assert_allclose(part, outputs(worker, "float32", tmp_path)[5:18], rtol=1e-5)


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_a_candidate_rounds_and_no_more(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path, data_type: str
) -> None:
    facts = worker.build("candidate", candidate(data_type))
    assert facts["type_attributes_16bit"] > 0
    assert facts["graph_matches"] is True
    exact = outputs(worker, "float32", tmp_path)
    rounded = outputs(worker, "candidate", tmp_path)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < TOLERANCE[data_type]


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_what_runs_is_what_the_description_predicts(
    worker: WorkerClient, loaded: LoadedModel, data_type: str
) -> None:
    rules = rule_set(f"tf-cpu-{data_type}")
    prepared = prepare(worker.describe([rules.identifier])[rules.identifier], rules)
    lists = rules.lists.moved({"Relu": "deny"})
    float32_painted = [
        index
        for index in np.flatnonzero(paint(prepared, lists).allow)
        if prepared.graph.vertices[index].dtype == "float32"
    ]
    facts = worker.build("candidate", candidate(data_type, lists))
    assert facts["type_attributes_16bit"] == len(float32_painted) > 0


def test_float32_is_bit_identical_whatever_ran_in_between(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    before = outputs(worker, "float32", tmp_path)
    for data_type in DATA_TYPES:
        worker.build("candidate", candidate(data_type))
        outputs(worker, "candidate", tmp_path)
    np.testing.assert_array_equal(outputs(worker, "float32", tmp_path), before)
    worker.build("float32", FLOAT32)
    np.testing.assert_array_equal(outputs(worker, "float32", tmp_path), before)


def test_a_block_has_a_time_for_each_run(worker: WorkerClient, loaded: LoadedModel) -> None:
    run_s = worker.block("float32", first_batch=1, runs=7)
    assert len(run_s) == 7
    assert all(seconds > 0 for seconds in run_s)


def test_a_dropped_setting_is_gone(worker: WorkerClient, loaded: LoadedModel) -> None:
    worker.build("candidate", candidate("bfloat16"))
    worker.drop("candidate")
    worker.drop("candidate")
    with pytest.raises(Exception, match=r"built: \['float32'\]"):
        worker.block("candidate", 0, 1)


def test_other_data_for_the_same_model(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    model = tiny_models.ModelSource(str(tmp_path / "model"))
    source = tiny_models.data(tmp_path / "other", {"x": np.zeros((3, 16), np.float32)})
    other = worker.load(model, source, "engine", "cpu")
    assert (other.timing_batches, other.timing_bytes) == (1, 3 * 16 * 4)
    same = {"timing_batches": loaded.timing_batches, "timing_bytes": loaded.timing_bytes}
    assert replace(other, **same) == loaded
    worker.build("float32", FLOAT32)
    assert (outputs(worker, "float32", tmp_path, "logits", 0, 3) == 0).all()


def test_a_model_that_takes_one_batch_size_only(worker: WorkerClient, tmp_path: Path) -> None:
    free = tiny_models.dense(tmp_path / "free")
    fixed = tiny_models.dense(tmp_path / "fixed", batch=6)
    source = tiny_models.data(tmp_path / "data", {"x": tiny_models.features()})
    worker.load(free, source, "engine", "cpu")
    worker.build("float32", FLOAT32)
    expected = outputs(worker, "float32", tmp_path)
    assert worker.load(fixed, source, "engine", "cpu").fixed_batch == 6
    worker.build("float32", FLOAT32)
    np.testing.assert_allclose(outputs(worker, "float32", tmp_path), expected, rtol=1e-5)


def test_strings_go_in_and_come_out(worker: WorkerClient, tmp_path: Path) -> None:
    words = np.array(["red", "grün", "b"])
    source = tiny_models.data(tmp_path / "data", {"text": words}, batch=2)
    worker.load(tiny_models.words(tmp_path / "model"), source, "engine", "cpu")
    worker.build("float32", FLOAT32)
    assert outputs(worker, "float32", tmp_path, "length", 0, 3).tolist() == [3, 5, 1]
    assert outputs(worker, "float32", tmp_path, "upper", 0, 3)[0] == b"RED"


def test_infinite_outputs_come_back_as_they_are(worker: WorkerClient, tmp_path: Path) -> None:
    huge = np.full((8, tiny_models.FEATURES), 1e30, np.float32)
    source = tiny_models.data(tmp_path / "data", {"x": huge})
    worker.load(tiny_models.dense(tmp_path / "model"), source, "engine", "cpu")
    worker.build("candidate", candidate("float16"))
    assert not np.isfinite(outputs(worker, "candidate", tmp_path, "logits", 0, 8)).any()


def test_an_output_that_is_not_there(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no output z: logits, y"):
        worker.outputs("float32", 0, 5, tmp_path / "outputs.npz", ["z"])


def test_samples_that_are_not_there(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no samples \[15, 21\) in 20"):
        worker.outputs("float32", 15, 21, tmp_path / "outputs.npz", ["y"])


def test_rules_of_another_data_type(worker: WorkerClient, loaded: LoadedModel) -> None:
    wrong = Candidate("float16", "tf-cpu-bfloat16@2.21", rule_set("tf-cpu-bfloat16").lists)
    with pytest.raises(InputError, match="is for bfloat16, not float16"):
        worker.build("candidate", wrong)


def test_lists_that_conflict_fail_like_the_real_pass(
    worker: WorkerClient, loaded: LoadedModel
) -> None:
    lists = rule_set("tf-cpu-bfloat16").lists
    twice = AmpLists(lists.allow, lists.deny | {"MatMul"}, lists.infer, lists.clear)
    with pytest.raises(WorkerFailure, match="MatMul") as failure:
        worker.build("candidate", candidate("bfloat16", twice))
    assert not failure.value.fatal


@pytest.mark.parametrize("data_type", ["float32", *DATA_TYPES])
def test_a_saved_setting_serves_what_was_measured(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path, data_type: str
) -> None:
    setting = FLOAT32 if data_type == "float32" else candidate(data_type)
    worker.build("candidate", setting)
    worker.save("candidate", tmp_path / "best", "saved_model")
    served = tf.saved_model.load(str(tmp_path / "best")).signatures["serving_default"]
    np.testing.assert_allclose(
        served(x=tf.constant(tiny_models.features()))["y"].numpy(),
        outputs(worker, "candidate", tmp_path),
        atol=TOLERANCE.get(data_type, 1e-6) / 10,
    )


def test_a_saved_graph_holds_weights_in_16_bits_where_asked(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path
) -> None:
    worker.build("candidate", candidate("bfloat16"))
    for fold in (True, False):
        path = tmp_path / f"{fold}.pb"
        worker.save("candidate", path, "pb", fold_weights=fold)
        graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        types = {node.attr["dtype"].type for node in graph_def.node if node.op == "Const"}
        assert (tf.bfloat16.as_datatype_enum in types) is fold


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_without_the_optimizer_that_sessions_skip_the_same_graph_runs(
    worker: WorkerClient, loaded: LoadedModel, tmp_path: Path, data_type: str
) -> None:
    worker.build("candidate", candidate(data_type))
    worker.save("candidate", tmp_path / "model.pb", "pb", fold_weights=True)
    graph_def = tf.compat.v1.GraphDef.FromString((tmp_path / "model.pb").read_bytes())
    (ops, values), (default_ops, default_values) = (
        _executed(graph_def, skip=skip) for skip in (True, False)
    )
    assert ops == default_ops
    np.testing.assert_array_equal(values, default_values)


def _executed(graph_def: Any, *, skip: bool) -> tuple[dict[str, str], Any]:
    """The op type of each node that runs, by name, and the output."""
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_tfg_optimizer = skip
    with tf.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(graph_def, name="")
    (feed,) = (node.name for node in graph_def.node if node.op == "Placeholder")
    metadata = tf.compat.v1.RunMetadata()
    (softmax,) = (node.name for node in graph_def.node if node.op == "Softmax")
    with tf.compat.v1.Session(graph=graph, config=config) as session:
        values = session.run(
            f"{softmax}:0",
            {f"{feed}:0": tiny_models.features()},
            tf.compat.v1.RunOptions(output_partition_graphs=True),
            metadata,
        )
    nodes = [node for part in metadata.partition_graphs for node in part.node]
    return {node.name: node.op for node in nodes}, values
