"""Disk space that ran out: a trial's own share, or the whole disk.

A full disk is no fault of a setting's: every later one would fail like it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from amp_tuner.errors import WorkerFailure


def is_past_limit(failure: WorkerFailure) -> bool:
    """Whether a worker failed because it wrote more than ``limits.disk``."""
    return os.strerror(errno.EFBIG) in failure.cause


def raise_if_full(failure: WorkerFailure) -> None:
    """Tells of a full disk as such.

    Raises:
        OSError: it is what a worker failed for.
    """
    if os.strerror(errno.ENOSPC) in failure.cause:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from failure


@contextlib.contextmanager
def told_if_full() -> Iterator[None]:
    """Within it, a worker that fails for a full disk raises ``OSError``."""
    try:
        yield
    except WorkerFailure as failure:
        raise_if_full(failure)
        raise
