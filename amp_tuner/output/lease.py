"""Who is running a trial, and until when that is believed.

Optuna's heartbeats do not exist for ask and tell, so each running trial carries a lease: host,
process, and an expiry that a thread keeps moving while the trial runs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

#: A lease that was not renewed for so long is void.
LEASE_S = 180.0
RENEW_S = 60.0
_KEYS = {"host", "pid", "started", "expires"}


def new_lease() -> dict[str, Any]:
    """This process's lease, from now."""
    process = psutil.Process(os.getpid())
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "started": process.create_time(),
        "expires": time.time() + LEASE_S,
    }


def holder(lease: Mapping[str, Any]) -> str | None:
    """Who still holds ``lease``, in words; None if it is void.

    A lease of this host is void as soon as its process is gone, one of another host when it
    expires.
    """
    if not lease.keys() >= _KEYS:
        return None
    name = f"host {lease['host']}, pid {lease['pid']}"
    if lease["host"] != socket.gethostname():
        return name if lease["expires"] > time.time() else None
    try:
        alive = psutil.Process(lease["pid"]).create_time() == lease["started"]
    except psutil.NoSuchProcess:
        return None
    return name if alive and lease["pid"] != os.getpid() else None


@contextlib.contextmanager
def kept(renew: Callable[[], None], every_s: float = RENEW_S) -> Iterator[None]:
    """Renews a lease from a thread for as long as the block runs."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            renew()

    thread = threading.Thread(target=work, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
