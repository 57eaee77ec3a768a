"""One member of a shared study beside others, who are made up: what it waits for, when it ends."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.api.opening import opened
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyConfig
from amp_tuner.errors import InputError
from amp_tuner.output.folder import open_folder
from amp_tuner.records import Setting
from amp_tuner.search.anchors import Anchor
from amp_tuner.shared.address import address_of_file
from amp_tuner.shared.ledger import Ledger
from amp_tuner.shared.link import Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.schema import make_tables
from amp_tuner.study.fleet import Database
from amp_tuner.study.fleet_tuning import FleetTuning, _key
from tests.cli.fleet import write_study
from tests.conftest import Files

pytestmark = [pytest.mark.all_only, pytest.mark.timeout(300)]


class Nobody:
    """Follows nothing."""

    def follow(self, event: Any) -> None:
        """Nothing."""

    def recall(self, ended: Any) -> None:
        """Nothing."""


class Night:
    """A study in a database of its own, and somebody else who works on it."""

    def __init__(self, folder: Path, config: StudyConfig) -> None:
        self.folder = folder
        self.config = config
        self.database = self.database_in("night.db")
        self.ledger = Ledger(self.database.link, config.name, "other")
        self.other = Membership(self.database.link, config.name, "other", lease_s=60.0)

    def database_in(self, name: str) -> Database:
        address = address_of_file(self.folder / name)
        link = Link(address, patience_s=5.0)
        make_tables(link)
        return Database(address, link)

    @contextlib.contextmanager
    def member(
        self, name: str = "run", *, leads: bool = True, database: Database | None = None
    ) -> Iterator[FleetTuning]:
        """A member that has joined."""
        config = self.config.model_copy(update={"output": self.folder / name})
        folder, lock = open_folder(config.output)
        database = database or self.database
        try:
            with opened(config, folder, lock, Nobody(), database, leads=leads) as parts:
                assert isinstance(parts.tuning, FleetTuning)
                yield parts.tuning
        finally:
            lock.release()

    def come(self) -> None:
        """Somebody else is there from now on."""
        self.other.enter({"host": "elsewhere"})

    def leave_in(self, seconds: float) -> threading.Event:
        """Somebody else is gone after a while; the event tells when."""
        gone = threading.Event()

        def leave() -> None:
            self.other.leave()
            gone.set()

        threading.Timer(seconds, leave).start()
        return gone


def new_setting(tuning: FleetTuning) -> Setting:
    """One whose graph no trial has."""
    session = tuning._session
    known = {one.effective.graph_id for one in tuning.trials.values() if one.effective}
    for op_type, place in product(session.space.op_types, ("deny", "allow", "clear", "infer")):
        setting = Setting("float16", {op_type: place})
        if session.planner.plan(setting).effective.graph_id not in known:
            return setting
    raise AssertionError


@pytest.fixture
def night(tmp_path: Path, small: Files) -> Callable[..., Night]:
    def make(trials: int, **changes: Any) -> Night:
        path = write_study(tmp_path, small, "env:UNUSED", trials, **changes)
        return Night(tmp_path, load_study(path))

    return make


def test_an_anchor_whose_graph_somebody_else_measures_is_waited_for(
    night: Callable[..., Night],
) -> None:
    here = night(trials=3)
    with here.member() as tuning:
        tuning.run()
        asked = len(tuning.trials) + len(tuning.running())
        here.come()
        setting = new_setting(tuning)
        assert here.ledger.claim(
            _key(tuning._session.planner.plan(tuning._session.switched(setting)))
        )
        gone = here.leave_in(3)
        trial = tuning.measure(Anchor("once more", setting, reference=False))
        assert gone.is_set()
        assert trial.anchor == "once more"
        assert len(tuning.trials) == asked + 1, "nothing else is proposed meanwhile"


def test_who_leads_waits_for_whoever_may_still_measure(night: Callable[..., Night]) -> None:
    here = night(trials=3)
    with here.member() as tuning:
        here.come()
        assert here.ledger.permit(1000)
        gone = here.leave_in(20)
        tuning.run()
        assert gone.is_set()


def test_once_the_time_is_over_a_dead_members_trial_is_left_for_another_run(
    night: Callable[..., Night],
) -> None:
    here = night(trials=6, search={"time_budget": "1s"})
    with here.member("dead", leads=False) as dying:
        dying.measure_baseline()
        dying.prepare()
        assert dying._put_up_anchor()
        dying.settle(dying.ask())
        left = dying.ask()
        dying.keep()
    with here.member() as tuning:
        assert "the time budget (1s) is used up" in tuning.run()
        assert left.number in {one.number for one in tuning.running()}
        again = tuning.measure(
            Anchor("once more", Setting("float16", {"Relu": "deny"}), reference=False)
        )
        assert again.state == "COMPLETE"


def test_a_worker_that_is_there_before_its_leader_heeds_no_earlier_runs_end(
    night: Callable[..., Night],
) -> None:
    here = night(trials=3)
    with here.member() as tuning:
        assert tuning.run() == "all 3 trials are measured"
    here.config = here.config.model_copy(
        update={"search": here.config.search.model_copy(update={"trials": 5})}
    )
    with here.member("worker", leads=False) as worker:
        worker.run()
        assert worker.progress().measured == 5
    with here.member("late", leads=False) as worker:
        worker.run()
        assert worker.here.total() == 0


def test_a_folder_of_the_same_study_in_another_database_is_refused(
    night: Callable[..., Night],
) -> None:
    here = night(trials=2)
    with here.member("worker", leads=False) as worker:
        worker.run()
    other = here.database_in("other.db")
    with (
        pytest.raises(InputError, match="holds trials of another study"),
        here.member("worker", leads=False, database=other),
    ):
        raise AssertionError
    shutil.rmtree(here.folder / "worker")
    with here.member("worker", leads=False, database=other) as worker:
        assert worker.trials == {}
