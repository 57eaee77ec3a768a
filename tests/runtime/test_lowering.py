"""Artifacts: what is in them, and what XLA cannot compile. No device runs them here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compiler.mlir.stablehlo import stablehlo
from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_call_module

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, TargetError
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.runtime import loader_freeze
from amp_tuner.runtime.xla_runtime import XlaRuntime
from amp_tuner.worker.protocol import Candidate, ModelSource, Threads
from tests import tiny_models
from tests.runtime import wide_models

NEWEST = stablehlo.get_current_version()
RULES = rule_set("tf-cpu-bfloat16")
FLOAT32 = Candidate("float32")
BFLOAT16 = Candidate("bfloat16", RULES.identifier, RULES.lists)
X = (np.ones((8, 16), np.float32),)


def runtime(source: ModelSource, scratch: Path) -> XlaRuntime:
    return XlaRuntime(source, "cpu", Threads(1, 1), str(scratch))


def saved(folder: Path, spec: Any, function: Callable[..., Any]) -> ModelSource:
    module = tf.Module()
    module.run = tf.function(function, [spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return ModelSource(str(folder))


def lowered(
    made: XlaRuntime,
    candidate: Candidate = FLOAT32,
    feed: Sequence[Any] = X,
    *,
    tf32: bool = False,
    version: str = NEWEST,
) -> tuple[Path, dict[str, Any]]:
    """The manifest's folder and content."""
    answer = made.lower(candidate, tuple(feed), tf32=tf32, stablehlo=version)
    path = Path(answer["manifest"])
    return path.parent, json.loads(path.read_text())


def module_of(place: tuple[Path, dict[str, Any]]) -> bytes:
    folder, manifest = place
    return (folder / manifest["module"]).read_bytes()


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> XlaRuntime:
    folder = tmp_path_factory.mktemp("dense")
    return runtime(tiny_models.dense(folder / "model"), folder)


def test_an_artifact_says_what_it_takes_and_gives_in_order(dense: XlaRuntime) -> None:
    folder, manifest = lowered(dense)
    assert manifest["inputs"] == [{"name": "x", "dtype": "float32", "shape": [8, 16]}]
    assert manifest["outputs"] == [info.name for info in dense.loaded.outputs]
    shapes = [np.load(folder / weight["file"]).shape for weight in manifest["weights"]]
    assert sorted(shapes) == [(16, 32), (32, 4)]
    assert module_of((folder, manifest)).startswith(b"ML\xefR\rStableHLO_v" + NEWEST.encode())


def test_weights_are_not_in_the_module_and_lie_there_once_in_each_type(dense: XlaRuntime) -> None:
    folder, exact = lowered(dense)
    _, other_precision = lowered(dense, tf32=True)
    _, halves = lowered(dense, BFLOAT16)
    assert other_precision["weights"] == exact["weights"]
    assert {weight["dtype"] for weight in halves["weights"]} == {"bfloat16"}
    files = {weight["file"] for weight in (*exact["weights"], *halves["weights"])}
    assert {str(path.relative_to(folder)) for path in folder.glob("weights/*")} == files
    assert len(files) == 4
    kernel = np.load(folder / exact["weights"][0]["file"])
    assert kernel.tobytes()[:64] not in module_of((folder, exact))


def test_bfloat16_weights_are_stored_as_their_bits(dense: XlaRuntime) -> None:
    folder, exact = lowered(dense)
    _, halves = lowered(dense, BFLOAT16)
    for weight, half in zip(exact["weights"], halves["weights"]):
        bits = np.load(folder / half["file"], allow_pickle=False)
        rounded = tf.cast(np.load(folder / weight["file"]), tf.bfloat16).numpy()
        assert bits.dtype == np.uint16
        np.testing.assert_array_equal(bits.view(rounded.dtype), rounded)


def test_an_artifact_is_the_program_that_tensorflows_own_compiler_makes(tmp_path: Path) -> None:
    """To the last digit, batch norm included, where the same version of XLA compiles both."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 3, 32)).astype(np.float32)
    vectors = [rng.uniform(0.5, 2, 32).astype(np.float32) for _ in range(4)]

    def run(x: Any) -> Any:
        found = tf.nn.conv2d(x, kernel, 1, "SAME")
        normal, *_ = tf.compat.v1.nn.fused_batch_norm(found, *vectors, is_training=False)
        return {"y": tf.nn.softmax(tf.reduce_mean(tf.nn.relu6(normal), (1, 2)))}

    source = saved(tmp_path / "model", tf.TensorSpec([None, 8, 8, 3], tf.float32, name="x"), run)
    pictures = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    folder, manifest = lowered(runtime(source, tmp_path), feed=(pictures,))
    shapes = [np.load(folder / weight["file"]).shape for weight in manifest["weights"]]
    assert sorted(shapes) == [(3, 3, 3, 32), (32,), (32,)]
    weights = [tf.Variable(np.load(folder / weight["file"])) for weight in manifest["weights"]]
    module = module_of((folder, manifest))

    def call(x: Any) -> Any:
        about = {"version": 9, "platforms": ["CPU"], "Sout": [(4, 32)], "Tout": [tf.float32]}
        return xla_call_module([x, *weights], module=module, **about)

    ours, theirs = (tf.function(one, jit_compile=True, autograph=False) for one in (call, run))
    np.testing.assert_array_equal(ours(pictures)[0], theirs(tf.constant(pictures))["y"])


def test_fp32_and_tf32_are_two_artifacts(dense: XlaRuntime) -> None:
    exact, rounded = lowered(dense), lowered(dense, tf32=True)
    assert (exact[1]["float32"], rounded[1]["float32"]) == ("fp32", "tf32")
    assert module_of(exact) != module_of(rounded)


def test_the_same_setting_again_is_the_same_artifact(dense: XlaRuntime) -> None:
    first, again = (dense.lower(BFLOAT16, X, tf32=False, stablehlo=NEWEST) for _ in range(2))
    assert again == first


def test_an_older_runner_gets_a_version_that_it_reads(dense: XlaRuntime) -> None:
    place = lowered(dense, version="1.0.0")
    assert place[1]["stablehlo"] == "1.0.0"
    assert b"StableHLO_v1.0.0\x00" in module_of(place)[:64]


def test_a_runner_that_is_too_old_is_named_with_both_versions(dense: XlaRuntime) -> None:
    with pytest.raises(TargetError, match=rf"writes StableHLO {NEWEST}, .* reads 0\.0\.1 at most"):
        lowered(dense, version="0.0.1")


def test_weights_outside_the_graph_are_written_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = wide_models.keras(tmp_path)
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    inside = runtime(example.source, tmp_path / "inside")
    monkeypatch.setattr(loader_freeze, "GRAPH_LIMIT_BYTES", 100_000)
    outside = runtime(example.source, tmp_path / "outside")
    feed = [example.feeds[info.name] for info in inside.loaded.inputs]
    for candidate in (FLOAT32, BFLOAT16):
        _, expected = lowered(inside, candidate, feed)
        folder, found = lowered(outside, candidate, feed)
        # Files are named after what they hold.
        assert sorted(map(str, found["weights"])) == sorted(map(str, expected["weights"]))
        assert all((folder / weight["file"]).exists() for weight in found["weights"])


def refusal(folder: Path, spec: Any, function: Callable[..., Any], feed: Any) -> str:
    made = runtime(saved(folder / "model", spec, function), folder)
    with pytest.raises(InputError) as error:
        lowered(made, feed=[feed])
    return str(error.value)


FLOATS = tf.TensorSpec([8], tf.float32, name="x")


def test_an_op_that_xla_has_not_is_named_with_its_node(tmp_path: Path) -> None:
    def run(x: Any) -> Any:
        return {"y": tf.strings.length(tf.strings.as_string(x))}

    text = refusal(tmp_path, FLOATS, run, np.ones(8, np.float32))
    assert text.startswith("$.model: XLA cannot compile AsString (node ")
    assert ", StringLength (node " in text
    assert "\n" not in text


def test_a_loop_is_named(tmp_path: Path) -> None:
    def run(x: Any) -> Any:
        return {"y": tf.while_loop(lambda y: y[0] < 9, lambda y: (y + 1,), (x,))[0]}

    text = refusal(tmp_path, FLOATS, run, np.ones(8, np.float32))
    assert re.match(r"\$\.model: XLA cannot compile Enter \(node .*while/enter", text)


def test_strings_as_inputs_are_refused(tmp_path: Path) -> None:
    def run(x: Any) -> Any:
        return {"y": tf.strings.length(x)}

    spec = tf.TensorSpec([None], tf.string, name="x")
    text = refusal(tmp_path, spec, run, np.array([b"a"], object))
    assert text == "$.model: XLA takes no strings: input x"


def test_an_output_whose_shape_depends_on_values_is_refused(tmp_path: Path) -> None:
    text = refusal(tmp_path, FLOATS, lambda x: {"y": tf.where(x > 0)}, np.ones(8, np.float32))
    assert "the shape of an output depends on values" in text
    assert "<=8" in text


def test_a_shape_that_comes_from_the_data_is_refused_by_its_node(tmp_path: Path) -> None:
    spec = tf.TensorSpec([2], tf.int32, name="x")
    text = refusal(tmp_path, spec, lambda x: {"y": tf.zeros(x) + 1.0}, np.array([2, 3], np.int32))
    assert text.startswith("$.model: XLA cannot compile Fill (node ")
    assert "must be a compile-time constant" in text


def test_values_that_decide_over_shapes_inside_are_no_obstacle(tmp_path: Path) -> None:
    def run(x: Any) -> Any:
        return {"y": x + tf.reduce_sum(tf.boolean_mask(x, x > 0))}

    made = runtime(saved(tmp_path / "model", FLOATS, run), tmp_path)
    assert lowered(made, feed=[np.ones(8, np.float32)])[1]["outputs"] == ["y"]


def test_without_data_there_are_no_shapes(dense: XlaRuntime) -> None:
    with pytest.raises(InputError, match="shapes are those of the data"):
        dense.lower(FLOAT32, None, tf32=False, stablehlo=NEWEST)


def test_what_is_16_bit_is_what_xla_compiles_not_what_the_cpu_has(dense: XlaRuntime) -> None:
    (graph,) = dense.describe([RULES.identifier], None).values()
    assert graph["kernel_source"] == f"TensorFlow {tf.__version__}, XLA"


def test_what_only_xla_has_in_16_bits_is_painted_lowered_and_baked(tmp_path: Path) -> None:
    """TensorFlow's CPU has no BF16 kernel of DepthToSpace; XLA has."""

    def run(x: Any) -> Any:
        y = tf.matmul(x, tf.ones([16, 16]))
        y = tf.reshape(tf.nn.depth_to_space(tf.reshape(y, [-1, 2, 2, 4]), 2), [-1, 16])
        return {"y": tf.matmul(y, tf.ones([16, 16]))}

    spec = tf.TensorSpec([None, 16], tf.float32, name="x")
    made = runtime(saved(tmp_path / "model", spec, run), tmp_path)
    (plain,) = made.describe([RULES.identifier], None).values()
    graph = TypedGraph.from_json(plain)
    (vertex,) = [one for one in graph.vertices if graph.nodes[one.node].op == "DepthToSpace"]
    assert vertex.kernel_ok
    assert lowered(made, BFLOAT16)[1]["outputs"] == ["y"]
    made.save(BFLOAT16, str(tmp_path / "baked.pb"), "pb", fold_weights=True)
    baked = tf.compat.v1.GraphDef.FromString((tmp_path / "baked.pb").read_bytes())
    (node,) = [node for node in baked.node if node.op == "DepthToSpace"]
    assert node.attr["T"].type == tf.bfloat16.as_datatype_enum


@pytest.mark.parametrize("name", ["itex-gpu-bfloat16", "tf-cuda-float16"])
def test_rules_of_gpus_need_no_gpu_where_the_model_is_lowered(name: str, tmp_path: Path) -> None:
    rules = rule_set(name)
    made = XlaRuntime(tiny_models.dense(tmp_path / "model"), "gpu", Threads(1, 1), str(tmp_path))
    candidate = Candidate(rules.data_type, rules.identifier, rules.lists)
    assert made.lower(candidate, X, tf32=True, stablehlo=NEWEST)["type_attributes_16bit"] > 0


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_forgotten_is_gone_but_for_what_others_read(tmp_path: Path) -> None:
    made = runtime(tiny_models.dense(tmp_path / "model"), tmp_path)
    folder, exact = lowered(made)
    before = files_of(folder)
    _, halves = lowered(made, BFLOAT16)
    made.forget(BFLOAT16)
    assert files_of(folder) == before
    assert all((folder / weight["file"]).exists() for weight in exact["weights"])
    # Lowered again it reads the same weights, which are there again.
    _, again = lowered(made, BFLOAT16)
    assert again["weights"] == halves["weights"]
    assert all((folder / weight["file"]).exists() for weight in halves["weights"])
    made.forget(FLOAT32)
    made.forget(BFLOAT16)
    assert not files_of(folder)
