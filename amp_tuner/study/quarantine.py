"""Settings that end the worker: how often each did, and which are never run again.

One death may be an operator's doing or the system's that was short of memory; the setting is run
once more, on a fresh worker. After the second it is quarantined: it is never run again in this
study, whatever proposes it. ``quarantine.json`` keeps count, so that it holds after a power cut.
A setting is known by what runs: its effective graph and the state of the runtime's switch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amp_tuner.errors import InputError
from amp_tuner.files import write_json
from amp_tuner.records import EffectiveGraph, Setting

FORMAT = 1
#: So many deaths are believed to be the setting's own doing.
ENOUGH = 2
#: The death of which nothing is known but that the tuner died as well.
WITH_THE_TUNER = "the tuner was killed while it ran"


@dataclass(frozen=True)
class Key:
    """What runs."""

    graph_id: str
    onednn: bool | None
    tf32: bool | None = None

    @classmethod
    def of(cls, effective: EffectiveGraph, setting: Setting) -> Key:
        """The key of a setting with this graph."""
        return cls(effective.graph_id, setting.onednn, setting.tf32)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Key:
        """The key among what was written down of it."""
        return cls(value["graph_id"], value["onednn"], value.get("tf32"))


class Quarantine:
    """The deaths of one study, kept in a file that is written whole after each.

    Args:
        path: the file; it need not exist.

    Raises:
        InputError: it is of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths: dict[Key, list[dict[str, Any]]] = {}
        if not path.exists():
            return
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            message = f"format {content.get('format')!r} is unknown; this amp-tune reads {FORMAT}"
            raise InputError.one(str(path), message)
        for entry in content["settings"]:
            self._deaths[Key.from_json(entry)] = entry["deaths"]

    def about_to_run(self, key: Key) -> dict[str, Any]:
        """What to write down before a setting runs, for :meth:`died_with_the_tuner`."""
        return {**asdict(key), "deaths": self._count(key)}

    def died(self, key: Key, trial: int, setting: Mapping[str, Any], cause: str) -> None:
        """Counts a death; written down when this returns.

        Args:
            key: what ran.
            trial: in which trial.
            setting: as JSON, for the reader.
            cause: how the worker ended.
        """
        death = {"trial": trial, "cause": cause, "setting": dict(setting)}
        self._deaths.setdefault(key, []).append(death)
        entries = [{**asdict(key), "deaths": deaths} for key, deaths in self._deaths.items()]
        write_json(self._path, {"format": FORMAT, "settings": entries})

    def died_with_the_tuner(self, trial: int, begun: Mapping[str, Any]) -> None:
        """Counts what ran when a tuner was killed, unless its death was counted before that.

        That tuner's earlier ones count too, where it was another one than this.
        """
        key = Key.from_json(begun)
        while self._count(key) <= begun["deaths"]:
            self.died(key, trial, begun["setting"], WITH_THE_TUNER)

    def verdict(self, key: Key) -> str | None:
        """Why a setting is never run again; None if it may run."""
        deaths = self._deaths.get(key, [])
        if len(deaths) < ENOUGH:
            return None
        told = " and ".join(f"{death['cause']} (trial {death['trial']})" for death in deaths)
        return f"this setting ended the worker twice: {told}"

    def _count(self, key: Key) -> int:
        return len(self._deaths.get(key, []))
