"""From a graph to a StableHLO portable artifact: the graph without its weights, for fixed shapes.

The artifact is three kinds of files in one folder: the module (``*.mlirbc``), its manifest
(``*.json``: inputs, weights, outputs, in the order of the module's parameters and results) and the
weights (``weights/*.npy``). Files are named after what they hold: many settings' artifacts share a
folder, and a weight lies there once in each type that it is read in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from tensorflow.compiler.mlir.stablehlo import stablehlo
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.eager.polymorphic_function import compiler_ir

from amp_tuner.errors import InputError, TargetError
from amp_tuner.files import whole_file, write_json
from amp_tuner.runtime.batches import Array, Feed
from amp_tuner.runtime.fold_constants import fold_constants, is_weight, shape_of
from amp_tuner.runtime.graph_inputs import split_tensor
from amp_tuner.runtime.kernels import xla_kernels
from amp_tuner.runtime.loader_graph import by_name, node_name, pruned
from amp_tuner.runtime.loader_model import FrozenModel
from amp_tuner.runtime.outside_weights import OutsideWeights, is_outside, read_weight

FORMAT = 1
#: The artifact is for every device, so it is lowered as for the one that every TensorFlow has.
_PLATFORM = "CPU"
#: How XLA's messages name a node of the graph.
_NODE = re.compile(r"\{\{node ([^}]+)\}\}|node `([^`]+)`")
_NAMED_NODES = 10
_DYNAMIC = b"set_dimension_size"


@dataclass(frozen=True)
class Request:
    """How a graph is lowered.

    Attributes:
        tf32: float32 products may be rounded as the device's TF32 does: StableHLO's precision
            ``DEFAULT``; else ``HIGHEST``.
        stablehlo: the newest version that the runner reads.
        folder: where artifacts lie.
    """

    tf32: bool
    stablehlo: str
    folder: Path


def lower(graph_def: graph_pb2.GraphDef, model: FrozenModel, feed: Feed, request: Request) -> Path:
    """Writes the artifact of ``graph_def`` and gives its manifest's path.

    Args:
        graph_def: the model's graph or a rewritten one, with the model's feeds and fetches.
        model: where the graph comes from.
        feed: a batch: its shapes are the artifact's.
        request: precision, version and place.

    Raises:
        InputError: XLA cannot compile it; nodes and op types are named.
        TargetError: the runner's StableHLO is too old for it.
    """
    _check_inputs(model, feed)
    fetches = [model.fetches[info.name] for info in model.outputs]
    computing = _computing(graph_def, model.feeds.values(), fetches)
    _check_ops(computing)
    feeds = {model.feeds[info.name]: array for info, array in zip(model.inputs, feed)}
    # What decides over the precision of products is read while they are lowered.
    tf.config.experimental.enable_tensor_float_32_execution(request.tf32)
    try:
        fold_constants(computing, fetches)
        rest, weights = _without_weights(computing, fetches)
        module = _module(rest, feeds, weights, fetches)
    except (ValueError, TypeError, NotImplementedError, tf.errors.OpError) as error:
        raise _refused(error, graph_def) from error
    ours = stablehlo.get_current_version()
    manifest = {
        "format": FORMAT,
        "stablehlo": stablehlo.get_smaller_version(ours, request.stablehlo),
        "float32": "tf32" if request.tf32 else "fp32",
        "inputs": [
            {"name": info.name, "dtype": array.dtype.name, "shape": list(array.shape)}
            for info, array in zip(model.inputs, feed)
        ],
        "weights": [_write_weight(node, model.weights, request.folder) for node in weights],
        "outputs": [info.name for info in model.outputs],
    }
    return _write(_portable(module, manifest["stablehlo"]), manifest, request.folder)


def _module(
    graph_def: graph_pb2.GraphDef,
    feeds: Mapping[str, Array],
    weights: Sequence[node_def_pb2.NodeDef],
    fetches: Sequence[str],
) -> bytes:
    """The graph in StableHLO: its parameters are the feeds, then the weights."""
    specs = {name: tf.TensorSpec(array.shape, array.dtype) for name, array in feeds.items()} | {
        f"{node.name}:0": tf.TensorSpec(shape_of(node), tf.as_dtype(node.attr["dtype"].type))
        for node in weights
    }
    lowered = _compiled(graph_def, specs, fetches)
    module: bytes = lowered(stage="stablehlo_serialized", platform_name=_PLATFORM)
    dynamic = _dynamic_outputs(lowered, module)
    if dynamic:
        message = f"the shape of an output depends on values, which XLA cannot compile: {dynamic}"
        raise InputError.one("$.model", message)
    return module


def _write(artifact: bytes, manifest: Mapping[str, Any], folder: Path) -> Path:
    name = _name(artifact, json.dumps(manifest).encode())
    with whole_file(folder / f"{name}.mlirbc") as file:
        file.write(artifact)
    write_json(folder / f"{name}.json", {**manifest, "module": f"{name}.mlirbc"})
    return folder / f"{name}.json"


def _check_ops(graph_def: graph_pb2.GraphDef) -> None:
    """Names every op that XLA has not, where its own message stops at the first.

    The ops of loops and branches, which the freezer takes apart, are among them.
    """
    known = {"Placeholder", *(function.signature.name for function in graph_def.library.function)}
    lacking = [node for node in graph_def.node if node.op not in known and not xla_kernels(node.op)]
    if lacking:
        raise InputError.one("$.model", f"XLA cannot compile {_named(lacking)}")


def _named(nodes: Sequence[node_def_pb2.NodeDef]) -> str:
    named = ", ".join(f"{node.op} (node {node.name})" for node in nodes[:_NAMED_NODES])
    return named + (f" and {len(nodes) - _NAMED_NODES} more" if len(nodes) > _NAMED_NODES else "")


def _check_inputs(model: FrozenModel, feed: Feed) -> None:
    strings = [info.name for info, array in zip(model.inputs, feed) if array.dtype.hasobject]
    if strings:
        raise InputError.one("$.model", f"XLA takes no strings: input {', '.join(strings)}")
    if model.initializers:
        tables = ", ".join(model.initializers[:_NAMED_NODES])
        raise InputError.one("$.model", f"XLA has no lookup tables: they are filled by {tables}")


def _computing(
    graph_def: graph_pb2.GraphDef, feeds: Collection[str], fetches: Sequence[str]
) -> graph_pb2.GraphDef:
    """What computes the fetches from the feeds, without effects and what waits for them."""
    fed = {split_tensor(name)[0] for name in feeds}
    copied = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    for node in graph_def.node:
        if node.name in fed:
            continue
        made = copied.node.add()
        made.CopyFrom(node)
        # XLA's messages would name the nodes that the freezer made these of.
        made.ClearField("experimental_debug_info")
        # Without effects there is nothing to wait for.
        inputs = [name for name in node.input if not name.startswith("^")]
        del made.input[:]
        made.input.extend(inputs)
    return pruned(copied, map(node_name, fetches))


def _without_weights(
    graph_def: graph_pb2.GraphDef, fetches: Sequence[str]
) -> tuple[graph_pb2.GraphDef, list[node_def_pb2.NodeDef]]:
    """The graph without its weights, and their constants."""
    read = pruned(graph_def, map(node_name, fetches))
    weights = [node for node in read.node if is_weight(node)]
    rest = graph_pb2.GraphDef(versions=read.versions, library=read.library)
    rest.node.extend(node for node in read.node if not is_weight(node))
    return rest, weights


def _compiled(
    graph_def: graph_pb2.GraphDef, specs: Mapping[str, tf.TensorSpec], fetches: Sequence[str]
) -> Any:
    """The compiler's view of a function of the tensors in ``specs``: gives its IR at any stage."""
    read = {
        ":".join(map(str, split_tensor(name))) for node in graph_def.node for name in node.input
    }

    def run(*arguments: tf.Tensor) -> list[tf.Tensor]:
        given = dict(zip(specs, arguments))
        computed = [name for name in fetches if name not in given]
        found = tf.graph_util.import_graph_def(
            graph_def,
            input_map={name: given[name] for name in specs if name in read},
            return_elements=computed,
            name="",
        )
        return [{**given, **dict(zip(computed, found))}[name] for name in fetches]

    flat = list(specs.values())
    # Not tf.function, which would have the results wait for whatever may have effects.
    return compiler_ir.from_concrete_function(tf.compat.v1.wrap_function(run, flat), flat)


def _dynamic_outputs(lowered: Any, module: bytes) -> str:
    """Shapes of outputs that depend on values, as XLA writes them; empty: there are none."""
    if _DYNAMIC not in module:
        return ""
    text = lowered(stage="hlo", platform_name=_PLATFORM)
    layout = re.search(r"entry_computation_layout=\{\(.*?\)->(.*)\}", text.splitlines()[0])
    results = "" if layout is None else layout.group(1)
    return ", ".join(re.findall(r"\w+\[[^\]]*<=[^\]]*\]", results))


def _refused(error: Exception, graph_def: graph_pb2.GraphDef) -> InputError:
    """What XLA said, with the nodes that it names and their op types."""
    nodes = by_name(graph_def.node)
    found = (one or other for one, other in _NODE.findall(str(error)))
    named = [nodes[name] for name in dict.fromkeys(found) if name in nodes]
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    why = first.replace("Failed getting HLO text: '", "")[:300]
    return InputError.one("$.model", f"XLA cannot compile {_named(named) or 'the graph'}: {why}")


def _portable(module: bytes, version: str) -> bytes:
    """The module as a portable artifact of a StableHLO version.

    Raises:
        TargetError: it needs a newer one.
    """
    try:
        artifact: bytes = stablehlo.serialize_portable_artifact_str(module, version)
    except ValueError as error:
        ours = f"TensorFlow {tf.__version__} writes StableHLO {stablehlo.get_current_version()}"
        message = f"{ours}, the runner's JAX reads {version} at most, which cannot hold this graph"
        raise TargetError(f"{message}: use a newer JAX") from error
    return artifact


def _write_weight(
    node: node_def_pb2.NodeDef, outside: Optional[OutsideWeights], folder: Path
) -> dict[str, str]:
    """Writes a weight unless it lies there; returns its file's name and its type."""
    if outside is not None and is_outside(node):
        value = read_weight(node, outside)
    else:
        value = tf.make_ndarray(node.attr["value"].tensor)
    dtype = value.dtype.name
    # bfloat16 is no type of NumPy's own: its bits are kept, its name lies beside them.
    plain: Array = np.ascontiguousarray(value.view(np.uint16) if dtype == "bfloat16" else value)
    name = _name(plain.data, f"{dtype}{value.shape}".encode())
    path = folder / "weights" / f"{name}.npy"
    if not path.exists():
        with whole_file(path) as file:
            np.lib.format.write_array(file, plain, allow_pickle=False)
    return {"file": f"weights/{name}.npy", "dtype": dtype}


def _name(*contents: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
