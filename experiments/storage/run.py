"""What a shared study asks of its database: round trips of a trial, and how many trials it stands.

Run from the repository root. The database is a PostgreSQL server of the experiment's own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from amp_tuner.api.joining import run_worker
from amp_tuner.config.load import load_study
from amp_tuner.records import MEASURED
from amp_tuner.results.event_log import Event
from amp_tuner.search.proposal import Objectives
from amp_tuner.search.shared_storage import SharedStorage
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.study import TuningStudy
from amp_tuner.shared.address import Address, address_of
from amp_tuner.shared.ledger import Ledger, SharedStudy
from amp_tuner.shared.link import Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.schema import make_tables
from tests.postgres import PASSWORD, Server, postgres

#: As many as a model with many op types has.
_OP_TYPES = tuple(f"Op{number}" for number in range(30))
#: What a device needs for a trial, for the table.
_TRIAL_S = 30.0
_FLEETS = (1, 8, 64, 512)
#: A record of a trial with its block times, in bytes.
_RECORD_BYTES = 20_000


class Trips:
    """Counts what waits for an answer of the database, and follows a study to say for what."""

    def __init__(self) -> None:
        self.count = 0
        self.of: dict[str, list[int]] = defaultdict(list)
        for target, name in (
            (Engine, "before_cursor_execute"),
            (Engine, "begin"),
            (Engine, "commit"),
            (Engine, "rollback"),
            # A connection is tried before it is used.
            (Pool, "checkout"),
        ):
            event.listen(target, name, self._trip)
        self._before = 0

    def _trip(self, *_: Any) -> None:
        self.count += 1

    def follow(self, told: Event) -> None:
        """Counts since the last end of a trial are this one's."""
        if told["event"] == "ended":
            kind = MEASURED if told["cached_from"] is None else "known graph"
            self.of[kind].append(self.count - self._before)
            self._before = self.count

    def recall(self, ended: Iterable[Mapping[str, Any]]) -> None:
        """Nothing."""


def count_trips(server: Server, config: Path, trials: int) -> None:
    """Runs a study's worker and prints what each trial asked for."""
    server.execute("CREATE DATABASE trips")
    overrides = {"storage": server.address("trips"), "search.trials": trials}
    trips = Trips()
    with tempfile.TemporaryDirectory() as folder:
        study = load_study(config, overrides=overrides)
        worked = run_worker(study, trips, output=Path(folder) / "worker")
    print(worked.sentence())
    for kind, counts in trips.of.items():
        print(
            f"{kind}: {statistics.median(counts):.0f} round trips (median of {len(counts)} trials, "
            f"{min(counts)} to {max(counts)})"
        )


def _trial(study: TuningStudy, ledger: Ledger, number: int, reached: int) -> int:
    """All that a measured trial asks of the database; how far the look reached."""
    look = ledger.look(reached)
    ledger.records(look.news[-20:])
    study.refresh()
    ledger.permit(10**6)
    proposal = study.ask({"member": ledger.member})
    ledger.hold(proposal.number)
    key = f"graph {ledger.member} {number}"
    ledger.claim(key)
    study.begin(proposal.number, {"deaths": 0})
    record = f'"{"x" * _RECORD_BYTES}"'
    ledger.record(proposal.number, record, key, measured=True)
    study.tell(proposal.number, Objectives(1.0 + number * 1e-3, 0.0, -1.0), {"graph_id": key})
    return look.reached


def _member(address: Address, rank: int, seconds: float, told: Any) -> None:
    link = Link(address, 60.0)
    member = f"member{rank}"
    ledger = Ledger(link, "load", member)
    ledger.found_or_made(SharedStudy({}, {}))
    Membership(link, "load", member, 60.0).enter({})
    space = SearchSpace(("bfloat16",), _OP_TYPES, ("allow", "deny"), {})
    storage = SharedStorage(address, link, member)
    study = TuningStudy(storage, "load", space, "random", 0, rank=rank)
    done = reached = 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        reached = _trial(study, ledger, done, reached)
        done += 1
    told.put((done, time.monotonic() - began))


def load(server: Server, members: int, seconds: float) -> None:
    """Has members tell trials without measuring any, and prints how many there were."""
    server.execute("CREATE DATABASE load")
    address = address_of(server.address("load"), {})
    link = Link(address, 60.0)
    make_tables(link)
    link.close()
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [
        context.Process(target=_member, args=(address, rank, seconds, told))
        for rank in range(members)
    ]
    for process in processes:
        process.start()
    counts = [told.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    rate = sum(done / spent for done, spent in counts)
    print(f"{members} members that measure nothing: {rate:.1f} trials a second in all")
    for devices in _FLEETS:
        print(
            f"{devices} devices, {_TRIAL_S:g} s a trial: {devices / _TRIAL_S:.2f} trials a second, "
            f"{100 * devices / _TRIAL_S / rate:.1f} % of that"
        )


def main() -> None:
    """Runs both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    os.environ["PGPASSWORD"] = PASSWORD
    with postgres() as server:
        count_trips(server, options.config, options.trials)
        load(server, options.members, options.seconds)


if __name__ == "__main__":
    main()
