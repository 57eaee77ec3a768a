"""The real passes of stock TensorFlow, run as pure graph rewrites in a process of their own.

Started as ``python oracle_process.py REQUEST_FD REPLY_FD``; each request and each reply is a line
of JSON. It runs under any TensorFlow from 2.15 on; the mode's process-wide variables are in its
environment, the list variables are set for one request each.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import pathlib
import sys
import tempfile

import tensorflow as tf
from tensorflow.core.protobuf import (
    config_pb2,
    device_properties_pb2,
    meta_graph_pb2,
    rewriter_config_pb2,
)
from tensorflow.python.framework import op_def_registry
from tensorflow.python.grappler import cluster as gcluster
from tensorflow.python.grappler import tf_optimizer

#: The variables that the process was started with.
STARTED_WITH = dict(os.environ)


def set_variables(environment):
    """For one request: nothing is left of those for the requests before."""
    os.environ.clear()
    os.environ.update({**STARTED_WITH, **environment})


def optimize(graph_def, fetches, optimizer, environment, gpu):
    meta = meta_graph_pb2.MetaGraphDef()
    meta.graph_def.CopyFrom(graph_def)
    meta.collection_def["train_op"].node_list.value.extend(fetches)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.append(optimizer)
    options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    options.min_graph_nodes = -1
    # ITEX's would fuse what the pass made, where ITEX is installed.
    options.use_plugin_optimizers = rewriter_config_pb2.RewriterConfig.OFF
    # It rejects whole models whose loops the pass has painted without their bodies.
    options.disable_tfg_optimizer = True
    set_variables(environment)
    return tf_optimizer.OptimizeGraph(
        config, meta, verbose=False, cluster=fake_gpu() if gpu else None
    )


def itex_dumps(graph_def, fetches, environment):
    """The graphs before and after ITEX's pass, from its log folder; no second one: no change."""
    for node in graph_def.node:
        node.device = "/job:localhost/replica:0/task:0/device:CPU:0"
    meta = meta_graph_pb2.MetaGraphDef()
    meta.graph_def.CopyFrom(graph_def)
    meta.collection_def["train_op"].node_list.value.extend(fetches)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    off, on = rewriter_config_pb2.RewriterConfig.OFF, rewriter_config_pb2.RewriterConfig.ON
    for field in options.DESCRIPTOR.fields:
        kind = field.enum_type
        if kind is not None and kind.name == "Toggle":
            setattr(options, field.name, off)
    options.use_plugin_optimizers = on
    options.disable_model_pruning = True
    options.disable_tfg_optimizer = True
    options.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    options.min_graph_nodes = -1
    with tempfile.TemporaryDirectory() as folder:
        switches = {
            "ITEX_AUTO_MIXED_PRECISION": "1",
            "ITEX_AUTO_MIXED_PRECISION_DATA_TYPE": "BFLOAT16",
            "ITEX_AUTO_MIXED_PRECISION_LOG_PATH": folder,
            **environment,
        }
        switches["ITEX_AUTO_MIXED_PRECISION_LOG_PATH"] += "/"
        set_variables(switches)
        try:
            tf_optimizer.OptimizeGraph(config, meta, verbose=False)
        except RuntimeError:
            # Without AVX-512, ITEX's fusions after the pass fail on 16-bit matrix products ("could
            # not create a primitive descriptor"); by then the pass has written what it made.
            if "AutoMixedPrecision" not in dumps_in(folder):
                raise
        return dumps_in(folder)


def dumps_in(folder):
    found = {}
    for kind in ("preop", "AutoMixedPrecision"):
        for file in sorted(pathlib.Path(folder).glob(f"graphdef_{kind}_*.pb")):
            found[kind] = tf.compat.v1.GraphDef.FromString(file.read_bytes())
    return found


def fake_gpu():
    devices = []
    for kind, name in (("CPU", "CPU:0"), ("GPU", "GPU:0")):
        device = device_properties_pb2.NamedDevice()
        device.name = "/job:localhost/replica:0/task:0/device:" + name
        device.properties.type = kind
        if kind == "GPU":
            device.properties.environment["architecture"] = "9.0"
            device.properties.environment["cuda"] = "11050"
            device.properties.environment["cudnn"] = "8302"
        devices.append(device)
    return gcluster.Cluster(devices=devices)


def drop_new_attributes(graph_def):
    """Attributes that newer TensorFlows have, so that an older one takes their graphs."""
    for node in graph_def.node:
        op_def = op_def_registry.get(node.op)
        known = {attribute.name for attribute in op_def.attr} if op_def else set(node.attr)
        for name in [name for name in node.attr if name not in known and name[0] != "_"]:
            del node.attr[name]


def engine(graph_def, arguments):
    from amp_tuner.errors import RewriteError
    from amp_tuner.tf import rewrite

    try:
        return rewrite(graph_def, **arguments)
    except RewriteError:
        return graph_def  # as a pass that fails leaves it


def answer(request):
    graph_def = tf.compat.v1.GraphDef.FromString(base64.b64decode(request["graph"]))
    if request["drop_new_attributes"]:
        drop_new_attributes(graph_def)
    if request["action"] == "itex":
        dumps = itex_dumps(graph_def, request["fetches"], request["environment"])
        return {kind: encoded(dump) for kind, dump in dumps.items()}
    if request["action"] == "engine":
        result = engine(graph_def, request["arguments"])
    else:
        result = optimize(
            graph_def,
            request["fetches"],
            request["optimizer"],
            request["environment"],
            request["gpu"],
        )
    return {"graph": encoded(result)}


def encoded(graph_def):
    return base64.b64encode(graph_def.SerializeToString()).decode()


def hello():
    """The version, and what is here of all that the tuner needs beside TensorFlow and NumPy."""
    needed = ("optuna", "pandas", "pydantic", "rich", "scipy", "sklearn", "yaml")
    found = [name for name in needed if importlib.util.find_spec(name) is not None]
    return {"tensorflow": tf.__version__, "tuner_packages": found}


def main():
    with os.fdopen(int(sys.argv[1]), "r") as requests, os.fdopen(int(sys.argv[2]), "w") as replies:
        replies.write(json.dumps(hello()) + "\n")
        replies.flush()
        for line in requests:
            replies.write(json.dumps(answer(json.loads(line))) + "\n")
            replies.flush()


if __name__ == "__main__":
    main()
