"""What a study's folder knows of its bundles: one file each, and the machine that measures them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from amp_tuner.errors import InputError
from amp_tuner.files import write_json
from amp_tuner.measure.same_machine import differences
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import read_stored

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class StoredRound:
    """``bundles/ID.json``.

    Attributes:
        bundle: its id.
        place: where it was written to.
        written: when, ISO 8601 with offset.
        trials: numbers of the trials that wait for its results, or did.
        ingested: SHA-256 of the results files that were taken in.
    """

    format: Literal[1]
    bundle: str
    place: str
    written: str
    trials: tuple[int, ...]
    ingested: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredMachine:
    """``bundles/machine.json``: what the results of the last round say of their machine."""

    format: Literal[1]
    software: dict[str, Fact]
    hardware: dict[str, Fact]


class Rounds:
    """The bundles of one study; only for the holder of the folder's lock."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder.bundles
        self._machine = self._folder / "machine.json"

    def all(self) -> list[StoredRound]:
        """Every bundle that was written, the oldest first."""
        paths = [path for path in self._folder.glob("*.json") if path != self._machine]
        rounds = [read_stored(path, StoredRound) for path in paths]
        return sorted(rounds, key=lambda one: (one.written, one.trials))

    def held(self) -> frozenset[int]:
        """Numbers of the trials that bundles asked for."""
        return frozenset(number for one in self.all() for number in one.trials)

    def add(self, one: StoredRound) -> None:
        """Keeps a bundle."""
        write_json(self._path(one.bundle), asdict(one))

    def of(self, bundle: str, study: str, where: Path) -> StoredRound:
        """The round that a results file belongs to.

        Args:
            bundle: the id in the file.
            study: the study's name in it.
            where: the file.

        Raises:
            InputError: it is none of this study's.
        """
        known = {one.bundle: one for one in self.all()}
        if bundle not in known:
            message = f"these are results of bundle {bundle} of a study called {study}"
            ours = ", ".join(known) or "none"
            raise InputError.one(str(where), f"{message}; bundles of this study: {ours}")
        return known[bundle]

    def took_in(self, one: StoredRound, digest: str) -> None:
        """Notes that a results file was taken in."""
        self.add(replace(one, ingested=(*one.ingested, digest)))

    def machine(self) -> StoredMachine | None:
        """What is known of the machine; None before the first round's results."""
        return read_stored(self._machine, StoredMachine) if self._machine.exists() else None

    def check_machine(self, machine: StoredMachine, where: Path) -> None:
        """Compares a machine with the last round's.

        Raises:
            InputError: figures of the two cannot be compared.
        """
        known = self.machine()
        changed = "" if known is None else differences(_facts(known), _facts(machine))
        if changed:
            message = f"measured on other hardware or software than the last round: {changed}"
            raise InputError.one(str(where), message)

    def keep_machine(self, machine: StoredMachine) -> None:
        """Keeps what is known of the machine."""
        write_json(self._machine, asdict(machine))

    def _path(self, bundle: str) -> Path:
        return self._folder / f"{bundle}.json"


def new_round(bundle: str, place: Path, written: str, trials: tuple[int, ...]) -> StoredRound:
    """A bundle that was just written."""
    return StoredRound(1, bundle, str(place), written, trials)


def _facts(machine: StoredMachine) -> dict[str, dict[str, Any]]:
    return {"software": machine.software, "hardware": machine.hardware}
