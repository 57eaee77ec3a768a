"""What a finished study's output folder holds, read once for the report."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from amp_tuner.amp.lists import DESTINATIONS
from amp_tuner.config.model import AccuracyConfig
from amp_tuner.errors import InputError
from amp_tuner.judge.front import Front
from amp_tuner.output.clock import spent_before_s
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredStudy, read_stored
from amp_tuner.records import FLOAT32, LEVELS, Measurement, Point, Trial, baseline_name
from amp_tuner.results.conclusion import modelled_device
from amp_tuner.results.points import point_name, read_front, read_point
from amp_tuner.rewrite.prepare import PreparedGraph
from amp_tuner.study.confirming import read_confirmations
from amp_tuner.study.ended import read_trials, without_blocks
from amp_tuner.study.published import front_file
from amp_tuner.study.stored_graphs import read_graphs

_DEFAULT = "default "


@dataclass(frozen=True)
class StudyFolder:
    """One study, as it ended.

    Attributes:
        root: the folder.
        name: the study's.
        config: the study file's keys, every default filled in.
        study_file: where they were read.
        accuracy: metric and goal.
        front: entries and named points.
        points: each entry's point, by number.
        trials: every trial, by number; raw block times of the points' own only.
        confirmed: what was measured again, or why that failed, by number.
        graphs: each data type's graph, as far as the folder holds it.
        spent_s: seconds of all runs; None where the folder does not say.
    """

    root: Path
    name: str
    config: Mapping[str, Any]
    study_file: str
    accuracy: AccuracyConfig
    front: Front
    points: Mapping[int, Point]
    trials: Mapping[int, Trial]
    confirmed: Mapping[int, Measurement | str]
    graphs: Mapping[str, PreparedGraph] = field(default_factory=dict)
    spent_s: float | None = None

    @property
    def modelled_for(self) -> str | None:
        """The device whose model gave all speeds; None where they were measured."""
        return modelled_device(self.points.values())

    def names(self) -> dict[int, list[str]]:
        """What points are called: ``FP32``, ``default bfloat16``, ``best``, ``knee``; by number.

        A default that was told the result of an equal graph names the point that has it.
        """
        found: dict[int, list[str]] = {number: [] for number in self.points}
        for number, point in self.points.items():
            if point.setting.data_type == FLOAT32:
                found[number].append(baseline_name(point.setting))
        for trial in self.trials.values():
            number = trial.number if trial.cached_from is None else trial.cached_from
            if trial.anchor and trial.anchor.startswith(_DEFAULT) and number in found:
                found[number].append(trial.anchor)
        for name in ("best", "knee"):
            named = getattr(self.front, name)
            if named in found:
                found[named].append(name)
        return found

    def measured(self, number: int) -> Measurement | None:
        """What was published of a trial: its fresh measurement, else the search's."""
        again = self.confirmed.get(number)
        if isinstance(again, Measurement):
            return again
        trial = self.trials.get(number)
        return None if trial is None else trial.measurement


def read_study(root: Path) -> StudyFolder:
    """The study in an output folder; reads only.

    Raises:
        InputError: no finished study, or a file of it is missing, broken or of a newer format.
    """
    folder = RunFolder(root)
    front = read_front(front_file(folder))
    held = read_stored(folder.identity, StoredStudy)
    try:
        accuracy = AccuracyConfig.model_validate(held.config.get("accuracy"))
    except ValidationError as error:
        where = f"{folder.identity}: config.accuracy"
        raise InputError.one(where, error.errors()[0]["msg"]) from error
    listed = [entry.number for entry in front.entries]
    return StudyFolder(
        root=root,
        name=str(held.config.get("name", root.name)),
        config=held.config,
        study_file=held.study_file,
        accuracy=accuracy,
        front=front,
        points={number: read_point(folder.pareto / point_name(number)) for number in listed},
        trials=_trials(folder, listed),
        confirmed=read_confirmations(folder),
        graphs=read_graphs(folder),
        spent_s=spent_before_s(folder),
    )


def _trials(folder: RunFolder, listed: Collection[int]) -> dict[int, Trial]:
    """A night of raw block times would fill the memory; the points' own are kept."""
    found: dict[int, Trial] = {}
    for trial in read_trials(folder):
        if not _possible(trial):
            where = str(folder.trial(trial.number))
            raise InputError.one(where, "broken: no such lists, level or speed-up can be")
        found[trial.number] = trial if trial.number in listed else without_blocks(trial)
    missing = [number for number in listed if number not in found]
    if missing:
        raise InputError.one(str(folder.trials), f"the front's trials {missing} are missing")
    return found


def _possible(trial: Trial) -> bool:
    setting, measured = trial.setting, trial.measurement
    if setting.level not in LEVELS or not set(setting.moves.values()) <= set(DESTINATIONS):
        return False
    if measured is None or measured.timing is None:
        return True
    speedup = measured.timing.speedup
    return 0 < speedup.low <= speedup.value <= speedup.high < math.inf
