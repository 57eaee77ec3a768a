"""What a trial of a shared study costs the database: a member's own calls, without a device.

A member here does what ``FleetTuning`` does around a measurement, in the same order: it takes in
what others ended, asks for leave and for a proposal, claims the graph, writes the result down.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

from amp_tuner.amp.lists import AmpLists
from amp_tuner.search.shared_storage import SharedStorage
from amp_tuner.search.space import SearchSpace
from amp_tuner.search.study import Objectives, TuningStudy
from amp_tuner.shared.address import address_of
from amp_tuner.shared.ledger import Ledger, SharedStudy
from amp_tuner.shared.link import Link
from amp_tuner.shared.members import Membership
from amp_tuner.shared.schema import make_tables

#: A study of so many op types; so many trials of a member alone, of the first few of which none
#: counts; and of each of several at once.
OP_TYPES, ALONE, FIRST, TOGETHER, MEMBERS = 40, 60, 10, 40, 4
_LEASE_S = 600.0


@dataclass(frozen=True)
class StorageCosts:
    """What the database takes of a trial.

    Attributes:
        trips: round trips: statements and ends of transactions.
        locked_trips: those while the study's row is locked, and other members wait.
        alone_s: waiting for it while nobody else asks, in seconds.
        served_s: between two trials while several members do nothing but ask: what the database and
            these members, all on this machine, can do at most.
        read_s: for each trial that another member ended.
    """

    trips: float
    locked_trips: float
    alone_s: float
    served_s: float
    read_s: float


class Member:
    """One member of a study that measures nothing."""

    def __init__(self, storage: str, name: str, record_bytes: int) -> None:
        address = address_of(storage, os.environ)
        link, member = Link(address, 60), secrets.token_hex(8)
        make_tables(link)
        self._ledger = Ledger(link, name, member)
        self._ledger.found_or_made(SharedStudy({}, {"software": {}, "hardware": {}}))
        rank = Membership(link, name, member, _LEASE_S).enter({})
        op_types = tuple(f"Op{place:02}" for place in range(OP_TYPES))
        lists = {"bfloat16": AmpLists()}
        space = SearchSpace(("bfloat16",), op_types, ("allow", "deny"), lists)
        storages = SharedStorage(address, link, member)
        self._study = TuningStudy(storages, name, space, "random", 0, None, rank)
        self._text = json.dumps({"blocks": "0" * record_bytes})
        self._reached = 0

    def take_in(self) -> int:
        """Reads what others ended; how many trials that was."""
        look = self._ledger.look(self._reached)
        self._reached = look.reached
        self._ledger.records(look.news)
        self._study.refresh()
        return len(look.news)

    def trial(self) -> None:
        """Everything that a trial asks of the database."""
        self.take_in()
        self._ledger.permit(10**6)
        proposal = self._study.ask({})
        self._ledger.hold(proposal.number)
        graph = f"graph {proposal.number}"
        self._ledger.claim(graph)
        self._study.begin(proposal.number, {"graph_id": graph})
        self._ledger.record(proposal.number, self._text, graph, measured=True)
        self._study.tell(proposal.number, Objectives(1.0, 0.0, 0.0), {"graph_id": graph})


class Trips:
    """Round trips to the database, of all of this process's connections."""

    def __init__(self) -> None:
        self.all = self.locked = 0
        self._holds = False
        event.listen(Engine, "before_cursor_execute", self._execute)
        event.listen(Engine, "commit", self._end)

    def _execute(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # The study's row is locked by its first update, until the transaction's end.
        self._holds = self._holds or statement.startswith("UPDATE amp_tuner_studies")
        self.all += 1
        self.locked += self._holds

    def _end(self, _: Any) -> None:
        self.all += 1
        self.locked += self._holds
        self._holds = False


def measured(storage: str, record_bytes: int) -> StorageCosts:
    """The costs in the database at an address (as ``storage`` of a study file)."""
    name = f"growth-{secrets.token_hex(4)}"
    trips = Trips()
    member = Member(storage, name, record_bytes)
    counts: Counter[str] = Counter()
    taken_s = []
    for number in range(ALONE):
        before, began_s = (trips.all, trips.locked), time.perf_counter()
        member.trial()
        if number >= FIRST:
            taken_s.append(time.perf_counter() - began_s)
            counts["all"] += trips.all - before[0]
            counts["locked"] += trips.locked - before[1]
    late = Member(storage, name, record_bytes)
    began_s = time.perf_counter()
    read_s = late.take_in() and (time.perf_counter() - began_s) / ALONE
    return StorageCosts(
        trips=counts["all"] / len(taken_s),
        locked_trips=counts["locked"] / len(taken_s),
        alone_s=statistics.median(taken_s),
        served_s=1 / sum(_together(storage, record_bytes)),
        read_s=read_s,
    )


def _together(storage: str, record_bytes: int) -> Iterator[float]:
    """Trials a second of each of several members at once."""
    name = f"growth-{secrets.token_hex(4)}"
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(MEMBERS)
    with context.Manager() as manager:
        rates = manager.list()
        arguments = (storage, name, record_bytes, ready, rates)
        members = [context.Process(target=_rate, args=arguments) for _ in range(MEMBERS)]
        for one in members:
            one.start()
        for one in members:
            one.join()
        yield from rates


def _rate(storage: str, name: str, record_bytes: int, ready: Any, rates: Any) -> None:
    member = Member(storage, name, record_bytes)
    ready.wait()
    began_s = time.perf_counter()
    for _ in range(TOGETHER):
        member.trial()
    rates.append(TOGETHER / (time.perf_counter() - began_s))
