"""What a study found, as a program reads it: the files of its folder under the same names."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from amp_tuner.api.baking import bake
from amp_tuner.api.study_point import StudyPoint
from amp_tuner.errors import InputError
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Trial
from amp_tuner.report.study_folder import read_study
from amp_tuner.results.conclusion import conclusion
from amp_tuner.results.trials_csv import table_text


@dataclass(frozen=True)
class StudyResult:
    """A finished study; iterating gives its points. As text it is what the study concludes.

    Attributes:
        folder: the output folder.
        name: the study's.
        config: the study file's keys, every default filled in.
        points: every published point, references included; fastest first.
        front: those that no other beats on both speed-up and accuracy.
        best: the point to deploy; None if nothing certainly meets the accuracy goal.
        knee, fastest, safest: the front's named points.
        baseline: FP32; None if it failed when it was measured again.
        trials: every trial by number, failed and cached ones included.
        conclusion: one plain sentence or two.
    """

    folder: Path
    name: str
    config: Mapping[str, Any] = field(repr=False)
    points: tuple[StudyPoint, ...] = field(repr=False)
    front: tuple[StudyPoint, ...] = field(repr=False)
    best: StudyPoint | None = field(repr=False)
    knee: StudyPoint = field(repr=False)
    fastest: StudyPoint = field(repr=False)
    safest: StudyPoint = field(repr=False)
    baseline: StudyPoint | None = field(repr=False)
    trials: tuple[Trial, ...] = field(repr=False)
    conclusion: str

    def __iter__(self) -> Iterator[StudyPoint]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __str__(self) -> str:
        return self.conclusion

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.conclusion)}</p>"

    def to_pandas(self) -> pd.DataFrame:
        """One row a trial, as ``trials.csv`` has it."""
        return pd.read_csv(io.StringIO(table_text(self.trials)))

    def bake(self, path: Path | str, point: StudyPoint | None = None) -> None:
        """Writes a point as a SavedModel that needs no variables and no plug-in.

        Args:
            path: a new folder.
            point: one of this study; None: the best.

        Raises:
            InputError: the path exists, there is no best, or the model is another one by now.
            TargetError: no TensorFlow here that can load the model.
        """
        chosen = self.best if point is None else point
        if chosen is None:
            message = "no setting certainly meets the accuracy goal, so there is no best; name one"
            raise InputError.one("point", message)
        if Path(path).exists():
            raise InputError.one("path", f"{path} exists; name a new path")
        bake(RunFolder(self.folder), chosen, Path(path))


def read_result(folder: Path | str) -> StudyResult:
    """What the study in an output folder found; reads only.

    Raises:
        InputError: no finished study, or a file of it is missing, broken or of a newer format.
    """
    study = read_study(Path(folder))
    front = study.front
    points = {number: StudyPoint(**vars(point)) for number, point in study.points.items()}
    float32 = (point for point in points.values() if point.data_type == FLOAT32)
    return StudyResult(
        folder=study.root,
        name=study.name,
        config=study.config,
        points=tuple(points[entry.number] for entry in front.entries),
        front=tuple(points[number] for number in front.members()),
        best=None if front.best is None else points[front.best],
        knee=points[front.knee],
        fastest=points[front.fastest],
        safest=points[front.safest],
        baseline=next(float32, None),
        trials=tuple(trial for _, trial in sorted(study.trials.items())),
        conclusion=conclusion(study.accuracy, front, study.points),
    )
