"""A bench whose device is elsewhere: what it measures was measured there, by the same rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amp_tuner.bundle.manifest import AGAIN, SEARCH, Stage, Step, float32_name
from amp_tuner.bundle.results import Results
from amp_tuner.errors import WorkerFailure
from amp_tuner.measure.timing import timing_of
from amp_tuner.records import FLOAT32, Accuracy, Measurement, Timing
from amp_tuner.study.planning import Plan
from amp_tuner.target.bench import Bench
from amp_tuner.target.workers import Worker
from amp_tuner.text import one_line, printable

_REASONS = ("narrow", "time")
_LONGEST_NOTICE = 300
_LAST_WORDS = 4096


class RecordedBench(Bench):
    """Judges recorded outputs and reads recorded times; arguments as for :class:`Bench`.

    Attributes:
        results: where they are recorded; None while a bundle is made.
        stage: which of a setting's two measurements is meant.
        refused: graphs that cannot even be lowered, by id, and why.
    """

    results: Results | None = None
    stage: Stage = SEARCH

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refused: dict[str, str] = {}
        self._read: tuple[tuple[str, Stage], Any] | None = None

    def has(self, plan: Plan) -> bool:
        """Whether the results file says what becomes of a plan, at this stage."""
        worker = self.worker_of(plan)
        name = _name(worker, plan.effective.graph_id)
        return self.results is not None and self.results.has(name, self.stage)

    def check(self) -> None:
        """Reads everything that is recorded, so that what is wrong is known before it is told.

        Raises:
            InputError: outputs of other samples or shapes, or impossible run times.
        """
        assert self.results is not None
        before, shape = self.stage, None
        for step in self.results.steps():
            self.stage = step.stage
            if step.blocks is not None:
                self._timing(step)
            if step.cause is None:
                found = self._recorded(step).shape[1:]
                shape = found if shape is None else shape
                if found != shape:
                    message = f"outputs of {step.name} have shape {found} a sample, others {shape}"
                    raise self.results.error(message)
        self.stage = before

    def float32(self) -> dict[bool, Measurement]:
        """FP32 under each state of the switch, against the baseline; see :class:`Bench`."""
        found = super().float32()
        assert self.results is not None
        for state, measurement in found.items():
            step = self.results.step(float32_name(tf32=state), SEARCH)
            found[state] = replace(measurement, machine=step.machine or {})
        return found

    def check_held_back(self) -> None:
        """Nothing: everything that was recorded is read before the study goes on."""

    def measure(
        self,
        plan: Plan,
        part: str,
        *,
        always_timed: bool,
        dominated_below: Callable[[Accuracy], float] | None,
        patience: float = 1.0,
    ) -> Measurement:
        """Accuracy and timing as they were recorded; what asks for less time gets no less.

        Raises:
            WorkerFailure: this setting failed there, with its cause.
            InputError: the results file is wrong.
        """
        del dominated_below, patience
        graph_id = plan.effective.graph_id
        if graph_id in self.refused:
            raise WorkerFailure(self.refused[graph_id], fatal=False)
        worker = self.worker_of(plan)
        step = self._step(worker, graph_id)
        self.away_s += step.seconds
        self.device_s += step.device_s
        if step.cause is not None:
            words = printable(step.last_words[-_LAST_WORDS:])
            cause = one_line(step.cause)[:_LONGEST_NOTICE]
            raise WorkerFailure(cause, words, fatal=step.fatal, timed_out=step.timed_out)
        accuracy = self._ladder(worker, graph_id, part, graph_id, always_timed=always_timed)
        return Measurement(
            plan.effective,
            accuracy,
            self._timing(step),
            machine=step.machine or {},
            build_s={} if step.compile_s is None else {"compile": step.compile_s},
        )

    def outputs(self, worker: Worker, key: str, start: int, stop: int) -> Any:
        """One output of samples [start, stop), shape (samples, ...)."""
        wanted = (_name(worker, key), self.stage)
        if self._read is None or self._read[0] != wanted:
            self._read = wanted, self._recorded(self._step(worker, key))
        first = self._samples().start
        return self._read[1][start - first : stop - first]

    def timed(self, *sides: Any, **_: Any) -> Timing:
        """The paired timing of two forms of FP32; settings are read by :meth:`measure`."""
        return self._timing(self._step(sides[2], sides[3]))

    def _recorded(self, step: Step) -> Any:
        assert self.results is not None
        return self.results.outputs(step, len(self._samples()))

    def _samples(self) -> range:
        held_back = self._data.holdout
        return held_back if self.stage == AGAIN and len(held_back) else self._data.search

    def _step(self, worker: Worker, key: str) -> Step:
        assert self.results is not None, "nothing is measured while a bundle is made"
        return self.results.step(_name(worker, key), self.stage)

    def _timing(self, step: Step) -> Timing:
        assert self.results is not None
        if step.blocks is None or step.stop_reason not in _REASONS:
            raise self.results.error(f"{step.name} ({step.stage}) was not timed")
        try:
            timing = timing_of(
                step.blocks,
                percentiles=self._config.measure.percentiles,
                stop_reason=step.stop_reason,
                notices=tuple(one_line(text)[:_LONGEST_NOTICE] for text in step.notices),
                batch_size=self.batch_size,
            )
        except ValueError as error:
            raise self.results.error(f"{step.name} ({step.stage}): {error}") from error
        if not all(math.isfinite(end) for end in vars(timing.speedup).values()):
            raise self.results.error(f"{step.name} ({step.stage}) has an impossible speed-up")
        return replace(timing, inputs=self._timing_inputs)


def _name(worker: Worker, key: str) -> str:
    """A setting's name in a bundle: its graph's; FP32 has one for each of its forms."""
    return float32_name(tf32=bool(getattr(worker, "tf32", False))) if key == FLOAT32 else key
