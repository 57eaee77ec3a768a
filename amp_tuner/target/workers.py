"""How a study's workers are started, and what they are told of the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.files import tree_bytes
from amp_tuner.output.disk import room_bytes
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.launch import launch, launch_xla
from amp_tuner.worker.lowering_client import LoweringClient
from amp_tuner.worker.protocol import ModelSource, Threads, Training

#: Who measures: one process with TensorFlow, or one that lowers and (XlaClient) one that runs.
Worker = WorkerClient | LoweringClient
#: Starts a worker under a state of the study's switch.
Start = Callable[[bool], Worker]


class _Shared(TypedDict):
    """What every worker of a study is started with."""

    threads: Threads
    worker_memory_bytes: int
    scratch: Path
    timeout_s: float
    disk_bytes: int
    cores: tuple[int, ...] | None


def starter(config: StudyConfig, scratch: Path) -> Start:
    """How this study starts a worker, given the state of its switch."""
    target = config.target

    def start(state: bool) -> Worker:
        shared = _shared(config, scratch, state)
        if target.runtime == "xla":
            return launch_xla(target.python, tf32=state, device=target.device, **shared)
        return launch(target.python, onednn=state, device=target.device, **shared)

    return start


def lowering_starter(config: StudyConfig, scratch: Path, facts: Mapping[str, Any]) -> Start:
    """How this study starts a worker where the device is elsewhere.

    Args:
        config: the study's, of runtime ``xla``.
        scratch: as for :func:`starter`.
        facts: what is known of the device; see :class:`LoweringClient`.
    """

    def start(state: bool) -> Worker:
        lowering = launch(None, onednn=True, **_shared(config, scratch, state))
        return LoweringClient(lowering, facts, tf32=state)

    return start


def _shared(config: StudyConfig, scratch: Path, state: bool) -> _Shared:
    own = scratch / f"worker-{'on' if state else 'off'}"
    # What the worker of a tuner that was killed left behind.
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    limits, threads = config.limits, config.target.threads
    return _Shared(
        threads=Threads(threads.intra_op, threads.inter_op),
        worker_memory_bytes=limits.worker_memory_bytes,
        scratch=own,
        timeout_s=limits.trial_seconds,
        disk_bytes=room_bytes(limits.disk_bytes, tree_bytes(config.output)),
        cores=config.worker_cores,
    )


def model_source(config: StudyConfig) -> ModelSource:
    """The model as the worker is told of it."""
    model, training = config.model, config.training
    source = ModelSource(
        path=str(model.path),
        signature=model.signature,
        fetches=tuple(model.fetches or ()),
        allow_unsafe=model.allow_unsafe,
    )
    if training is None:
        return source
    told = Training(training.steps, training.function, training.loss_scale)
    return replace(source, signature=training.signature, training=told)


def cannot_run(failure: WorkerFailure) -> TargetError:
    """A worker's failure as one of FP32, and so of the target."""
    message = f"the target cannot run the FP32 model: {failure.cause}"
    return TargetError(f"{message}\n{failure.last_words}".strip())
