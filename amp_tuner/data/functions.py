"""A user's own metrics and data (``module:function``), run in a process that is thrown away.

A study file may name functions; they are the user's code and run with the user's rights, but never
inside the tuner: they may raise, hang, exit or eat all memory, and the study must live. Each call
starts a fresh interpreter (the tuner's own) in a session of its own, with a time limit and a limit
on its address space. Arrays pass as ``.npz``, everything else as JSON, nothing is pickled.

A metric: ``f(outputs, labels, reference) -> float``. ``outputs`` and ``reference`` (FP32's) are
the arrays of ``accuracy.output``, shape (samples, ...); ``labels`` is an array or None. It is also
called on subsets of the samples, for the interval.

Data: ``f()`` returns one mapping of array names to arrays, or yields such mappings (batches), all
with the same names; arrays of one mapping have the same length. Labels are an array among them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import amp_tuner
from amp_tuner.config.model import StudyConfig
from amp_tuner.data.arrays import write_arrays
from amp_tuner.errors import InputError
from amp_tuner.judge.intervals import GROUPS, SEED

METRIC = "$.accuracy.metric"
DATA = "$.data.function"
#: What a child gets of the tuner's environment.
_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_LAST_WORDS = 4096


@dataclass(frozen=True)
class FunctionRunner:
    """Where and with which limits functions run.

    Attributes:
        folder: the study file's; modules are looked for here first.
        scratch: an existing folder for the files of a call.
        time_limit_s: wall time of one call.
        memory_bytes: address space of one call.
    """

    folder: Path
    scratch: Path
    time_limit_s: float
    memory_bytes: int


@dataclass(frozen=True)
class FunctionScores:
    """What a metric gave.

    Attributes:
        candidate, reference: on all samples.
        without_group: pairs of reference's and candidate's score without each random group.
    """

    candidate: float
    reference: float
    without_group: tuple[tuple[float, float], ...]


def runner_for(config: StudyConfig, scratch: Path) -> FunctionRunner:
    """The runner of a study: a trial's time limit and the worker's memory limit."""
    limits = config.limits
    return FunctionRunner(config.folder, scratch, limits.trial_seconds, limits.worker_memory_bytes)


def score_function(
    runner: FunctionRunner,
    function: str,
    reference: NDArray[Any],
    candidate: NDArray[Any],
    labels: NDArray[Any] | None,
) -> FunctionScores:
    """Calls a metric on both sides, and without each of GROUPS random groups of samples.

    Raises:
        InputError: the function does not exist, raised, hung, died, or gave no finite number.
    """
    arrays = {"reference": reference, "candidate": candidate}
    if labels is not None:
        arrays["labels"] = labels
    with _control_folder(runner) as folder:
        with (folder / "arguments.npz").open("wb") as file:
            write_arrays(file, arrays)
        request = {"task": "score", "groups": min(GROUPS, len(reference)), "seed": SEED}
        reply = _call(runner, folder, METRIC, function, request)
    pairs = tuple((float(first), float(second)) for first, second in reply["without_group"])
    return FunctionScores(reply["candidate"], reply["reference"], pairs)


def write_function_data(runner: FunctionRunner, function: str, path: Path) -> None:
    """Calls a data function and writes its arrays to ``path`` as ``.npz``, whole or not at all.

    Raises:
        InputError: the function does not exist, raised, hung, died, or gave no batches.
    """
    with _control_folder(runner) as folder:
        _call(runner, folder, DATA, function, {"task": "data"})
        path.parent.mkdir(parents=True, exist_ok=True)
        # Same file system: scratch and path are both in the output folder.
        (folder / "result.npz").replace(path)


@contextlib.contextmanager
def _control_folder(runner: FunctionRunner) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=runner.scratch, prefix="function-") as name:
        yield Path(name)


def _call(
    runner: FunctionRunner, folder: Path, where: str, function: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    limits = {"memory_bytes": runner.memory_bytes, "time_limit_s": runner.time_limit_s}
    text = json.dumps({**request, "function": function, **limits})
    (folder / "request.json").write_text(text, "utf-8")
    failure = _run(runner, folder)
    reply_path = folder / "reply.json"
    if failure is None and not reply_path.exists():
        failure = "it ended without an answer"
    if failure is not None:
        raise InputError.one(where, f"{function} failed: {failure}{_last_line(folder)}")
    reply: dict[str, Any] = json.loads(reply_path.read_text("utf-8"))
    if "error" in reply:
        raise InputError.one(where, f"{function} {reply['error']}")
    return reply


def _run(runner: FunctionRunner, folder: Path) -> str | None:
    """Runs the child to its end; what went wrong, or None."""
    command = [sys.executable, "-m", "amp_tuner.data.functions_child", str(folder)]
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    package_root = str(Path(amp_tuner.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([str(runner.folder), package_root])
    with (folder / "stderr.txt").open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=runner.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            status = process.wait(runner.time_limit_s)
        except subprocess.TimeoutExpired:
            return f"it took longer than {runner.time_limit_s:g} s"
        finally:
            _end_group(process)
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return None if status == 0 else f"it exited with status {status}"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it started; the group outlives a child that is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(folder: Path) -> str:
    with (folder / "stderr.txt").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = file.read().decode("utf-8", "replace").split("\n")
    spoken = [line.strip() for line in lines if line.strip()]
    return f"; its last words: {spoken[-1]}" if spoken else ""
