"""Whether two sets of facts are of machines whose figures can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


#: What members of a fleet may be asked to have in common: kind to facts.
FLEET: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "device": {
        "software": ("devices", "device_kind"),
        "hardware": ("cpu", "cpu_flags", "architecture"),
    },
    "software": {
        "software": (
            *("tensorflow", "itex", "python", "numpy", "cuda_build"),
            *("jax", "jaxlib", "platform_version", "xla_options"),
        )
    },
    "threads": {"hardware": ("cores", "threads", "usable_threads", "cpu_limit")},
    "clock": {"hardware": ("governor", "turbo")},
}


def fleet_differences(
    same: Sequence[str],
    first: Mapping[str, Mapping[str, Any]],
    here: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str]]:
    """What keeps a machine from joining a fleet: the kind, and the difference in words.

    Args:
        same: kinds of FLEET.
        first: facts of the fleet's first machine, as for :func:`compared`.
        here: of this one.
    """
    for kind in same:
        for group, names in FLEET[kind].items():
            for name in names:
                there, now = first[group].get(name), here[group].get(name)
                if there != now:
                    yield kind, f"{name}: {there!r} on the study's first machine, {now!r} here"
