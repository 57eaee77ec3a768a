"""Machines that tests make up: what Linux says of one, and two sides with a clock of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np


def machine(root: Path, files: Mapping[str, str]) -> Path:
    """Writes what Linux has in files under ``proc`` and ``sys``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


class Machine:
    """Two sides and a clock that only they move.

    Runs take ``base_s / speedup`` seconds with noise and drift; no real time passes.

    A share ``interrupted`` of the runs takes five times as long: another process had the CPU.

    Attributes:
        now_s: the machine's clock.
        calls: (side, first batch, runs) of each block asked for, in order.
    """

    def __init__(
        self,
        *,
        speedup: float = 1.0,
        base_s: float = 0.01,
        block_noise: float = 0.0,
        run_noise: float = 0.0,
        drift_per_s: float = 0.0,
        interrupted: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.now_s = 0.0
        self.calls: list[tuple[str, int, int]] = []
        self.spikes: dict[int, float] = {}
        self.warming = 0.0
        self._run_s = {"baseline": base_s, "candidate": base_s / speedup}
        self._noise = (block_noise, run_noise)
        self._drift_per_s = drift_per_s
        self._interrupted = interrupted
        self._random = np.random.default_rng(seed)

    def clock(self) -> float:
        return self.now_s

    def side(self, name: str) -> Callable[[int, int], Sequence[float]]:
        def run(first_batch: int, runs: int) -> Sequence[float]:
            self.calls.append((name, first_batch, runs))
            block, single = self._noise
            factor = np.exp(self._random.normal(0, block) + self._drift_per_s * self.now_s)
            factor *= self.spikes.get(len(self.calls) - 1, 1.0)
            factor *= 1 + self.warming * np.exp(-self.now_s)
            seconds = self._run_s[name] * factor * np.exp(self._random.normal(0, single, runs))
            seconds[self._random.random(runs) < self._interrupted] *= 5
            self.now_s += float(seconds.sum())
            return [float(second) for second in seconds]

        return run
