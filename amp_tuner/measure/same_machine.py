"""Whether two sets of facts are of machines whose figures can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Facts whose change makes figures incomparable. Free memory, load and kernel builds come and go.
SOFTWARE = (
    "tensorflow",
    "itex",
    "python",
    "numpy",
    "cuda_build",
    "devices",
    "jax",
    "jaxlib",
    "device_kind",
    "platform_version",
    "xla_options",
)
HARDWARE = (
    "cpu",
    "cpu_flags",
    "architecture",
    "cores",
    "threads",
    "usable_threads",
    "cpu_limit",
    "governor",
    "turbo",
)


def compared(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Any]]:
    """Each fact that either side knows: ``software: jax``, and its two values.

    Args:
        before: ``software`` and ``hardware`` to facts by name.
        now: the same.
    """
    for kind, names in (("software", SOFTWARE), ("hardware", HARDWARE)):
        for name in names:
            values = before[kind].get(name), now[kind].get(name)
            if values != (None, None):
                yield f"{kind}: {name}", *values


def differences(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> str:
    """What differs, in words; empty: nothing does."""
    return "; ".join(
        f"{name}: {old!r} before, {new!r} now"
        for name, old, new in compared(before, now)
        if old != new
    )
