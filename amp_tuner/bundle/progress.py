"""How far a device machine is with a bundle: one file a step, so that a kill costs one step.

What is about to run is written down before it does: a step whose run was killed twice, with the
whole program or without, is not run a third time.
"""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amp_tuner.bundle.archive import Member, write_archive
from amp_tuner.bundle.manifest import FORMAT, Manifest, Stage, Step
from amp_tuner.bundle.run_bundle import CHUNK_BYTES
from amp_tuner.errors import InputError
from amp_tuner.files import whole_file, write_json
from amp_tuner.measure.same_machine import differences

#: So many deaths are believed to be the setting's own doing; as in a study that runs here.
ENOUGH = 2
RESULTS = "results.json"
Facts = dict[str, dict[str, Any]]


class Progress:
    """The steps of one bundle on one machine.

    Args:
        folder: where they are kept; one program at a time works there.

    Raises:
        InputError: another program does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise InputError.one(str(folder), "another run_bundle.py works here") from None

    def close(self) -> None:
        """Gives the folder back."""
        os.close(self._lock)

    def check_machine(self, facts: Facts) -> None:
        """Keeps what is known of the machine, or compares it with what was kept.

        Raises:
            InputError: earlier steps ran on another one.
        """
        path = self._folder / "machine.json"
        if not path.exists():
            write_json(path, facts)
        changed = differences(json.loads(path.read_text(encoding="utf-8")), facts)
        if changed:
            message = f"what ended before ran on another machine ({changed}): name another --work"
            raise InputError.one(str(self._folder), message)

    def machine(self) -> Facts:
        """What was kept of the machine."""
        facts: Facts = json.loads((self._folder / "machine.json").read_text(encoding="utf-8"))
        return facts

    def ended(self, name: str, stage: Stage) -> Step | None:
        """What a step gave; None while it has not ended."""
        path = self._path(name, stage, "json")
        if not path.exists():
            return None
        return Step.from_json(json.loads(path.read_text(encoding="utf-8")))

    def begin(self, name: str, stage: Stage) -> int:
        """Counts a run of a step that is about to begin; how many began before without an end."""
        path = self._path(name, stage, "begun")
        before = int(path.read_text(encoding="ascii")) if path.exists() else 0
        write_json(path, before + 1)
        return before

    def outputs(self, name: str, stage: Stage) -> Path:
        """Where a step's outputs lie, as an ``.npz``."""
        return self._path(name, stage, "npz")

    def end(self, step: Step) -> None:
        """Keeps what a step gave; its outputs lie there before."""
        write_json(self._path(step.name, step.stage, "json"), asdict(step))

    def write_results(
        self, path: Path, bundle: str, manifest: Manifest, steps: Iterable[Step], *, complete: bool
    ) -> None:
        """Writes the results file, whole or not at all.

        Args:
            path: where to.
            bundle: the bundle's id.
            manifest: the bundle's.
            steps: those that ended.
            complete: whether nothing is left to be run.
        """
        kept = list(steps)
        described = {
            "format": FORMAT,
            "bundle": bundle,
            "study": manifest.study,
            "complete": complete,
            **self.machine(),
            "steps": len(kept),
        }
        with whole_file(path) as file:
            write_archive(file, self._members(kept, described))

    def _members(self, steps: Sequence[Step], described: dict[str, Any]) -> Iterator[Member]:
        yield RESULTS, [_json(described)]
        for position, step in enumerate(steps):
            outputs = f"outputs-{position:04d}" if step.cause is None else None
            yield step_member(position), [_json(asdict(replace(step, outputs=outputs)))]
            if outputs is not None:
                yield f"{outputs}.npy", _array(self.outputs(step.name, step.stage))

    def _path(self, name: str, stage: Stage, suffix: str) -> Path:
        return self._folder / f"{name}.{stage}.{suffix}"


def step_member(position: int) -> str:
    """The member of a results file that holds a step."""
    return f"step-{position:04d}.json"


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _array(path: Path) -> Iterator[bytes]:
    """The one array of an ``.npz``, as it would stand in an ``.npy``."""
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        with archive.open(name) as file:
            yield from iter(lambda: file.read(CHUNK_BYTES), b"")
