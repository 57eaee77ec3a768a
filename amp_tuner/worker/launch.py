"""Starts a worker under the target's interpreter."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amp_tuner
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.runner import xla_runner
from amp_tuner.worker.client import WorkerClient
from amp_tuner.worker.conversation import Conversation
from amp_tuner.worker.environment import runner_environment, worker_environment
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.runner_client import RunnerClient
from amp_tuner.worker.supervisor import WorkerProcess
from amp_tuner.worker.xla_client import XlaClient

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
    cores: Sequence[int] | None = None,
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
        cores: what the worker and all that it starts run on; None for all that this process has.

    Raises:
        TargetError: no such interpreter, or it has no TensorFlow, or too old a one.
    """
    interpreter = _interpreter(python)
    package_folder = _package_folder(scratch)
    environment, dropped = worker_environment(os.environ, package_folder, threads, onednn=onednn)
    # With -m the working directory comes first on the path: this one is ours.
    command = [interpreter, "-m", "amp_tuner.worker.main"]
    limits = _Limits(worker_memory_bytes, scratch, disk_bytes, device, cores)
    process = _started(command, environment, package_folder, limits)
    conversation = Conversation(process, START_TIMEOUT_S)
    client = WorkerClient(conversation, threads=threads, scratch=scratch, dropped_variables=dropped)
    try:
        _greeted(conversation, "worker", interpreter)
    except BaseException:
        client.close()
        raise
    conversation.timeout_s = timeout_s
    return client


def launch_xla(
    python: str | None,
    *,
    threads: Threads,
    tf32: bool,
    worker_memory_bytes: int,
    scratch: Path,
    timeout_s: float,
    device: str = "cpu",
    disk_bytes: int | None = None,
    cores: Sequence[int] | None = None,
) -> XlaClient:
    """Starts a worker that lowers, under this interpreter, and a runner under the target's.

    Args:
        python: the runner's interpreter, which has JAX; None is this one.
        threads: TensorFlow's pools there, XLA's here (``intra_op``; on a CPU).
        tf32: whether float32 products may be rounded as TF32 does.
        worker_memory_bytes: resident memory past which one of the two processes is killed.
        scratch: as in :func:`launch`; artifacts lie there.
        timeout_s: as in :func:`launch`.
        device: the runner's; as in :func:`launch`.
        disk_bytes: as in :func:`launch`; of what both processes write together.
        cores: as in :func:`launch`; of both processes.

    Raises:
        TargetError: no such interpreter or device, or no JAX there; or no TensorFlow here.
    """
    runner = launch_runner(
        python,
        threads=threads,
        worker_memory_bytes=worker_memory_bytes,
        scratch=scratch,
        timeout_s=timeout_s,
        device=device,
        disk_bytes=disk_bytes,
        cores=cores,
    )
    try:
        lowering = launch(
            None,
            threads=threads,
            onednn=True,
            worker_memory_bytes=worker_memory_bytes,
            scratch=scratch,
            timeout_s=timeout_s,
            disk_bytes=disk_bytes,
            cores=cores,
        )
    except BaseException:
        runner.close()
        raise
    return XlaClient(lowering, runner, tf32=tf32)


def launch_runner(
    python: str | None,
    *,
    threads: Threads,
    worker_memory_bytes: int,
    scratch: Path,
    timeout_s: float,
    device: str,
    disk_bytes: int | None = None,
    cores: Sequence[int] | None = None,
) -> RunnerClient:
    """Starts a runner and waits until it has found its device; arguments as in launch_xla.

    Raises:
        TargetError: no such interpreter or device, or no JAX there.
    """
    interpreter = _interpreter(python)
    command = [interpreter, str(Path(xla_runner.__file__))]
    environment = runner_environment(os.environ, threads)
    limits = _Limits(worker_memory_bytes, scratch, disk_bytes, device, cores)
    process = _started(command, environment, scratch, limits)
    conversation = Conversation(process, START_TIMEOUT_S)
    facts = _greeted(conversation, "runner", interpreter, device=device)
    conversation.timeout_s = timeout_s
    return RunnerClient(conversation, facts)


@dataclass(frozen=True)
class _Limits:
    """What a process may take; see :func:`launch`."""

    memory_bytes: int
    scratch: Path
    disk_bytes: int | None
    device: str
    cores: Sequence[int] | None

    def address_space_bytes(self) -> int | None:
        """What it may map."""
        cores = os.cpu_count() or 1
        allowance = ADDRESS_SPACE_BASE_BYTES + cores * ADDRESS_SPACE_PER_CORE_BYTES
        return self.memory_bytes + allowance if self.device == "cpu" else None


def _started(
    command: list[str], environment: dict[str, str], folder: Path, limits: _Limits
) -> WorkerProcess:
    try:
        return WorkerProcess(
            command,
            environment,
            folder,
            memory_bytes=limits.memory_bytes,
            address_space_bytes=limits.address_space_bytes(),
            scratch=limits.scratch,
            disk_bytes=limits.disk_bytes,
            cores=limits.cores,
        )
    except OSError as error:
        raise TargetError(f"{command[0]} cannot be started: {error.strerror}") from error


def _greeted(
    conversation: Conversation, who: str, interpreter: str, **arguments: str
) -> dict[str, Any]:
    """What a process says of itself once it has imported what it needs; ended where it cannot."""
    try:
        return conversation.ask("hello", dict, **arguments)
    except WorkerFailure as failure:
        conversation.process.kill()
        message = f"the {who} under {interpreter} does not start ({failure.cause})"
        raise TargetError(f"{message}:\n{failure.last_words}".rstrip(":\n")) from failure
    except BaseException:
        conversation.process.kill()
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
