"""CPU cores: how study files write them, which there are, which share a physical core.

A core is what Linux calls a CPU: one hyper-thread where a physical core has several.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

CORES_HINT = "cores such as 0-3 or 0-1,8-9, each once, in order"
CORES = re.compile(r"[0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*", re.ASCII)


def parse_cores(text: str) -> tuple[int, ...]:
    """The cores of ``0-1,8``, as Linux writes lists of CPUs.

    Raises:
        ValueError: not such a list, or not in order; the message says what is allowed.
    """
    if CORES.fullmatch(text) is None:
        raise ValueError(CORES_HINT)
    cores: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if not span or (cores and span[0] <= cores[-1]):
            raise ValueError(CORES_HINT)
        cores += span
    return tuple(cores)


def cores_text(cores: Iterable[int]) -> str:
    """What :func:`parse_cores` reads: neighbours as ranges."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and runs[-1][-1] == core - 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def usable_cores() -> frozenset[int]:
    """The cores that this process may run on: fewer than the machine's in a container."""
    return frozenset(os.sched_getaffinity(0))


def sharing(core: int, root: Path = Path("/")) -> frozenset[int]:
    """The hyper-threads of the physical core that ``core`` is one of, itself included.

    Args:
        core: its number.
        root: where ``sys`` is; where it does not tell, a core shares with none.
    """
    path = root / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
    with contextlib.suppress(OSError, ValueError):
        return frozenset(parse_cores(path.read_text(encoding="ascii").strip())) | {core}
    return frozenset({core})


def disturbance(one: Iterable[int], other: Iterable[int], root: Path = Path("/")) -> str | None:
    """Why two processes that are pinned to these cores would disturb each other; None: they do not.

    Args:
        one: the cores of the first.
        other: the cores of the second.
        root: as in :func:`sharing`.
    """
    left, right = frozenset(one), frozenset(other)
    if left & right:
        return f"cores {cores_text(left)} and {cores_text(right)} overlap"
    for core in sorted(left):
        shared = sharing(core, root) & right
        if shared:
            others = cores_text(shared)
            return f"cores {core} and {others} are hyper-threads of one physical core"
    return None


@contextlib.contextmanager
def pinned(cores: Iterable[int] | None) -> Iterator[None]:
    """Pins this thread, and with it what it starts meanwhile; None changes nothing.

    Raises:
        OSError: none of the cores can be used.
    """
    if cores is None:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
