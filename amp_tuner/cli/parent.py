"""A process that stops when the one that started it is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def stop_with(parent_pid: int) -> None:
    """Asks the kernel to tell this process to stop (SIGTERM) when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended before the kernel was asked.
    if os.getppid() != parent_pid:
        sys.exit("the process that started this one has ended")
