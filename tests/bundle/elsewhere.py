"""A device machine that answers bundles at once: what it measures is made up, its files are not.

Parts are read and unpacked, steps kept and results written by the code that runs there.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from amp_tuner.bundle import run_bundle
from amp_tuner.bundle.archive import write_archive
from amp_tuner.bundle.manifest import AGAIN, SEARCH, STAGES, Entry, Manifest, Step
from amp_tuner.bundle.progress import Progress
from amp_tuner.records import Block
from amp_tuner.runner.xla_runner import write_arrays

FACTS: dict[str, dict[str, Any]] = {
    "software": {"jax": "0.10.2", "jaxlib": "0.10.2", "stablehlo": "1.13.0", "platform": "cpu"},
    "hardware": {"cpu": "Imaginary 9000", "cores": 64},
}
FLOAT32_S = 0.01
#: A step of a setting, and the step to answer with.
Change = Callable[[Entry, Step], Step | None]


def unchanged(_: Entry, step: Step) -> Step | None:
    return step


def unpacked(bundle: Path, work: Path) -> tuple[str, Manifest]:
    """The bundle in a folder, its parts unpacked to another."""
    wanted, needed = run_bundle.chosen([], bundle)
    run_bundle.unpack([*wanted, *needed], work)
    return wanted[0].bundle, Manifest.read(work / "manifest.json")


def blocks(speedup: float) -> tuple[Block, ...]:
    """Eight groups, of A B B A and B A A B in turn, without noise."""
    seconds = {"baseline": FLOAT32_S, "candidate": FLOAT32_S / speedup}
    a, b = seconds
    sides = (a, b, b, a, b, a, a, b) * 4
    return tuple(
        Block(side, "timed", float(number), (seconds[side],) * 4)
        for number, side in enumerate(sides)
    )


def answered(
    bundle: Path,
    work: Path,
    speedups: Mapping[str, float] | None = None,
    *,
    wrong: Collection[str] = (),
    change: Change = unchanged,
    facts: Mapping[str, Mapping[str, Any]] = FACTS,
) -> Path:
    """The results file of a bundle.

    Args:
        bundle: its folder.
        work: where the device machine works.
        speedups: by a word of the setting's label; others are 0.9 times as fast as FP32.
        wrong: words of the labels whose settings decide everything the other way round.
        change: what becomes of a step; None: it has not ended.
        facts: of the machine.
    """
    identifier, manifest = unpacked(bundle, work)
    progress = Progress(work / "progress")
    progress.check_machine({kind: dict(of) for kind, of in facts.items()})
    asked = [(entry, stage) for stage in STAGES for entry in manifest.settings]
    steps: list[Step] = []
    due = 0
    for entry, stage in asked:
        if entry.again_only and stage == SEARCH:
            continue
        speedup = next((v for k, v in (speedups or {}).items() if k in entry.label), 0.9)
        if entry.name.startswith("float32"):
            speedup = 1.0
        if stage == AGAIN and speedup < 1 and not (entry.reference or entry.again_only):
            continue
        step = change(entry, Step(entry.name, stage, blocks=blocks(speedup), stop_reason="narrow"))
        due += 1
        if step is None:
            continue
        step = replace(step, seconds=2.0, device_s=1.5, compile_s=0.5, machine={"load_average": 1})
        if step.cause is None:
            samples = manifest.judged(stage)
            scores = np.random.default_rng(0).uniform(0, 1, (manifest.samples, 1))[samples]
            if any(word in entry.label for word in wrong):
                scores = 1 - scores
            outputs = {manifest.output: scores.astype(np.float32)}
            write_arrays(progress.outputs(entry.name, stage), outputs)
        progress.end(step)
        steps.append(step)
    path = work / f"results-{identifier}.zip"
    complete = len(steps) == due
    progress.write_results(path, identifier, manifest, steps, complete=complete)
    progress.close()
    return path


def rewritten(path: Path, changes: Mapping[str, bytes], *, sums: bool = True) -> Path:
    """The archive, beside itself, with members added or changed.

    Args:
        path: the archive.
        changes: members' contents by name.
        sums: whether its checksums are right again.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | dict(changes)
    to = path.with_name(f"rewritten-{path.name}")
    if not sums:
        with zipfile.ZipFile(to, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return to
    del members[run_bundle.SUMS]
    with to.open("wb") as file:
        write_archive(file, ((name, [data]) for name, data in members.items()))
    return to
