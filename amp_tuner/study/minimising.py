"""Minimal settings: what the front's members can do without, before they are exported.

1. Free: of all settings that a study has seen with a member's graph, the one with the fewest moves.
2. By measuring: of that, move by move (those that change the fewest type attributes first), is it
   left out with another graph but no certain difference? Each smaller setting is held against the
   original, by the rules of :mod:`amp_tuner.judge.non_inferiority`. What is left in the end is
   held against it once more, and measured as a trial of its own.

Every attempt is written as it ends, so that a kill costs one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from amp_tuner.errors import RewriteError, WorkerFailure
from amp_tuner.judge.non_inferiority import certainly_inferior, verdict_lost
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, Setting, Trial
from amp_tuner.results.event_log import EventLog
from amp_tuner.rewrite.minimal import entries
from amp_tuner.study.confirming import PATIENCE
from amp_tuner.study.minimal_settings import (
    Attempt,
    Minimal,
    is_minimal,
    read_minimal,
    write_minimal,
)
from amp_tuner.study.planning import Plan
from amp_tuner.study.session import Session
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.rival import Original

#: Of the settings that were seen with one graph, so many (with the fewest moves) are made smaller.
_SEEN = 5


class Minimising:
    """Makes settings of a study smaller whose search has ended.

    Args:
        session: its bench measures.
        folder: where attempts are kept.
        log: told of each attempt.
        tuning: knows the trials, and measures the settings that take another's place.
        left_s: seconds that may still be spent.
    """

    def __init__(
        self,
        session: Session,
        folder: RunFolder,
        log: EventLog,
        tuning: Tuning,
        left_s: Callable[[], float],
    ) -> None:
        self._session = session
        self._folder = folder
        self._log = log
        self._tuning = tuning
        self._left_s = left_s
        self._longest_s = PATIENCE * tuning.budget.typical_s()
        self._known = read_minimal(folder)

    def drop_idle_moves(self, numbers: Sequence[int]) -> None:
        """Finds the shortest settings with the graphs of trials, where they are not known yet."""
        for number in numbers:
            trial = self._tuning.trials[number]
            if number not in self._known and trial.setting.moves:
                shortest = self._shortest(trial)
                self._keep(Minimal(number, shortest))
                facts = {"trial": number, "moves": dict(shortest.moves)}
                self._log.write("idle_moves_dropped", facts)

    def drop_needless_moves(self, numbers: Sequence[int]) -> None:
        """Tries smaller settings with other graphs, as long as there is time; the first, first.

        Args:
            numbers: trials that were timed and have moves.
        """
        self.drop_idle_moves(numbers)
        # What an interruption left without its place: its substitute may be on the front already.
        left = [one.number for one in self._known.values() if one.accepted and not one.ended]
        every = list(dict.fromkeys((*left, *numbers)))
        for position, number in enumerate(every, start=1):
            minimal = self._known[number]
            if not minimal.ended and not self._stands_in(number):
                phases = self._tuning.phases
                phases.enter("minimising", trial=number, position=position, of=len(every))
                self._make_smaller(minimal)

    def _stands_in(self, number: int) -> bool:
        """Whether a trial was held against another one: it must not shrink any further."""
        substitutes = (minimal.replaced_by for minimal in self._known.values())
        return is_minimal(self._tuning.trials[number]) or number in substitutes

    def _shortest(self, trial: Trial) -> Setting:
        painter = self._session.planner.painters[trial.setting.data_type]
        same = {
            tuple(sorted(other.setting.moves.items()))
            for other in self._tuning.trials.values()
            if other.effective == trial.effective
            and replace(other.setting, moves=trial.setting.moves) == trial.setting
        }
        fewest = sorted(same, key=lambda moves: (len(moves), moves))[:_SEEN]
        shorter = (painter.shortest(replace(trial.setting, moves=dict(moves))) for moves in fewest)
        return min(shorter, key=self._length)

    def _length(self, setting: Setting) -> tuple[int, int]:
        if setting.data_type == FLOAT32:
            # Without a move that does anything, what is left is FP32.
            return 0, 0
        lists = self._session.planner.painters[setting.data_type].rules.lists
        return len(setting.moves), entries(lists, setting.moves)

    def _make_smaller(self, minimal: Minimal) -> None:
        trial = self._tuning.trials[minimal.number]
        planner, config = self._session.planner, self._session.config
        own = planner.plan(trial.setting)
        assert trial.measurement is not None
        original = Original(self._session.bench, config.accuracy, own, trial.measurement)
        smallest = planner.plan(minimal.setting)
        painter = planner.painters[trial.setting.data_type]
        for op_type in painter.least_changing_first(minimal.setting):
            smaller = self._without(smallest, op_type)
            if smaller is None:
                continue
            if smaller.effective != own.effective:
                attempt = minimal.tried(smaller.effective.graph_id)
                if attempt is None:
                    attempt = self._attempt(original, trial, smaller)
                    if attempt is None:
                        return
                    minimal = replace(minimal, attempts=(*minimal.attempts, attempt))
                    self._keep(minimal, attempt)
                if attempt.refused is not None:
                    continue
            smallest = smaller
        if smallest.effective == own.effective:
            self._keep(replace(minimal, setting=smallest.setting, ended=True))
        else:
            self._check(minimal, original, trial, smallest)

    def _without(self, plan: Plan, op_type: str) -> Plan | None:
        if op_type not in plan.setting.moves:
            return None
        try:
            return self._session.planner.without(plan.setting, op_type)
        except RewriteError:
            return None

    def _attempt(self, original: Original, trial: Trial, smaller: Plan) -> Attempt | None:
        """Whether a smaller setting does as well; None if there is no time to see."""
        refused = self._known_to_fail(trial, smaller)
        if refused is not None:
            return Attempt(smaller.setting, smaller.effective, refused)
        if self._left_s() < self._longest_s:
            return None
        began = time.monotonic()
        try:
            return original.against(smaller)
        except WorkerFailure as failure:
            return Attempt(smaller.setting, smaller.effective, f"failed: {failure.cause}")
        finally:
            self._longest_s = max(self._longest_s, time.monotonic() - began)

    def _known_to_fail(self, trial: Trial, smaller: Plan) -> str | None:
        """Why figures that the search has already rule a smaller setting out."""
        known = self._tuning.known(smaller)
        if known is None:
            return None
        if known.measurement is None:
            return f"trial {known.number}, with the same graph, failed: {known.cause}"
        assert trial.measurement is not None
        why = certainly_inferior(trial.measurement, known.measurement)
        return None if why is None else f"{why} (trial {known.number} has the same graph)"

    def _check(self, minimal: Minimal, original: Original, trial: Trial, smallest: Plan) -> None:
        """Holds what was accepted against the original once more, then lets it take its place."""
        looks = [one for one in minimal.attempts if one.measurement and one.measurement.timing]
        if len(looks) > 1 and minimal.check is None:
            check = self._attempt(original, trial, smallest)
            if check is None:
                return
            minimal = replace(minimal, check=check)
            self._keep(minimal, check)
        if minimal.check is not None and minimal.check.refused is not None:
            self._keep(replace(minimal, ended=True))
            return
        minimal = replace(minimal, accepted=smallest.setting)
        self._keep(minimal)
        self._replace(minimal, trial, smallest)

    def _replace(self, minimal: Minimal, trial: Trial, smallest: Plan) -> None:
        """Gives the trial's place to the one that has or will have the smaller setting's graph."""
        substitute = self._tuning.known(smallest)
        if substitute is None:
            anchor = minimal.anchor()
            if anchor is None or self._left_s() < self._longest_s:
                return
            substitute = self._tuning.measure(anchor)
        before, now = trial.measurement, substitute.measurement
        assert before is not None
        if (
            now is None
            or now.timing is None
            or verdict_lost(before.accuracy.verdict, now.accuracy.verdict)
        ):
            self._keep(replace(minimal, ended=True))
            return
        self._keep(replace(minimal, replaced_by=substitute.number, ended=True))
        own = self._known.get(substitute.number, Minimal(substitute.number, substitute.setting))
        self._keep(replace(own, setting=min(own.setting, smallest.setting, key=self._length)))

    def _keep(self, minimal: Minimal, attempt: Attempt | None = None) -> None:
        self._known[minimal.number] = minimal
        write_minimal(self._folder, minimal)
        self._tuning.clock.save()
        if attempt is not None:
            facts = {"trial": minimal.number, "moves": dict(attempt.setting.moves)}
            self._log.write("minimal_tried", {**facts, "refused": attempt.refused})
        elif minimal.ended:
            facts = {"trial": minimal.number, "moves": dict(minimal.setting.moves)}
            self._log.write("minimal", {**facts, "replaced_by": minimal.replaced_by})
