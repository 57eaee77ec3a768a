"""How fast the engine is: against TensorFlow's own pass, and as graphs grow.

    python experiments/engine/benchmark.py [growth]

With ``growth`` only what large graphs cost is measured.

Ratios come with the 95 % interval of the median of paired rounds (bootstrap).
"""

from __future__ import annotations

import gc
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer

from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.runtime.describe import describe
from amp_tuner.runtime.graph_inputs import producer
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from tests.rewrite.keras_models import OTHERS

ROUNDS = 60
GROWTH_ROUNDS = 15
SMALL, LARGE = 10_000, 1_000_000
#: With ResNet50, what large graphs are made of.
MIXED = ("Transformer", "GRU with loops of the old kind", "U-Net", "training")
RULES = rule_set("tf-cpu-bfloat16")


def resnet50() -> graph_pb2.GraphDef:
    model = tf.keras.applications.ResNet50(weights=None)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec([1, 224, 224, 3])
    )
    return traced.graph.as_graph_def()


def stock_pass(graph_def: graph_pb2.GraphDef) -> Callable[[], bytes]:
    """A call of the optimizer interface that runs the stock pass alone."""
    meta = meta_graph_pb2.MetaGraphDef()
    meta.graph_def.CopyFrom(graph_def)
    meta.collection_def["train_op"].node_list.value.append("Identity")
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.append("auto_mixed_precision_onednn_bfloat16")
    options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    options.min_graph_nodes = -1
    options.disable_tfg_optimizer = True
    return lambda: tf_optimizer.OptimizeGraph(config, meta)


def full_rewrite(data: bytes) -> bytes:
    """From bytes to bytes: parse, describe, prepare, paint, rewrite, serialise."""
    graph_def = graph_pb2.GraphDef.FromString(data)
    rewritten = rewrite_graph(graph_def, RULES, RULES.lists, preserved=["x", "Identity"])
    return rewritten.SerializeToString()


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats


def paired_ratio(left: Callable[[], object], right: Callable[[], object], repeats: int) -> str:
    """Median of left's time over right's, round by round, with its interval."""
    left_s, right_s = zip(*((seconds(left), seconds(right, repeats)) for _ in range(ROUNDS)))
    times = "{:.2f} ms / {:.2f} ms".format(*(1e3 * median(side) for side in (left_s, right_s)))
    return f"{times} = {median_ratio(left_s, right_s)}"


def median_ratio(left: Sequence[float], right: Sequence[float]) -> str:
    """Median of the paired ratios, with its interval."""
    ratios = np.array(left) / np.array(right)
    chance = np.random.default_rng(0)
    medians = np.median(chance.choice(ratios, (2000, ratios.size)), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return f"{np.median(ratios):.2f} [{low:.2f}, {high:.2f}]"


def mix() -> list[TypedGraph]:
    """Convolutions, attention, loops with TensorLists, resizing, gradients."""
    graphs = [resnet50(), *(OTHERS[name]() for name in MIXED)]
    return [describe(graph_def, RULES, _ends(graph_def)) for graph_def in graphs]


def _ends(graph_def: graph_pb2.GraphDef) -> list[str]:
    read = {producer(name) for node in graph_def.node for name in node.input}
    return [node.name for node in graph_def.node if node.name not in read]


def tiled(graphs: Sequence[TypedGraph], nodes: int) -> TypedGraph:
    """Copies of ``graphs`` one after the other, about ``nodes`` nodes in all."""
    copies = max(1, round(nodes / sum(len(graph.nodes) for graph in graphs)))
    all_nodes: list[TypedNode] = []
    vertices: list[Vertex] = []
    edges = []
    for _ in range(copies):
        for graph in graphs:
            first_node, first = len(all_nodes), len(vertices)
            all_nodes += [node._replace(name=f"{node.name}_{first_node}") for node in graph.nodes]
            vertices += [one._replace(node=one.node + first_node) for one in graph.vertices]
            edges += [
                one._replace(source=one.source + first, target=one.target + first)
                for one in graph.edges
            ]
            if first:
                # What the graph before ends with feeds what this one begins with.
                begin = graph.edges[0]
                edges.append(begin._replace(source=first - 1, target=first + begin.target))
    whole = graphs[0]
    return replace(whole, nodes=tuple(all_nodes), vertices=tuple(vertices), edges=tuple(edges))


def microseconds(graph: TypedGraph, rules: RuleSet) -> tuple[float, float]:
    """What preparing and painting once take, per node."""
    started = time.perf_counter()
    prepared = prepare(graph, rules)
    ready = time.perf_counter()
    paint(prepared, rules.lists)
    scale = 1e6 / len(graph.nodes)
    return scale * (ready - started), scale * (time.perf_counter() - ready)


def growth(graphs: Sequence[TypedGraph], rules: RuleSet) -> None:
    """Cost per node of preparing and painting, at SMALL and at LARGE nodes in turn."""
    small, large = tiled(graphs, SMALL), tiled(graphs, LARGE)
    gc.collect()
    seen: dict[str, list[tuple[float, float]]] = {"small": [], "large": []}
    for _ in range(GROWTH_ROUNDS):
        runs = [microseconds(small, rules) for _ in range(20)]
        seen["small"].append((median(run[0] for run in runs), median(run[1] for run in runs)))
        seen["large"].append(microseconds(large, rules))
    for one, rounds in ((small, seen["small"]), (large, seen["large"])):
        prepared, painted = (median(side) for side in zip(*rounds))
        print(f"{len(one.nodes):,} nodes: prepare {prepared:.2f} us, paint {painted:.2f} us a node")
    ratio = median_ratio(*([sum(one) for one in seen[size]] for size in ("large", "small")))
    print(f"growth, {LARGE:,} against {SMALL:,} nodes: {ratio}")


def memory(graphs: Sequence[TypedGraph], rules: RuleSet) -> None:
    """Bytes a node of a typed graph with what is prepared of it and kept from painting it."""
    tracemalloc.start()
    large = tiled(graphs, 100_000)
    typed = tracemalloc.get_traced_memory()[0]
    prepared = prepare(large, rules)
    paint(prepared, rules.lists)
    both = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    count = len(prepared.graph.nodes)
    print(f"memory: {typed / count:.0f} bytes a node typed, {both / count:.0f} prepared as well")


def main() -> None:
    if "growth" not in sys.argv[1:]:
        graph_def = resnet50()
        prepared = prepare(describe(graph_def, RULES, ["x", "Identity"]), RULES)
        stock = stock_pass(graph_def)
        stock()
        print(f"ResNet50, {len(graph_def.node)} nodes, {os.cpu_count()} virtual cores")
        ratio = paired_ratio(stock, lambda: paint(prepared, RULES.lists), 50)
        print(f"stock pass / painting: {ratio}")
        data = graph_def.SerializeToString()
        ratio = paired_ratio(lambda: full_rewrite(data), stock, 1)
        print(f"full rewrite / stock pass: {ratio}")
    graphs = mix()
    memory(graphs, RULES)
    growth(graphs, RULES)


if __name__ == "__main__":
    main()
