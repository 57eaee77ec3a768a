"""Which smaller settings are tried, and what becomes of them; comparing itself is scripted here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amp_tuner.amp.rules import rule_set
from amp_tuner.errors import WorkerFailure
from amp_tuner.graph.typed_graph import TypedGraph, TypedNode, Vertex
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import FLOAT32, FLOAT32_GRAPH, Interval, Measurement, Setting, Trial
from amp_tuner.results.event_log import EventLog
from amp_tuner.search.anchors import Anchor
from amp_tuner.study import minimising
from amp_tuner.study.minimal_settings import Attempt, Minimal, read_minimal, write_minimal
from amp_tuner.study.minimising import Minimising
from amp_tuner.study.phases import Phases
from amp_tuner.study.planning import Plan, Planner
from amp_tuner.study.tuning import Tuning
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example
from tests.study.test_publishing import session

RULES = rule_set("tf-cpu-bfloat16")
#: In no list by default and unconnected, so each one that is moved is painted by itself; of the
#: later ones there are more nodes. Sqrt is painted by no INFER list that has nothing to follow.
OP_TYPES = ("Acos", "Acosh", "Asin")
ALL = dict.fromkeys(OP_TYPES, "allow")
IDLE = {"Sqrt": "deny"}


def graph() -> TypedGraph:
    counts = {"Sqrt": 1, **{op_type: n for n, op_type in enumerate(OP_TYPES, start=1)}}
    ops = [op_type for op_type, count in counts.items() for _ in range(count)]
    nodes = tuple(
        TypedNode(f"{op}_{n}", op, True, True, False, False, False, True)
        for n, op in enumerate(ops)
    )
    vertices = tuple(Vertex(n, "T", -1, "float32", True, True) for n in range(len(ops)))
    return TypedGraph(RULES.identifier, "a test", None, nodes, vertices, ())


@dataclass
class Study:
    """A study whose search is over.

    Attributes:
        refuses: op types without which a setting will not do.
        fails: whether comparing ends the worker.
        check_refuses: whether a setting that was accepted is refused when it is looked at again.
        left_s: what is left of the time.
        compared: the moves of each setting that was held against the original.
    """

    folder: RunFolder
    session: Any
    log: EventLog
    trials: dict[int, Trial] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    fails: bool = False
    check_refuses: bool = False
    left_s: float = 1e9
    compared: list[Mapping[str, str]] = field(default_factory=list)
    substitute: Measurement | None = None

    def plan(self, moves: Mapping[str, str]) -> Plan:
        return self.session.planner.plan(Setting("bfloat16", moves, onednn=True))

    def add(self, moves: Mapping[str, str], **changes: Any) -> int:
        """Adds a trial; returns its number."""
        plan, number = self.plan(moves), len(self.trials)
        measurement = Measurement(plan.effective, ACCURACY, TIMING)
        values = {"effective": plan.effective, "measurement": measurement, **changes}
        self.trials[number] = example(number, setting=plan.setting, **values)
        return number

    def measure(self, anchor: Anchor) -> Trial:
        number = self.add(anchor.setting.moves, anchor=anchor.name)
        if self.substitute is not None:
            trial = self.trials[number]
            self.trials[number] = replace(trial, measurement=self.substitute)
        return self.trials[number]

    def known(self, plan: Plan) -> Trial | None:
        same = (one for one in self.trials.values() if one.effective == plan.effective)
        return next(same, None)

    def against(self, smaller: Plan) -> Attempt:
        moves = smaller.setting.moves
        again = moves in self.compared
        self.compared.append(moves)
        if self.fails:
            raise WorkerFailure("SIGSEGV", fatal=True)
        lost = [op_type for op_type in self.refuses if op_type not in moves]
        refused = "speed" if lost or (again and self.check_refuses) else None
        ratio = Interval(1.0, 0.995, 1.005)
        measurement = Measurement(smaller.effective, ACCURACY, replace(TIMING, speedup=ratio))
        return Attempt(smaller.setting, smaller.effective, refused, measurement, 0.5)

    def minimise(self, *numbers: int) -> dict[int, Minimal]:
        """All of it, as after a search; what is known then."""
        tuning = SimpleNamespace(
            trials=self.trials,
            known=self.known,
            measure=self.measure,
            budget=SimpleNamespace(typical_s=lambda: 1.0),
            clock=SimpleNamespace(save=lambda: None),
            phases=Phases(self.log),
        )
        process = Minimising(
            self.session,
            self.folder,
            self.log,
            cast("Tuning", tuning),
            lambda: self.left_s,
        )
        process.drop_idle_moves(numbers)
        process.drop_needless_moves(numbers)
        return read_minimal(self.folder)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    planner = Planner.of({"bfloat16": (RULES, graph())}, served=False)
    opened = replace(session(tmp_path), planner=planner)
    folder = RunFolder(tmp_path / "run")
    with contextlib.closing(EventLog(folder.events)) as log:
        found = Study(folder, opened, log)
        original = lambda *_: SimpleNamespace(against=found.against)  # noqa: E731
        monkeypatch.setattr(minimising, "Original", original)
        yield found


def test_idle_moves_go_without_measuring(study: Study) -> None:
    study.refuses = OP_TYPES
    number = study.add({**ALL, **IDLE})
    found = study.minimise(number)[number]
    assert found.setting.moves == ALL
    assert found.replaced_by is None
    assert found.ended


def test_the_shortest_setting_that_was_ever_seen_with_the_graph_is_taken(study: Study) -> None:
    study.refuses = OP_TYPES
    number = study.add({**ALL, **IDLE})
    study.add(ALL, cached_from=number)
    assert study.minimise(number)[number].setting.moves == ALL


def test_moves_are_tried_one_by_one_those_that_change_least_first(study: Study) -> None:
    study.refuses = OP_TYPES
    number = study.add(ALL)
    study.minimise(number)
    assert [set(OP_TYPES) - moves.keys() for moves in study.compared] == [
        {"Acos"},
        {"Acosh"},
        {"Asin"},
    ]


def test_what_is_left_is_looked_at_once_more_and_becomes_a_trial(study: Study) -> None:
    study.refuses = ("Asin",)
    number = study.add(ALL)
    found = study.minimise(number)[number]
    assert study.compared[-2:] == [{}, {"Asin": "allow"}]
    assert found.check is not None
    assert found.replaced_by is not None
    substitute = study.trials[found.replaced_by]
    assert (substitute.anchor, substitute.setting.moves) == ("minimal of 0", {"Asin": "allow"})


def test_a_single_look_needs_no_second_one(study: Study) -> None:
    number = study.add({"Asin": "allow"})
    found = study.minimise(number)[number]
    assert study.compared == [{}]
    assert found.check is None
    assert found.replaced_by is not None


def test_a_lucky_look_does_not_stand(study: Study) -> None:
    study.check_refuses = True
    number = study.add(ALL)
    found = study.minimise(number)[number]
    assert found.check is not None
    assert found.check.refused == "speed"
    assert (found.accepted, found.replaced_by, found.ended) == (None, None, True)
    assert len(study.trials) == 1


def test_a_graph_that_was_measured_needs_no_trial_of_its_own(study: Study) -> None:
    study.refuses = ("Asin",)
    number, known = study.add(ALL), study.add({"Asin": "allow", **IDLE})
    found = study.minimise(number, known)
    assert found[number].replaced_by == known
    # The other trial's moves are as short as those that were found, and it is not tried further:
    # it stands for another one.
    assert found[known].setting.moves == {"Asin": "allow"}
    assert found[known].attempts == ()
    assert len(study.trials) == 2


def test_a_setting_that_does_no_better_than_fp32_gives_its_place_to_it(study: Study) -> None:
    member, float32 = study.add(ALL), len(study.trials)
    measurement = Measurement(FLOAT32_GRAPH, ACCURACY, TIMING)
    study.trials[float32] = example(
        float32,
        setting=Setting(FLOAT32, onednn=True),
        effective=FLOAT32_GRAPH,
        measurement=measurement,
    )
    minimal = study.minimise(member)
    assert minimal[member].replaced_by == float32
    assert minimal[float32].setting.data_type == FLOAT32


@pytest.mark.parametrize("why", ["failed", "slower"])
def test_what_the_search_knows_to_be_worse_is_not_measured(study: Study, why: str) -> None:
    number = study.add(ALL)
    slow = replace(TIMING, speedup=Interval(0.5, 0.49, 0.51))
    fewer = {"Acosh": "allow", "Asin": "allow"}
    worse = Measurement(study.plan(fewer).effective, ACCURACY, slow)
    changes = {"state": "FAIL", "measurement": None, "cause": "SIGABRT"}
    study.add(fewer, **(changes if why == "failed" else {"measurement": worse}))
    first = study.minimise(number)[number].attempts[0]
    assert fewer not in study.compared
    assert first.setting.moves == fewer
    assert first.measurement is None
    assert ("SIGABRT" if why == "failed" else "certainly slower") in (first.refused or "")


def test_a_comparison_that_fails_keeps_the_move(study: Study) -> None:
    study.fails = True
    number = study.add(ALL)
    found = study.minimise(number)[number]
    assert [one.refused for one in found.attempts] == ["failed: SIGSEGV"] * 3
    assert found.setting.moves == ALL
    assert found.ended


def test_without_time_idle_moves_go_all_the_same_and_the_rest_waits(study: Study) -> None:
    study.refuses = ("Asin",)
    study.left_s = 0.0
    number = study.add({**ALL, **IDLE})
    found = study.minimise(number)[number]
    assert found == Minimal(number, study.plan(ALL).setting)
    assert study.compared == []
    study.left_s = 1e9
    assert study.minimise(number)[number].replaced_by is not None


def test_a_substitute_that_an_interruption_left_without_its_place_takes_it(study: Study) -> None:
    """Its trial has run meanwhile, and the original is not on the front any more."""
    number = study.add(ALL)
    anchor = study.minimise(number)[number].anchor()
    assert anchor is not None
    (substitute,) = [one for one in study.trials.values() if one.anchor == anchor.name]
    held = read_minimal(study.folder)[number]
    write_minimal(study.folder, replace(held, replaced_by=None, ended=False))
    found = study.minimise(substitute.number)
    assert found[number].replaced_by == substitute.number
    assert len(study.trials) == 2


def test_a_substitute_with_a_worse_verdict_takes_no_place(study: Study) -> None:
    study.substitute = replace(
        Measurement(study.plan({}).effective, ACCURACY, TIMING),
        accuracy=replace(ACCURACY, verdict="uncertain"),
    )
    number = study.add(ALL)
    found = study.minimise(number)[number]
    assert (found.replaced_by, found.ended) == (None, True)


def test_every_comparison_is_told_in_the_log(study: Study) -> None:
    study.refuses = ("Asin",)
    number = study.add(ALL)
    study.minimise(number)
    told = [json.loads(line) for line in study.folder.events.read_text().splitlines()]
    assert [event["event"] for event in told] == [
        "idle_moves_dropped",
        "phase",
        *["minimal_tried"] * 4,
        "minimal",
    ]
    assert (told[1]["phase"], told[1]["position"], told[1]["of"]) == ("minimising", 1, 1)
    assert [event["refused"] for event in told[2:6]] == [None, None, "speed", None]
