"""The owner of one loaded model, its data and the sessions of its settings, by key."""

from __future__ import annotations

import gc
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from amp_tuner.errors import InputError, TargetError
from amp_tuner.runtime.batches import Batches, Feed, write_arrays
from amp_tuner.runtime.engine_runtime import EngineRuntime
from amp_tuner.runtime.itex_runtime import ItexRuntime, itex_version
from amp_tuner.runtime.micro_benchmarks import micro_benchmarks
from amp_tuner.runtime.pass_dumps import describe_dump
from amp_tuner.runtime.roofline_runtime import RooflineRuntime
from amp_tuner.runtime.sessions import ModelSession, Runtime, run_times_s, sample_outputs
from amp_tuner.runtime.step_session import StepSession
from amp_tuner.runtime.stock_runtime import StockRuntime
from amp_tuner.runtime.xla_runtime import XlaRuntime
from amp_tuner.worker.protocol import Candidate, DataSource, LoadedModel, ModelSource, Threads

RUNTIMES: Mapping[str, Callable[[ModelSource, str, Threads, str], Runtime]] = {
    "engine": EngineRuntime,
    "tensorflow": StockRuntime,
    "itex": ItexRuntime,
    "xla": XlaRuntime,
    "roofline": RooflineRuntime,
}
DEVICES = ("cpu", "gpu", "xpu")
#: They need no device here: a runner has it, or a model stands for it.
ELSEWHERE = ("xla", "roofline")

#: So many differences from the predicted graph are named.
_NAMED_DIFFERENCES = 10


@dataclass(frozen=True)
class _Opened:
    """A model and the question that it answers."""

    source: ModelSource
    runtime_name: str
    device: str
    threads: Threads
    runtime: Runtime


class ModelHost:
    """One model at a time, and a session per setting that was built."""

    def __init__(self) -> None:
        self._opened: Optional[_Opened] = None
        self._data: Optional[Batches] = None
        self._sessions: dict[str, ModelSession] = {}
        self._candidates: dict[str, Candidate] = {}

    @staticmethod
    def software() -> dict[str, Any]:
        """What runs here: versions, interpreter, devices, how TensorFlow was built."""
        return {
            "python": platform.python_version(),
            "executable": sys.executable,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "itex": itex_version(),
            "devices": sorted({device.device_type for device in tf.config.list_physical_devices()}),
            "cuda_build": tf.test.is_built_with_cuda(),
        }

    @staticmethod
    def micro_benchmarks(threads: Threads, seconds: float) -> dict[str, Any]:
        """Rates and overheads of this CPU; see the function of that name."""
        return micro_benchmarks(threads, seconds)

    @staticmethod
    def read_log(
        folder: Path, rules: Optional[str], fetches: Sequence[str], batch_size: Optional[int]
    ) -> dict[str, Any]:
        """A run of a real pass as JSON, from its log folder; see ``describe_dump``."""
        return describe_dump(folder, rules, fetches, batch_size)

    def load(
        self,
        source: ModelSource,
        data: Optional[DataSource],
        runtime: str,
        device: str,
        threads: Threads,
        scratch: str,
    ) -> LoadedModel:
        """Loads a model and its data; settings that were built before are gone.

        The same model again keeps what is loaded and takes the new data.

        Raises:
            InputError: the model cannot be loaded, or the data do not fit it.
            TargetError: no such runtime or device here.
        """
        for key in list(self._sessions):
            self.drop(key)
        self._data = None
        gc.unfreeze()
        wanted = (source, runtime, device, threads)
        opened = self._opened
        if not opened or wanted != (
            opened.source,
            opened.runtime_name,
            opened.device,
            opened.threads,
        ):
            self._opened = None
            _check_target(runtime, device)
            opened = _Opened(*wanted, RUNTIMES[runtime](source, device, threads, scratch))
            self._opened = opened
        loaded = opened.runtime.loaded
        if data is not None:
            self._data = Batches(data, loaded.inputs, loaded.fixed_batch)
            loaded = replace(
                loaded,
                timing_batches=len(self._data.timing),
                timing_bytes=self._data.timing_bytes,
            )
        # TensorFlow's third of a million objects stay: collections after a drop need not see them.
        gc.collect()
        gc.freeze()
        return loaded

    def describe(self, rules: Sequence[str], batch_size: Optional[int] = None) -> dict[str, Any]:
        """Typed graphs as JSON, by rule set name; with shapes where there is a ``batch_size``."""
        return self._runtime.describe(rules, batch_size)

    def build(self, key: str, candidate: Candidate) -> dict[str, Any]:
        """Makes and runs a session; see WorkerClient.build."""
        if key in self._sessions:
            self.drop(key)
        started_s = time.perf_counter()
        built = self._runtime.build(candidate, self._first_feed)
        if isinstance(built.session, StepSession):
            built.session.scale_loss(candidate)
        self._sessions[key] = built.session
        self._candidates[key] = candidate
        return {
            "seconds": time.perf_counter() - started_s,
            "steps_s": {},
            "type_attributes_16bit": built.type_attributes_16bit,
            "graph_matches": not built.differences,
            "differences": list(built.differences[:_NAMED_DIFFERENCES]),
        }

    def lower(self, candidate: Candidate, *, tf32: bool, stablehlo: str) -> dict[str, Any]:
        """The artifact of a setting; see ``XlaRuntime.lower``."""
        runtime = self._runtime
        if not isinstance(runtime, XlaRuntime):
            raise TargetError("only a model that was loaded for runtime xla is lowered")
        started_s = time.perf_counter()
        lowered = runtime.lower(candidate, self._first_feed, tf32=tf32, stablehlo=stablehlo)
        return {**lowered, "seconds": time.perf_counter() - started_s}

    def traced_run(self) -> dict[str, Any]:
        """One FP32 run as JSON; see ``RooflineRuntime.traced_run``."""
        runtime = self._runtime
        if not isinstance(runtime, RooflineRuntime):
            raise TargetError("only a model that was loaded for runtime roofline is traced")
        return runtime.traced_run(self._first_feed).to_json()

    def forget(self, candidate: Candidate) -> None:
        """Removes the artifacts of a setting; see ``XlaRuntime.forget``."""
        if isinstance(self._runtime, XlaRuntime):
            self._runtime.forget(candidate)

    def outputs(self, key: str, start: int, stop: int, path: Path, names: Sequence[str]) -> float:
        """Writes outputs of samples, or loss curves; returns the seconds that running took."""
        session = self._session(key)
        started_s = time.perf_counter()
        if isinstance(session, StepSession):
            arrays = session.loss_curves(self._batches, start, stop, names)
        else:
            arrays = sample_outputs(session, self._batches, start, stop, names)
        seconds = time.perf_counter() - started_s
        write_arrays(path, arrays)
        return seconds

    def block(self, key: str, first_batch: int, runs: int) -> list[float]:
        """Seconds of each run."""
        return run_times_s(self._session(key), self._batches.timing, first_batch, runs)

    def drop(self, key: str) -> None:
        """Closes a session; one that was never built is no error."""
        session = self._sessions.pop(key, None)
        self._candidates.pop(key, None)
        if session is not None:
            session.close()
            # A graph is a web of cycles; a study would pile up those of large models.
            gc.collect()

    def save(self, key: str, path: str, form: str, *, fold_weights: bool) -> None:
        """Writes a built setting's graph."""
        self._session(key)
        self._runtime.save(self._candidates[key], path, form, fold_weights=fold_weights)

    @property
    def _runtime(self) -> Runtime:
        if self._opened is None:
            raise TargetError("no model is loaded: load one first")
        return self._opened.runtime

    @property
    def _batches(self) -> Batches:
        if self._data is None:
            raise InputError.one("$.data", "the model was loaded without data: none to run it on")
        return self._data

    @property
    def _first_feed(self) -> Optional[Feed]:
        return None if self._data is None else self._data.timing[0]

    def _session(self, key: str) -> ModelSession:
        if key not in self._sessions:
            raise TargetError(f"no setting {key!r} is built; built: {sorted(self._sessions)}")
        return self._sessions[key]


def _check_target(runtime: str, device: str) -> None:
    if runtime not in RUNTIMES:
        raise TargetError(f"runtime {runtime} is not available; allowed: {', '.join(RUNTIMES)}")
    if device not in DEVICES:
        raise TargetError(f"device {device} is not available; allowed: {', '.join(DEVICES)}")
    if runtime == "itex":
        _check_itex(device)
    if device == "xpu" and runtime != "roofline":
        raise TargetError(f"device xpu is not available for runtime {runtime}; allowed: cpu, gpu")
    if device == "gpu" and runtime not in ELSEWHERE and not tf.config.list_physical_devices("GPU"):
        raise TargetError(f"TensorFlow {tf.__version__} under {sys.executable} sees no GPU")


def _check_itex(device: str) -> None:
    """Raises TargetError where this interpreter has no ITEX that can be measured."""
    if device != "cpu":
        raise TargetError(f"runtime itex on {device} is not available; allowed: cpu")
    if itex_version() is None:
        raise TargetError(
            f"{sys.executable} has no ITEX: runtime itex needs an interpreter with "
            "intel-extension-for-tensorflow 2.15 (it comes with TensorFlow 2.15); name it in "
            "target.python"
        )
