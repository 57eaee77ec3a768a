"""The device side of a study: workers, the FP32 baseline, and how a setting is measured on them.

Accuracy comes first, on ever more samples; timing is paired with FP32; dead workers are replaced.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amp_tuner.amp.rules import ITEX, TENSORFLOW, RuleSet, rule_set, rule_set_of_runtime
from amp_tuner.config.model import StudyConfig
from amp_tuner.data.arrays import BadArrays, read_array
from amp_tuner.data.samples import DataSet, Slice
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.graph.typed_graph import TypedGraph
from amp_tuner.judge.accuracy import chosen_output
from amp_tuner.judge.front import TIME_TIE
from amp_tuner.judge.metrics import is_function
from amp_tuner.judge.scores import relative_error
from amp_tuner.measure.hardware import machine_state
from amp_tuner.measure.sides import against_itself, turned
from amp_tuner.measure.timing import Side, TimingRules, time_pair
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, Accuracy, Measurement, Timing
from amp_tuner.study.planning import Plan, unpredicted
from amp_tuner.target.built import Built, Tell, tell_nobody
from amp_tuner.target.disk_space import is_past_limit, raise_if_full, told_if_full
from amp_tuner.target.judging import Judging
from amp_tuner.target.ladder import FEWEST_JUDGED, Ladder, is_audited
from amp_tuner.target.switches import ONEDNN, Switch
from amp_tuner.target.workers import Start, Worker, cannot_run, model_source
from amp_tuner.worker.protocol import Candidate, LoadedModel

_CANDIDATE = "candidate"
#: A target on which so many workers in a row do not even run FP32 is given up.
STARTS = 3


class Bench:
    """Measures settings; one worker per state of the target's switch, started when needed.

    Attributes:
        switch: under which FP32 has several forms.
        baseline_state: the state of the switch under which FP32 is the baseline.
        judging: holds outputs against FP32's.
        batch_size: samples per run.
        device_s, away_s: seconds of timed blocks and inference, and of trials elsewhere, in all.
        start_s: seconds that the last worker took until FP32 was ready; 0 before one is known.
        tell: told each step of what is measured.
    """

    def __init__(
        self,
        config: StudyConfig,
        start: Start,
        data: DataSet,
        loaded: LoadedModel,
        work: Path,
        switch: Switch = ONEDNN,
    ) -> None:
        self._config = config
        self._start = start
        self._data = data
        self._work = work
        self._workers: dict[bool, Worker] = {}
        self._slices: dict[tuple[str, bool], Slice] = {}
        self._output = chosen_output(config.accuracy, loaded.outputs).name
        self.batch_size = data.batch_size
        self.judging = Judging(config, work)
        self.switch = switch
        self.baseline_state = switch.states[-1] if switch.baseline is None else switch.baseline
        self.device_s = self.away_s = self.start_s = 0.0
        self.tell: Tell = tell_nobody
        self._timing_inputs: Mapping[str, int] = {}
        self._deadline = math.inf

    def adopt(self, state: bool, worker: Worker) -> None:
        """Takes over a worker that has the model loaded, but no data yet."""
        self._load(worker)
        self._workers[state] = worker

    def worker(self, state: bool) -> Worker:
        """The live worker for this state of the switch, started and loaded if there is none.

        Raises:
            TargetError: it cannot even run FP32.
        """
        held = self._workers.get(state)
        if held is not None:
            if held.alive:
                return held
            # It died while nobody asked it anything: no setting's doing.
            held.close()
        for _ in range(STARTS - 1):
            # What ended the last worker (an operator, the system short of memory) may end the next
            # one as it starts; a night is not given up for that.
            with contextlib.suppress(TargetError):
                self._workers[state] = self._loaded(state)
                return self._workers[state]
        self._workers[state] = self._loaded(state)
        return self._workers[state]

    def _loaded(self, state: bool) -> Worker:
        self.tell("starting")
        began_s = time.monotonic()
        worker = self._start(state)
        self._load(worker)
        self.start_s = time.monotonic() - began_s
        return worker

    def close(self) -> None:
        """Ends every worker."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def keep_only(self, state: bool) -> None:
        """Ends the worker of the other state: its memory is the measured one's."""
        other = self._workers.pop(not state, None)
        if other is not None:
            other.close()

    def describe(self) -> dict[str, tuple[RuleSet, TypedGraph]]:
        """Each data type's rule set and graph, as the pass sees it."""
        target = self._config.target
        worker = self.worker(self.baseline_state)
        rules = {name: rule_set(wanted) for name, wanted in target.rules.items()}
        if target.runtime in (TENSORFLOW, ITEX):
            # The pass is the target's own, so its version decides, not the newest that is known.
            version = worker.hello()[target.runtime]
            rules = {
                name: rule_set_of_runtime(wanted, version) for name, wanted in target.rules.items()
            }
        names = [rule.identifier for rule in rules.values()]
        graphs = worker.describe(names, self.batch_size)
        return {name: (rule, graphs[rule.identifier]) for name, rule in rules.items()}

    def float32(self) -> dict[bool, Measurement]:
        """FP32 under each state of the switch, against the baseline.

        Sets :attr:`baseline_state` where the faster one is the baseline: on, unless off is
        certainly faster by more than a tie.

        Raises:
            TargetError: FP32 fails on one of them.
        """
        first, last = self.worker(self.switch.states[0]), self.worker(self.switch.states[-1])
        try:
            return self._float32(first, last)
        except WorkerFailure as failure:
            raise cannot_run(failure) from failure

    def _float32(self, first: Worker, last: Worker) -> dict[bool, Measurement]:
        machine = machine_state()
        timing = self.timed(first, FLOAT32, last, FLOAT32, None)
        if self.switch.baseline is None:
            self.baseline_state = timing.speedup.high >= 1 - TIME_TIE
        is_last = self.baseline_state == self.switch.states[-1]
        baseline, other = (last, first) if is_last else (first, last)
        reference = self.reference("search", baseline)
        itself = against_itself(timing, candidate=is_last)
        judged = self.judging.baseline(reference)
        chosen = Measurement(FLOAT32_GRAPH, judged, itself, machine=machine)
        if len(self.switch.states) == 1:
            return {self.baseline_state: chosen}
        against = self.outputs(other, FLOAT32, reference.start, reference.stop)
        paired = turned(timing) if is_last else timing
        judged = self.judging.candidate(reference, against)
        different = Measurement(FLOAT32_GRAPH, judged, paired, machine=machine)
        return {self.baseline_state: chosen, not self.baseline_state: different}

    def check_held_back(self) -> None:
        """FP32 on the samples that are held back: what is wrong there shows before the night.

        Raises:
            InputError, TargetError: its outputs will not do, or it fails.
        """
        if not len(self._data.holdout):
            return
        try:
            held_back = self.reference("holdout", self.worker(self.baseline_state))
        except WorkerFailure as failure:
            raise cannot_run(failure) from failure
        self.judging.check_held_back(held_back)

    def measure(
        self,
        plan: Plan,
        part: str,
        *,
        always_timed: bool,
        dominated_below: Callable[[Accuracy], float] | None,
        patience: float = 1.0,
    ) -> Measurement:
        """Accuracy, then timing, of one setting.

        Args:
            plan: what to run.
            part: ``search`` or ``holdout``: which samples judge its accuracy.
            always_timed: time it even if it certainly misses the goal (anchors).
            dominated_below: gives, for the candidate's accuracy, a speed-up below which timing may
                stop early.
            patience: timing may take so many times ``measure.max_seconds``.

        Raises:
            WorkerFailure: this setting failed, with its cause.
            OSError: the disk is full.
        """
        worker = self.worker_of(plan)
        baseline = self.worker(self.baseline_state)
        key = FLOAT32 if plan.setting.data_type == FLOAT32 else _CANDIDATE
        # After a resume FP32 runs once more: that is not this setting's time.
        with told_if_full():
            self.reference(part, baseline)
        machine = machine_state()
        with self.built(worker, {key: plan}) as built:
            accuracy = self._ladder(
                worker, key, part, plan.effective.graph_id, always_timed=always_timed
            )
            timing = None
            if always_timed or accuracy.verdict != "misses":
                below = None if dominated_below is None else dominated_below(accuracy)
                timing = self.timed(baseline, FLOAT32, worker, key, below, patience=patience)
        steps_s = built.steps_s.get(key, {})
        return Measurement(plan.effective, accuracy, timing, built.notices, machine, steps_s)

    def worker_of(self, plan: Plan) -> Worker:
        """The worker that runs a plan: that of its setting's state of the switch."""
        state = self.switch.of(plan.setting)
        return self.worker(self.baseline_state if state is None else state)

    @contextlib.contextmanager
    def built(self, worker: Worker, plans: Mapping[str, Plan]) -> Iterator[Built]:
        """Sessions of plans, by key, for no longer than a trial may take; FP32's is always there.

        Raises:
            WorkerFailure: a plan, or what is done with it, failed, with its cause.
            OSError: the disk is full.
        """
        self.tell("building")
        candidates = {key: plan.candidate for key, plan in plans.items() if key != FLOAT32}
        self._deadline = time.monotonic() + self._config.limits.trial_seconds
        try:
            made = {key: self._limited(worker).build(key, one) for key, one in candidates.items()}
            yield Built(
                tuple(
                    unpredicted(one["differences"])
                    for one in made.values()
                    if not one["graph_matches"]
                ),
                {key: one["steps_s"] for key, one in made.items()},
            )
            for key in candidates:
                self._limited(worker).drop(key)
        except WorkerFailure as failure:
            if is_past_limit(failure):
                # The space is free again once the worker is gone.
                worker.close()
            self._clean_up(worker, candidates)
            raise_if_full(failure)
            if failure.timed_out:
                limit_s = self._config.limits.trial_seconds
                cause = f"timeout: the trial took more than {limit_s:g} s"
                words = failure.last_words
                raise WorkerFailure(cause, words, fatal=True, timed_out=True) from failure
            raise
        finally:
            self._deadline = math.inf

    def baseline(self, part: str, known: Measurement) -> Measurement:
        """The baseline on another part of the samples; its ratio to itself needs no clock.

        Args:
            part: ``search`` or ``holdout``.
            known: what the baseline phase gave; its timing is kept.

        Raises:
            WorkerFailure: it failed, or a metric did on its outputs.
        """
        reference = self.reference(part, self.worker(self.baseline_state))
        return replace(known, accuracy=self.judging.baseline_again(reference))

    def _limited(self, worker: Worker) -> Worker:
        """The worker, its next request limited to what is left of the trial's time."""
        left_s = self._deadline - time.monotonic()
        worker.timeout_s = min(self._config.limits.trial_seconds, max(left_s, 0.001))
        return worker

    def _clean_up(self, worker: Worker, keys: Iterable[str]) -> None:
        """Dead workers are forgotten; a live one forgets the candidates."""
        for state, member in list(self._workers.items()):
            if not member.alive:
                del self._workers[state]
                member.close()
        for key in keys if worker.alive else ():
            worker.timeout_s = self._config.limits.trial_seconds
            worker.drop(key)

    def _ladder(
        self, worker: Worker, key: str, part: str, graph_id: str, *, always_timed: bool
    ) -> Accuracy:
        """Accuracy on one batch, then more; a certain miss ends it early."""
        everything = self.reference(part, self.worker(self.baseline_state))
        first = everything.start
        total = everything.stop - first
        accuracy = self._config.accuracy
        ladder = Ladder(
            outputs=lambda start, stop: self.outputs(worker, key, first + start, first + stop),
            judge=lambda seen: self.judging.first(everything, seen),
            error=lambda seen: relative_error(seen, everything.reference[: len(seen)]),
            total=total,
            batch=self._data.first_rung,
            goal=accuracy.parsed_goal,
            # A user's own function may not even be defined on a part, and costs a process.
            judged_from=total if is_function(accuracy.metric) else FEWEST_JUDGED,
        )
        audited = is_audited(self._config.search.seed, graph_id)
        return ladder.climb(stops=not always_timed, audited=audited)

    def reference(self, part: str, baseline: Worker) -> Slice:
        """FP32's outputs of a part of the samples, computed once."""
        key = part, self.baseline_state
        if key not in self._slices:
            samples = self._data.search if part == "search" else self._data.holdout
            outputs = self.outputs(baseline, FLOAT32, samples.start, samples.stop)
            labels = self._data.labels
            chosen = None if labels is None else labels[samples.start : samples.stop]
            self._slices[key] = Slice(samples.start, samples.stop, outputs, chosen)
        return self._slices[key]

    def outputs(self, worker: Worker, key: str, start: int, stop: int) -> Any:
        """One output of samples [start, stop), shape (samples, ...)."""
        self.tell("accuracy", samples=stop - start)
        path = self._work / "outputs.npz"
        answer = self._limited(worker).outputs(key, start, stop, path, [self._output])
        self.device_s += answer["seconds"]
        try:
            return read_array(path, self._output)
        except BadArrays as error:
            raise WorkerFailure(f"the worker's outputs: {error}", fatal=False) from error
        finally:
            path.unlink(missing_ok=True)

    def timed(
        self,
        baseline: Worker,
        baseline_key: str,
        candidate: Worker,
        candidate_key: str,
        dominated_below: float | None,
        *,
        patience: float = 1.0,
        ci_half_width: float = math.inf,
    ) -> Timing:
        """Paired timing of two built settings; as exact as the study file says, or more exact."""
        measure = self._config.measure
        self.tell("timing", at_most_s=patience * measure.max_seconds)
        rules = TimingRules(
            ci_half_width=min(measure.ci_half_width, ci_half_width),
            max_seconds=patience * measure.max_seconds,
            min_block_ms=measure.min_block_ms,
            percentiles=tuple(measure.percentiles),
        )

        def side(worker: Worker, key: str) -> Side:
            def block(first_batch: int, runs: int) -> Sequence[float]:
                run_s = self._limited(worker).block(key, first_batch, runs)
                self.device_s += sum(run_s)
                return run_s

            return block

        timing = time_pair(
            side(baseline, baseline_key),
            side(candidate, candidate_key),
            rules,
            batch_size=self.batch_size,
            dominated_below=dominated_below,
        )
        return replace(timing, inputs=self._timing_inputs)

    def _load(self, worker: Worker) -> None:
        target = self._config.target
        try:
            source = self._data.source(self.batch_size, self._config.measure.timing_batches)
            loaded = worker.load(model_source(self._config), source, target.runtime, target.device)
            worker.build(FLOAT32, Candidate(FLOAT32))
        except WorkerFailure as failure:
            worker.close()
            raise cannot_run(failure) from failure
        except BaseException:
            worker.close()
            raise
        self._timing_inputs = {"batches": loaded.timing_batches, "bytes": loaded.timing_bytes}
