"""The night: ask, plan, measure, tell, until a budget ends it; nothing that ended is lost.

The order of writing is what makes a kill harmless: a trial's own file first, then Optuna, then
the table. A trial whose file exists has ended, whatever Optuna knows of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Mapping
from dataclasses import asdict, replace
from typing import Any

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError, WorkerFailure
from amp_tuner.files import write_json
from amp_tuner.output import lease
from amp_tuner.output.clock import Clock
from amp_tuner.output.disk import DiskUse, keep_words
from amp_tuner.output.folder import Lock, RunFolder
from amp_tuner.records import BAKED, Setting, Trial
from amp_tuner.results.event_log import EventLog
from amp_tuner.results.trials_csv import TrialsTable
from amp_tuner.search.anchors import Anchor, anchors
from amp_tuner.search.journal import OneWriterStorage
from amp_tuner.search.proposal import Proposal
from amp_tuner.search.storage import StudyStorage
from amp_tuner.search.study import TuningStudy
from amp_tuner.study.baseline import measured_baseline
from amp_tuner.study.budget import Budget
from amp_tuner.study.ended import EndedTrials, read_trial
from amp_tuner.study.looking import StudyViewer
from amp_tuner.study.lookup import Lookup
from amp_tuner.study.minimal_settings import read_minimal
from amp_tuner.study.node_search import NodeSearch
from amp_tuner.study.objectives import objectives_of
from amp_tuner.study.phases import Phases
from amp_tuner.study.planning import Plan
from amp_tuner.study.progress import Progress, ended_facts, progress_of
from amp_tuner.study.prospects import Prospects
from amp_tuner.study.quarantine import Key, Quarantine
from amp_tuner.study.session import Session
from amp_tuner.text import now

#: With search.granularity node: the share of the trials and of the time that goes to lists.
LISTS_SHARE = 0.5


class Tuning:
    """One run of a study over a folder whose lock is held.

    Args:
        session: measures.
        folder: where all of it is kept.
        log: told what happens.
        clock, lock: see below.
        storage: of the trials; None: the folder's journal.
        rank: among the tuners that share the storage.

    Attributes:
        clock: how long the study has run.
        disk: what the folder takes.
        budget: what may still be used.
        phases: tells what is being done.
        viewer: paints settings for whom it may concern; None where there is nothing to tune.
        lock: the folder's; what is written is only written while it is held.
        anchors: the settings that every study tries first, by name.
    """

    def __init__(
        self,
        session: Session,
        folder: RunFolder,
        log: EventLog,
        *,
        clock: Clock,
        lock: Lock,
        storage: StudyStorage | None = None,
        rank: int = 0,
    ) -> None:
        config = session.config
        self._session = session
        self._config: StudyConfig = config
        self._folder = folder
        self._log = log
        self.phases = Phases(log)
        session.bench.tell = self.phases.step
        self.lock = lock
        self.clock = clock
        self._ended = EndedTrials(session, folder)
        self.disk = DiskUse(folder, config.limits.disk_bytes)
        self.budget = Budget(session, self._ended, clock, self.disk)
        self._quarantine = Quarantine(folder.quarantine)
        # A kill may have come between a trial's own file and the table.
        self._table = TrialsTable(folder.trials_csv, self._ended.read())
        begun = (minimal for minimal in read_minimal(folder).values() if not minimal.ended)
        first = anchors(session.space, session.rules(), session.switch)
        every = (*first, *(one.anchor() for one in begun))
        self.anchors: dict[str, Anchor] = {anchor.name: anchor for anchor in every if anchor}
        search = config.search
        # Painting needs something to paint; without it the anchors are all there is.
        space = session.space
        self.viewer = StudyViewer(session.planner, space) if space.op_types else None
        sampler = search.sampler if self.viewer is not None else "random"
        self._study = TuningStudy(
            storage or OneWriterStorage(folder.journal),
            config.name,
            space,
            sampler,
            search.seed,
            self.viewer,
            rank,
        )
        self._lookup = Lookup(session, self._ended, self._quarantine, self.anchors)
        self._prospects = Prospects(session, self.viewer, self._ended)
        if self._study.cut_bytes:
            log.write("repaired", {"bytes_cut": self._study.cut_bytes})

    @property
    def trials(self) -> Mapping[int, Trial]:
        """Every trial that ended, by number; while the search goes on, it is cheaper not to ask."""
        return self._ended.by_number

    def close(self) -> None:
        """Closes the files that are written as the study goes."""
        self._study.close()
        self._table.close()

    def run(self) -> str:
        """Runs trials until a budget or the space is used up.

        Returns:
            Why it ended, in words.

        Raises:
            TargetError: the target cannot run the FP32 model any more.
            KeyboardInterrupt: everything that ended is written; the same command resumes.
        """
        self.measure_baseline()
        if self._config.target.runtime in BAKED:
            self._session.bench.keep_only(self._session.bench.baseline_state)
        self.prepare()
        self.tell_progress()
        self.phases.enter("counting")
        by_node = self._config.search.granularity == "node"
        share = LISTS_SHARE if by_node else 1.0
        counted = self._prospects.count(self.budget.trials_left(share))
        if counted is not None:
            self._log.write("distinct_graphs", {"found": counted})
        while (ended := self._why_ended(share)) is None:
            self._one_trial()
        if by_node and self.viewer is not None:
            search = NodeSearch(self._session, self._ended, self.viewer.paintings)
            ended = search.run(self._measure_nodes, self._why_no_more)
        self._log.write("search_ended", {"why": ended})
        return ended

    def measure_baseline(self) -> None:
        """Measures FP32 in each of its forms, if that was not done before."""
        self._lookup.float32 = measured_baseline(self._session, self._folder)

    def prepare(self, held: Container[int] = ()) -> None:
        """Ends what an earlier tuner left running, and puts up the anchors.

        Args:
            held: numbers of trials that run elsewhere.
        """
        self._recover(held)
        known = self._study.anchors()
        for anchor in self.anchors.values():
            if anchor.name not in known:
                self._study.enqueue(self._session.space.parameters(anchor.setting), anchor.name)

    def measure(self, anchor: Anchor) -> Trial:
        """Runs one more named setting as a trial, once the search is over.

        Raises:
            TargetError: the target cannot run the FP32 model any more.
            KeyboardInterrupt: the same command resumes.
        """
        self.anchors[anchor.name] = anchor
        self._study.enqueue(self._session.space.parameters(anchor.setting), anchor.name)
        while True:
            self._one_trial()
            for trial in self.trials.values():
                if trial.anchor == anchor.name:
                    return trial

    def progress(self) -> Progress:
        """How far the study is now."""
        return progress_of(self._ended, self.budget, self._config, self.clock.spent_s())

    def tell_progress(self) -> None:
        """Tells how far the study is now."""
        self._log.write("progress", asdict(self.progress()))

    def importances(self) -> Mapping[str, float]:
        """Of each parameter, for reaching the front; by Optuna, and empty before it can tell."""
        return self._study.importances()

    def _measure_nodes(self, setting: Setting) -> None:
        """Runs a setting with moves of nodes as a trial."""
        self._study.enqueue_nodes(self._session.space.parameters(setting), setting.moves)
        self._one_trial()

    def _why_ended(self, share: float) -> str | None:
        full = self.budget.no_room()
        if full is not None or self._study.waiting():
            # Anchors and interrupted trials are run whatever the number of trials says.
            return full or self.budget.no_time()
        if share < 1 and self._ended.nodes_moved:
            return "single nodes are being set apart"
        return (
            self.budget.no_trials(share)
            or self._prospects.none_left()
            or self.budget.no_time(share)
        )

    def _why_no_more(self) -> str | None:
        return self.budget.no_room() or self.budget.no_trials() or self.budget.no_time()

    def keep(self) -> None:
        """Writes proposals down that have no end yet."""
        self._study.keep()

    def running(self) -> list[Proposal]:
        """Proposals without an end, by number."""
        return [left.proposal for left in self._study.running().values()]

    def _recover(self, held: Container[int]) -> None:
        """Ends what an earlier tuner left running: by its own file, or by repeating it."""
        for number, left in self._study.running().items():
            ended = self._folder.trial(number).exists()
            if number in held and not ended:
                continue
            owner = lease.holder(left.lease)
            if owner is not None:
                message = f"trial {number} is being run by another tuner ({owner})"
                raise InputError.one(str(self._folder.root), message)
            if ended:
                self._tell(read_trial(self._folder, number))
                continue
            if left.begun is not None:
                self._quarantine.died_with_the_tuner(number, left.begun)
            again = self._study.sweep(number)
            self._log.write("swept", {"trial": number, "repeated": again})

    def ask(self, *, stuck: bool | None = None) -> Proposal:
        """The next proposal.

        Args:
            stuck: what is proposed is known again and again; None: as the trials that ended say.
        """
        self.lock.check()
        if stuck is None:
            stuck = self._prospects.is_stuck()
        proposal = self._study.ask(self._lease(), stuck=stuck, left=self._prospects.left())
        facts = {"trial": proposal.number, "parameters": proposal.parameters}
        self._log.write("asked", {**facts, "predicted": proposal.expected()})
        return proposal

    def _one_trial(self) -> None:
        self.settle(self.ask())

    def settle(self, proposal: Proposal) -> None:
        """Runs a proposal as a trial, from its plan to its end."""
        began = time.monotonic()
        started = now()
        bench = self._session.bench
        before_s, away_s = bench.device_s, bench.away_s
        try:
            with self._leased(proposal.number):
                trial = self._tried(proposal, started)
        except KeyboardInterrupt:
            self._repeat_later(proposal.number)
            self._log.write("interrupted", {"trial": proposal.number})
            raise
        seconds = time.monotonic() - began + bench.away_s - away_s
        device_s = bench.device_s - before_s
        self._finish(replace(trial, seconds=seconds, overhead_s=seconds - device_s))

    def _lease(self) -> Mapping[str, Any]:
        """Whose a new trial is."""
        return lease.new_lease()

    def _leased(self, number: int) -> contextlib.AbstractContextManager[None]:
        """While it lasts, a trial is known to be this tuner's."""
        return lease.kept(lambda: self._study.renew(number, lease.new_lease()))

    def _repeat_later(self, number: int) -> None:
        """Leaves a trial that was interrupted to a later run."""
        self._study.sweep(number)

    def _tried(self, proposal: Proposal, started: str) -> Trial:
        """What becomes of a proposal; durations are filled in by the caller."""
        trial, plan = self._lookup.end_of(proposal, started)
        return trial if plan is None else self._measured(trial, plan)

    def to_measure(self, proposal: Proposal) -> Plan | None:
        """What a proposal would run; None where its end is known without."""
        return self._lookup.end_of(proposal, "")[1]

    def known(self, plan: Plan) -> Trial | None:
        """The trial that has run the same effective graph under the same switches."""
        return self._lookup.known(plan)

    def _measured(self, trial: Trial, plan: Plan) -> Trial:
        """Runs a setting; once more, on a fresh worker, if the first one dies of it."""
        key, setting = Key.of(plan.effective, plan.setting), plan.setting.to_json()
        about = {"trial": trial.number, "anchor": trial.anchor, "setting": setting}
        self.phases.enter("trial", trial=trial.number)
        while True:
            begun = self._quarantine.about_to_run(key)
            # Both survive a power cut: the journal for the next run, the log for people.
            self._study.begin(trial.number, {**begun, "setting": setting})
            self._log.write("measuring", {**about, **begun}, durable=True)
            began = time.monotonic()
            try:
                measurement = self._session.bench.measure(
                    plan,
                    "search",
                    always_timed=trial.anchor is not None,
                    dominated_below=None if trial.anchor else self._ended.to_beat.of,
                )
            except WorkerFailure as failure:
                self.lock.check()
                keep_words(self._folder, f"{trial.number:04d}", failure.last_words)
                if failure.fatal and not failure.timed_out:
                    self._quarantine.died(key, trial.number, setting, failure.cause)
                    self._log.write("died", {"trial": trial.number, "cause": failure.cause})
                    if self._quarantine.verdict(key) is None and self.budget.no_time() is None:
                        continue
                return replace(trial, cause=failure.cause)
            # What is left of the time between two ends is the tuner's own.
            seconds = round(time.monotonic() - began, 6)
            self._log.write("measured", {"trial": trial.number, "seconds": seconds})
            return replace(trial, state="COMPLETE", measurement=measurement)

    def _finish(self, trial: Trial) -> None:
        self.lock.check()
        self._study.keep()
        self._take_in(trial, tell=True)

    def _take_in(self, trial: Trial, *, tell: bool) -> None:
        """Writes a trial's end to its own file, then wherever else it stands."""
        write_json(self._folder.trial(trial.number), {"format": 1, "trial": trial.to_json()})
        self.disk.wrote_trial(trial.number)
        self._ended.add(trial)
        if tell:
            self._tell(trial)
        self.clock.tick()
        self._table.add(trial)
        self._log.write("ended", ended_facts(trial))
        self.tell_progress()

    def _tell(self, trial: Trial) -> None:
        usual = trial.setting.level == "default" and not moves_of_nodes(trial.setting.moves)
        if trial.measurement is None:
            self._study.tell_failed(trial.number, trial.cause or "failed", usual=usual)
            return
        objectives = objectives_of(trial.measurement, self._config.accuracy.parsed_goal)
        objectives = replace(objectives, usual=usual)
        facts = {
            "graph_id": trial.measurement.effective.graph_id,
            "cached_from": trial.cached_from,
            "setting": trial.setting.to_json(),
        }
        timing = trial.measurement.timing
        if timing is not None and timing.modelled_for is not None:
            facts["modelled_for"] = timing.modelled_for
        self._study.tell(trial.number, objectives, facts)
