"""A results file, read as what it is: something that came from elsewhere.

Checksums show that it is whole and as it was written, not who wrote it. So nothing is unpickled,
every member is of the right types or refused, and of the figures only raw run times and outputs are
used: what they say is worked out here.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from amp_tuner.bundle.manifest import Stage, Step
from amp_tuner.bundle.progress import RESULTS, step_member
from amp_tuner.bundle.rounds import Fact, StoredMachine
from amp_tuner.bundle.run_bundle import BundleError, check_archive
from amp_tuner.data.arrays import BadArrays, read_array
from amp_tuner.errors import InputError
from amp_tuner.output.stored import checked

#: Raw run times of one step take a few MiB at most.
_MAX_BYTES = 1 << 28
_NUMBERS = "fiub"

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class StoredResults:
    """``results.json`` of a results file.

    Attributes:
        bundle: the bundle's id.
        study: the study's name.
        complete: whether every setting of the bundle was measured.
        software: what the runner said of itself and its device.
        hardware: the machine's facts.
        steps: how many steps have members of their own.
    """

    format: Literal[1]
    bundle: str
    study: str
    complete: bool
    software: dict[str, Fact]
    hardware: dict[str, Fact]
    steps: int


class Results:
    """A results file whose checksums were compared.

    Args:
        path: the file.

    Raises:
        InputError: it is damaged, altered, or not what run_bundle.py writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError.one(str(path), "no such file; allowed: what run_bundle.py has written")
        try:
            check_archive(path)
        except BundleError as error:
            raise InputError.one(str(path), _without(str(error), path)) from error
        self.described = self._json(RESULTS, StoredResults)
        self._members: dict[tuple[str, Stage], str] = {}
        for position in range(self.described.steps):
            step = self._json(step_member(position), Step)
            self._members[step.name, step.stage] = step_member(position)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def machine(self) -> StoredMachine:
        """Where it was measured."""
        return StoredMachine(1, self.described.software, self.described.hardware)

    def steps(self) -> Iterator[Step]:
        """Every step, one after the other."""
        for name, stage in self._members:
            yield self.step(name, stage)

    def has(self, name: str, stage: Stage) -> bool:
        """Whether a setting's stage ended."""
        return (name, stage) in self._members

    def step(self, name: str, stage: Stage) -> Step:
        """What a setting's stage gave.

        Raises:
            InputError: nothing: it has not ended; or its figures are impossible.
        """
        if not self.has(name, stage):
            raise self.error(f"holds no measurement of {name} ({stage})")
        step = self._json(self._members[name, stage], Step)
        durations = (step.seconds, step.device_s, step.compile_s or 0.0)
        if not all(0 <= one < math.inf for one in durations):
            raise self.error(f"{name} ({stage}) took an impossible time")
        if step.cause is None and step.outputs is None:
            raise self.error(f"{name} ({stage}) has neither outputs nor a cause of failure")
        return step

    def outputs(self, step: Step, samples: int) -> Any:
        """A step's outputs, shape (samples, ...).

        Raises:
            InputError: they are missing, no numbers, or of other samples.
        """
        assert step.outputs is not None, "steps without are refused"
        try:
            array = read_array(self.path, step.outputs)
        except BadArrays as error:
            raise self.error(str(error)) from error
        if array.dtype.kind not in _NUMBERS or array.ndim < 1 or len(array) != samples:
            found = f"{array.dtype} of shape {array.shape}"
            raise self.error(f"outputs of {step.name} are {found}; {samples} samples are judged")
        return array

    def error(self, message: str) -> InputError:
        """A problem of this file."""
        return InputError.one(str(self.path), message)

    def _json(self, member: str, kind: type[Kind]) -> Kind:
        with zipfile.ZipFile(self.path) as archive:
            try:
                info = archive.getinfo(member)
            except KeyError:
                raise self.error(f"has no {member}: not what run_bundle.py writes") from None
            if info.file_size > _MAX_BYTES:
                raise self.error(f"{member} is larger than {_MAX_BYTES} bytes")
            return checked(archive.read(member), kind, f"{self.path}: {member}")


def _without(message: str, path: Path) -> str:
    """The message without the path, which stands before it already."""
    return message.removeprefix(f"{path} ")
