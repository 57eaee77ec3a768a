"""Runs that were made before, kept beside the code: all of them take ten hours of two cores.

What Optuna's samplers and the procedures that people follow came to depends on the problem alone,
and so does a reference. Each run is kept with the fingerprint of its problem, and counts where that
is still the same. Runs of ``amp`` are never kept: the sampler is what changes here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from problems import random_parameters
from synthetic import synthetic

from amp_tuner.files import write_text

SEEN = Path(__file__).parent / "seen.jsonl"
_OURS = "amp"
#: Settings of a problem by which it is known again, and digits of what they give.
_TRIED, _DIGITS = 30, 9


def read() -> list[dict[str, Any]]:
    """The units that are kept, of problems that are still what they were."""
    if not SEEN.exists():
        return []
    kept = [json.loads(line) for line in SEEN.read_text(encoding="utf-8").splitlines()]
    return [_unit(one) for one in kept if one["fingerprint"] == _fingerprint(one["problem"])]


def keep(units: Iterable[dict[str, Any]]) -> int:
    """Writes down what may be kept, instead of what was; returns how many units that is."""
    kept = [_kept(unit) for unit in units if not unit["method"].startswith(_OURS)]
    kept.sort(key=lambda one: (one["method"], one["problem"], one["seed"]))
    write_text(SEEN, "".join(f"{json.dumps(one)}\n" for one in kept))
    return len(kept)


def _kept(unit: dict[str, Any]) -> dict[str, Any]:
    fields = ("problem", "method", "seed", "budget")
    volumes = [float(f"{volume:.{_DIGITS}g}") for volume in unit["volumes"]]
    return {
        **{name: unit[name] for name in fields if name in unit},
        "fingerprint": _fingerprint(unit["problem"]),
        "measured": len(volumes),
        "grew": _growth(volumes),
    }


def _growth(volumes: Sequence[float]) -> list[tuple[int, float]]:
    """After so many measurements it was so much: only where it grew."""
    before = [0.0, *volumes]
    return [
        (count, volume) for count, volume in enumerate(volumes, 1) if volume != before[count - 1]
    ]


def _unit(kept: dict[str, Any]) -> dict[str, Any]:
    grew = dict(kept.pop("grew"))
    volumes, volume = [], 0.0
    for count in range(1, kept.pop("measured") + 1):
        volume = grew.get(count, volume)
        volumes.append(volume)
    return {**kept, "volumes": volumes}


@cache
def _fingerprint(name: str) -> str:
    """Of what some settings of a problem give."""
    problem, random = synthetic(name), np.random.default_rng(0)
    said = []
    for _ in range(_TRIED):
        found = problem.parameters(random_parameters(problem.space, random))
        truth = None if found is None else found[1]
        said.append(
            "refused"
            if truth is None
            else f"{truth.log_speedup:.{_DIGITS}g} {truth.drop:.{_DIGITS}g} {truth.crashes}"
        )
    return hashlib.sha256("\n".join([f"{problem.limit:.{_DIGITS}g}", *said]).encode()).hexdigest()
