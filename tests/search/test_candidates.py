"""Settings that might be worth a look."""

from __future__ import annotations

import numpy as np
import pytest

from amp_tuner.search.candidates import Candidates
from tests.search.painted_space import OP_TYPES, PaintedSpace


@pytest.mark.parametrize("op_types", [{"Conv2D"}, {"Exp", "MatMul", "Tanh"}, set(OP_TYPES)])
def test_just_some_op_types_are_16_bit_and_nothing_else(op_types: set[str]) -> None:
    painted = PaintedSpace()
    draw = Candidates(painted.space, np.random.default_rng(0))
    look = painted.look(draw.just("bfloat16", op_types))
    assert {op for op in OP_TYPES if painted.share(look, op) == 1.0} == op_types
    assert {op for op in OP_TYPES if painted.share(look, op) > 0.0} == op_types


def test_other_op_types_on_clear_follow_their_neighbours() -> None:
    painted = PaintedSpace(("MatMul", "Relu", "MatMul", "Exp", "Tanh"))
    draw = Candidates(painted.space, np.random.default_rng(0))
    for others, share in (("clear", 1.0), ("deny", 0.0)):
        look = painted.look(draw.just("bfloat16", {"MatMul"}, others))
        assert {painted.share(look, op) for op in ("Relu", "Exp", "Tanh")} == {share}


@pytest.mark.parametrize("border", ["infer", "deny"])
def test_16_bits_spread_from_a_seed_both_ways_until_something_ends_them(border: str) -> None:
    painted = PaintedSpace(("Relu", "Exp", "Relu", "Tanh", "Relu", "Exp", "Relu"))
    draw = Candidates(painted.space, np.random.default_rng(0))
    look = painted.look(draw.spreading("bfloat16", {"Tanh"}, {"Exp"}, border))
    assert painted.share(look, "Tanh") == 1.0
    assert painted.share(look, "Relu", by_nodes=True) == 0.5
    # Only where something is 16-bit on both sides does INFER join.
    assert painted.share(look, "Exp") == 0.0


def test_op_types_that_turn_softly_follow_their_neighbours_or_end_what_spreads() -> None:
    painted = PaintedSpace(("Exp", "Tanh", "Relu", "Exp"))
    draw = Candidates(painted.space, np.random.default_rng(0))
    parent = draw.just("bfloat16", {"Tanh", "Exp"})
    child = draw.turned(parent, {"Relu": True, "Exp": False}, softly=True)
    assert {child["list:Relu"], child["list:Exp"], child["list:Tanh"]} == {
        "clear",
        "infer",
        "allow",
    }
    look = painted.look(child)
    assert [painted.share(look, op) for op in ("Tanh", "Relu", "Exp")] == [1.0, 1.0, 0.0]


def test_random_settings_have_lists_that_most_op_types_share_and_such_that_few_do() -> None:
    painted = PaintedSpace()
    draw = Candidates(painted.space, np.random.default_rng(0))
    counts = [list(draw.at_random().values()).count("clear") for _ in range(100)]
    assert min(counts) <= 1
    assert max(counts) >= len(OP_TYPES) - 1


def test_lists_that_may_not_be_proposed_leave_op_types_on_their_default() -> None:
    painted = PaintedSpace(lists=("infer", "deny"))
    draw = Candidates(painted.space, np.random.default_rng(0))
    proposed = draw.just("bfloat16", {"Exp", "Tanh"})
    default = painted.space.defaults["bfloat16"]
    for op_type in OP_TYPES:
        assert proposed[f"list:{op_type}"] in {"infer", "deny", default.list_of(op_type)}
