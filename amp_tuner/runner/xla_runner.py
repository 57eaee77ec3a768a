"""Compiles StableHLO artifacts with XLA and runs them on any device that JAX has.

Needs Python 3.10, JAX, jaxlib and NumPy, and nothing else of the project: this one file is all that
a device machine gets. It is started as ``python xla_runner.py REQUEST_FD REPLY_FD TUNER_PID`` and
speaks the worker's protocol: a line of JSON for each request and each reply, error kinds ``input``,
``target`` and ``failed``. The handful of lines that this takes is repeated from the worker's
``main.py`` for that reason alone.

An artifact is a manifest (JSON) beside a StableHLO portable artifact. The module's parameters are
the model's inputs and then its weights; shapes are fixed. XLA may not keep more precision than the
graph asks for (``xla_allow_excess_precision``), or roundings of a 16-bit graph would be skipped.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import platform
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

PROTOCOL_VERSION = 1
MANIFEST_FORMAT = 1
PR_SET_PDEATHSIG = 1
CAUSE_LENGTH = 300
#: How an artifact's first bytes name the StableHLO that wrote it.
PRODUCER = b"StableHLO_v"
OPTIONS: Mapping[str, bool] = {"xla_allow_excess_precision": False}

Answer = dict[str, Any]
Array = Any


class RunnerError(Exception):
    """A failure with its kind: ``input``, ``target`` or ``failed``."""

    def __init__(self, kind: str, message: str, where: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.where = where


def import_jax() -> Any:
    """JAX with 64-bit types, which TensorFlow's integers need.

    Raises:
        RunnerError: this interpreter has none.
    """
    if sys.version_info < (3, 10):
        found = platform.python_version()
        raise RunnerError("target", f"{sys.executable} is Python {found}; allowed: 3.10 or newer")
    try:
        import jax
        from jaxlib import xla_client  # noqa: F401 - what compiles has no public name
        from jaxlib.mlir.dialects import stablehlo  # noqa: F401
    except (ImportError, RuntimeError) as error:
        message = f"{sys.executable} has no JAX of use here ({error}); allowed: 0.6.2 or newer"
        raise RunnerError("target", message) from error
    jax.config.update("jax_enable_x64", True)
    return jax


@dataclass(frozen=True)
class Program:
    """A compiled artifact.

    Attributes:
        executable: XLA's.
        weights: files of its weights, in the order of its parameters behind the inputs.
        outputs: names, in the order of its results.
    """

    executable: Any
    weights: tuple[str, ...]
    outputs: tuple[str, ...]


class Samples:
    """The data: arrays of an ``.npz`` in a given order, in whole batches.

    Args:
        source: ``path``, ``inputs`` (the signature's argument to the array's name), ``order`` (an
            ``.npy`` of positions), ``batch_size``, ``timing_batches``.
        inputs: names of the signature's arguments, in order.
    """

    def __init__(self, source: Mapping[str, Any], inputs: Sequence[str]) -> None:
        self._order = np.load(source["order"], allow_pickle=False)
        self.batch_size: int = source["batch_size"]
        with np.load(source["path"], allow_pickle=False) as arrays:
            self._arrays = [arrays[source["inputs"][name]] for name in inputs]
        whole = max(1, len(self._order) // self.batch_size)
        self.timing_batches = min(whole, source["timing_batches"])

    def batch(self, start: int) -> list[Array]:
        """A whole batch from sample ``start`` on; past the end the last sample is repeated."""
        rows = self._order[start : start + self.batch_size]
        rows = np.pad(rows, (0, self.batch_size - len(rows)), mode="edge")
        return [array[rows] for array in self._arrays]


class Runner:
    """What lives as long as the process: the device, the samples, what was compiled."""

    def __init__(self) -> None:
        self.jax: Any = None
        self.device: Any = None
        self._samples: Samples | None = None
        self._timing: list[list[Array]] = []
        self._programs: dict[str, Program] = {}
        self._weights: dict[str, Array] = {}

    def hello(self, device: str) -> Answer:
        """Finds the device; facts about it and the software.

        Args:
            device: JAX's name of a platform: ``cpu``, ``gpu``.
        """
        self.jax = import_jax()
        try:
            self.device = self.jax.devices(device)[0]
        except RuntimeError as error:
            found = ", ".join(sorted({one.platform for one in self.jax.devices()}))
            message = f"JAX {self.jax.__version__} under {sys.executable} has no {device}"
            raise RunnerError("target", f"{message}; it has: {found}") from error
        import jaxlib

        return {
            "protocol": PROTOCOL_VERSION,
            "runner_python": platform.python_version(),
            "jax": self.jax.__version__,
            "jaxlib": jaxlib.__version__,
            "stablehlo": stablehlo_version(),
            "platform": self.device.platform,
            "device_kind": self.device.device_kind,
            "compute_capability": getattr(self.device, "compute_capability", None),
            "platform_version": self.device.client.platform_version.splitlines()[0],
            "xla_options": ", ".join(f"{name}={value}" for name, value in OPTIONS.items()),
        }

    def load(self, data: Mapping[str, Any], inputs: Sequence[str]) -> Answer:
        """Takes samples; what was compiled before is gone. Timing's batches stay on the device."""
        for key in list(self._programs):
            self.drop(key)
        self._timing = []
        self._samples = samples = Samples(data, inputs)
        self._timing = [
            self._put(samples.batch(number * samples.batch_size))
            for number in range(samples.timing_batches)
        ]
        return {}

    def build(self, key: str, manifest: str) -> Answer:
        """Compiles an artifact, puts its weights on the device, runs it once.

        Returns:
            ``seconds`` that it took, ``compile_s`` that compiling took.
        """
        self.drop(key)
        started_s = time.perf_counter()
        place = Path(manifest)
        described = read_manifest(place)
        artifact = (place.parent / described["module"]).read_bytes()
        compiling_s = time.perf_counter()
        executable = self._compile(artifact)
        compile_s = time.perf_counter() - compiling_s
        for weight in described["weights"]:
            if weight["file"] not in self._weights:
                array = read_weight(place.parent / weight["file"], weight["dtype"])
                (self._weights[weight["file"]],) = self._put([array])
        files = tuple(weight["file"] for weight in described["weights"])
        self._programs[key] = Program(executable, files, tuple(described["outputs"]))
        try:
            self._run(self._programs[key], self._timing[0])
        except BaseException:
            self.drop(key)
            raise
        return {"seconds": time.perf_counter() - started_s, "compile_s": compile_s}

    def outputs(self, key: str, start: int, stop: int, path: str, names: Sequence[str]) -> Answer:
        """Writes outputs of samples [start, stop) by name; ``seconds`` that inference took."""
        program, samples = self._programs[key], self._samples
        assert samples is not None, "what is built has run on samples"
        parts: dict[str, list[Array]] = {name: [] for name in names}
        started_s = time.perf_counter()
        for first in range(start, stop, samples.batch_size):
            results = self._run(program, self._put(samples.batch(first)))
            count = min(samples.batch_size, stop - first)
            for name, result in zip(program.outputs, results):
                if name in parts:
                    parts[name].append(rows(name, np.asarray(result), samples.batch_size)[:count])
        seconds = time.perf_counter() - started_s
        write_arrays(Path(path), {name: np.concatenate(arrays) for name, arrays in parts.items()})
        return {"seconds": seconds}

    def block(self, key: str, first_batch: int, runs: int) -> Answer:
        """``run_s``, seconds of each run: inputs lie on the device, outputs are awaited there."""
        program = self._programs[key]
        weights = [self._weights[file] for file in program.weights]
        feeds = [[*feed, *weights] for feed in self._timing]
        execute, ready = program.executable.execute, self.jax.block_until_ready
        seconds = []
        gc.disable()
        try:
            for run in range(first_batch, first_batch + runs):
                arguments = feeds[run % len(feeds)]
                started_ns = time.perf_counter_ns()
                results = ready(execute(arguments))
                seconds.append((time.perf_counter_ns() - started_ns) * 1e-9)
                del results
        finally:
            gc.enable()
        return {"run_s": seconds}

    def drop(self, key: str) -> Answer:
        """Frees a program, and weights that no other one reads."""
        self._programs.pop(key, None)
        read = {file for program in self._programs.values() for file in program.weights}
        self._weights = {file: self._weights[file] for file in self._weights if file in read}
        gc.collect()
        return {}

    def _put(self, arrays: Sequence[Array]) -> list[Array]:
        placed = [self.jax.device_put(array, self.device) for array in arrays]
        return list(self.jax.block_until_ready(placed))

    def _run(self, program: Program, feed: Sequence[Array]) -> list[Array]:
        weights = [self._weights[file] for file in program.weights]
        results = program.executable.execute([*feed, *weights])
        return list(self.jax.block_until_ready(results))

    def _compile(self, artifact: bytes) -> Any:
        check_version(artifact)
        from jax.interpreters import mlir
        from jaxlib import xla_client
        from jaxlib.mlir.dialects import stablehlo

        module = stablehlo.deserialize_portable_artifact(mlir.make_ir_context(), artifact)
        options = xla_client.CompileOptions()
        options.env_option_overrides = list(OPTIONS.items())
        # As bytes and a plain list, which every JAX from 0.6.2 on takes.
        bytecode = io.BytesIO()
        module.operation.write_bytecode(bytecode)
        client = self.device.client
        return client.compile_and_load(bytecode.getvalue(), [self.device], options)


def stablehlo_version() -> str:
    """The newest StableHLO that this JAX reads."""
    from jaxlib.mlir.dialects import stablehlo

    return str(stablehlo.get_current_version())


def check_version(artifact: bytes) -> None:
    """Refuses an artifact that a newer StableHLO has written.

    Raises:
        RunnerError: it is newer than this JAX reads, or no portable artifact.
    """
    _, found, tail = artifact[:64].partition(PRODUCER)
    if not found:
        raise RunnerError("target", "the artifact is not a StableHLO portable artifact")
    version, ours = tail.split(b"\0")[0].decode("ascii", "replace"), stablehlo_version()
    if numbers(version) > numbers(ours):
        message = f"the artifact is of StableHLO {version}; this JAX reads {ours} at most"
        raise RunnerError("target", f"{message}: use a newer JAX, or lower the model again for it")


def numbers(version: str) -> tuple[int, ...]:
    """``1.13.7`` as numbers."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def read_manifest(path: Path) -> Answer:
    """An artifact's manifest.

    Raises:
        RunnerError: it is of a newer format.
    """
    manifest: Answer = json.loads(path.read_text(encoding="utf-8"))
    if manifest["format"] != MANIFEST_FORMAT:
        message = f"{path}: format {manifest['format']}; this runner reads {MANIFEST_FORMAT}"
        raise RunnerError("target", message)
    return manifest


def read_weight(path: Path, dtype: str) -> Array:
    """A weight from its ``.npy``; bfloat16, which is no type of NumPy's own, lies as uint16."""
    array = np.load(path, allow_pickle=False)
    if dtype != "bfloat16":
        return array
    from jax import numpy as jnp

    return array.view(jnp.bfloat16)


def rows(name: str, output: Array, fed: int) -> Array:
    """An output as it is written: a row per sample; bfloat16 as float32, which holds its values.

    Raises:
        RunnerError: it has not one row per sample.
    """
    if not output.shape or output.shape[0] != fed:
        message = f"output {name} has shape {output.shape} for {fed} samples: one row per sample"
        raise RunnerError("failed", f"{message} is needed")
    return output.astype(np.float32) if output.dtype.name == "bfloat16" else output


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes an ``.npz`` of any array names; it appears whole."""
    beside = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    beside.replace(path)


ACTIONS: Mapping[str, Callable[..., Answer]] = {
    "hello": Runner.hello,
    "load": Runner.load,
    "build": Runner.build,
    "outputs": Runner.outputs,
    "block": Runner.block,
    "drop": Runner.drop,
}


def answer(runner: Runner, request: Answer) -> Answer:
    """The reply to a request: what the action gave, or its failure as data."""
    arguments = {name: value for name, value in request.items() if name not in ("id", "action")}
    try:
        return {"id": request["id"], "ok": ACTIONS[request["action"]](runner, **arguments)}
    except Exception as error:  # noqa: BLE001  the runner's border: a failure is an answer
        traceback.print_exc()
        sys.stderr.flush()
        return {"id": request["id"], "error": failure(error)}


def failure(error: Exception) -> Answer:
    """An error as data: its kind, its message, the user's problems."""
    if isinstance(error, RunnerError):
        return {"kind": error.kind, "message": str(error), "problems": [[error.where, str(error)]]}
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return {"kind": "failed", "message": cause[:CAUSE_LENGTH]}


def serve(requests: Iterator[str], replies: IO[str]) -> None:
    """Answers requests until their pipe is closed."""
    runner = Runner()
    for line in requests:
        replies.write(json.dumps(answer(runner, json.loads(line))) + "\n")
        replies.flush()


def main(arguments: list[str]) -> None:
    """Runs a runner; see the module's description for its arguments."""
    request_fd, reply_fd, tuner_pid = (int(argument) for argument in arguments)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The tuner may have ended before the kernel was asked.
    if os.getppid() != tuner_pid:
        sys.exit("the interpreter must run the runner itself, not in a process of its own")
    for descriptor in (request_fd, reply_fd):
        os.set_inheritable(descriptor, False)
    with os.fdopen(request_fd) as requests, os.fdopen(reply_fd, "w") as replies:
        serve(requests, replies)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
