"""Cores that a worker has to itself: whoever else is timed on them would disturb it, and it them.

A claim is a listening socket with a name of its own for each physical core, in Linux's abstract
namespace: no file is left behind, and the kernel frees it with the process. Containers that share
no network do not see each other's.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Collection, Iterator, Sequence

from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.measure.cores import cores_text, parse_cores, pinned, sharing, usable_cores

_NAME = "\0amp-tune/core/{}"
#: pid, uid, gid, as the kernel gives them (unix(7), SO_PEERCRED).
_CREDENTIALS = struct.Struct("3i")


@contextlib.contextmanager
def own_cores(config: StudyConfig) -> Iterator[StudyConfig]:
    """The study as one member of a fleet runs it.

    While the block runs, this thread and all that it starts are pinned to cores that no other
    member is timed on: the tuner's own work, too, since elsewhere it would disturb another.

    Raises:
        InputError: see :func:`claimed`; not where nothing is timed, or sharing is accepted.
    """
    if config.target.fleet.share_cores or config.target.profile is not None:
        yield config
        return
    with claimed(config.target.cores) as cores, pinned(cores):
        update = {"core_set": None if cores is None else cores_text(cores)}
        yield config.model_copy(update=update)


@contextlib.contextmanager
def claimed(sets: Sequence[str] | None) -> Iterator[tuple[int, ...] | None]:
    """Takes the first of the sets that is free, for as long as the block runs.

    Args:
        sets: as in ``target.cores``; None claims every core that this process may run on.

    Yields:
        The cores; None for no sets.

    Raises:
        InputError: all are taken: by whom, and what is allowed.
    """
    candidates = [usable_cores()] if sets is None else [parse_cores(text) for text in sets]
    with contextlib.ExitStack() as held:
        taken = []
        for cores in candidates:
            holder = _claim(cores, held)
            if holder is None:
                yield None if sets is None else tuple(cores)
                return
            taken.append((cores, holder))
        raise InputError.one("$.target.cores", _refusal(sets, taken))


def _claim(cores: Collection[int], held: contextlib.ExitStack) -> tuple[int, int] | None:
    """Claims all or none; the first core that somebody has, and the process that has it."""
    with contextlib.ExitStack() as own:
        for core in sorted({min(sharing(core)) for core in cores}):
            claim = own.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(_NAME.format(core))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return core, _holder(core)
            claim.listen()
        held.push(own.pop_all())
    return None


def _holder(core: int) -> int:
    """The process that has claimed a physical core; 0: it has just ended."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(_NAME.format(core))
        except OSError:
            return 0
        told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process_id: int = _CREDENTIALS.unpack(told)[0]
    return process_id


def _refusal(
    sets: Sequence[str] | None, taken: Sequence[tuple[Collection[int], tuple[int, int]]]
) -> str:
    if sets is None:
        process = taken[0][1][1]
        return (
            f"no cores are pinned, and process {process} has workers on this machine: the two "
            "would disturb each other's timing; allowed: a set of cores for each worker, such as "
            '["0-1", "2-3"], or target.fleet.share_cores: true'
        )
    told = []
    for cores, (physical, process) in taken:
        which = min(core for core in cores if min(sharing(core)) == physical)
        others = sharing(which) - {which}
        shared = f" (hyper-threads of one physical core: {cores_text(sharing(which))})"
        told.append(
            f"{cores_text(cores)}: process {process} has core {which}{shared if others else ''}"
        )
    return (
        f"no set of cores is free on this machine ({'; '.join(told)}); two workers on one physical "
        "core would disturb each other's timing"
    )
