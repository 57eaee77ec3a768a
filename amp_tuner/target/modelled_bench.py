"""The bench of runtime ``roofline``: accuracy is measured as ever, time is a device model's.

A modelled time is exact: its interval has no width. It says nothing of how near the model is to a
device, so each carries the profile's name and is called modelled wherever it is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from amp_tuner.amp.rules import RuleSet
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.records import FLOAT32, Interval, Timing
from amp_tuner.rewrite.paint import paint
from amp_tuner.rewrite.prepare import PreparedGraph, prepare
from amp_tuner.roofline.cost import CostModel
from amp_tuner.roofline.device import DeviceProfile
from amp_tuner.study.planning import Plan
from amp_tuner.target.bench import Bench
from amp_tuner.target.built import Built
from amp_tuner.target.workers import Worker
from amp_tuner.worker.client import WorkerClient

#: Why the timing of a modelled setting ended.
MODELLED = "modelled"


class ModelledBench(Bench):
    """Prices settings on a device model; its workers compute accuracy.

    Args:
        profile: the device model.
        others: as for :class:`Bench`.
    """

    def __init__(self, *others: Any, profile: DeviceProfile) -> None:
        super().__init__(*others)
        self._profile = profile
        self._models: dict[str, tuple[PreparedGraph, CostModel]] = {}
        self._plans: dict[str, Plan] = {}

    def describe(self) -> dict[str, tuple[RuleSet, TypedGraph]]:
        """As the bench does; then shapes are taken from a run, and each graph's costs worked out.

        Raises:
            InputError: nodes call functions that cannot be seen into.
            WorkerFailure: the FP32 model does not run.
        """
        described = super().describe()
        worker = self.worker(self.baseline_state)
        assert isinstance(worker, WorkerClient), "launched for another runtime"
        run = worker.traced_run()
        for data_type, (rules, graph) in described.items():
            prepared = prepare(graph, rules)
            self._models[data_type] = prepared, CostModel(prepared, run, self._profile)
        return described

    @contextlib.contextmanager
    def built(self, worker: Worker, plans: Mapping[str, Plan]) -> Iterator[Built]:
        """As the bench does; their graphs are kept for :meth:`timed`."""
        self._plans = dict(plans)
        with super().built(worker, plans) as built:
            yield built

    def timed(
        self,
        baseline: Worker,
        baseline_key: str,
        candidate: Worker,
        candidate_key: str,
        dominated_below: float | None,
        **limits: float,
    ) -> Timing:
        """The modelled times of two built settings; nothing is run, so nothing limits it."""
        del baseline, candidate, dominated_below, limits
        keys = {"baseline": baseline_key, "candidate": candidate_key}
        ms = {side: self.modelled_ms(self._plans.get(key)) for side, key in keys.items()}
        ratio = ms["baseline"] / ms["candidate"]
        return Timing(
            speedup=Interval(ratio, ratio, ratio),
            stop_reason=MODELLED,
            blocks=(),
            latency_ms={side: {MODELLED: value} for side, value in ms.items()},
            runs=dict.fromkeys(keys, 0),
            throughput={side: 1000 * self.batch_size / value for side, value in ms.items()},
            drift=0.0,
            modelled_for=self._profile.name,
        )

    def modelled_ms(self, plan: Plan | None) -> float:
        """Milliseconds of one batch; of FP32 for None."""
        if plan is None or plan.setting.data_type == FLOAT32:
            # Rule sets rewrite differently, but FP32 is the same graph under each.
            _, model = next(iter(self._models.values()))
            return model.float32_milliseconds()
        prepared, model = self._models[plan.setting.data_type]
        return model.milliseconds(paint(prepared, plan.lists, plan.setting.level))
