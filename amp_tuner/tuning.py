"""The night: ask, plan, measure, tell, until a budget ends it; nothing that ended is lost.

The order of writing is what makes a kill harmless: a trial's own file first, then Optuna, then
the table. A trial whose file exists has ended, whatever Optuna knows of it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from amp_tuner import lease
from amp_tuner.config.model import StudyConfig
from amp_tuner.confirming import PATIENCE
from amp_tuner.errors import InputError, RewriteError, WorkerFailure
from amp_tuner.files import write_json, write_text
from amp_tuner.folder import RunFolder
from amp_tuner.judge.dominated import speed_to_beat
from amp_tuner.planning import Plan
from amp_tuner.progress import Progress, Watcher
from amp_tuner.publishing import standing
from amp_tuner.records import BAKED, FLOAT32, Accuracy, Measurement, Setting, Trial
from amp_tuner.results.event_log import EventLog
from amp_tuner.results.trials_csv import write_trials
from amp_tuner.search.anchors import Anchor, anchors
from amp_tuner.search.study import NEVER_TIMED, Objectives, Proposal, TuningStudy, repair_journal
from amp_tuner.session import Session

#: A sampler that proposed so many known graphs in a row is asked for a random setting instead.
_STUCK = 10
#: So many more in a row, and no distinct graph is believed to be left.
_EXHAUSTED = 200


class Clock:
    """Wall-clock seconds of all runs of a study, kept in its folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.root / "clock.json"
        self._began = time.monotonic()
        self._before = 0.0
        if self._path.exists():
            self._before = float(json.loads(self._path.read_text(encoding="utf-8"))["spent_s"])

    def spent_s(self) -> float:
        """Seconds so far, this run's included."""
        return self._before + time.monotonic() - self._began

    def save(self) -> None:
        """Writes the total down, so that a resumed study goes on from it."""
        write_json(self._path, {"format": 1, "spent_s": self.spent_s()})


class Tuning:
    """One run of a study over a folder whose lock is held.

    Attributes:
        trials: every trial that ended, by number.
        anchors: the settings that every study tries first, by name.
    """

    def __init__(self, session: Session, folder: RunFolder, log: EventLog, watch: Watcher) -> None:
        config = session.config
        self._session = session
        self._config: StudyConfig = config
        self._folder = folder
        self._log = log
        self._watch = watch
        self.clock = Clock(folder)
        self.trials: dict[int, Trial] = {}
        self._by_graph: dict[tuple[str, bool | None], Trial] = {}
        self._known_in_a_row = 0
        for trial in read_trials(folder):
            self._remember(trial)
        self.anchors: Mapping[str, Anchor] = {
            anchor.name: anchor
            for anchor in anchors(session.space, session.rules(), session.switch)
        }
        cut = repair_journal(folder.journal)
        if cut:
            log.write("repaired", {"bytes_cut": cut})
        search = config.search
        self._study = TuningStudy(
            folder.journal, config.name, session.space, search.sampler, search.seed
        )

    def run(self) -> str:
        """Runs trials until a budget or the space is used up.

        Returns:
            Why it ended, in words.

        Raises:
            TargetError: the target cannot run the FP32 model any more.
            KeyboardInterrupt: everything that ended is written; the same command resumes.
        """
        self._prepare_baseline()
        self._recover()
        known = self._study.anchors()
        for anchor in self.anchors.values():
            if anchor.name not in known:
                self._study.enqueue(self._session.space.parameters(anchor.setting), anchor.name)
        while (ended := self._ended()) is None:
            self._one_trial()
        self._log.write("search_ended", {"why": ended})
        return ended

    def progress(self) -> Progress:
        """How far the study is now."""
        measured = [trial for trial in self.trials.values() if _is_measured(trial)]
        cached = sum(trial.cached_from is not None for trial in self.trials.values())
        failed = sum(trial.state == "FAIL" for trial in self.trials.values())
        spent_s = self.clock.spent_s()
        left_s = None
        if measured:
            typical_s = statistics.median(trial.seconds for trial in measured)
            left_s = typical_s * max(0, self._config.search.trials - len(measured))
            budget_s = self._config.search.time_budget_s
            if budget_s is not None:
                left_s = min(left_s, max(0.0, budget_s - spent_s))
        best, front = standing(self._session, self.trials)
        trials = self._config.search.trials
        return Progress(best, front, len(measured), trials, cached, failed, spent_s, left_s)

    def _ended(self) -> str | None:
        if self._study.waiting():
            # Anchors and interrupted trials are run whatever the number of trials says.
            return self._out_of_time()
        trials = self._config.search.trials
        if sum(map(_is_measured, self.trials.values())) >= trials:
            return f"all {trials} trials are measured"
        if len(self.trials) >= self._config.max_proposals:
            return f"{len(self.trials)} proposals made (limits.max_proposals)"
        if not self._session.space.op_types:
            return "nothing to tune in this graph: no op type's list can change it"
        if self._known_in_a_row >= _STUCK + _EXHAUSTED:
            return "no distinct effective graph seems to be left"
        if self._folder.size_bytes() > self._config.limits.disk_bytes:
            return f"the output folder holds more than {self._config.limits.disk} (limits.disk)"
        return self._out_of_time()

    def _out_of_time(self) -> str | None:
        budget_s = self._config.search.time_budget_s
        if budget_s is None or not self.trials:
            return None
        if self.clock.spent_s() + self.confirmation_s() >= budget_s:
            return f"the time budget ({self._config.search.time_budget}) is used up"
        return None

    def confirmation_s(self) -> float:
        """Seconds to keep for measuring the front again: a typical timing for each member."""
        seconds = [
            trial.seconds
            for trial in self.trials.values()
            if _is_measured(trial) and trial.setting.data_type != FLOAT32 and trial.is_timed
        ]
        if not seconds:
            return 0.0
        members = min(len(seconds), 2 + len(self._config.target.data_types))
        return members * PATIENCE * statistics.median(seconds)

    def _recover(self) -> None:
        """Ends what an earlier tuner left running: by its own file, or by repeating it."""
        for number, held in self._study.running().items():
            owner = lease.holder(held)
            if owner is not None:
                message = f"trial {number} is being run by another tuner ({owner})"
                raise InputError.one(str(self._folder.root), message)
            if number in self.trials:
                self._tell(self.trials[number])
                continue
            worn_out = self._study.worn_out(number)
            if worn_out is not None:
                self._finish(self._tried(worn_out, _now(), _given_up))
                continue
            again = self._study.sweep(number)
            self._log.write("swept", {"trial": number, "repeated": again})
            outcome = "it is repeated" if again else "it had not begun"
            self._watch.notice(f"trial {number} was interrupted; {outcome}")
        if self.trials:
            # The kill may have come between a trial's own file and the table.
            write_trials(self._folder.trials_csv, list(self.trials.values()))

    def _prepare_baseline(self) -> None:
        """Measures FP32 in each of its forms, once per study; one of them is the baseline."""
        path = self._folder.root / "baseline.json"
        bench = self._session.bench
        names = {False: "off", True: "on"}
        if not path.exists():
            measured = bench.float32()
            found = {names[state]: one.to_json() for state, one in measured.items()}
            write_json(path, {"format": 1, bench.switch.field: bench.baseline_state, **found})
        content = json.loads(path.read_text(encoding="utf-8"))
        bench.baseline_state = content[bench.switch.field]
        self._float32 = {
            state: Measurement.from_json(content[names[state]]) for state in bench.switch.states
        }
        if self._config.target.runtime in BAKED:
            bench.keep_only(bench.baseline_state)

    def _one_trial(self) -> None:
        stuck = self._known_in_a_row >= _STUCK
        proposal = self._study.ask(lease.new_lease(), at_random=stuck)
        began = time.monotonic()
        started = _now()
        self._log.write("asked", {"trial": proposal.number, "parameters": proposal.parameters})

        def renew(renewed: Mapping[str, Any]) -> None:
            self._study.renew(proposal.number, renewed)

        before_s = self._session.bench.device_s
        try:
            with lease.kept(renew):
                trial = self._tried(proposal, started, self._measured)
        except KeyboardInterrupt:
            self._study.sweep(proposal.number, excused=True)
            self._log.write("interrupted", {"trial": proposal.number})
            raise
        seconds = time.monotonic() - began
        device_s = self._session.bench.device_s - before_s
        self._finish(replace(trial, seconds=seconds, overhead_s=seconds - device_s))

    def _tried(
        self, proposal: Proposal, started: str, run: Callable[[Trial, Plan], Trial]
    ) -> Trial:
        """What becomes of a proposal; durations are filled in by the caller."""
        anchor = None if proposal.anchor is None else self.anchors[proposal.anchor]
        setting = self._setting(proposal, anchor)
        trial = Trial(
            number=proposal.number,
            state="FAIL",
            setting=setting,
            anchor=proposal.anchor,
            effective=None,
            measurement=None,
            cached_from=None,
            cause=None,
            started=started,
            seconds=0.0,
            overhead_s=0.0,
        )
        if setting.data_type == FLOAT32 and anchor is not None:
            measurement = self._float32[bool(self._session.switch.of(setting))]
            effective = measurement.effective
            return replace(trial, state="COMPLETE", effective=effective, measurement=measurement)
        try:
            plan = self._session.planner.plan(setting)
        except RewriteError as error:
            return replace(trial, cause=f"refused: {error}")
        trial = replace(trial, setting=plan.setting, effective=plan.effective)
        known = self._known(plan)
        if known is not None:
            return replace(
                trial,
                state=known.state,
                cached_from=known.number,
                measurement=known.measurement,
                cause=known.cause,
            )
        return run(trial, plan)

    def _measured(self, trial: Trial, plan: Plan) -> Trial:
        # Written before the setting runs: after a crash of the whole machine this line says
        # what was running.
        self._log.write("measuring", {"trial": trial.number, "setting": plan.setting.to_json()})
        try:
            measurement = self._session.bench.measure(
                plan,
                "search",
                always_timed=trial.anchor is not None,
                dominated_below=None if trial.anchor else self._dominated_below,
            )
        except WorkerFailure as failure:
            if failure.last_words:
                name = f"{trial.number:04d}.log"
                write_text(self._folder.failures / name, failure.last_words)
            return replace(trial, cause=failure.cause)
        return replace(trial, state="COMPLETE", measurement=measurement)

    def _setting(self, proposal: Proposal, anchor: Anchor | None) -> Setting:
        if anchor is not None and self._session.switch.of(anchor.setting) is not None:
            return anchor.setting
        drawn = self._session.space.setting(proposal.parameters)
        return self._session.switched(drawn if anchor is None else anchor.setting)

    def _known(self, plan: Plan) -> Trial | None:
        """The trial that has run the same effective graph under the same state of the switch."""
        state = self._session.switch.of(plan.setting)
        return self._by_graph.get((plan.effective.graph_id, state))

    def _remember(self, trial: Trial) -> None:
        """Raw block times stay in the trial's file: a night of them would fill the memory."""
        self.trials[trial.number] = without_blocks(trial)
        if trial.cached_from is not None:
            self._known_in_a_row += 1
            return
        self._known_in_a_row = 0
        if trial.effective is not None:
            state = self._session.switch.of(trial.setting)
            self._by_graph[trial.effective.graph_id, state] = trial

    def _dominated_below(self, accuracy: Accuracy) -> float:
        """The speed-up that something as good as a candidate certainly has."""
        trials = self.trials.values()
        return speed_to_beat((one.measurement for one in trials if one.measurement), accuracy)

    def _finish(self, trial: Trial) -> None:
        write_json(self._folder.trial(trial.number), {"format": 1, "trial": trial.to_json()})
        self._remember(trial)
        self._tell(trial)
        self.clock.save()
        write_trials(self._folder.trials_csv, list(self.trials.values()))
        facts = {"trial": trial.number, "state": trial.state, "cause": trial.cause}
        self._log.write("ended", {**facts, "cached_from": trial.cached_from})
        self._watch.trial(trial, self.progress())

    def _tell(self, trial: Trial) -> None:
        if trial.measurement is None:
            self._study.tell_failed(trial.number, trial.cause or "failed")
            return
        facts = {
            "graph_id": trial.measurement.effective.graph_id,
            "cached_from": trial.cached_from,
            "setting": trial.setting.to_json(),
        }
        self._study.tell(trial.number, self._objectives(trial.measurement), facts)

    def _objectives(self, measurement: Measurement) -> Objectives:
        timing, accuracy = measurement.timing, measurement.accuracy
        goal = self._config.accuracy.parsed_goal
        beyond = goal.beyond(accuracy.score.value, accuracy.drop.value)
        # Feasible is what certainly meets the goal; a doubtful one violates it by a hair.
        violation = min(beyond, 0.0) if accuracy.verdict == "meets" else max(beyond, 1e-9)
        speedup = NEVER_TIMED if timing is None else timing.speedup.value
        return Objectives(speedup, accuracy.drop.value, violation)


def read_trials(folder: RunFolder) -> list[Trial]:
    """Every trial that ended, by number."""
    return [
        Trial.from_json(json.loads(path.read_text(encoding="utf-8"))["trial"])
        for path in sorted(folder.trials.glob("*.json"))
    ]


def without_blocks(trial: Trial) -> Trial:
    """The trial without its raw block times."""
    measurement = trial.measurement
    if measurement is None or measurement.timing is None:
        return trial
    timing = replace(measurement.timing, blocks=())
    return replace(trial, measurement=replace(measurement, timing=timing))


def _given_up(trial: Trial, _: Plan) -> Trial:
    """The end of a trial that twice was the last thing a tuner did."""
    return replace(trial, cause="the tuner was killed twice while this setting ran")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _is_measured(trial: Trial) -> bool:
    return trial.cached_from is None and trial.measurement is not None
