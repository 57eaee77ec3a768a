"""A batch from its first study to its last: whose turn it is, how it ended, and what is next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from amp_tuner.batch.process import STOP_S, Exit, run_process
from amp_tuner.batch.shares import LEAST_S, Claim, Turn, next_turn
from amp_tuner.batch.standing import Standing, cause_of, last_words_of, state_of, terms
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.output.clock import spent_before_s
from amp_tuner.output.folder import RunFolder
from amp_tuner.text import one_line

#: Past its share a study may take as many trials' longest time: one may be under way, and its
#: setting is run once more if it ends its worker.
_LATE_TRIALS = 2
_NO_TIME = "no time was left of the time budget"


class Watching(Protocol):
    """Who watches a batch: its summary, a person."""

    def stands(self, index: int, standings: Sequence[Standing]) -> None:
        """How everything stands, now that it has changed for one study."""

    def begins(self, index: int, left_s: float) -> None:
        """A study is about to run; of its share so much is left (infinity without a limit)."""


#: A study and the seconds that all its runs may take (None: no limit) to the command to run.
CommandOf = Callable[[StudyConfig, "float | None"], Sequence[str]]


@dataclass(frozen=True)
class Running:
    """How studies are run.

    Attributes:
        command_of: makes the command line of a study.
        quiet: what studies print is dropped.
        stop_s: how long a study may take to stop before it is killed.
    """

    command_of: CommandOf
    quiet: bool = False
    stop_s: float = STOP_S


class Night:
    """The studies of a batch on this machine, one after the other.

    Args:
        studies: checked, in their order.
        known: what an earlier run of the batch wrote down, by study file.
        budget_s: of all runs of all studies together; infinity for no limit.
        watching: is told how it goes.
        running: how studies are run.
    """

    def __init__(
        self,
        studies: Sequence[StudyConfig],
        known: dict[str, Standing],
        budget_s: float,
        watching: Watching,
        running: Running,
    ) -> None:
        self._studies = studies
        self._budget_s = budget_s
        self._watching = watching
        self._running = running
        self.standings = [self._before(study, known) for study in studies]
        self._over = [one.state == "ended" for one in self.standings]

    def _before(self, study: StudyConfig, known: dict[str, Standing]) -> Standing:
        """How the batch stands with a study before it begins."""
        folder = RunFolder(study.output)
        new = Standing(str(study.study_file), study.name, str(study.output))
        # Whoever removes a study's folder wants it run again.
        held = known.get(new.study_file, new) if folder.root.exists() else new
        spent_s = max(held.spent_s, spent_before_s(folder) or 0.0)
        if held.state == "ended" and held.ended_under == terms(study, self._budget_s):
            return replace(held, spent_s=spent_s)
        return replace(new, spent_s=spent_s)

    def run(self) -> None:
        """Runs all that have not ended, each once.

        Raises:
            KeyboardInterrupt: once the study in flight was stopped; the same batch goes on.
        """
        while (turn := next_turn(self._budget_s, self._claims())) is not None:
            self._one(turn)
        for index, one in enumerate(self.standings):
            if one.state == "waiting":
                self._set(index, replace(one, cause=_NO_TIME))

    def _claims(self) -> list[Claim]:
        return [
            Claim(one.spent_s, _limit_s(study, one), over)
            for one, study, over in zip(self.standings, self._studies, self._over)
        ]

    def _one(self, turn: Turn) -> None:
        index, study, before = turn.index, self._studies[turn.index], self.standings[turn.index]
        share_s = before.spent_s + turn.left_s
        before = replace(before, share_s=None if math.isinf(share_s) else share_s)
        self._set(index, replace(before, state="running"))
        self._watching.begins(index, turn.left_s)
        began = time.monotonic()
        try:
            ended = self._ended(study, turn.left_s)
        except KeyboardInterrupt:
            spent_s = before.spent_s + time.monotonic() - began
            self._set(index, replace(before, state="interrupted", spent_s=spent_s))
            raise
        except (InputError, OSError) as error:
            # Its folder is broken by now, or no process can be had.
            after = replace(before, state="failed", cause=one_line(str(error)))
        else:
            after = self._after(before, ended, study)
        self._over[index] = True
        self._set(index, after)

    def _ended(self, study: StudyConfig, left_s: float) -> Exit:
        """Runs a study for what is left of its share."""
        before_s = spent_before_s(RunFolder(study.output)) or 0.0
        limit_s = min(before_s + left_s, study.search.time_budget_s or math.inf)
        return run_process(
            self._running.command_of(study, None if math.isinf(limit_s) else limit_s),
            left_s + _LATE_TRIALS * study.limits.trial_seconds,
            quiet=self._running.quiet,
            stop_s=self._running.stop_s,
        )

    def _after(self, before: Standing, ended: Exit, study: StudyConfig) -> Standing:
        """How the batch stands with a study that has had its turn."""
        state = state_of(ended)
        after = replace(
            before,
            state=state,
            exit_code=ended.status,
            spent_s=before.spent_s + ended.seconds,
            ended_under=terms(study, self._budget_s) if state == "ended" else "",
        )
        if state != "failed":
            return after
        return replace(after, cause=cause_of(ended), last_words=last_words_of(ended))

    def _set(self, index: int, standing: Standing) -> None:
        self.standings[index] = standing
        self._watching.stands(index, self.standings)


def _limit_s(study: StudyConfig, standing: Standing) -> float:
    """A study's own limit; one that was interrupted past it may still say what it found."""
    return max(study.search.time_budget_s or math.inf, standing.spent_s + LEAST_S)
