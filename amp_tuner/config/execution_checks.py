"""What may be together with ``execution``: each combination that makes no sense is one problem."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amp_tuner.config.model import ExecutionConfig, TargetConfig
from amp_tuner.errors import Problem

_ADDRESS = re.compile(r"auto|[A-Za-z0-9._-]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}", re.ASCII)
#: What Ray counts on a machine by itself.
_COUNTED = ("CPU", "GPU")


def problems_in(
    execution: ExecutionConfig | None, target: TargetConfig | None, *, shared: bool
) -> list[Problem]:
    """Every problem between ``execution`` and other keys.

    Args:
        execution: the section, if it is right in itself.
        target: the same.
        shared: whether the study has a database of its own.
    """
    if execution is None:
        return []
    if execution.address is not None:
        return list(_cluster(execution.address, shared=shared))
    return [*_counted(execution), *_cores(execution, target)]


def _cluster(address: str, *, shared: bool) -> Iterator[Problem]:
    if _ADDRESS.fullmatch(address) is None:
        message = f"found {address!r}; allowed: auto, host:port of the cluster's head, or null"
        yield Problem("$.execution.address", message)
    if not shared:
        message = "found nothing (null); workers on other machines need a database"
        yield Problem("$.storage", message)


def _counted(execution: ExecutionConfig) -> Iterator[Problem]:
    for name in execution.resources:
        if name not in _COUNTED:
            message = "a resource that only a cluster has (execution.address); allowed: CPU, GPU"
            yield Problem(f"$.execution.resources.{name}", message)


def _cores(execution: ExecutionConfig, target: TargetConfig | None) -> Iterator[Problem]:
    """On one machine each worker that is timed needs cores of its own."""
    if target is None or target.profile is not None or target.fleet.share_cores:
        return
    sets = len(target.cores or ())
    if sets < execution.workers and execution.workers > 1:
        message = (
            f"found {sets} sets of cores for {execution.workers} workers on this machine, which "
            'would disturb each other\'s timing; allowed: a set for each, such as ["0-1", "2-3"], '
            "or target.fleet.share_cores: true"
        )
        yield Problem("$.target.cores", message)
