"""Models of TensorFlow.js in minified scripts, read without running a script."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import op_def_registry

#: What JavaScript's object literals have and JSON has not; strings come first, to be left alone.
TOKENS = re.compile(
    r'(?P<string>"[^"\\]*")|!(?P<truth>[01])|(?P<key>[A-Za-z_]\w*)(?=:)|(?<![\d.])(?=\.\d)'
)


def _as_json(token: re.Match[str]) -> str:
    if token["truth"]:
        return "false" if token["truth"] == "1" else "true"
    if token["key"]:
        return f'"{token["key"]}"'
    return token["string"] or "0"  # .5 is 0.5


def exported(script: Path) -> Any:
    """The value that a script exports: a string or an object of literals."""
    text = script.read_text(encoding="utf-8")
    value = text[text.rindex(".exports=") + len(".exports=") :]
    if value[0] != '"':
        value = TOKENS.sub(_as_json, value)
    return json.JSONDecoder().raw_decode(value)[0]


def weights(folder: Path, model: dict[str, Any]) -> dict[str, np.ndarray]:
    """A model's weights by name, those in 8 bits as float32 again: scale times value plus min."""
    found = {}
    for group in model["weightsManifest"]:
        shards = [folder / f"{path}.min.js" for path in group["paths"]]
        data = b"".join(base64.b64decode(exported(shard)) for shard in shards)
        at = 0
        for entry in group["weights"]:
            packed = entry.get("quantization")
            dtype = np.dtype((packed or entry)["dtype"])
            values = np.frombuffer(data, dtype, int(np.prod(entry["shape"])), at)
            at += values.nbytes
            if packed:
                values = (values * packed["scale"] + packed["min"]).astype(entry["dtype"])
            found[entry["name"]] = values.reshape(entry["shape"])
        assert at == len(data), "bytes are left over"
    return found


def graph_model(folder: Path) -> graph_pb2.GraphDef:
    """The frozen graph of a graph model."""
    model = exported(folder / "model.min.js")
    graph_def = json_format.ParseDict(model["modelTopology"], graph_pb2.GraphDef())
    values = weights(folder, model)
    for node in graph_def.node:
        if node.op == "Const":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values[node.name]))
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(_unfused(graph_def), name="")
    return graph.as_graph_def()


def _unfused(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """With the ops that the converter fused, under names of its own, one after the other again."""
    result = graph_pb2.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        followers = list(node.attr["fused_ops"].list.s) if "fused_ops" in node.attr else []
        op_types = [node.op.strip("_").removeprefix("Fused"), *(op.decode() for op in followers)]
        inputs, biases = list(node.input), list(node.input)[2:]
        for op_type in op_types:
            name = node.name if op_type == op_types[-1] else f"{node.name}/{op_type}"
            if op_type == op_types[0] and followers:
                inputs = inputs[:2]
            elif op_type == "BiasAdd":
                inputs.append(biases.pop(0))
            step = result.node.add(name=name, op=op_type, input=inputs)
            known = {attribute.name for attribute in op_def_registry.get(op_type).attr}
            for key in known & set(node.attr):
                step.attr[key].CopyFrom(node.attr[key])
            inputs = [name]
    return result


def layers_model(folder: Path, keras_2: ModuleType) -> tf.keras.Model:
    """A layers model; its configuration is Keras 2's, and Keras 3 does not read it."""
    model = exported(folder / "model.min.js")
    config = json.dumps(model["modelTopology"]["model_config"])
    keras_model = keras_2.models.model_from_json(config)
    values = weights(folder, model)
    keras_model.set_weights([values[one.name.removesuffix(":0")] for one in keras_model.weights])
    return keras_model
