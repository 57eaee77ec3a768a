"""Files of a study's folder, read back: each is whole and of the right types, or told by name.

A folder may have been copied, edited or made by somebody else, so nothing in it is believed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from amp_tuner.errors import InputError, Problem
from amp_tuner.records import Measurement, Trial

Kind = TypeVar("Kind")

FORMAT = 1
#: Raw block times of one trial take a few MiB at most.
_MAX_BYTES = 1 << 28
_TOLD = 5


@dataclass(frozen=True)
class StoredStudy:
    """``study.json``: which study the folder holds.

    Attributes:
        identity: what must not change between runs.
        config: the study file's keys.
        study_file: where they were read.
    """

    format: Literal[1]
    identity: dict[str, Any]
    config: dict[str, Any]
    study_file: str


@dataclass(frozen=True)
class StoredBaseline:
    """``baseline.json``: FP32 in each of its forms, and which one is the baseline.

    Attributes:
        off, on: FP32 under each state of the runtime's switch; None where the device lacks it.
        onednn, tf32: the baseline's state of the switch; None for the one that the runtime lacks.
    """

    format: Literal[1]
    off: Measurement | None = None
    on: Measurement | None = None
    onednn: bool | None = None
    tf32: bool | None = None

    def states(self) -> dict[str, bool]:
        """The baseline's state, by the switch's name."""
        states = {"onednn": self.onednn, "tf32": self.tf32}
        return {name: state for name, state in states.items() if state is not None}

    def forms(self) -> dict[bool, Measurement]:
        """FP32's measurements, by the state of the switch."""
        forms = {False: self.off, True: self.on}
        return {state: form for state, form in forms.items() if form is not None}


@dataclass(frozen=True)
class StoredClock:
    """``clock.json``: seconds of all runs."""

    format: Literal[1]
    spent_s: float


@dataclass(frozen=True)
class StoredMember:
    """``member.json``: who an output folder is among those that work on a shared study.

    Attributes:
        instance: which study that is; one in another database has another.
    """

    format: Literal[1]
    member: str
    instance: str


@dataclass(frozen=True)
class StoredTrial:
    """``trials/NNNN.json``."""

    format: Literal[1]
    trial: Trial


@dataclass(frozen=True)
class StoredConfirmation:
    """``confirmed/NNNN.json``: the fresh measurement, or why there is none."""

    format: Literal[1]
    measurement: Measurement | None
    cause: str | None


def read_stored(path: Path, kind: type[Kind]) -> Kind:
    """The file's content as a value of ``kind``.

    Raises:
        InputError: it cannot be read, is broken, of a newer format or of other types; the first
            few problems, each with the file and the place in it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError.one(str(path), f"cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise InputError.one(str(path), f"is larger than {_MAX_BYTES} bytes")
    return checked(content, kind, str(path))


def checked(content: str | bytes, kind: type[Kind], where: str) -> Kind:
    """JSON as a value of ``kind``; nothing is coerced.

    Raises:
        InputError: as in :func:`read_stored`; ``where`` names the file.
    """
    try:
        adapter: TypeAdapter[Kind] = _adapter(kind)  # type: ignore[arg-type]
        return adapter.validate_json(content, strict=True)
    except ValidationError as error:
        raise InputError(_problems(error, where)) from error


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The files of a folder that are named after trials (``0007.json``), by number.

    Raises:
        InputError: another file is among them.
    """
    found = []
    for path in folder.glob("*.json"):
        if not path.stem.isdecimal():
            raise InputError.one(str(path), "has no trial's number as its name")
        found.append((int(path.stem), path))
    return sorted(found)


@functools.cache
def _adapter(kind: type[Kind]) -> TypeAdapter[Kind]:
    return TypeAdapter(kind)


def _problems(error: ValidationError, where: str) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_context=False)[:_TOLD]:
        yield Problem(where, _text(found))


def _text(found: Mapping[str, Any]) -> str:
    place = ".".join(map(str, found["loc"]))
    if place == "format" and found["type"] == "literal_error":
        return f"format {found['input']!r} is newer than this amp-tune reads ({FORMAT})"
    return f"broken, or not written by amp-tune: {place + ': ' if place else ''}{found['msg']}"
