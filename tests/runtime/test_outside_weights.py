"""Models whose weights do not fit into one graph: here anything above 100,000 bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError
from amp_tuner.runtime import loader_freeze
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.engine_runtime import EngineRuntime
from amp_tuner.runtime.loader import load_model, open_served, served_model
from amp_tuner.runtime.outside_weights import is_outside
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads
from tests.runtime import wide_models
from tests.runtime.loader_models import Arrays, Example, assert_outputs
from tests.runtime.test_saved_model_writer import SERVE

LIMIT_BYTES = 100_000
BF16 = rule_set("tf-cpu-bfloat16")
LISTS = BF16.lists.moved({"GatherV2": "allow"})
PAINTED = Candidate("bfloat16", BF16.identifier, LISTS)
FLOAT32 = Candidate("float32")
WEIGHTS = {
    "saved_model": {"table", "kernel", "back"},
    "tf1": {"table", "kernel"},
    "keras": {"sequential/dense/kernel", "sequential/y/kernel"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Example]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in wide_models.MAKERS.items()}


@pytest.fixture
def tiny_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_freeze, "GRAPH_LIMIT_BYTES", LIMIT_BYTES)


def engine(source: ModelSource, scratch: Path) -> EngineRuntime:
    return EngineRuntime(source, "cpu", Threads(1, 1), str(scratch))


def run(runtime: EngineRuntime, candidate: Candidate, example: Example) -> dict[str, np.ndarray]:
    feed = tuple(example.feeds[info.name] for info in runtime.loaded.inputs)
    session = runtime.build(candidate, feed).session
    outputs = dict(zip(session.names, session.run(feed)))
    session.close()
    return outputs


def serve(folder: Path, names: Iterable[str], python: str = sys.executable) -> dict[str, Arrays]:
    """Runs the models ``folder/NAME`` in a fresh process without variables."""
    environment = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [python, str(SERVE), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for name in names:
        with np.load(folder / f"{name}.out.npz") as outputs:
            found[name] = dict(outputs)
        (folder / f"{name}.out.npz").unlink()
    return found


def files_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("name", WEIGHTS)
def test_only_the_values_are_outside(
    name: str, models: dict[str, Example], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = load_model(models[name].source)
    monkeypatch.setattr(loader_freeze, "GRAPH_LIMIT_BYTES", LIMIT_BYTES)
    outside = load_model(models[name].source, str(tmp_path))
    assert inside.weights is None
    assert outside.weights is not None
    assert len([node for node in outside.graph_def.node if is_outside(node)]) == len(WEIGHTS[name])
    assert outside.graph_def.ByteSize() < LIMIT_BYTES < inside.graph_def.ByteSize()
    assert describe(outside.graph_def, BF16, outside.preserved()) == describe(
        inside.graph_def, BF16, inside.preserved()
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_outputs_are_those_of_the_graph_that_holds_its_weights(
    name: str, models: dict[str, Example], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = models[name]
    inside = engine(example.source, tmp_path)
    monkeypatch.setattr(loader_freeze, "GRAPH_LIMIT_BYTES", LIMIT_BYTES)
    outside = engine(example.source, tmp_path)
    assert outside.loaded == inside.loaded
    assert_outputs(run(outside, FLOAT32, example), example.expected)
    painted = run(outside, PAINTED, example)
    assert_outputs(painted, run(inside, PAINTED, example))
    with pytest.raises(AssertionError):
        assert_outputs(painted, example.expected)


def test_written_models_are_served_by_a_fresh_process(
    models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    measured = {}
    folder = tmp_path / "served"
    folder.mkdir()
    for name, example in models.items():
        runtime = engine(example.source, tmp_path)
        runtime.save(PAINTED, str(folder / name), "saved_model", fold_weights=True)
        measured[name] = run(runtime, PAINTED, example)
        texts = {"O": "S"}
        feeds = {
            key: array.astype(texts.get(array.dtype.kind, array.dtype))
            for key, array in example.feeds.items()
        }
        np.savez(folder / f"{name}.npz", **feeds)
        (folder / f"{name}.key").write_text(example.source.signature)
    for name, outputs in serve(folder, models).items():
        assert_outputs(outputs, measured[name])
        assert all(array.dtype in (np.float32, np.int64) for array in outputs.values())


def test_painted_weights_are_written_in_16_bits(
    models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    runtime = engine(models["keras"].source, tmp_path)
    sizes = {}
    for fold in (False, True):
        path = tmp_path / f"folded-{fold}"
        runtime.save(PAINTED, str(path), "saved_model", fold_weights=fold)
        stored = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        types = set(stored.get_variable_to_dtype_map().values())
        assert types == {tf.bfloat16 if fold else tf.float32}
        sizes[fold] = files_bytes(path / "variables")
    weights = 64 * 512 + 512 * 100
    assert 2 * weights < sizes[True] < 2.1 * weights
    assert 4 * weights < sizes[False] < 4.1 * weights


def test_folded_weights_give_the_same_outputs_bit_for_bit(
    models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    example = models["saved_model"]
    runtime = engine(example.source, tmp_path)
    found = []
    for fold in (False, True):
        path = tmp_path / f"folded-{fold}"
        runtime.save(PAINTED, str(path), "saved_model", fold_weights=fold)
        model = served_model(ModelSource(str(path)), str(tmp_path))
        with open_served(model, tf.compat.v1.ConfigProto()) as session:
            found.append(session.run(model.fetches["wide"], {model.feeds["ids"]: wide_models.IDS}))
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_written_model_loads_again(
    name: str, models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    example = models[name]
    first = engine(example.source, tmp_path)
    first.save(FLOAT32, str(tmp_path / "model"), "saved_model", fold_weights=True)
    again = engine(ModelSource(str(tmp_path / "model"), example.source.signature), tmp_path)
    assert again.loaded.inputs == first.loaded.inputs
    assert again.loaded.outputs == first.loaded.outputs
    assert_outputs(run(again, FLOAT32, example), example.expected)


def test_weights_are_removed_with_the_model(
    models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    runtime = engine(models["saved_model"].source, tmp_path)
    assert files_bytes(tmp_path) > 3 * LIMIT_BYTES
    del runtime
    assert list(tmp_path.iterdir()) == []


def test_a_pb_is_refused(models: dict[str, Example], tiny_limit: None, tmp_path: Path) -> None:
    runtime = engine(models["saved_model"].source, tmp_path)
    with pytest.raises(InputError, match=r"a \.pb holds at most 2 GiB"):
        runtime.save(PAINTED, str(tmp_path / "model.pb"), "pb", fold_weights=True)
    assert not (tmp_path / "model.pb").exists()


def test_what_must_stay_inside_and_does_not_fit_is_a_clear_error(
    models: dict[str, Example], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loader_freeze, "GRAPH_LIMIT_BYTES", 5000)
    with pytest.raises(InputError, match=r"constants and small variables take .* GiB; allowed are"):
        load_model(models["saved_model"].source, str(tmp_path))


@pytest.mark.parametrize("name", ["model.pb", "folder/saved_model.pb"])
def test_a_file_that_no_graph_can_fill_is_refused_unread(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(2**31)
    source = ModelSource(str(path if name == "model.pb" else path.parent))
    with pytest.raises(InputError, match=r"has 2\.00 GiB; a graph in one file has at most 2 GiB"):
        load_model(source)


def test_a_graph_with_a_fetch_that_is_not_there_leaves_no_half_written_model(
    models: dict[str, Example], tiny_limit: None, tmp_path: Path
) -> None:
    runtime = engine(models["keras"].source, tmp_path)
    runtime._frozen = replace(runtime._frozen, fetches={"y": "absent:0"})
    with pytest.raises(KeyError):
        runtime.save(PAINTED, str(tmp_path / "model"), "saved_model", fold_weights=True)
    assert not (tmp_path / "model").exists()
