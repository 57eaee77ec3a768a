"""Device names as the passes read them."""

from __future__ import annotations

import re
from typing import Optional

_PART = re.compile(
    r"/(?:job:[A-Za-z][\w.-]*|(?:replica|task):(?:\d+|\*)|(?:device:)?(?P<type>\w+):(?P<id>\d+|\*))"
)


def parse_device(name: str) -> Optional[tuple[str, Optional[int]]]:
    """Device type and number of a device name, full or partial.

    ``/job:localhost/replica:0/task:0/device:CPU:0`` and ``/cpu:0`` give ``("CPU", 0)``; a number
    of ``*`` is None. None where the name has no type or is no device name.
    """
    found: Optional[tuple[str, Optional[int]]] = None
    position = 0
    while position < len(name):
        part = _PART.match(name, position)
        if part is None:
            return None
        if part["type"]:
            found = (part["type"].upper(), None if part["id"] == "*" else int(part["id"]))
        position = part.end()
    return found


def full_device(device: str) -> str:
    """A full name for a device given as a type (``CPU``) or already as a name."""
    return device if "/" in device else f"/job:localhost/replica:0/task:0/device:{device.upper()}:0"
