"""One run of one method on one problem: what it measures, with a measurement's noise."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from problems import Problem, Truth

#: Standard deviation of a measured log speed-up: an interval of half a percent to each side.
TIME_NOISE = 0.0025
#: Of a measured drop: as a share of the drop, and of the limit.
DROP_NOISE = (0.02, 0.01)
_SIDES = 1.96


class BudgetUsedUpError(Exception):
    """Every measurement of the run was made."""


@dataclass(frozen=True)
class Observed:
    """What a study would be told; intervals are of 95 %.

    Attributes:
        graph_id: the effective graph.
        speedup, speedup_interval: None where the accuracy check ended it before it was timed.
        drop, drop_interval: of accuracy.
        violation: above 0 unless the goal is certainly met.
    """

    graph_id: str
    speedup: float | None
    speedup_interval: tuple[float, float] | None
    drop: float
    drop_interval: tuple[float, float]
    violation: float

    @property
    def meets(self) -> bool:
        """Whether it certainly meets the goal."""
        return self.violation <= 0


class Run:
    """A budget of measurements on a problem.

    Attributes:
        knows_graphs: see below.
        truths: of each measurement.
        hopes: of each, what the sampler hoped for; None where it said nothing, or explored.

    Args:
        problem: what is measured.
        seed: of the noise.
        budget: so many measurements.
        knows_graphs: a graph that was measured before costs nothing, that of FP32 included, which
            always is measured before a study. Who does not know graphs pays for each setting.
    """

    def __init__(self, problem: Problem, seed: int, budget: int, *, knows_graphs: bool) -> None:
        self.problem = problem
        self.knows_graphs = knows_graphs
        self.truths: list[Truth] = []
        self.hopes: list[float | None] = []
        self._seed = seed
        self._budget = budget
        self._observed: dict[str, Observed | None] = {}

    def is_free(self, parameters: Mapping[str, str]) -> bool:
        """Whether a setting costs no measurement: it is refused, or its graph is known."""
        found = self.problem.parameters(parameters)
        return found is None or self._is_known(found[0])

    def _is_known(self, graph_id: str) -> bool:
        return self.knows_graphs and (graph_id == "float32" or graph_id in self._observed)

    def measure(
        self,
        parameters: Mapping[str, str],
        *,
        always_timed: bool = False,
        hope: float | None = None,
    ) -> Observed | None:
        """Measures a setting; None where it fails.

        Args:
            parameters: the setting.
            always_timed: also if it certainly misses the accuracy goal, as anchors are.
            hope: what the sampler hopes for.

        Raises:
            BudgetUsedUpError: there is no measurement left.
        """
        found = self.problem.parameters(parameters)
        if found is None:
            return None
        graph_id, truth = found
        if self._is_known(graph_id):
            float32 = Observed("float32", 1.0, (1.0, 1.0), 0.0, (0.0, 0.0), -self.problem.limit)
            return self._observed.get(graph_id, float32)
        if len(self.truths) >= self._budget:
            raise BudgetUsedUpError
        self.truths.append(truth)
        self.hopes.append(hope)
        self._observed[graph_id] = (
            None if truth.crashes else self._noisy(graph_id, truth, always_timed=always_timed)
        )
        return self._observed[graph_id]

    def _noisy(self, graph_id: str, truth: Truth, *, always_timed: bool) -> Observed:
        random = np.random.default_rng([self._seed, zlib.crc32(graph_id.encode())])
        limit = self.problem.limit
        deviation = DROP_NOISE[0] * truth.drop + DROP_NOISE[1] * limit
        drop = truth.drop + deviation * random.normal()
        low, high = drop - _SIDES * deviation, drop + _SIDES * deviation
        beyond = drop - limit
        violation = min(beyond, 0.0) if high <= limit else max(beyond, 1e-9)
        if low > limit and not always_timed:
            return Observed(graph_id, None, None, drop, (low, high), violation)
        log_speedup = truth.log_speedup + TIME_NOISE * random.normal()
        interval = tuple(math.exp(log_speedup + side * _SIDES * TIME_NOISE) for side in (-1.0, 1.0))
        speedup = math.exp(log_speedup)
        return Observed(graph_id, speedup, (interval[0], interval[1]), drop, (low, high), violation)

    def volumes(self) -> list[float]:
        """The true hypervolume after each measurement."""
        return [self.problem.volume(self.truths[: count + 1]) for count in range(len(self.truths))]
