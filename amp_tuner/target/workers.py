"""How a study's workers are started, and what they are told of the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from amp_tuner.config.model import StudyConfig
from amp_tuner.files import tree_bytes
from amp_tuner.output.disk import room_bytes
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.launch import launch, launch_xla
from amp_tuner.worker.protocol import ModelSource, Threads
from amp_tuner.worker.xla_client import XlaClient

#: Who measures: one process with TensorFlow, or one that lowers and one that runs.
Worker = WorkerClient | XlaClient
#: Starts a worker under a state of the study's switch.
Start = Callable[[bool], Worker]


class _Shared(TypedDict):
    """What every worker of a study is started with."""

    threads: Threads
    worker_memory_bytes: int
    scratch: Path
    timeout_s: float
    device: str
    disk_bytes: int


def starter(config: StudyConfig, scratch: Path) -> Start:
    """How this study starts a worker, given the state of its switch."""
    target, limits = config.target, config.limits
    threads = Threads(target.threads.intra_op, target.threads.inter_op)

    def start(state: bool) -> Worker:
        own = scratch / f"worker-{'on' if state else 'off'}"
        # What the worker of a tuner that was killed left behind.
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        shared = _Shared(
            threads=threads,
            worker_memory_bytes=limits.worker_memory_bytes,
            scratch=own,
            timeout_s=limits.trial_seconds,
            device=target.device,
            disk_bytes=room_bytes(limits.disk_bytes, tree_bytes(config.output)),
        )
        if target.runtime == "xla":
            return launch_xla(target.python, tf32=state, **shared)
        return launch(target.python, onednn=state, **shared)

    return start


def model_source(config: StudyConfig) -> ModelSource:
    """The model as the worker is told of it."""
    model = config.model
    return ModelSource(
        path=str(model.path),
        signature=model.signature,
        fetches=tuple(model.fetches or ()),
        allow_unsafe=model.allow_unsafe,
    )
