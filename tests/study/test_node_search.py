"""Which nodes are set apart; what settings would give is worked out here, from planted costs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amp_tuner.amp.lists import moves_of_nodes
from amp_tuner.amp.rules import rule_set
from amp_tuner.graph.typed_graph import Edge, TypedGraph, TypedNode, Vertex
from amp_tuner.output.folder import RunFolder
from amp_tuner.records import Interval, Measurement, Setting
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.node_graphs import NodeGraph
from amp_tuner.study.node_search import NodeSearch
from amp_tuner.study.planning import Planner
from amp_tuner.study.session import Session
from tests.results.examples import ACCURACY, TIMING
from tests.results.examples import trial as example
from tests.study.test_publishing import session

RULES = rule_set("tf-cpu-bfloat16")
LAYERS = 20
#: Each of a layer's two nodes is painted by itself, saves 1 % of the time, adds a little error.
NAMES = tuple(f"layer_{place // 2}/{'a' if place % 2 else 'b'}" for place in range(2 * LAYERS))
SAVING, LITTLE, MUCH = 0.01, 1e-3, 0.5
BAD = "layer_13/a"


def graph() -> TypedGraph:
    """The layers. In each a DENY op keeps a Mul in FP32 that lies between nodes of the next one."""
    ops = dict.fromkeys(NAMES, "Asin")
    ops |= {f"layer_{layer}/exp": "Exp" for layer in range(LAYERS)}
    ops |= {f"product_{layer}": "Mul" for layer in range(LAYERS)}
    nodes = tuple(
        TypedNode(name, op, True, True, False, False, False, True) for name, op in ops.items()
    )
    vertices = tuple(Vertex(n, "T", -1, "float32", True, True) for n in range(len(nodes)))
    edges: list[Edge] = []
    for layer in range(LAYERS):
        following = 2 * ((layer + 1) % LAYERS)
        exp, product = len(NAMES) + layer, len(NAMES) + LAYERS + layer
        edges += (Edge(following, 0, product, 0), Edge(exp, 0, product, 1))
        edges.append(Edge(product, 0, following + 1, 0))
    return TypedGraph(RULES.identifier, "a test", None, nodes, vertices, tuple(edges))


class Study:
    """Trials of that graph, from the list settings on."""

    def __init__(self, folder: Path) -> None:
        planner = Planner.of({"bfloat16": (RULES, graph())}, served=False)
        self.session: Session = replace(session(folder), planner=planner)
        self.ended = EndedTrials(self.session, RunFolder(folder / "run"))
        self.search = NodeSearch(self.session, self.ended, 160)
        self.graph = NodeGraph(planner.painters["bfloat16"])
        self.errors: list[float] = []
        self.measure(Setting("bfloat16", {"Asin": "allow"}, onednn=True), anchor="everything")

    def measure(self, setting: Setting, anchor: str | None = None) -> None:
        """Adds a trial with planted figures."""
        plan = self.session.planner.plan(setting)
        row = self.graph.row(setting)
        assert row is not None
        bad = row.painted[NAMES.index(BAD)]
        error = math.sqrt(row.painted.sum() * LITTLE**2 + bad * MUCH**2)
        speed = 1 / (1 - SAVING * row.painted.sum())
        timing = replace(TIMING, speedup=Interval(speed, 0.999 * speed, 1.001 * speed))
        drop = Interval(error, error, error)
        accuracy = replace(
            ACCURACY, batch_error=error, drop=drop, verdict="misses" if bad else "meets"
        )
        number = len(self.ended.by_number)
        measurement = Measurement(plan.effective, accuracy, timing)
        self.ended.add(
            example(
                number,
                setting=plan.setting,
                effective=plan.effective,
                measurement=measurement,
                anchor=anchor,
                cached_from=None,
            )
        )
        self.errors.append(error)

    def run(self, trials: int) -> list[Setting]:
        asked = []
        for _ in range(trials):
            setting = self.search.next()
            assert setting is not None
            asked.append(setting)
            self.measure(setting)
        return asked


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_one_bad_node_among_forty_is_found_within_sixteen_trials(study: Study) -> None:
    asked = study.run(16)
    good = [one for one, error in zip(asked, study.errors[1:], strict=True) if error < MUCH / 10]
    apart = [moves_of_nodes(one.moves) for one in good]
    assert min(map(len, apart)) <= 2
    assert {f"node:{BAD}", f"node:{BAD.partition('/')[0]}/*"} & min(apart, key=len).keys()


def test_every_proposal_is_a_new_graph_made_of_a_list_setting(study: Study) -> None:
    asked = study.run(12)
    graphs = [study.session.planner.plan(one).effective.graph_id for one in asked]
    assert len(set(graphs)) == len(graphs)
    for setting in asked:
        nodes = moves_of_nodes(setting.moves)
        assert 0 < len(nodes) <= 16
        assert set(nodes.values()) == {"none"}
        assert setting.moves == {"Asin": "allow", **nodes}


def test_nothing_becomes_16_bit_that_the_list_setting_left_alone(study: Study) -> None:
    bare = study.session.planner.plan(Setting("bfloat16", {"Asin": "allow"}))
    assert bare.effective.nodes_16bit == len(NAMES)
    freed = Setting("bfloat16", {"Asin": "allow", "node:layer_0/*": "none"})
    row = study.graph.row(freed)
    assert row is not None
    assert row.painted[len(NAMES) :].any()  # what would happen
    for setting in study.run(12):
        row = study.graph.row(setting)
        assert row is not None
        assert not row.painted[len(NAMES) :].any()


def test_proposals_depend_on_the_trials_and_the_seed_alone(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = Study(tmp_path / "one"), Study(tmp_path / "other")
    assert one.run(6) == other.run(6)
    resumed = NodeSearch(other.session, other.ended, 160)
    assert resumed.next() == one.search.next()


def test_it_ends_where_nothing_can_be_set_apart(study: Study, tmp_path: Path) -> None:
    nothing = EndedTrials(study.session, RunFolder(tmp_path / "none"))
    fresh = NodeSearch(study.session, nothing, 160)
    asked: list[Setting] = []
    why = fresh.run(asked.append, lambda: None)
    assert (why, asked) == ("no other nodes of the front's settings can be set apart", [])


def test_it_ends_when_it_is_told_to(study: Study) -> None:
    left = iter([None, None, "enough"])
    assert study.search.run(study.measure, lambda: next(left)) == "enough"
    assert len(study.errors) == 3


def test_nodes_count_by_their_share_of_the_work(study: Study) -> None:
    assert study.graph.work.sum() == pytest.approx(1)
    np.testing.assert_allclose(study.graph.work[: len(NAMES)], study.graph.work[0])
