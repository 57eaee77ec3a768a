"""The runner of a device machine, and how one setting of a bundle is measured on it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amp_tuner.bundle.manifest import AGAIN, FORMS, Entry, Manifest, Stage, Step, float32_name
from amp_tuner.errors import TargetError, WorkerFailure
from amp_tuner.measure.hardware import machine_state
from amp_tuner.measure.timing import Side, TimingRules, time_pair, timing_of
from amp_tuner.records import Timing
from amp_tuner.target.tf32 import has_tf32
from amp_tuner.worker.launch import launch_runner
from amp_tuner.worker.protocol import Threads
from amp_tuner.worker.runner_client import RunnerClient

_CANDIDATE = "candidate"


class DeviceBench:
    """Measures settings, paired with FP32; a runner that died is replaced by :meth:`start`.

    Args:
        work: the unpacked bundle.
        manifest: the bundle's.
    """

    def __init__(self, work: Path, manifest: Manifest) -> None:
        self._files = work / "files"
        self._scratch = work / "scratch"
        self._manifest = manifest
        self._runner: RunnerClient | None = None
        self._states: tuple[bool, ...] = (False,)
        self._baseline = False
        self._deadline = math.inf
        self._device_s = 0.0

    def start(self) -> dict[str, Any]:
        """Starts a runner with the data and FP32 in each of its forms, unless one lives.

        Returns:
            What it says of the software and the device.

        Raises:
            TargetError: it cannot run the FP32 model.
        """
        if self._runner is not None and self._runner.alive:
            return self._runner.facts
        self.close()
        manifest = self._manifest
        self._scratch.mkdir(parents=True, exist_ok=True)
        runner = launch_runner(
            sys.executable,
            threads=Threads(**manifest.threads),
            worker_memory_bytes=manifest.memory_bytes,
            scratch=self._scratch,
            timeout_s=manifest.trial_seconds,
            device=manifest.device,
        )
        self._runner = runner
        self._choose_forms(runner.facts)
        named = {name: str(self._files / manifest.data[name]) for name in ("path", "order")}
        try:
            runner.load({**manifest.data, **named}, manifest.inputs)
            for entry in self.float32_entries():
                runner.build(entry.name, self._artifact(entry))
        except WorkerFailure as failure:
            raise TargetError(cannot_run(failure.cause, failure.last_words)) from failure
        return runner.facts

    def _choose_forms(self, facts: Mapping[str, Any]) -> None:
        """The forms of FP32 that this device has; one is the baseline, as in other studies."""
        with_tf32, wanted = has_tf32(facts), self._manifest.baseline
        if wanted == "tf32" and not with_tf32:
            message = f"{facts['device_kind']} has no tf32, which target.baseline demands"
            raise TargetError(message)
        self._states = (False, True) if with_tf32 else (False,)
        self._baseline = with_tf32 and wanted != "fp32"

    def close(self) -> None:
        """Ends the runner."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def float32_entries(self) -> list[Entry]:
        """FP32 in each of the forms that this device has."""
        names = [float32_name(tf32=state) for state in self._states]
        return [entry for entry in self._manifest.settings if entry.name in names]

    def timing(self, step: Step) -> Timing:
        """The timing of a step that was timed."""
        assert step.blocks is not None
        assert step.stop_reason is not None
        return timing_of(
            step.blocks,
            percentiles=self._manifest.rules["percentiles"],
            stop_reason=step.stop_reason,
            notices=step.notices,
            batch_size=self._manifest.data["batch_size"],
        )

    def measured(self, entry: Entry, stage: Stage, outputs: Path) -> Step:
        """What a stage of a setting gives, its failure included.

        Args:
            entry: the setting.
            stage: which samples, and for how long it may be timed.
            outputs: where its outputs are written, as an ``.npz``.
        """
        began, before_s, machine = time.monotonic(), self._device_s, machine_state()
        limit_s = self._manifest.trial_seconds
        self._deadline = began + limit_s
        measure = self._float32 if is_float32(entry) else self._setting
        try:
            step = measure(entry, stage, outputs)
        except WorkerFailure as failure:
            late = f"timeout: the trial took more than {limit_s:g} s"
            step = Step(
                entry.name,
                stage,
                late if failure.timed_out else failure.cause,
                fatal=failure.fatal,
                timed_out=failure.timed_out,
                last_words=failure.last_words,
            )
        finally:
            self._deadline = math.inf
        seconds, device_s = time.monotonic() - began, self._device_s - before_s
        return replace(step, seconds=seconds, device_s=device_s, machine=machine)

    def _setting(self, entry: Entry, stage: Stage, outputs: Path) -> Step:
        baseline = float32_name(tf32=self._baseline)
        try:
            _, compile_s = self._limited().build(_CANDIDATE, self._artifact(entry))
            self._outputs(_CANDIDATE, stage, outputs)
            timing = self._time(baseline, _CANDIDATE, stage)
        finally:
            # What the next setting needs of the device's memory.
            if self._runner is not None and self._runner.alive:
                self._runner.timeout_s = self._manifest.trial_seconds
                self._runner.drop(_CANDIDATE)
        return replace(_timed(entry, stage, timing), compile_s=compile_s)

    def _float32(self, entry: Entry, stage: Stage, outputs: Path) -> Step:
        """FP32 in one form: one form against the other, then the other against the baseline."""
        self._outputs(entry.name, stage, outputs)
        first = float32_name(tf32=self._baseline if stage == AGAIN else self._states[0])
        last = float32_name(tf32=not self._baseline if stage == AGAIN else self._states[-1])
        if entry.name != last:
            return Step(entry.name, stage)
        return _timed(entry, stage, self._time(first, last, stage))

    def _time(self, baseline: str, candidate: str, stage: Stage) -> Timing:
        manifest = self._manifest
        rules = dict(manifest.rules)
        rules["max_seconds"] *= manifest.patience if stage == AGAIN else 1.0
        return time_pair(
            self._side(baseline),
            self._side(candidate),
            TimingRules(**{**rules, "percentiles": tuple(rules["percentiles"])}),
            batch_size=manifest.data["batch_size"],
        )

    def _side(self, key: str) -> Side:
        def block(first_batch: int, runs: int) -> Sequence[float]:
            run_s = self._limited().block(key, first_batch, runs)
            self._device_s += sum(run_s)
            return run_s

        return block

    def _outputs(self, key: str, stage: Stage, path: Path) -> None:
        samples = self._manifest.judged(stage)
        wanted = [self._manifest.output]
        seconds = self._limited().outputs(key, samples.start, samples.stop, path, wanted)
        self._device_s += seconds

    def _artifact(self, entry: Entry) -> Path:
        # FP32 has one for each form; what else there is follows the baseline.
        (any_form, *_) = entry.artifacts.values()
        return self._files / entry.artifacts.get(FORMS[self._baseline], any_form)

    def _limited(self) -> RunnerClient:
        """The runner, its next request limited to what is left of the setting's time."""
        assert self._runner is not None, "started before anything is measured"
        left_s = self._deadline - time.monotonic()
        self._runner.timeout_s = min(self._manifest.trial_seconds, max(left_s, 0.001))
        return self._runner


def is_float32(entry: Entry) -> bool:
    """Whether a setting is FP32 in one of its forms."""
    return entry.name in {float32_name(tf32=state) for state in FORMS}


def cannot_run(cause: str, last_words: str) -> str:
    """The message of a machine that does not run the FP32 model."""
    return f"this machine cannot run the FP32 model: {cause}\n{last_words}".strip()


def _timed(entry: Entry, stage: Stage, timing: Timing) -> Step:
    return Step(
        entry.name,
        stage,
        blocks=timing.blocks,
        stop_reason=timing.stop_reason,
        notices=timing.notices,
    )
