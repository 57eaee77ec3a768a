"""What a study may still use: trials, proposals, time, room on the disk."""

from __future__ import annotations

import math

from amp_tuner.output.clock import Clock
from amp_tuner.output.disk import DiskUse
from amp_tuner.records import MEASURED
from amp_tuner.search.anchors import float32_anchor
from amp_tuner.study.confirming import PATIENCE
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.session import Session

#: The share of the time budget that is kept for minimal settings, beside that for confirmation.
_MINIMISING = 0.05


class Budget:
    """The limits of one study, against what its trials took.

    Args:
        session: the study.
        ended: its trials.
        clock: how long it has run.
        disk: what its folder takes.
    """

    def __init__(self, session: Session, ended: EndedTrials, clock: Clock, disk: DiskUse) -> None:
        self._config = session.config
        self._bench = session.bench
        self._ended = ended
        self._clock = clock
        self._disk = disk
        switch = session.switch
        self._float32_anchors = {float32_anchor(switch, state).name for state in switch.states}

    def no_room(self) -> str | None:
        """Why no further trial can be written; None if one can."""
        if self._disk.has_room_for(1 + self._members()):
            return None
        limit = self._config.limits.disk
        return f"the output folder has no room for another trial in {limit} (limits.disk)"

    def no_trials(self, share: float = 1.0) -> str | None:
        """Why no further setting may be proposed; None if one may.

        Args:
            share: of the trials and proposals, for what they are asked.
        """
        trials = self._config.search.trials
        if self.trials_left(share) == 0:
            measured = self._ended.outcomes[MEASURED]
            whole = f"all {trials} trials" if share == 1 else f"{measured} of {trials} trials"
            return f"{whole} are measured"
        proposals = self._ended.count
        if proposals >= share * self._config.max_proposals:
            return f"{proposals} proposals made (limits.max_proposals)"
        return None

    def no_time(self, share: float = 1.0) -> str | None:
        """Why there is no time for a further trial; None if there is.

        Args:
            share: of what is left beside confirmation, for what it is asked.
        """
        search = self._config.search
        if search.time_budget_s is None or not self._float32_anchors <= self._ended.anchors:
            # FP32 was measured before the first trial; telling it costs nothing.
            return None
        spent_s = self._clock.spent_s()
        reserved_s = self.confirmation_s() + _MINIMISING * search.time_budget_s
        if spent_s < share * (search.time_budget_s - reserved_s):
            return None
        if share < 1:
            return f"{100 * share:.0f} % of the time budget ({search.time_budget}) are used up"
        used_up = f"the time budget ({search.time_budget}) is used up"
        if not self._ended.timed:
            return f"{used_up} before a 16-bit setting was timed: {spent_s:.0f} s went by until now"
        return used_up

    def left_s(self) -> float | None:
        """An estimate of the study's seconds; None before a 16-bit setting was measured.

        A typical trial for each that is left, and the front measured again.
        """
        typical_s = self._ended.typical_s()
        if typical_s is None:
            return None
        search = self._config.search
        left_s = typical_s * self.trials_left() + self.confirmation_s()
        if search.time_budget_s is None:
            return left_s
        return min(left_s, max(0.0, search.time_budget_s - self._clock.spent_s()))

    def trials_left(self, share: float = 1.0) -> int:
        """How many more settings may be measured, of a share of the trials."""
        return max(0, self.trials(share) - self._ended.outcomes[MEASURED])

    def trials(self, share: float = 1.0) -> int:
        """How many settings may be measured in all, of a share of the trials."""
        return math.ceil(share * self._config.search.trials)

    def confirmation_s(self, members: int | None = None) -> float:
        """Seconds to keep for measuring the front again.

        A typical timing for each member; and for each process its start, and what comes before a
        timing there (a trial's seconds beyond those that it may be timed).

        Args:
            members: how many there are; None: not known yet.
        """
        expected = self._members() if members is None else members
        typical_s = self.typical_s()
        built_s = expected * max(0.0, typical_s - self._config.measure.max_seconds)
        starts_s = (self._config.processes - 1) * (self._bench.start_s + built_s)
        return expected * PATIENCE * typical_s + (starts_s if expected else 0.0)

    def typical_s(self) -> float:
        """Seconds of a trial that was timed (median); 0 before there is one."""
        return self._ended.typical_timed_s()

    def _members(self) -> int:
        """How many settings the front and its references are believed to have."""
        return min(self._ended.timed, 2 + len(self._config.target.data_types))
