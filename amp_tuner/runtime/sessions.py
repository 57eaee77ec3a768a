"""One TensorFlow session per setting, its outputs and its run times.

Each setting has a graph and a session of its own, with its own ConfigProto: nothing is shared
between settings but the process-wide thread pools. A session has exactly one signature (all
inputs fed, all outputs fetched), since a pass runs anew for each signature.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Protocol

import numpy as np
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2

from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.runtime.batches import Array, Batches, Feed
from amp_tuner.runtime.loader import open_served
from amp_tuner.runtime.loader_model import ServedModel
from amp_tuner.worker.protocol import Candidate, LoadedModel, TensorInfo, Threads


@dataclass(frozen=True)
class Built:
    """A setting ready to run, and what the runtime found out on the way.

    Attributes:
        session: has run once where there was data.
        type_attributes_16bit: type attributes of nodes that were converted (no constants).
        differences: how the graph that runs differs from what our own rewrite gives, one text a
            type attribute.
    """

    session: ModelSession
    type_attributes_16bit: int
    differences: tuple[str, ...] = ()


class Runtime(Protocol):
    """Who applies a setting to one loaded model."""

    loaded: LoadedModel

    def describe(self, rules: Sequence[str], batch_size: Optional[int]) -> dict[str, Any]:
        """Typed graphs as JSON, by rule set name; with shapes where there is a ``batch_size``."""

    def build(self, candidate: Candidate, feed: Optional[Feed]) -> Built:
        """A session for the setting; it has run ``feed`` once."""

    def save(self, candidate: Candidate, path: str, form: str, *, fold_weights: bool) -> None:
        """Writes the rewritten graph."""


def session_config(threads: Threads, device: str) -> config_pb2.ConfigProto:
    """What a served SavedModel runs with: grappler's defaults, no automatic mixed precision."""
    config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=threads.intra_op,
        inter_op_parallelism_threads=threads.inter_op,
    )
    if device == "cpu":
        config.device_count["GPU"] = 0
    return config


class ModelSession:
    """An open session with one signature: all inputs fed, all outputs fetched.

    Args:
        model: what to open.
        config: this session's own.

    Raises:
        InputError: its variables or assets are broken.
    """

    def __init__(self, model: ServedModel, config: config_pb2.ConfigProto) -> None:
        self.names = tuple(info.name for info in model.outputs)
        self._options = config_pb2.CallableOptions(
            feed=[model.feeds[info.name] for info in model.inputs],
            fetch=[model.fetches[name] for name in self.names],
        )
        if model.step is not None:
            self._options.target.extend(model.step.targets)
            self._options.feed.extend([model.step.loss_scale] if model.step.loss_scale else [])
        self._session = open_served(model, config)
        self._call: Any = None

    def optimise(self) -> None:
        """Has TensorFlow optimise the graph for its signature: passes run, the model does not."""
        if self._call is None:
            # The public make_callable adds 0.15 ms of Python to each run: a small model's own time.
            make = self._session._make_callable_from_options  # noqa: SLF001
            self._call = make(self._options)

    def run(self, feed: Feed) -> list[Array]:
        """One run: an array per output."""
        self.optimise()
        outputs: list[Array] = self._call(*feed)
        return outputs

    def begin_block(self, feed: Feed) -> None:
        """What timed runs need before them: nothing, where no run changes anything."""

    @property
    def graph_def(self) -> graph_pb2.GraphDef:
        """The graph before TensorFlow optimises it."""
        return self._session.graph.as_graph_def()

    def close(self) -> None:
        """Frees the session, its graph and its variables."""
        self._call = None
        self._session.close()


def first_run(session: ModelSession, feed: Optional[Feed]) -> None:
    """Lets TensorFlow optimise and run the graph once; a session that cannot is closed."""
    if feed is None:
        return
    try:
        session.run(feed)
    except BaseException:
        session.close()
        raise


def run_times_s(session: ModelSession, feeds: Sequence[Feed], first: int, runs: int) -> list[float]:
    """Seconds of each run of a block, cycling through ``feeds`` from ``first`` on.

    Nothing but the session's run is inside a timed region; outputs are freed outside it.
    """
    session.begin_block(feeds[first % len(feeds)])
    collects_garbage = gc.isenabled()
    gc.disable()
    try:
        return [_run_time_s(session, feeds[(first + run) % len(feeds)]) for run in range(runs)]
    finally:
        if collects_garbage:
            gc.enable()


def _run_time_s(session: ModelSession, feed: Feed) -> float:
    started_ns = time.perf_counter_ns()
    outputs = session.run(feed)
    ended_ns = time.perf_counter_ns()
    del outputs
    return (ended_ns - started_ns) * 1e-9


def sample_outputs(
    session: ModelSession, batches: Batches, start: int, stop: int, names: Sequence[str]
) -> dict[str, Array]:
    """Outputs of samples [start, stop) in order, by name; values are returned as they are.

    Raises:
        InputError: there is no such output, or no such sample.
        WorkerFailure: an output has not one row per sample.
    """
    unknown = sorted(set(names) - set(session.names))
    if unknown:
        allowed = ", ".join(session.names)
        raise InputError.one("$.accuracy.output", f"no output {', '.join(unknown)}: {allowed}")
    if not 0 <= start < stop <= batches.samples:
        raise InputError.one("$.data", f"no samples [{start}, {stop}) in {batches.samples}")
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for feed, samples in batches.feeds(start, stop):
        by_name = dict(zip(session.names, session.run(feed)))
        for name in names:
            parts[name].append(_rows(name, by_name[name], samples, len(feed[0])))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _rows(name: str, output: Array, samples: int, fed: int) -> Array:
    shape = np.shape(output)
    if not shape or shape[0] != fed:
        cause = f"output {name} has shape {shape} for {fed} samples: one row per sample is needed"
        raise WorkerFailure(cause, fatal=False)
    return output[:samples]


def fixed_batch(inputs: Sequence[TensorInfo]) -> Optional[int]:
    """The first dimension that the inputs themselves demand, or None where it is free.

    Raises:
        InputError: two inputs demand different ones.
    """
    sizes = {info.shape[0] for info in inputs if info.shape and info.shape[0] != -1}
    if len(sizes) > 1:
        shapes = ", ".join(f"{info.name} {info.shape}" for info in inputs)
        raise InputError.one("$.model", f"inputs demand different numbers of samples: {shapes}")
    return sizes.pop() if sizes else None
