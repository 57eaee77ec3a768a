"""Places the workers of a study by Ray, and keeps them placed while the study runs."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from amp_tuner.cluster.placed_worker import RESTARTS, STOP_S, Exit, PlacedWorker
from amp_tuner.cluster.shipping import packed
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.text import one_line

Tell = Callable[[str, Mapping[str, Any]], None]

_WHERE = "$.execution.address"
#: A head that does not answer within so many seconds is not there.
_CONNECT_S = 10.0
#: This machine's own part must be free within so many seconds.
_RESERVE_S = 60.0
_WATCHED_S = 2.0
#: It reports nothing to anybody.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
#: One try at a head takes half a minute; twenty are made.
_IMPATIENT = {"RAY_NUM_REDIS_GET_RETRIES": "1"}


class Cluster:
    """Ray, connected, with room on this machine for the process that leads the study.

    Args:
        ray: the module.
        config: the study.
    """

    def __init__(self, ray: Any, config: StudyConfig) -> None:
        assert config.execution is not None
        self._ray = ray
        self._config = config
        self._execution = config.execution
        self._own = self._reserved()

    def _actor(self, **options: Any) -> Any:
        wanted = {**needed(self._config), **options}
        return self._ray.remote(PlacedWorker).options(**wanted).remote()

    def _reserved(self) -> Any:
        """An actor that keeps this process's device for it."""
        ray = self._ray
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        node = ray.get_runtime_context().get_node_id()
        actor = self._actor(scheduling_strategy=strategy(node, soft=False))
        try:
            devices = ray.get(actor.device.remote(), timeout=_RESERVE_S)
        except ray.exceptions.RayError as error:
            wanted = self._execution.resources or "its CPUs"
            message = f"this machine has not {wanted} free for the first worker ({_first(error)})"
            raise InputError.one("$.execution.resources", message) from None
        if devices:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        return actor

    @contextlib.contextmanager
    def workers(self, tell: Tell) -> Iterator[None]:
        """Places the other workers, for as long as the block runs.

        Args:
            tell: told of each that fails, as a ``notice``; from another thread.
        """
        ray, config = self._ray, self._config
        told: dict[str, Any] | None = None
        shipment = None
        if self._execution.address is None:
            told = {"config": config.to_plain(), "study_file": str(config.study_file)}
        else:
            # Each machine has it once, whatever the number of its workers.
            shipment = ray.put(packed(config))
        restarts = {"max_restarts": RESTARTS, "max_task_retries": -1}
        actors = [self._actor(**restarts) for _ in range(self._execution.workers - 1)]
        working = {
            actor.work.remote(number, told, shipment): actor
            for number, actor in enumerate(actors, start=2)
        }
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(list(working), tell, over))
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
            self._stop(working)

    def _watch(self, working: list[Any], tell: Tell, over: threading.Event) -> None:
        while working and not over.wait(_WATCHED_S):
            ended, working = self._ray.wait(working, timeout=0)
            for why in filter(None, map(self._failure, ended)):
                tell("notice", {"text": why})

    def _failure(self, ended: Any) -> str | None:
        """Why a worker is not coming back; None: the study has ended."""
        try:
            found: Exit = self._ray.get(ended)
        except self._ray.exceptions.RayError as error:
            return f"a worker was lost {RESTARTS} times and is not replaced ({_first(error)})"
        if found.status == 0:
            return None
        where = f"a worker on {found.host} ended with exit status {found.status}"
        return f"{where}: {one_line(found.words)}"

    def _stop(self, working: Mapping[Any, Any]) -> None:
        """Lets every worker give its trial back, then ends it."""
        ray = self._ray
        try:
            _, left = ray.wait(list(working), num_returns=len(working), timeout=0)
            stopping = [working[one].stop.remote() for one in left]
            if stopping:
                ray.wait(stopping, num_returns=len(stopping), timeout=STOP_S + _WATCHED_S)
        finally:
            for actor in working.values():
                ray.kill(actor)


def needed(config: StudyConfig) -> dict[str, Any]:
    """What a worker has to itself, as Ray's options."""
    assert config.execution is not None
    given = {"CPU": config.target.threads.intra_op, **config.execution.resources}
    cpus, gpus = given.pop("CPU"), given.pop("GPU", 0)
    return {"num_cpus": cpus, "num_gpus": gpus, "resources": given}


@contextlib.contextmanager
def connected(config: StudyConfig) -> Iterator[Cluster | None]:
    """The cluster that a study file names, for as long as the block runs.

    Yields:
        None where it names none.

    Raises:
        InputError: Ray is not installed, or cannot be reached or started.
    """
    execution = config.execution
    if execution is None:
        yield None
        return
    if importlib.util.find_spec("ray") is None:
        message = "needs ray, which is not installed: pip install 'amp-tuner[ray]'"
        raise InputError.one("$.execution.engine", message)
    os.environ.update(_environment(execution.address))
    import ray
    import ray.util.scheduling_strategies

    stop = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(prefix="amp-ray-") as folder, contextlib.ExitStack() as stack:
        options = _alone(config, folder)
        if execution.address is not None:
            _check_head(execution.address)
            options = {"address": execution.address}
        stack.callback(_shut_down, ray, folder)
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise InputError.one(_WHERE, f"Ray cannot be used: {_first(error)}") from None
        finally:
            # Ray puts its own in its place, which ends the process at once.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, stop)
        yield Cluster(ray, config)


def _environment(address: str | None) -> dict[str, str]:
    """What Ray reads as it is imported."""
    if address is not None:
        return {**_QUIET, **_IMPATIENT}
    # It listens to other machines, too: only who has this process's word is answered.
    return {**_QUIET, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _alone(config: StudyConfig, folder: str) -> dict[str, Any]:
    """Ray on this machine, with room for every worker and nothing else."""
    assert config.execution is not None
    return {
        "address": "local",
        "num_cpus": math.ceil(config.execution.workers * needed(config)["num_cpus"]),
        "include_dashboard": False,
        "_temp_dir": folder,
    }


def _shut_down(ray: Any, folder: str) -> None:
    """Leaves the cluster, and ends one of this machine whole: parts of it would live on a while."""
    started: list[psutil.Process] = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(folder in word for word in process.cmdline()):
                started += [process, *process.children(recursive=True)]
    ray.shutdown()
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(started, timeout=_CONNECT_S)


def _check_head(address: str) -> None:
    """Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        message = f"no Ray head answers at {address} ({error})"
        raise InputError.one(_WHERE, message) from None


def _first(error: BaseException) -> str:
    """The first line of what Ray says, which has many."""
    return one_line(next(iter(str(error).strip().splitlines()), type(error).__name__))
