"""When a search has nothing left to find."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from amp_tuner.search.stopping import CALM
from amp_tuner.study.ended import EndedTrials
from amp_tuner.study.planning import Painter, Planner
from amp_tuner.study.prospects import EXHAUSTED, STUCK, Prospects
from amp_tuner.study.session import Session
from tests.search.painted_space import PaintedSpace, chain
from tests.study.test_planning import BF16, planner


def ended(**facts: Any) -> EndedTrials:
    plain = {"graphs": set(), "hopes": [], "known_in_a_row": 0}
    return cast("EndedTrials", SimpleNamespace(**{**plain, **facts}))


def prospects(painted: PaintedSpace, stop: str = "auto", **facts: Any) -> Prospects:
    config = SimpleNamespace(search=SimpleNamespace(stop=stop))
    session = SimpleNamespace(planner=painted.planner, space=painted.space, config=config)
    return Prospects(cast("Session", session), painted.viewer, ended(**facts))


SMALL = ("MatMul", "Exp", "Relu") * 2


def test_all_distinct_graphs_are_measured_if_the_trials_are_enough() -> None:
    found = prospects(PaintedSpace(SMALL))
    said = found.count(200)
    assert said is not None
    assert said.endswith("each is measured")
    left = found.left()
    assert left is not None
    assert f"{len(left)} distinct 16-bit graphs" in said
    assert found.none_left() is None


def test_a_search_whose_graphs_were_all_tried_has_ended() -> None:
    painted = PaintedSpace(SMALL)
    graphs: set[str] = set()
    found = prospects(painted, graphs=graphs)
    found.count(200)
    left = found.left()
    assert left is not None
    graphs |= {painted.look(one).graph_id for one in left}
    assert found.left() == []
    assert found.none_left() == f"all {len(left)} distinct 16-bit graphs were tried"


def test_neither_little_hope_nor_known_settings_end_what_can_be_measured_to_the_last() -> None:
    found = prospects(PaintedSpace(SMALL), hopes=[0.0] * CALM, known_in_a_row=STUCK + EXHAUSTED)
    assert found.none_left() is not None
    found.count(200)
    assert found.none_left() is None


def test_where_only_some_graphs_can_be_found_beforehand_the_search_goes_on_after_them() -> None:
    ops = ("MatMul", "Exp", "Softmax", "Sum", "Pow", "Mean", "Cumsum", "Softplus", "MatMul")
    painted = PaintedSpace(ops, lists=("infer", "clear", "deny"))
    graphs: set[str] = set()
    found = prospects(painted, graphs=graphs)
    said = found.count(200)
    assert said is not None
    assert said.endswith("each is measured, then the search goes on")
    left = found.left()
    assert left
    graphs |= {painted.look(one).graph_id for one in left}
    assert found.left() is None
    assert found.none_left() is None


def test_lists_that_make_nothing_16_bit_leave_nothing_to_tune() -> None:
    painted = PaintedSpace(("Relu", "Mul"), lists=("clear", "infer", "deny"))
    assert painted.space.op_types
    found = prospects(painted)
    assert found.count(200) is None
    assert found.none_left() == (
        "nothing to tune in this graph, because no list of search.lists (clear, infer, deny) "
        "makes anything in it 16-bit"
    )


def test_fewer_trials_than_graphs_are_said_and_the_search_goes_on() -> None:
    found = prospects(PaintedSpace(SMALL))
    everything = found.count(200)
    assert everything is not None
    count = int(everything.split()[0])
    few = prospects(PaintedSpace(SMALL))
    said = few.count(count - 1)
    assert said is not None
    assert said.endswith(f"more than the {count - 1} trials that are left")
    assert few.left() is None


def test_of_many_graphs_nothing_is_said() -> None:
    assert prospects(PaintedSpace()).count(20) is None


@pytest.mark.parametrize(
    ("stop", "hopes", "ends"),
    [
        ("auto", [0.5] + [0.0005] * CALM, True),
        ("auto", [0.0005] * (CALM - 1), False),
        ("auto", [0.0005] * (CALM - 1) + [0.01], False),
        ("never", [0.0005] * CALM, False),
    ],
)
def test_a_search_ends_when_nothing_is_hoped_for_any_more(
    stop: str, hopes: list[float], ends: bool
) -> None:
    why = prospects(PaintedSpace(), stop, hopes=hopes).none_left()
    assert (why is not None) == ends
    if why is not None:
        assert "search.stop: auto" in why


def test_a_list_that_everything_is_in_by_default_leaves_nothing_to_tune() -> None:
    painted = PaintedSpace(("MatMul",) * 3, lists=("allow",))
    why = prospects(painted).none_left()
    assert why == (
        "nothing to tune in this graph, because every op type is in allow (search.lists) by default"
    )


def test_why_a_graph_has_nothing_to_tune() -> None:
    typed = chain(("MatMul",), "tf-cpu-bfloat16")
    cases = {
        "no op type in it has a bfloat16 kernel": replace(
            typed, vertices=tuple(one._replace(kernel_ok=False) for one in typed.vertices)
        ),
        "it computes nothing in float32 that the pass may convert": replace(
            typed, vertices=tuple(one._replace(dtype="int32") for one in typed.vertices)
        ),
        "the pass leaves it alone (no products)": replace(typed, skipped="no products"),
        "what has bfloat16 kernels would change its meaning (state, references)": replace(
            typed, nodes=tuple(one._replace(tunable=False) for one in typed.nodes)
        ),
    }
    for reason, graph in cases.items():
        found: Planner = planner(graph)
        assert found.why_nothing(found.space("auto", ("allow", "deny"))) == reason


def test_a_painter_knows_its_rules() -> None:
    painter: Painter = planner(chain(("MatMul",), "tf-cpu-bfloat16")).painters["bfloat16"]
    assert painter.rules == BF16
