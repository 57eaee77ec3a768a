"""Studies that other machines lead, one after the other: which of them needs workers now.

Whoever runs `amp-tune run`, or a batch of several, leads a study from its first measurement until
its search is over, and their database says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from amp_tuner.batch.studies import placed
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, Problem
from amp_tuner.shared.ledger import Ledger, Look
from amp_tuner.shared.link import Link
from amp_tuner.study.fleet import open_database

#: Seconds between two looks while nobody leads any.
_PAUSE_S = 2.0


class LedStudies:
    """Studies in databases, as a worker sees them from outside.

    Args:
        studies: checked, in their order.

    Attributes:
        left: those that the worker has not been sent to yet.

    Raises:
        InputError: every problem of every study, each with its file: it names no database, or one
            that cannot be used, or that holds another study of its name.
    """

    def __init__(self, studies: Sequence[StudyConfig]) -> None:
        problems: list[Problem] = []
        self.left: list[StudyConfig] = []
        self._links: dict[str, Link] = {}
        #: Of each study: what was seen of it is not asked for again.
        self._reached: dict[Path, int] = {}
        for study in studies:
            try:
                self._watch(study)
            except InputError as error:  # noqa: PERF203 - a few studies
                problems += (placed(problem, study.study_file) for problem in error.problems)
        if problems:
            raise InputError(problems)

    def _watch(self, study: StudyConfig) -> None:
        database = open_database(study)
        if database is None:
            message = "found nothing (null); a worker needs the database that the study is in"
            raise InputError.one("$.storage", message)
        assert study.storage is not None
        # Of each database one connection, however many studies it holds.
        if self._links.setdefault(study.storage, database.link) is not database.link:
            database.link.close()
        self.left.append(study)

    def each(self, wait_s: float) -> Iterator[StudyConfig]:
        """Each study once, when it is led; not one whose search is over before it is seen.

        Args:
            wait_s: ends when nobody has led any of those that are left for so long.

        Raises:
            StorageLost: a database was gone for too long.
        """
        idle_since_s = time.monotonic()
        while self.left and time.monotonic() - idle_since_s < wait_s:
            study = self._led()
            if study is None:
                time.sleep(min(_PAUSE_S, wait_s))
                continue
            self.left.remove(study)
            for link in self._links.values():
                link.close()
            yield study
            idle_since_s = time.monotonic()

    def _led(self) -> StudyConfig | None:
        for study in list(self.left):
            look = self._look(study)
            if look.has_leader and look.ended is None:
                return study
            if look.has_leader:
                # What is left to do is its leader's own.
                self.left.remove(study)
        return None

    def _look(self, study: StudyConfig) -> Look:
        assert study.storage is not None
        ledger = Ledger(self._links[study.storage], study.name, "")
        look = ledger.look(self._reached.get(study.study_file, 0))
        self._reached[study.study_file] = look.reached
        return look
