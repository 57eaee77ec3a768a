"""The bench of training steps: what is judged is the loss curve, and a run is a step.

In float16 small gradients become 0 unless the loss is scaled. Where the study file gives a scale,
settings are judged with it, and what becomes of the curve without it is told beside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from amp_tuner.errors import WorkerFailure
from amp_tuner.records import Accuracy, Measurement
from amp_tuner.study.planning import Plan
from amp_tuner.target.bench import Bench

_UNSCALED = "unscaled"
_FLOAT16 = "float16"


class TrainingBench(Bench):
    """Measures steps in place of inferences; a sample of accuracy is a loss curve."""

    def measure(
        self,
        plan: Plan,
        part: str,
        *,
        always_timed: bool,
        dominated_below: Callable[[Accuracy], float] | None,
        patience: float = 1.0,
    ) -> Measurement:
        """As the bench does; with the curve without loss scaling, of what may be published.

        Raises:
            WorkerFailure: this setting failed, with its cause.
            OSError: the disk is full.
        """
        measured = super().measure(
            plan,
            part,
            always_timed=always_timed,
            dominated_below=dominated_below,
            patience=patience,
        )
        training = self._config.training
        assert training is not None, "a study of a training step"
        if plan.setting.data_type != _FLOAT16 or not always_timed:
            return measured
        told = "the loss was not scaled"
        if training.loss_scale is not None:
            without = self._unscaled(plan, part)
            told = f"the loss was scaled by {training.loss_scale:g}; without that: {without}"
        return replace(measured, notices=(*measured.notices, told))

    def _unscaled(self, plan: Plan, part: str) -> str:
        """The score and verdict of a plan whose loss is not scaled, in words."""
        worker = self.worker_of(plan)
        curves = self.reference(part, self.worker(self.baseline_state))
        unscaled = replace(plan, candidate=replace(plan.candidate, scales_loss=False))
        try:
            with self.built(worker, {_UNSCALED: unscaled}):
                losses = self.outputs(worker, _UNSCALED, curves.start, curves.stop)
            accuracy = self.judging.candidate(curves, losses)
        except WorkerFailure as failure:
            return failure.cause
        score = accuracy.score
        figures = f"{score.value:.4g} [{score.low:.4g}, {score.high:.4g}]"
        return f"{accuracy.metric} {figures}, {accuracy.verdict}"
