"""How long painting takes: one prepared ResNet50, and 1,000 random settings of it.

python experiments/painting/benchmark.py
"""

from __future__ import annotations

import random
import statistics
import time

import tensorflow as tf

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.amp.rules import rule_set
from amp_tuner.rewrite.effective import effective_graph
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import prepare
from amp_tuner.rewrite.tunable import legalise, tunable_op_types
from amp_tuner.runtime.describe import describe

SETTINGS = 1000


def main() -> None:
    model = tf.keras.applications.ResNet50(weights=None)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec([1, 224, 224, 3])
    )
    graph_def = traced.graph.as_graph_def()
    rules = rule_set("tf-cpu-bfloat16")
    started = time.perf_counter()
    typed = describe(graph_def, rules, ["x", "Identity"])
    described = time.perf_counter()
    prepared = prepare(typed, rules)
    ready = time.perf_counter()
    print(f"ResNet50: {len(typed.nodes)} nodes, {prepared.vertices} type attributes")
    print(
        f"describe {1e3 * (described - started):.0f} ms, prepare {1e3 * (ready - described):.0f} ms"
    )
    times = []
    for _ in range(200):
        started = time.perf_counter()
        paint(prepared, rules.lists)
        times.append(time.perf_counter() - started)
    print(f"paint, default lists: median {1e3 * statistics.median(times):.2f} ms")
    chance = random.Random(0)
    op_types = tunable_op_types(prepared)
    settings = [
        {op_type: chance.choice(DESTINATIONS) for op_type in op_types} for _ in range(SETTINGS)
    ]
    seen = set()
    started = time.perf_counter()
    for moves in settings:
        lists = legalise(prepared, rules.lists.moved(moves))
        seen.add(effective_graph(prepared, paint(prepared, lists)).graph_id)
    seconds = time.perf_counter() - started
    print(
        f"{SETTINGS} random settings of {len(op_types)} op types, made legal, painted and "
        f"compared: {seconds:.2f} s, {len(seen)} distinct effective graphs"
    )


if __name__ == "__main__":
    main()
