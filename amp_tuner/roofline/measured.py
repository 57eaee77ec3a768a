"""A device profile from micro-benchmarks, as YAML text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml
from scipy.optimize import nnls

from amp_tuner.errors import TargetError
from amp_tuner.roofline.device import FORMAT
from amp_tuner.roofline.work import GATHERED, WINDOW_ROWS, Kind

_FLOAT32 = "float32"
_PARTS = {"operations": Kind.CONVOLUTION.value, GATHERED: GATHERED, WINDOW_ROWS: WINDOW_ROWS}
_UNSEEN = 1e15
#: More would say that a measurement is that exact.
_DIGITS = 4
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
    rates = {**found["rates"], **_convolution_rates(found["convolutions"])}
    if _FLOAT32 not in rates.get(Kind.MATMUL.value, {}):
        raise TargetError(f"float32 could not be measured: {found['missing'].get(_FLOAT32)}")
    by = f"measured by amp-tune profile-device, {software}"

    by_fit = f"{by}: fitted to {len(found['convolutions'])} convolutions"

    def figure(value: float, source: str) -> dict[str, Any]:
        return {"value": float(value), "source": source}

    def measured(value: float, source: str = by) -> dict[str, Any]:
        return figure(float(f"{value:.{_DIGITS}g}"), source)

    units = {"matrix": rates[Kind.MATMUL.value], "vector": rates[Kind.ELEMENTWISE.value]}
    cache_bytes, cache_rate, memory_rate = _bandwidths(found["streams"])
    profile = {
        "format": FORMAT,
        "name": name,
        "device": "cpu",
        "fusion": "tensorflow-cpu",
        "fused": {"value": list(found["fused"]), "source": f"{by}: its graph optimiser's result"},
        "notes": f"Measured with {threads} threads.",
        "rates": {
            kind: {
                data_type: measured(rate, by_fit if kind in _PARTS.values() else by)
                for data_type, rate in of_types.items()
            }
            for kind, of_types in {**units, **rates}.items()
        },
        "matrix_efficiency": {name: figure(1, _BY_DEFINITION) for name in units["matrix"]},
        "memory_bytes_per_s": measured(memory_rate, f"{by}: the largest tensor"),
        "cache_bytes_per_s": measured(cache_rate, f"{by}: the fastest tensor"),
        "memory_efficiency": figure(1, _BY_DEFINITION),
        "cache_bytes": figure(cache_bytes, f"{by}: twice the largest tensor that is fast"),
        "launch_s": measured(found["launch_s"]),
        "dispatch_s": figure(0, "the host is the device"),
        "run_s": measured(found["run_s"]),
        "compute_units": figure(threads, "threads that computed"),
        "tile": figure(1, _BY_DEFINITION),
        "winograd": figure(1, _BY_DEFINITION),
    }
    return yaml.safe_dump(profile, sort_keys=False, width=100, allow_unicode=True)


def _convolution_rates(
    convolutions: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, float]]:
    """Rates of operations, gathered elements and window rows, by data type.

    A convolution is taken to last as long as the three together: the least squares of relative
    errors over all that were measured, with none below 0 (Lawson and Hanson, Solving Least Squares
    Problems, 1974, chapter 23: NNLS, as SciPy has it). What takes too little to be seen is
    given ``_UNSEEN`` per second.
    """
    rates: dict[str, dict[str, float]] = {kind: {} for kind in _PARTS.values()}
    for data_type in convolutions[0]["seconds"]:
        seconds = np.array([one["seconds"][data_type] for one in convolutions])
        amounts = np.array([[one[part] for part in _PARTS] for one in convolutions])
        # Each amount in its own unit, so that none is lost to rounding.
        units = amounts.max(axis=0)
        found, _ = nnls(amounts / units / seconds[:, np.newaxis], np.ones(len(seconds)))
        for kind, each_s in zip(_PARTS.values(), found / units, strict=True):
            rates[kind][data_type] = 1 / max(each_s, 1 / _UNSEEN)
    return rates


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
