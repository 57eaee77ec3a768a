"""A study that is open: its target runs, its folder is its own, and so is its part of a fleet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from amp_tuner.api.follower import Follower
from amp_tuner.config.model import StudyConfig
from amp_tuner.output.clock import Clock
from amp_tuner.output.folder import Lock, RunFolder, claim
from amp_tuner.results.event_log import Event, EventLog, new_event
from amp_tuner.study.ended import read_trials
from amp_tuner.study.fleet import Database, join
from amp_tuner.study.fleet_tuning import FleetTuning
from amp_tuner.study.progress import ended_facts
from amp_tuner.study.session import Session, open_session
from amp_tuner.study.tuning import Tuning
from amp_tuner.target.core_claims import own_cores


@dataclass(frozen=True)
class Opened:
    """The working parts of one run.

    Attributes:
        session: measures.
        log: tells what happens.
        tuning: the study.
    """

    session: Session
    log: EventLog
    tuning: Tuning


@contextlib.contextmanager
def opened(
    config: StudyConfig,
    folder: RunFolder,
    lock: Lock,
    follower: Follower,
    database: Database | None,
    *,
    leads: bool = True,
) -> Iterator[Opened]:
    """Opens a study for one run.

    Args:
        config: the checked study file.
        folder: its output folder.
        lock: the folder's, held.
        follower: told each event of the log once it is written.
        database: what a shared study is in.
        leads: whether this run says when the search of a shared study is over.

    Raises:
        InputError: anything that is wrong with the user's input; nothing is written over.
        TargetError: the target cannot run the FP32 model.
    """
    # From here on: the time budget bounds what the user waits for.
    clock = Clock(folder)
    loading = tell_loading(config.name, follower.follow)
    with contextlib.ExitStack() as stack:
        if database is not None:
            config = stack.enter_context(own_cores(config))
        session = open_session(config, folder.work)
        stack.callback(session.bench.close)
        fleet = None if database is None else join(database, config, folder, session)
        resumed = claim(folder, session.identity(), config.to_plain(), config.study_file)
        log = EventLog(folder.events, follower.follow, [loading])
        stack.callback(log.close)
        parts = session, folder, log
        if fleet is None:
            tuning = Tuning(*parts, clock=clock, lock=lock)
        else:
            stack.enter_context(fleet.at_work(folder))
            tuning = FleetTuning(*parts, clock=clock, lock=lock, fleet=fleet, leads=leads)
        stack.callback(tuning.close)
        follower.recall(map(ended_facts, read_trials(folder)))
        log.write("resumed" if resumed else "started", {"config": config.to_plain()})
        for notice in session.notices:
            log.write("notice", {"text": notice})
        yield Opened(session, log, tuning)


def tell_loading(study: str, follow: Callable[[Event], None]) -> Event:
    """Tells the first event of all, which comes before there is a log, and gives it."""
    event = new_event("phase", {"phase": "loading", "study": study})
    follow(event)
    return event
