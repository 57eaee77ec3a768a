"""Ten thousand trials of the real tuner on a simulated worker: time and memory of the tuner alone.

Everything is real but the device: a graph of 200 nodes and 29 tunable op types is painted, Optuna
is asked and told, every file is written. Measuring gives figures drawn for each effective graph.

    .venv/bin/python experiments/ten_thousand/run.py --sampler random
    .venv/bin/python experiments/ten_thousand/run.py --sampler tpe
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import yaml

from amp_tuner.amp.rules import RuleSet, rule_set
from amp_tuner.config.load import load_study
from amp_tuner.data.samples import open_data
from amp_tuner.graph.typed_graph import Edge, TypedGraph, TypedNode, Vertex
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import open_folder
from amp_tuner.records import (
    FLOAT32_GRAPH,
    Accuracy,
    Block,
    Interval,
    Measurement,
    Timing,
)
from amp_tuner.results.event_log import Event, EventLog
from amp_tuner.study.planning import Plan, Planner
from amp_tuner.study.session import Session
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.bench import Bench
from amp_tuner.target.switches import ONEDNN
from amp_tuner.worker.protocol import LoadedModel, TensorInfo

NODES = 200
#: A timing that stops at 20 s with blocks of 100 ms has so many.
BLOCKS, RUNS = 200, 4
MODEL = LoadedModel(
    inputs=(TensorInfo("x", "float32", (-1, 4)),),
    outputs=(TensorInfo("y", "float32", (-1, 1)),),
    nodes=NODES,
    weight_bytes=0,
    fixed_batch=None,
    notices=(),
)


def chain(rules: RuleSet) -> TypedGraph:
    """A chain of nodes whose op types are drawn from all four lists."""
    lists = rules.lists
    drawn = [sorted(names)[:6] for names in (lists.allow, lists.infer, lists.clear, lists.deny)]
    op_types = [op_type for names in drawn for op_type in names]
    order = np.random.default_rng(0).integers(len(op_types), size=NODES)
    nodes = [
        TypedNode(f"node{i}", op_types[kind], True, True, False, False, False, True)
        for i, kind in enumerate(order)
    ]
    vertices = [Vertex(i, "T", -1, "float32", True, True) for i in range(NODES)]
    edges = [Edge(i, 0, i + 1, 0) for i in range(NODES - 1)]
    return TypedGraph(
        rules.identifier, "simulated", None, tuple(nodes), tuple(vertices), tuple(edges)
    )


def accuracy(drop: float) -> Accuracy:
    half = 1e-4
    verdict = "meets" if drop + half < 0.01 else "misses" if drop - half > 0.01 else "uncertain"
    score = Interval(1 - drop, 1 - drop - half, 1 - drop + half)
    return Accuracy("agreement", score, Interval(drop, drop - half, drop + half), verdict, 300)


def timing(speedup: float, noise: np.random.Generator) -> Timing:
    drawn = noise.normal(0.01, 0.001, (BLOCKS, RUNS)).tolist()
    sides = ("baseline", "candidate", "candidate", "baseline")
    percentiles = {"p50": 9.9, "p90": 10.1, "p99": 11.2}
    return Timing(
        Interval(speedup, speedup * 0.995, speedup * 1.005),
        "narrow",
        tuple(Block(sides[i % 4], "timed", 0.1 * i, tuple(row)) for i, row in enumerate(drawn)),
        {"baseline": percentiles, "candidate": percentiles},
        {"baseline": BLOCKS * RUNS // 2, "candidate": BLOCKS * RUNS // 2},
        {"baseline": 6400.0, "candidate": 6400.0 * speedup},
        0.004,
    )


class SimulatedBench:
    """Stands in for :class:`Bench`; speed-up and loss depend on the effective graph alone.

    Attributes:
        switch, baseline_state: as the bench has them.
        device_s: seconds that drawing figures took, which are no tuner's.
        away_s: of trials elsewhere: none.
        device_cpu_s: the same in seconds of the CPU.
    """

    def __init__(self) -> None:
        self.switch = ONEDNN
        self.baseline_state = True
        self.device_s = self.away_s = 0.0
        self.device_cpu_s = 0.0

    def float32(self) -> dict[bool, Measurement]:
        """FP32 under each state of the switch."""
        return {state: self._drawn(FLOAT32_GRAPH.graph_id) for state in self.switch.states}

    def keep_only(self, state: bool) -> None:
        """Nothing to end."""
        self.baseline_state = state

    def measure(
        self, plan: Plan, *_: Any, dominated_below: Callable[[Accuracy], float] | None, **__: Any
    ) -> Measurement:
        """Figures of a graph, as large as a real trial's."""
        began, began_cpu = time.monotonic(), time.process_time()
        measured = replace(self._drawn(plan.effective.graph_id), effective=plan.effective)
        self.device_s += time.monotonic() - began
        self.device_cpu_s += time.process_time() - began_cpu
        if dominated_below is not None:
            dominated_below(measured.accuracy)
        return measured

    def _drawn(self, graph_id: str) -> Measurement:
        if graph_id == FLOAT32_GRAPH.graph_id:
            return Measurement(FLOAT32_GRAPH, accuracy(0.0), timing(1.0, np.random.default_rng(0)))
        noise = np.random.default_rng(list(graph_id.encode()))
        drop = float(abs(noise.normal(0, 0.01)))
        return Measurement(
            FLOAT32_GRAPH,
            accuracy(drop),
            timing(float(np.exp(noise.normal(0, 0.2))), noise),
            machine={"load_average": 0.5, "governor": "performance", "turbo": True},
        )


class Follower:
    """Notes when each trial has ended, and the memory now and then."""

    def __init__(self, bench: SimulatedBench, every: int) -> None:
        self._bench = bench
        self._every = every
        self._ends_s: list[float] = []
        self._cpu_s = 0.0

    def follow(self, event: Event) -> None:
        """Something has happened."""
        if event["event"] != "ended":
            return
        self._ends_s.append(time.monotonic() - self._bench.device_s)
        if len(self._ends_s) % self._every == 0:
            self._say(len(self._ends_s))

    def _say(self, count: int) -> None:
        each_ms = 1000 * np.diff(self._ends_s[-self._every :])
        cpu_s = time.process_time() - self._bench.device_cpu_s
        cpu_ms = 1000 * (cpu_s - self._cpu_s) / self._every
        self._cpu_s = cpu_s
        print(
            f"{count:6d} trials: {np.median(each_ms):5.1f} ms a trial (median of the last "
            f"{self._every}; 90 % below {np.quantile(each_ms, 0.9):.1f}), {cpu_ms:.1f} ms of CPU "
            f"(mean); {psutil.Process().memory_info().rss / 2**20:.0f} MiB resident",
            flush=True,
        )


def session(folder: Path, sampler: str, trials: int, bench: SimulatedBench) -> Session:
    """A study's parts as they are once it is open; no worker is started."""
    (folder / "model").mkdir()
    np.savez(folder / "data.npz", x=np.zeros((600, 4), np.float32))
    plain = {
        "name": "simulated",
        "model": {"path": "model"},
        "data": {"path": "data.npz", "batch_size": 64},
        "accuracy": {"metric": "sqnr", "goal": {"min": 30}},
        "search": {"trials": trials, "sampler": sampler},
        "limits": {"max_proposals": trials, "disk": "100GiB"},
        "output": "run",
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    config = load_study(path)
    rules = {name: rule_set(wanted) for name, wanted in config.target.rules.items()}
    graphs = {name: (one, chain(one)) for name, one in rules.items()}
    planner = Planner.of(graphs, served=False)
    return Session(
        config,
        MODEL,
        open_data(config, MODEL, folder),
        cast("Bench", bench),
        planner,
        planner.space("auto", config.search.lists),
        {},
        "sha256:0",
        (),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options = parser.parse_args()
    bench = SimulatedBench()
    follower = Follower(bench, max(10, options.trials // 10))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        opened = session(Path(name), options.sampler, options.trials, bench)
        print(f"{len(opened.space.op_types)} op types, sampler {options.sampler}")
        folder, lock = open_folder(opened.config.output)
        with contextlib.closing(EventLog(folder.events, follower.follow)) as log:
            tuning = Tuning(opened, folder, log, clock=Clock(folder), lock=lock)
            print(tuning.run())
            print(tuning.progress())
            tuning.close()
        lock.release()


if __name__ == "__main__":
    main()
