"""A worker for a while, for those who look at a model, rewrite it or bake it without a study."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.launch import launch
from amp_tuner.worker.protocol import ModelSource, Threads

_TIMEOUT_S = 600.0
_MEMORY_BYTES = 64 * 2**30


@contextlib.contextmanager
def loaded_worker(
    source: ModelSource, python: str | None, device: str, runtime: str = "engine"
) -> Iterator[WorkerClient]:
    """A worker that has loaded ``source`` without data.

    Args:
        source: the model.
        python: an interpreter with TensorFlow; None: this one.
        device: whose kernels and rules count.
        runtime: one that rewrites the graph itself, ``engine`` or ``xla``.

    Raises:
        InputError: the model is wrong.
        TargetError: the interpreter is, or has no TensorFlow.
    """
    with empty_worker(python) as worker:
        worker.load(source, None, runtime, device)
        yield worker


@contextlib.contextmanager
def empty_worker(
    python: str | None,
    threads: Threads = Threads(),  # noqa: B008 - a frozen value
) -> Iterator[WorkerClient]:
    """A worker that has loaded nothing.

    Args:
        python: as in :func:`loaded_worker`.
        threads: its pools.

    Raises:
        TargetError: the interpreter is wrong, or has no TensorFlow.
    """
    with tempfile.TemporaryDirectory(prefix="amp-tune-") as scratch:
        worker = launch(
            python,
            threads=threads,
            onednn=True,
            worker_memory_bytes=_MEMORY_BYTES,
            scratch=Path(scratch),
            timeout_s=_TIMEOUT_S,
        )
        with worker:
            yield worker
