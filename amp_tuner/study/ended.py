"""The trials that ended, and what each step of a study asks of all of them together.

Every answer is kept up trial by trial: the ten-thousandth step costs what the first did. The trials
themselves stay in their files until the search is over.
"""

from __future__ import annotations

import bisect
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.judge.dominated import SpeedToBeat
from amp_tuner.output.folder import RunFolder
from amp_tuner.output.stored import StoredTrial, numbered, read_stored
from amp_tuner.records import CACHED, FLOAT32, MEASURED, QUARANTINED, Trial
from amp_tuner.study.contending import Standing
from amp_tuner.study.minimal_settings import is_minimal
from amp_tuner.study.quarantine import Key
from amp_tuner.study.session import Session


class EndedTrials:
    """What is known so far.

    Args:
        session: the study.
        folder: where a trial's file stands when :meth:`add` is told of it.

    Attributes:
        count: how many trials ended.
        anchors: names of the anchors among them.
        outcomes: number of proposals by :attr:`Trial.outcome`; minimal settings are none.
        known_in_a_row: the last so many proposals were settings whose end was known; of the
            sampler, op types and lists that the study has now.
        graphs: effective graphs that were tried.
        nodes_moved: whether one of them moved single nodes.
        hopes: of each measured proposal, what the sampler hoped for (``Prediction.hope``); of the
            same sampler, op types and lists: what others hoped for says nothing of these.
            Enumerated settings have none: theirs would be of what was left of them.
        standing: the best and the front.
        to_beat: what a candidate must beat to be timed for long.
    """

    def __init__(self, session: Session, folder: RunFolder) -> None:
        self._folder = folder
        self._search = session.search
        self._by_number: dict[int, Trial] | None = None
        self.count = 0
        self.anchors: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.known_in_a_row = 0
        self.graphs: set[str] = set()
        self.nodes_moved = False
        self.hopes: list[float] = []
        self.standing = Standing(session)
        self.to_beat = SpeedToBeat()
        self._by_graph: dict[Key, int] = {}
        self._measured_s: list[float] = []
        self._timed_s: list[float] = []

    def read(self) -> Iterator[Trial]:
        """Takes in every trial of earlier runs, and passes it on without its raw block times."""
        for trial in read_trials(self._folder):
            self.add(trial)
            yield without_blocks(trial)

    def add(self, trial: Trial) -> None:
        """Takes in a trial that ended and that is in its file."""
        self.count += 1
        if self._by_number is not None:
            self._by_number[trial.number] = without_blocks(trial)
        if not is_minimal(trial):
            self.outcomes[trial.outcome] += 1
        self.nodes_moved = self.nodes_moved or bool(moves_of_nodes(trial.setting.moves))
        known = trial.outcome in (CACHED, QUARANTINED)
        if not known:
            self.known_in_a_row = 0
        elif self._is_of_now(trial):
            self.known_in_a_row += 1
        if trial.anchor is not None:
            self.anchors.add(trial.anchor)
        if trial.cached_from is None:
            self._add_own(trial)

    def _is_of_now(self, trial: Trial) -> bool:
        return trial.search in (None, self._search)

    def _add_own(self, trial: Trial) -> None:
        predicted = trial.predicted if self._is_of_now(trial) else None
        # What was enumerated is measured to the last: its hopes say nothing of the rest.
        if predicted and not (predicted["explores"] or predicted.get("enumerated", False)):
            self.hopes.append(predicted["hope"])
        if trial.effective is not None:
            self.graphs.add(trial.effective.graph_id)
            self._by_graph[Key.of(trial.effective, trial.setting)] = trial.number
        if trial.outcome == MEASURED:
            assert trial.measurement is not None
            self.standing.add(trial)
            self.to_beat.add(trial.measurement)
            if trial.setting.data_type != FLOAT32:
                # FP32 was measured before the first trial; its trials take no time.
                bisect.insort(self._measured_s, trial.seconds)
                if trial.is_timed:
                    bisect.insort(self._timed_s, trial.seconds)

    def of_graph(self, key: Key) -> Trial | None:
        """The trial that has run the same effective graph under the same switches."""
        number = self._by_graph.get(key)
        return None if number is None else read_trial(self._folder, number)

    @property
    def by_number(self) -> Mapping[int, Trial]:
        """Every trial that ended, without its raw block times; read when first asked for."""
        if self._by_number is None:
            read = map(without_blocks, read_trials(self._folder))
            self._by_number = {trial.number: trial for trial in read}
        return self._by_number

    @property
    def timed(self) -> int:
        """Number of 16-bit settings that were timed."""
        return len(self._timed_s)

    def typical_s(self) -> float | None:
        """Median seconds of a 16-bit setting that was measured; None before there is one."""
        return statistics.median(self._measured_s) if self._measured_s else None

    def typical_timed_s(self) -> float:
        """Median seconds of a 16-bit setting that was timed; 0 before there is one."""
        return statistics.median(self._timed_s) if self._timed_s else 0.0


def read_trial(folder: RunFolder, number: int) -> Trial:
    """A trial that ended, from its own file, without its raw block times."""
    return without_blocks(read_stored(folder.trial(number), StoredTrial).trial)


def read_trials(folder: RunFolder) -> Iterator[Trial]:
    """Every trial that ended, by number, from its own file."""
    for _, path in numbered(folder.trials):
        yield read_stored(path, StoredTrial).trial


def without_blocks(trial: Trial) -> Trial:
    """The trial without its raw block times, its flips and the machine's state."""
    measurement = trial.measurement
    if measurement is None:
        return trial
    timing = measurement.timing and replace(measurement.timing, blocks=())
    accuracy = replace(measurement.accuracy, flips=None)
    smaller = replace(measurement, accuracy=accuracy, timing=timing, machine={})
    return replace(trial, measurement=smaller)
