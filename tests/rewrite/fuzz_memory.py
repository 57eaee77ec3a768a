"""How much memory broken graphs cost, measured in a process of its own.

    python -m tests.rewrite.fuzz_memory CASES SEED

Reads and rewrites every source as it is, which brings TensorFlow and all caches in; then CASES
mutations of them, as a GraphDef and as the bytes of a file. Prints as JSON the resident memory
after the first part, and how far the peak after a case was above it: the largest excess, and the
largest that ten times that case's input does not cover, both in bytes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from tensorflow.core.framework import graph_pb2

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import InputError, RewriteError
from amp_tuner.runtime.loader import load_model
from amp_tuner.runtime.rewrite_graph import rewrite_graph
from amp_tuner.worker.protocol import ModelSource
from tests.rewrite.bad_graphs import SOURCES, mutate

BF16 = rule_set("tf-cpu-bfloat16")


def peak_bytes() -> int:
    """The largest resident memory since :func:`forget_peak`."""
    status = Path("/proc/self/status").read_text()
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) * 1024


def forget_peak() -> None:
    """The peak becomes what is resident now: importing TensorFlow takes more for a moment."""
    Path("/proc/self/clear_refs").write_text("5")


def read(data: bytes, path: Path) -> None:
    """What a user's file goes through."""
    path.write_bytes(data)
    with contextlib.suppress(InputError, RewriteError):
        frozen = load_model(ModelSource(str(path)))
        rewrite_graph(frozen.graph_def, BF16, BF16.lists, preserved=frozen.preserved())


def rewrite(graph_def: graph_pb2.GraphDef) -> None:
    with contextlib.suppress(RewriteError):
        rewrite_graph(graph_def, BF16, BF16.lists, preserved=["x", "out"])


def broken_bytes(data: bytes, chance: np.random.Generator) -> bytes:
    """A few wrong bytes; sometimes the end is missing."""
    changed = bytearray(data)
    for place in chance.integers(0, len(changed), int(chance.integers(1, 4))):
        changed[place] = int(chance.integers(256))
    return bytes(
        changed[: int(chance.integers(len(changed)))] if chance.random() < 0.2 else changed
    )


def main(cases: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        for source in SOURCES:
            rewrite(source)
            read(source.SerializeToString(), path)
        forget_peak()
        before = peak_bytes()
        excess = uncovered = 0
        for case in range(cases):
            source = SOURCES[int(chance.integers(len(SOURCES)))]
            graph_def = graph_pb2.GraphDef.FromString(source.SerializeToString())
            for _ in range(int(chance.integers(1, 4))):
                mutate(graph_def, chance)
            data = graph_def.SerializeToString()
            if case % 2:
                rewrite(graph_def)
            else:
                read(broken_bytes(data, chance) if case % 4 else data, path)
            above = peak_bytes() - before
            excess, uncovered = max(excess, above), max(uncovered, above - 10 * len(data))
    print(json.dumps({"before": before, "excess": excess, "uncovered": uncovered}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
