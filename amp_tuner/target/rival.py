"""One setting held against another: paired timing of the two, and accuracy on the same samples."""

from __future__ import annotations

from typing import Any

from amp_tuner.config.model import AccuracyConfig
from amp_tuner.judge import non_inferiority
from amp_tuner.judge.accuracy import p_worse_than
from amp_tuner.judge.front import TIME_TIE
from amp_tuner.measure.hardware import machine_state
from amp_tuner.records import Measurement
from amp_tuner.study.confirming import PATIENCE
from amp_tuner.study.minimal_settings import Attempt
from amp_tuner.study.planning import Plan
from amp_tuner.target.bench import Bench

_ORIGINAL, _SMALLER = "original", "smaller"
#: Two equal settings are told from one that is 1 % slower if their ratio is known to half of that.
_HALF_WIDTH = TIME_TIE / 2


class Original:
    """The setting that smaller ones must not be inferior to; its outputs are computed once.

    Args:
        bench: measures.
        config: metric and goal.
        plan: the setting.
        measurement: against FP32, on all samples of the search.
    """

    def __init__(
        self, bench: Bench, config: AccuracyConfig, plan: Plan, measurement: Measurement
    ) -> None:
        self._bench = bench
        self._config = config
        self._plan = plan
        self._accuracy = measurement.accuracy
        self._outputs: Any = None

    def against(self, smaller: Plan) -> Attempt:
        """Measures a smaller setting; it is timed only if its accuracy will do.

        Raises:
            WorkerFailure: one of the two failed, with its cause.
            OSError: the disk is full.
        """
        bench = self._bench
        worker = bench.worker_of(self._plan)
        samples = bench.reference("search", bench.worker(bench.baseline_state))
        machine = machine_state()
        with bench.built(worker, {_ORIGINAL: self._plan, _SMALLER: smaller}) as built:
            if self._outputs is None:
                self._outputs = bench.outputs(worker, _ORIGINAL, samples.start, samples.stop)
            outputs = bench.outputs(worker, _SMALLER, samples.start, samples.stop)
            accuracy = bench.judging.candidate(samples, outputs)
            p_worse = p_worse_than(
                self._config, samples.reference, self._outputs, outputs, samples.labels
            )
            refused = non_inferiority.less_accurate(self._accuracy, accuracy, p_worse)
            timing = None
            if refused is None:
                timing = bench.timed(
                    worker,
                    _ORIGINAL,
                    worker,
                    _SMALLER,
                    # Certainly slower than the margin allows: no need to know by how much.
                    non_inferiority.SLOWEST,
                    patience=PATIENCE,
                    ci_half_width=_HALF_WIDTH,
                )
                refused = non_inferiority.slower(timing.speedup)
                if refused is not None and timing.modelled_for is not None:
                    refused += f" (modelled for {timing.modelled_for})"
        notices, steps_s = built.notices, built.steps_s.get(_SMALLER, {})
        measurement = Measurement(smaller.effective, accuracy, timing, notices, machine, steps_s)
        return Attempt(smaller.setting, smaller.effective, refused, measurement, p_worse)
