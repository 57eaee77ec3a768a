"""Starts a worker under the target's interpreter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import amp_tuner
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.environment import worker_environment
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.supervisor import WorkerProcess

START_TIMEOUT_S = 180.0
#: What TensorFlow maps before it does anything (1.3 to 1.8 GiB seen), and room for stacks.
ADDRESS_SPACE_BASE_BYTES = 3 * 2**30
#: A core brings threads; each reserves a stack of 8 MiB and a malloc arena of 64 MiB or more.
ADDRESS_SPACE_PER_CORE_BYTES = 2**28


def launch(
    python: str | None,
    *,
    threads: Threads,
    onednn: bool,
    worker_memory_bytes: int,
    scratch: Path,
    timeout_s: float,
    device: str = "cpu",
    disk_bytes: int | None = None,
) -> WorkerClient:
    """Starts a worker and waits until it has imported TensorFlow.

    The kernel ends the worker when the *thread* that called this ends: call it from the thread
    that runs the study.

    Args:
        python: the target's interpreter, a path or a name on PATH; None is this one.
        threads: TensorFlow's thread pools.
        onednn: TensorFlow's process-wide oneDNN switch.
        worker_memory_bytes: resident memory past which the worker is killed.
        scratch: an existing folder for the worker's temporary files, its alone.
        timeout_s: see :class:`WorkerClient`; the start has a limit of its own.
        device: ``cpu`` limits the address space too; GPU drivers reserve far more than they use.
        disk_bytes: what the worker may write to ``scratch``; None for no limit.

    Raises:
        TargetError: no such interpreter, or it has no TensorFlow, or too old a one.
    """
    interpreter = _interpreter(python)
    package_folder = _package_folder(scratch)
    environment, dropped = worker_environment(os.environ, package_folder, threads, onednn=onednn)
    cores = os.cpu_count() or 1
    allowance = ADDRESS_SPACE_BASE_BYTES + cores * ADDRESS_SPACE_PER_CORE_BYTES
    try:
        process = WorkerProcess(
            [interpreter, "-m", "amp_tuner.worker.main"],
            environment,
            # With -m the working directory comes first on the path: this one is ours.
            package_folder,
            memory_bytes=worker_memory_bytes,
            address_space_bytes=worker_memory_bytes + allowance if device == "cpu" else None,
            scratch=scratch,
            disk_bytes=disk_bytes,
        )
    except OSError as error:
        raise TargetError(f"{interpreter} cannot be started: {error.strerror}") from error
    client = WorkerClient(
        process,
        threads=threads,
        scratch=scratch,
        timeout_s=START_TIMEOUT_S,
        dropped_variables=dropped,
    )
    _greet(client, interpreter)
    client.timeout_s = timeout_s
    return client


def _greet(client: WorkerClient, interpreter: str) -> None:
    try:
        client.hello()
    except WorkerFailure as failure:
        client.close()
        message = f"the worker under {interpreter} does not start ({failure.cause})"
        raise TargetError(f"{message}:\n{failure.last_words}".rstrip(":\n")) from failure
    except BaseException:
        client.close()
        raise


def _interpreter(python: str | None) -> str:
    if python is None:
        return sys.executable
    found = shutil.which(python)
    if found is None:
        raise TargetError(f"no such interpreter: {python} is neither a program nor on PATH")
    # Not resolved: a virtual environment is known by the path of its own link.
    return str(Path(found).absolute())


def _package_folder(scratch: Path) -> Path:
    """A folder with this package and nothing else: no other package reaches the target."""
    folder = scratch.absolute() / "import"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "amp_tuner"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(amp_tuner.__file__).parent, target_is_directory=True)
    return folder
