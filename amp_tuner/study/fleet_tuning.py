"""A member's night: the same as one tuner's, beside others who work on the same study.

Every member keeps the whole study in its own folder: what others ended is read before each proposal
and written there as if it had ended here. Before a graph is measured it is claimed in the database.
A proposal whose graph somebody else is measuring stays open, and ends as that trial does; what is
held by a member that is gone is taken over by the first that sees it.

A trial that ended here is written to ``untold/`` first, then to the database, which keeps the first
result of each trial and of each graph, and only then to ``trials/``.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Container, Mapping
from typing import Any

from amp_tuner.errors import InputError, StorageLost
from amp_tuner.files import write_json
from amp_tuner.output.stored import FORMAT, StoredTrial, checked, numbered, read_stored
from amp_tuner.records import FAILED, MEASURED, Trial
from amp_tuner.search.anchors import Anchor
from amp_tuner.search.proposal import Proposal
from amp_tuner.shared.ledger import LEAD, PERMIT, Look
from amp_tuner.study.baseline import agreed_baseline
from amp_tuner.study.ended import read_trial
from amp_tuner.study.fleet import Fleet
from amp_tuner.study.lookup import told_by
from amp_tuner.study.planning import Plan
from amp_tuner.study.quarantine import Key
from amp_tuner.study.tuning import Tuning

#: So many proposals may wait for graphs that others measure; then this member waits, too.
_MOST_OPEN = 8
#: Seconds between two looks while there is nothing to do.
_PAUSE_S = 1.0
#: What is said of a database that is away while this process is being stopped.
_HURRY_S = 5.0
_GRAPH, _ANCHOR = "graph", "anchor"


class FleetTuning(Tuning):
    """One member's run of a shared study.

    Args:
        fleet: its part in it.
        leads: whether this member says when the search is over (``amp-tune run``).
        others: as for :class:`Tuning`.

    Attributes:
        here: the proposals that ended here in this run, by their outcome.
    """

    def __init__(self, *others: Any, fleet: Fleet, leads: bool, **more: Any) -> None:
        super().__init__(*others, storage=fleet.storage, rank=fleet.rank, **more)
        self._fleet = fleet
        self._ledger = fleet.ledger
        self._leads = leads
        self._now = Look(frozenset(), frozenset(), {}, {}, (), 0, None)
        #: Proposals of this member that wait for somebody else's measurement.
        self._open: dict[int, Proposal] = {}
        self._next: Proposal | None = None
        self._permitted = False
        #: Whether an end that is told is this run's; workers may be there before who leads them.
        self._heeds_end = False
        self.here: Counter[str] = Counter()
        fleet.link.tell = self._log.write

    def run(self) -> str:
        """Runs trials until a budget, the space or the whole search is used up.

        Raises:
            StorageLost: the database was gone for too long; everything that ended is on the disk.
        """
        if self._leads:
            # In this order: whoever sees a leader and an end knows that the end is this leader's.
            self._ledger.end(None)
            self._claim(LEAD)
        ended = super().run()
        if self._leads:
            self._ledger.end(ended)
            self._await_others()
        return ended

    def measure_baseline(self) -> None:
        """Measures FP32 on this member's device, against the form that all members use."""
        self._lookup.float32 = agreed_baseline(self._session, self._folder, self._ledger.agree)

    def prepare(self, held: Container[int] = ()) -> None:
        """Takes in what others did, and tells what an earlier run could not."""
        del held
        self._sync()
        for number, path in numbered(self._folder.untold):
            if not self._folder.trial(number).exists():
                self._finish(read_stored(path, StoredTrial).trial)
            path.unlink(missing_ok=True)

    def ask(self, *, stuck: bool | None = None) -> Proposal:
        """The next proposal; not one for a graph that others measure, if there is a choice."""
        self._prospects.under_way = {
            key.split()[1] for key in self._now.claims if key.startswith(_GRAPH)
        }
        return super().ask(stuck=stuck)

    def settle(self, proposal: Proposal) -> None:
        """Runs a proposal to its end, unless somebody else is measuring its graph."""
        plan = self.to_measure(proposal)
        if plan is not None:
            self._ledger.hold(proposal.number)
            if not self._claim(_key(plan)):
                self._study.keep()
                self._open[proposal.number] = proposal
                self._log.write("waits", {"trial": proposal.number})
                return
        self._open.pop(proposal.number, None)
        super().settle(proposal)

    def measure(self, anchor: Anchor) -> Trial:
        """Runs one more named setting as a trial; waits where somebody else measures its graph.

        Raises:
            As for :class:`Tuning`.
        """
        self.anchors[anchor.name] = anchor
        self._study.enqueue(self._session.space.parameters(anchor.setting), anchor.name)
        while self._study.waiting():
            self.settle(self.ask())
        while True:
            for trial in self.trials.values():
                if trial.anchor == anchor.name:
                    return trial
            self._sync()
            proposal = self._left_over()
            if proposal is None:
                self._wait()
            else:
                self.settle(proposal)

    def _one_trial(self) -> None:
        proposal, self._next = self._next or self.ask(), None
        self.settle(proposal)

    def _why_ended(self, share: float) -> str | None:
        while True:
            self._sync()
            left = self._left_over()
            if left is not None or self._put_up_anchor():
                ended = self._out_of_budget()
                self._next = left if ended is None else None
                return ended
            ended = self._told_to_end() or super()._why_ended(share)
            if ended is not None or self._may_ask(share):
                return ended
            self._wait()

    def _why_no_more(self) -> str | None:
        while True:
            self._sync()
            while (proposal := self._left_over()) is not None:
                self.settle(proposal)
            ended = self._told_to_end() or super()._why_no_more()
            if ended is not None or self._may_ask(1.0):
                return ended
            self._wait()

    def _told_to_end(self) -> str | None:
        return None if self._leads or not self._heeds_end else self._now.ended

    def _out_of_budget(self) -> str | None:
        return self.budget.no_room() or self.budget.no_time()

    def _may_ask(self, share: float) -> bool:
        """Whether what others may measure leaves a trial for this member."""
        if len(self._open) >= _MOST_OPEN:
            return False
        if not self._permitted:
            limit = self.budget.trials(share)
            self._permitted = self._ledger.permit(limit, heed_end=self._heeds_end)
        return self._permitted

    def _are_at_work(self) -> bool:
        """Whether others measure, are about to, or hold trials that they will end."""
        claims = self._now.claims.items()
        doing = {holder for key, holder in claims if key.startswith((_GRAPH, PERMIT))}
        others = self._now.alive - {self._fleet.member}
        return not others.isdisjoint({*doing, *self._now.unfinished.values()})

    def _await_others(self) -> None:
        """Waits for what is under way elsewhere, and ends what nobody will end.

        Once the time or the disk is used up, what would have to be measured for that is left to the
        next run.
        """
        while True:
            self._sync()
            may_measure = self._out_of_budget() is None
            proposal = self._left_over(may_measure=may_measure)
            if proposal is not None:
                self.settle(proposal)
            elif self._are_at_work() or (may_measure and self._void_leases()):
                self._wait()
            else:
                return

    def _wait(self) -> None:
        self.phases.enter("waiting")
        time.sleep(_PAUSE_S)

    def _left_over(self, *, may_measure: bool = True) -> Proposal | None:
        """A proposal to go on with: an open one whose graph is free or known, or a void one.

        Args:
            may_measure: if not, only one whose graph is known.
        """
        for number, proposal in list(self._open.items()):
            if self._now.unfinished.get(number) != self._fleet.member:
                # This member was taken for dead: the trial is somebody else's.
                del self._open[number]
                continue
            plan = self.to_measure(proposal)
            if plan is None or (may_measure and self._is_free(_key(plan))):
                return proposal
        return self._adopted() if may_measure else None

    def _is_free(self, key: str) -> bool:
        holder = self._now.claims.get(key, self._fleet.member)
        return holder == self._fleet.member or self._is_gone(holder)

    def _is_gone(self, holder: str) -> bool:
        if holder in self._now.left:
            return True
        return holder not in self._now.alive and self._fleet.may_take_over()

    def _void_leases(self) -> list[tuple[int, str]]:
        """Trials without an end whose member is gone, and that member."""
        found = []
        for number, left in self._study.running().items():
            holder = self._now.unfinished.get(number, left.lease.get("member", ""))
            if number not in self._open and (
                holder == self._fleet.member or holder not in self._now.alive
            ):
                found.append((number, holder))
        return found

    def _adopted(self) -> Proposal | None:
        """A trial whose member is gone, to be repeated here; None if there is none."""
        running = self._study.running()
        for number, holder in self._void_leases():
            if holder != self._fleet.member and not self._is_gone(holder):
                continue
            if self._folder.trial(number).exists():
                # It ended, and its member died before Optuna knew.
                self._tell(read_trial(self._folder, number))
            elif self._ledger.adopt(number, holder):
                begun = running[number].begun
                if begun is not None:
                    self._quarantine.died_with_the_tuner(number, begun)
                proposal = self._study.adopt(number, self._lease())
                self._log.write("swept", {"trial": number, "repeated": proposal is not None})
                if proposal is not None:
                    return proposal
        return None

    def _put_up_anchor(self) -> bool:
        """Puts up one of the settings that every study tries first, if it is this member's turn."""
        had = self._study.anchors()
        for anchor in self.anchors.values():
            if anchor.name not in had and self._claim(f"{_ANCHOR} {anchor.name}"):
                self._study.enqueue(self._session.space.parameters(anchor.setting), anchor.name)
                return True
        return False

    def _claim(self, key: str) -> bool:
        return self._ledger.claim(key, may_take_over=self._fleet.may_take_over())

    def _lease(self) -> Mapping[str, Any]:
        return {"member": self._fleet.member}

    def _leased(self, number: int) -> contextlib.AbstractContextManager[None]:
        del number
        return contextlib.nullcontext()

    def _repeat_later(self, number: int) -> None:
        self._fleet.link.hurry(_HURRY_S)
        with contextlib.suppress(StorageLost):
            self._study.end_begun(number)

    def _sync(self) -> None:
        """Takes in what ended elsewhere, and sees who is at work."""
        self.lock.check()
        self._now = self._ledger.look(self._now.reached)
        led = self._now.has_leader
        self._heeds_end = self._heeds_end or led or self._now.ended is None
        new = [number for number in self._now.news if not self._folder.trial(number).exists()]
        records = self._ledger.records(new)
        for number in new:
            self._take_in(self._read(number, records[number]), tell=False)
        self._study.refresh()

    def _read(self, number: int, record: str) -> Trial:
        """A record of the database, which is believed as little as a file."""
        where = f"trial {number} in the {self._fleet.link.shown}"
        trial = checked(record, StoredTrial, where).trial
        if trial.number != number:
            raise InputError.one(where, f"is the record of trial {trial.number}")
        return trial

    def _finish(self, trial: Trial) -> None:
        self.lock.check()
        self._study.keep()
        untold = self._folder.untold / f"{trial.number:04d}.json"
        write_json(untold, {"format": FORMAT, "trial": trial.to_json()})
        kept = self._recorded(trial)
        if self._folder.trial(trial.number).exists():
            self._tell(kept)
        else:
            self._take_in(kept, tell=True)
        untold.unlink()
        self.here[kept.outcome] += 1

    def _recorded(self, trial: Trial) -> Trial:
        """The trial as the database has it from now on."""
        record = json.dumps({"format": FORMAT, "trial": trial.to_json()}, allow_nan=False)
        graph = _graph_of(trial)
        held, twin = self._ledger.record(
            trial.number, record, graph, measured=trial.outcome == MEASURED
        )
        self._permitted = self._permitted and graph is None
        if twin is not None:
            # This member was taken for dead, and somebody else has measured the graph since.
            self._log.write("superseded", {"trial": trial.number, "by": twin})
            self._sync()
            return self._recorded(told_by(trial, read_trial(self._folder, twin)))
        if held != record:
            self._log.write("superseded", {"trial": trial.number, "by": trial.number})
            return self._read(trial.number, held)
        return trial


def _key(plan: Plan) -> str:
    return _name(Key.of(plan.effective, plan.setting))


def _graph_of(trial: Trial) -> str | None:
    """What a trial ran by itself; None where it ran nothing."""
    if trial.effective is None or trial.outcome not in (MEASURED, FAILED):
        return None
    return _name(Key.of(trial.effective, trial.setting))


def _name(key: Key) -> str:
    return f"{_GRAPH} {key.graph_id} {key.onednn} {key.tf32}"
