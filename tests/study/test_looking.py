"""Looks of settings."""

from __future__ import annotations

from amp_tuner.records import Setting
from tests.search.painted_space import PaintedSpace


def test_a_look_has_the_graph_that_a_plan_has() -> None:
    painted = PaintedSpace()
    for moves in ({}, {"Exp": "allow"}, {"MatMul": "deny", "Relu": "allow"}):
        setting = Setting("bfloat16", moves)
        look = painted.look(painted.space.parameters(setting))
        assert look.graph_id == painted.planner.plan(setting).effective.graph_id


def test_fp32_and_what_paints_nothing_look_alike() -> None:
    painted = PaintedSpace()
    nothing = Setting("bfloat16", dict.fromkeys(painted.space.op_types, "deny"))
    looks = [painted.look(painted.space.parameters(one)) for one in (Setting("float32"), nothing)]
    assert [look.graph_id for look in looks] == ["float32", "float32"]
    assert not any(look.is_16bit for look in looks)


def test_large_graphs_are_painted_less_often() -> None:
    small, large = PaintedSpace(), PaintedSpace(("MatMul", "Relu") * 4000)
    assert small.viewer.paintings > 3 * large.viewer.paintings > 0
