"""A batch's summary: ``summary.json`` for programs and the next run, ``summary.html`` to read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from amp_tuner.batch.standing import Standing, data_file
from amp_tuner.errors import InputError
from amp_tuner.files import write_json, write_text
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import FORMAT
from amp_tuner.report.runs_page import Outcome, runs_page
from amp_tuner.report.study_folder import StudyFolder, read_study
from amp_tuner.results.conclusion import conclusion
from amp_tuner.study.progress import figures
from amp_tuner.text import duration, now


class Summary:
    """What a batch found so far, and its files.

    Args:
        folder: where to; made if need be.
        budget_s: of the whole batch; infinity for no limit.
        shared: others may read the files as far as the umask lets them.

    Attributes:
        found: each study's folder, as far as it holds figures; by position.
    """

    def __init__(self, folder: Path, budget_s: float, *, shared: bool) -> None:
        self.folder = folder
        self.found: dict[int, StudyFolder] = {}
        self._unread: dict[int, str] = {}
        self._budget_s = budget_s
        self._shared = shared

    @property
    def data(self) -> Path:
        """The file for programs."""
        return data_file(self.folder)

    @property
    def page(self) -> Path:
        """The file for people."""
        return self.folder / "summary.html"

    def read(self, index: int, standing: Standing) -> None:
        """Reads what a study found; an interrupted one has published what it knew."""
        self.found.pop(index, None)
        self._unread.pop(index, None)
        try:
            self.found[index] = read_study(Path(standing.output))
        except InputError as error:
            self._unread[index] = "; ".join(map(str, error.problems))

    def cause(self, index: int, standing: Standing) -> str | None:
        """Why a study failed or waits, or why one that ended has no figures."""
        return self._unread.get(index) if standing.state == "ended" else standing.cause

    def write_data(self, standings: Sequence[Standing], exit_code: int | None) -> None:
        """Writes ``summary.json``; ``exit_code`` is None as long as the batch runs.

        Raises:
            OSError: it cannot be written.
        """
        content = {
            "format": FORMAT,
            "updated": now(),
            "time_budget_s": None if math.isinf(self._budget_s) else self._budget_s,
            "exit_code": exit_code,
            "studies": [
                {
                    **asdict(one),
                    "cause": self.cause(index, one),
                    **found_facts(self.found.get(index)),
                }
                for index, one in enumerate(standings)
            ],
        }
        write_json(self.data, content, shared=self._shared)

    def write_page(self, standings: Sequence[Standing]) -> None:
        """Writes ``summary.html``.

        Raises:
            OSError: it cannot be written.
        """
        studies = [study for _, study in sorted(self.found.items())]
        outcomes = [self._outcome(index, one) for index, one in enumerate(standings)]
        write_text(self.page, runs_page(studies, outcomes), shared=self._shared)

    def _outcome(self, index: int, standing: Standing) -> Outcome:
        report = RunFolder(Path(standing.output)).report
        place = os.path.relpath(report, self.folder) if report.exists() else ""
        return Outcome(
            name=standing.name,
            report=quote(place),
            state=standing.state,
            time=time_words(standing),
            cause=self.cause(index, standing) or "",
        )


def time_words(standing: Standing) -> str:
    """``12 min 30 s of 2 h 00 min``."""
    spent = duration(standing.spent_s)
    return spent if standing.share_s is None else f"{spent} of {duration(standing.share_s)}"


def found_facts(study: StudyFolder | None) -> dict[str, Any]:
    """What a study found, for ``summary.json``; ``best`` is None if nothing meets the goal."""
    if study is None:
        return {"conclusion": None, "best": None}
    told = conclusion(study.accuracy, study.front, study.points)
    if study.front.best is None:
        return {"conclusion": told, "best": None}
    best = study.points[study.front.best]
    facts = {
        "trial": best.number,
        "data_type": best.setting.data_type,
        "moves": dict(sorted(best.setting.moves.items())),
        **figures(best.speedup, best.accuracy, best.modelled_for),
    }
    return {"conclusion": told, "best": facts}
