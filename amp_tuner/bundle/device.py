"""Measures a bundle's settings on a device machine, by the rules of every other measurement.

One runner process compiles and runs; it is replaced when a setting ends it. Timing is paired with
FP32, as everywhere. First every setting is measured for the search; then those that may be
published (FP32, default AMP, whatever is not certainly slower) are measured once more, for longer
and on the samples that were held back, so that what is published was not picked for its luck.
Nothing here knows of accuracy goals: outputs travel home and are judged there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from amp_tuner.bundle.device_bench import DeviceBench, cannot_run, is_float32
from amp_tuner.bundle.manifest import SEARCH, STAGES, Entry, Manifest, Stage, Step
from amp_tuner.bundle.progress import ENOUGH, Progress
from amp_tuner.errors import INTERRUPTED, InputError, TargetError
from amp_tuner.measure.hardware import hardware_facts

Say = Callable[[str], None]


def run(
    work: Path, bundle: str, names: Sequence[str], results: Path, say: Say
) -> tuple[int, str | None]:
    """Measures settings of an unpacked bundle and writes the results file.

    Args:
        work: the folder that the bundle was unpacked to.
        bundle: its id.
        names: of the settings; FP32 is measured whatever they are.
        results: the file; what ended in earlier runs is in it too.
        say: told what happens.

    Returns:
        The exit code, and what went wrong if anything did.
    """
    manifest = Manifest.read(work / "manifest.json")
    try:
        progress = Progress(work / "progress")
    except InputError as error:
        return error.exit_code, str(error)
    machine = Machine(work, manifest, progress, say)
    code, message = 0, None
    try:
        machine.measure([entry for entry in manifest.settings if entry.name in names])
    except KeyboardInterrupt:
        code, message = INTERRUPTED, "interrupted; the same command goes on"
    except (InputError, TargetError) as error:
        code, message = error.exit_code, str(error)
    finally:
        machine.close()
    steps = list(machine.ended())
    if steps:
        complete = machine.complete()
        progress.write_results(results, bundle, manifest, steps, complete=complete)
        left = "" if complete else "; settings are left: the same command, or other parts, go on"
        say(f"{len(steps)} measurements are in {results}{left}")
    progress.close()
    return code, message


class Machine:
    """The device, its runner, and the steps that it has done.

    Args:
        work: the unpacked bundle.
        manifest: the bundle's.
        progress: what ended.
        say: told what happens.
    """

    def __init__(self, work: Path, manifest: Manifest, progress: Progress, say: Say) -> None:
        self._manifest = manifest
        self._progress = progress
        self._say = say
        self._bench = DeviceBench(work, manifest)

    def measure(self, entries: Sequence[Entry]) -> None:
        """Measures settings that were not measured before.

        Raises:
            InputError: earlier steps ran on another machine.
            TargetError: this one cannot run the FP32 model.
        """
        facts = self._bench.start()
        self._progress.check_machine({"software": facts, "hardware": dict(hardware_facts())})
        settings = [entry for entry in entries if not is_float32(entry)]
        chosen = [*self._bench.float32_entries(), *settings]
        for stage, told in zip(STAGES, ("measuring", "measuring again")):
            due = [entry for entry in chosen if self._is_due(entry, stage)]
            for position, entry in enumerate(due, start=1):
                if self._progress.ended(entry.name, stage) is None:
                    self._say(f"{told} {position}/{len(due)}: {entry.label}")
                    self._step(entry, stage)

    def ended(self) -> Iterator[Step]:
        """Every step that has ended, FP32's first."""
        for stage in STAGES:
            for entry in self._manifest.settings:
                step = self._progress.ended(entry.name, stage)
                if step is not None:
                    yield step

    def complete(self) -> bool:
        """Whether every setting of the bundle has been measured, not only those of some parts."""
        settings = [entry for entry in self._manifest.settings if not is_float32(entry)]
        return all(
            self._progress.ended(entry.name, stage) is not None
            for entry in (*self._bench.float32_entries(), *settings)
            for stage in STAGES
            if self._is_due(entry, stage)
        )

    def close(self) -> None:
        """Ends the runner."""
        self._bench.close()

    def _is_due(self, entry: Entry, stage: Stage) -> bool:
        if stage == SEARCH:
            return not entry.again_only
        if entry.again_only or entry.reference:
            return True
        step = self._progress.ended(entry.name, SEARCH)
        # What is certainly slower than FP32 will not be published.
        return (
            step is not None and step.cause is None and self._bench.timing(step).speedup.high >= 1
        )

    def _step(self, entry: Entry, stage: Stage) -> None:
        """Runs a step to its end; once more, on a fresh runner, if the first one dies of it."""
        step = Step(entry.name, stage, "its run was killed twice", fatal=True)
        self._bench.start()
        while self._progress.begin(entry.name, stage) < ENOUGH or is_float32(entry):
            outputs = self._progress.outputs(entry.name, stage)
            step = self._bench.measured(entry, stage, outputs)
            if step.cause is not None and is_float32(entry):
                raise TargetError(cannot_run(step.cause, step.last_words))
            if not step.fatal or step.timed_out:
                break
            self._bench.start()
        self._progress.end(step)
        self._tell(step)

    def _tell(self, step: Step) -> None:
        if step.cause is not None:
            self._say(f"  failed: {step.cause}")
        elif step.blocks is not None:
            speedup = self._bench.timing(step).speedup
            self._say(f"  {speedup.value:.3f}x [{speedup.low:.3f}, {speedup.high:.3f}]")
        for notice in step.notices:
            self._say(f"  note: {notice}")
