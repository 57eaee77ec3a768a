"""A device profile from micro-benchmarks, as YAML text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from amp_tuner.errors import TargetError
from amp_tuner.roofline.device import FORMAT
from amp_tuner.roofline.work import Kind

_FLOAT32 = "float32"
_BY_DEFINITION = "measured rates are what is reached, so nothing is taken off"


def profile_text(found: Mapping[str, Any], name: str, threads: int, software: str) -> str:
    """The profile of the CPU that was measured.

    Args:
        found: what the worker's ``micro_benchmarks`` gave.
        name: the CPU's.
        threads: that computed.
        software: what measured, for the sources.

    Raises:
        TargetError: not even float32 could be measured.
    """
    rates = found["rates"]
    if _FLOAT32 not in rates.get(Kind.MATMUL.value, {}):
        raise TargetError(f"float32 could not be measured: {found['missing'].get(_FLOAT32)}")
    by = f"measured by amp-tune profile-device, {software}"

    def figure(value: float, source: str = by) -> dict[str, Any]:
        return {"value": float(value), "source": source}

    units = {"matrix": rates[Kind.MATMUL.value], "vector": rates[Kind.ELEMENTWISE.value]}
    cache_bytes, cache_rate, memory_rate = _bandwidths(found["streams"])
    profile = {
        "format": FORMAT,
        "name": name,
        "device": "cpu",
        "fusion": "tensorflow-cpu",
        "notes": f"Measured with {threads} threads.",
        "rates": {
            kind: {data_type: figure(rate) for data_type, rate in of_types.items()}
            for kind, of_types in {**units, **rates}.items()
        },
        "matrix_efficiency": {name: figure(1, _BY_DEFINITION) for name in units["matrix"]},
        "memory_bytes_per_s": figure(memory_rate, f"{by}: the largest tensor"),
        "cache_bytes_per_s": figure(cache_rate, f"{by}: the fastest tensor"),
        "memory_efficiency": figure(1, _BY_DEFINITION),
        "cache_bytes": figure(cache_bytes, f"{by}: twice the largest tensor that is fast"),
        "launch_s": figure(found["launch_s"]),
        "dispatch_s": figure(0, "the host is the device"),
        "run_s": figure(found["run_s"]),
        "compute_units": figure(threads, "threads that computed"),
        "tile": figure(1, _BY_DEFINITION),
        "winograd": figure(1, _BY_DEFINITION),
    }
    return yaml.safe_dump(profile, sort_keys=False, width=100, allow_unicode=True)


def _bandwidths(streams: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Bytes of the cache, and bytes per second of cache and memory.

    A tensor is fast if its rate is nearer to the fastest one's than to the largest one's (by
    ratio); tensors up to half of the cache are taken to come from it.
    """
    largest, memory = max(streams, key=lambda stream: stream[0])
    fastest = max(rate for _, rate in streams)
    border = math.sqrt(fastest * memory)
    fast = [size for size, rate in streams if rate >= border]
    return 2 * (max(fast) if memory < fastest else largest), fastest, memory
