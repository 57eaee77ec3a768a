"""The worker process: reads requests, answers them, survives what can be survived.

What is said on the pipes, and the three kinds of error, are in :mod:`amp_tuner.worker.protocol`.
The arguments are two inherited file descriptors (requests, replies) and the tuner's process id.

The worker ends when the tuner does: the kernel kills it when its parent is gone, and a closed
request pipe ends the loop. Every failure of an action is an answer; this is the one place that
catches everything, since anything may be wrong in a user's model.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Optional

from amp_tuner.errors import InputError, TargetError, WorkerFailure
from amp_tuner.worker.protocol import (
    PROTOCOL_VERSION,
    Candidate,
    DataSource,
    ModelSource,
    Threads,
)

if TYPE_CHECKING:
    from amp_tuner.runtime.host import ModelHost

OLDEST_PYTHON = (3, 9)
OLDEST_TENSORFLOW = (2, 15)
CAUSE_LENGTH = 300
PR_SET_PDEATHSIG = 1

Answer = dict[str, Any]


class Worker:
    """What lives as long as the process: the host, made when TensorFlow is first needed."""

    def __init__(self) -> None:
        self._host: Optional[ModelHost] = None

    @property
    def host(self) -> ModelHost:
        """The owner of the model and its sessions.

        Raises:
            TargetError: the interpreter cannot run TensorFlow, or only one that is too old.
        """
        if self._host is None:
            check_python(sys.version_info[:2])
            check_tensorflow()
            # Late: importing TensorFlow takes seconds and may fail, which must become an answer.
            from amp_tuner.runtime.host import ModelHost

            self._host = ModelHost()
        return self._host


def check_python(version: tuple[int, ...]) -> None:
    """Raises TargetError for a Python that is too old for the worker."""
    if version < OLDEST_PYTHON:
        found = ".".join(map(str, version))
        raise TargetError(f"{sys.executable} is Python {found}; allowed: 3.9 or newer")


def check_tensorflow() -> None:
    """Raises TargetError where TensorFlow is missing or too old for the worker."""
    try:
        version = str(importlib.import_module("tensorflow").__version__)
    except (ImportError, AttributeError) as error:
        message = f"{sys.executable} has no TensorFlow ({error}); allowed: 2.15 or newer"
        raise TargetError(message) from error
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < OLDEST_TENSORFLOW:
        raise TargetError(f"{sys.executable} has TensorFlow {version}; allowed: 2.15 or newer")


def hello(worker: Worker, _: Answer) -> Answer:
    """What runs here."""
    return {"protocol": PROTOCOL_VERSION, **worker.host.software()}


def load(worker: Worker, request: Answer) -> Answer:
    """A model, and the samples that it will be run on."""
    data = request["data"]
    loaded = worker.host.load(
        ModelSource.from_json(request["model"]),
        None if data is None else DataSource(**data),
        request["runtime"],
        request["device"],
        Threads(**request["threads"]),
        request["scratch"],
    )
    return loaded.to_json()


def describe(worker: Worker, request: Answer) -> Answer:
    """The model's graph as passes see it."""
    return {"graphs": worker.host.describe(request["rules"], request["batch_size"])}


def build(worker: Worker, request: Answer) -> Answer:
    """A session for a setting."""
    return worker.host.build(request["key"], Candidate.from_json(request["candidate"]))


def lower(worker: Worker, request: Answer) -> Answer:
    """A setting as an artifact for a runner."""
    candidate = Candidate.from_json(request["candidate"])
    return worker.host.lower(candidate, tf32=request["tf32"], stablehlo=request["stablehlo"])


def traced_run(worker: Worker, _: Answer) -> Answer:
    """The FP32 model's shapes, from a run."""
    return worker.host.traced_run()


def micro_benchmarks(worker: Worker, request: Answer) -> Answer:
    """What a device model needs to know of this machine."""
    return worker.host.micro_benchmarks(Threads(**request["threads"]), request["seconds"])


def forget(worker: Worker, request: Answer) -> Answer:
    """Removes the artifacts of a setting."""
    worker.host.forget(Candidate.from_json(request["candidate"]))
    return {}


def outputs(worker: Worker, request: Answer) -> Answer:
    """Outputs of samples, into a file."""
    seconds = worker.host.outputs(
        request["key"], request["start"], request["stop"], Path(request["path"]), request["names"]
    )
    return {"seconds": seconds}


def block(worker: Worker, request: Answer) -> Answer:
    """Timed runs."""
    return {"run_s": worker.host.block(request["key"], request["first_batch"], request["runs"])}


def drop(worker: Worker, request: Answer) -> Answer:
    """Frees a setting."""
    worker.host.drop(request["key"])
    return {}


def save(worker: Worker, request: Answer) -> Answer:
    """Writes a setting's graph."""
    worker.host.save(
        request["key"], request["path"], request["form"], fold_weights=request["fold_weights"]
    )
    return {}


def read_log(worker: Worker, request: Answer) -> Answer:
    """A run of a pass, from its log folder."""
    return worker.host.read_log(
        Path(request["path"]), request["rules"], request["fetches"], request["batch_size"]
    )


def leave(_: Worker, __: Answer) -> Answer:
    """Ends the process: sessions and TensorFlow's threads need no goodbye."""
    os._exit(0)


ACTIONS: Mapping[str, Callable[[Worker, Answer], Answer]] = {
    "hello": hello,
    "load": load,
    "describe": describe,
    "build": build,
    "lower": lower,
    "traced_run": traced_run,
    "micro_benchmarks": micro_benchmarks,
    "forget": forget,
    "outputs": outputs,
    "block": block,
    "drop": drop,
    "save": save,
    "read_log": read_log,
    "exit": leave,
}


def answer(worker: Worker, request: Answer) -> Answer:
    """The reply to a request: what the action gave, or its failure as data."""
    try:
        return {"id": request["id"], "ok": ACTIONS[request["action"]](worker, request)}
    except Exception as error:  # noqa: BLE001  the worker's border: a failure is an answer
        traceback.print_exc()
        sys.stderr.flush()
        return {"id": request["id"], "error": failure(error)}


def failure(error: Exception) -> Answer:
    """An error as data: its kind, its message, the user's problems."""
    if isinstance(error, InputError):
        problems = [[problem.where, problem.message] for problem in error.problems]
        return {"kind": "input", "message": str(error), "problems": problems}
    if isinstance(error, TargetError):
        return {"kind": "target", "message": str(error)}
    if isinstance(error, WorkerFailure):
        return {"kind": "failed", "message": error.cause}
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return {"kind": "failed", "message": cause[:CAUSE_LENGTH]}


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Answers requests until their pipe is closed."""
    worker = Worker()
    for line in requests:
        replies.write(json.dumps(answer(worker, json.loads(line))) + "\n")
        replies.flush()


def die_with(tuner_pid: int) -> None:
    """Asks the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before the kernel was asked.
    if os.getppid() != tuner_pid:
        sys.exit("the interpreter must run the worker itself, not in a process of its own")


def main(arguments: list[str]) -> None:
    """Runs a worker; see the module's description for its arguments."""
    request_fd, reply_fd, tuner_pid = (int(argument) for argument in arguments)
    die_with(tuner_pid)
    for descriptor in (request_fd, reply_fd):
        os.set_inheritable(descriptor, False)
    with os.fdopen(request_fd) as requests, os.fdopen(reply_fd, "w") as replies:
        serve(requests, replies)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
