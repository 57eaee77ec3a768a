"""What is known of a study's minimal settings: one file a trial, and what they make of the trials.

A setting is made smaller in two ways. Idle moves go: the graph is the same, so the trial keeps its
number, its figures and a shorter string. Moves that make no certain difference go: that is another
graph, so it has a trial of its own, called "minimal of N", which takes trial N's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from amp_tuner.files import write_json
from amp_tuner.judge.non_inferiority import verdict_lost
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import FORMAT, numbered, read_stored
from amp_tuner.records import EffectiveGraph, Measurement, Origin, Setting, Trial
from amp_tuner.search.anchors import Anchor

_NAME = "minimal of "


@dataclass(frozen=True)
class Attempt:
    """A smaller setting that was held against the original.

    Attributes:
        setting: the smaller one.
        effective: its graph.
        refused: why it will not do; None: it does.
        measurement: its accuracy against FP32, and its timing with the *original* as the baseline;
            None where what was known already, or a failure, decided.
        p_worse: of the paired test of its accuracy against the original's.
    """

    setting: Setting
    effective: EffectiveGraph
    refused: str | None
    measurement: Measurement | None = None
    p_worse: float | None = None


@dataclass(frozen=True)
class Minimal:
    """How far a trial's setting was made smaller.

    Attributes:
        number: the trial's.
        setting: with the fewest moves that give the trial's own graph.
        attempts: smaller settings with other graphs, in the order in which they were tried.
        check: the last one that was accepted, held against the original once more.
        accepted: the smaller setting that may take the trial's place; None: nothing may, so far.
        replaced_by: the trial that does.
        ended: nothing is left to be tried.
    """

    number: int
    setting: Setting
    attempts: tuple[Attempt, ...] = ()
    check: Attempt | None = None
    accepted: Setting | None = None
    replaced_by: int | None = None
    ended: bool = False

    def tried(self, graph_id: str) -> Attempt | None:
        """The attempt with this graph, if there was one."""
        same = (one for one in self.attempts if one.effective.graph_id == graph_id)
        return next(same, None)

    def anchor(self) -> Anchor | None:
        """The accepted setting as a trial of its own."""
        if self.accepted is None:
            return None
        return Anchor(f"{_NAME}{self.number}", self.accepted, reference=False)


@dataclass(frozen=True)
class StoredMinimal:
    """``minimal/NNNN.json``."""

    format: Literal[1]
    minimal: Minimal


def is_minimal(trial: Trial) -> bool:
    """Whether a trial measures a minimal setting: the search did not propose it."""
    return trial.anchor is not None and trial.anchor.startswith(_NAME)


def write_minimal(folder: RunFolder, minimal: Minimal) -> None:
    """Writes what is known of one trial's minimal setting, whole or not at all."""
    content = {"format": FORMAT, "minimal": asdict(minimal)}
    write_json(folder.minimised(minimal.number), content)


def read_minimal(folder: RunFolder) -> dict[int, Minimal]:
    """What is known, by the number of the trial that was made smaller."""
    paths = numbered(folder.minimal)
    return {number: read_stored(path, StoredMinimal).minimal for number, path in paths}


def minimised(
    trials: Mapping[int, Trial],
    known: Mapping[int, Minimal],
    confirmed: Mapping[int, Measurement | str],
) -> dict[int, Trial]:
    """The trials as they are judged and published: with their shortest settings, none replaced.

    A trial whose place was taken comes back if what took it fails when measured again, or then
    has a worse verdict on the goal. Places are not handed on: one setting was held against one.

    Args:
        trials: every trial, by number.
        known: their minimal settings.
        confirmed: what was measured again, or why it failed.
    """
    taken = {
        number: substitute
        for number, minimal in known.items()
        if (substitute := minimal.replaced_by) is not None
        and substitute in trials
        and not _fell_short(trials[substitute], confirmed.get(substitute))
    }
    gone = {number for number, substitute in taken.items() if substitute not in taken}
    return {
        number: replace(trial, setting=known[number].setting) if number in known else trial
        for number, trial in trials.items()
        if number not in gone
    }


def _fell_short(trial: Trial, again: Measurement | str | None) -> bool:
    if again is None or trial.measurement is None:
        return trial.measurement is None
    if isinstance(again, str):
        return True
    return verdict_lost(trial.measurement.accuracy.verdict, again.accuracy.verdict)


def origins(trials: Mapping[int, Trial], known: Mapping[int, Minimal]) -> dict[int, Origin]:
    """What each published minimal setting stands for, by the number of its own trial.

    Args:
        trials: every trial, as it was run.
        known: their minimal settings.
    """
    found: dict[int, Origin] = {}
    for number, minimal in known.items():
        trial = trials.get(number)
        if trial is None or trial.effective is None:
            continue
        same = Origin(number, dict(trial.setting.moves), trial.effective.graph_id)
        if minimal.setting.moves != trial.setting.moves:
            found.setdefault(number, same)
        if minimal.replaced_by is not None:
            found[minimal.replaced_by] = replace(same, **_compared(minimal))
    return found


def _compared(minimal: Minimal) -> dict[str, Any]:
    accepted = [one for one in minimal.attempts if one.refused is None]
    last = minimal.check or accepted[-1]
    assert last.measurement is not None
    assert last.measurement.timing is not None
    return {"speed": last.measurement.timing.speedup, "p_worse": last.p_worse}
